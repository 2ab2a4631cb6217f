"""Write the whole reasoning with symbols in the place of results; tools fill them in.

Source: "Efficient Tool Use with Chain-of-Abstraction Reasoning" (COLING 2025, arXiv 2401.17464).
What differs: tools start on a chain's first symbol while the rest of it is being written, not when
it has ended; as published, the tools of one chain run while the next one is decoded. With several
chains, the answer that most of them come to chooses the chain whose text is given. The chain is
its own answer, so that no model is asked to join; no model is trained for it either: the prompt
shows the form.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from heddle.errors import ModelError
from heddle.plan.canonical import canonical_bytes
from heddle.plan.ir import Ref, Template
from heddle.strategies.rounds import plan_and_join
from heddle.strategies.wording import asked, inputs_text, prompt, tools_text

if TYPE_CHECKING:
    from heddle.plan.ir import Plan
    from heddle.strategies import Messages, Rounds, Verdict

__all__ = ["DIALECT", "answer_in", "planner_messages", "strategy"]

DIALECT = "abstraction"
_ANSWER = re.compile(r"(?:^|\n)[^\S\n]*Answer:[^\S\n]*", re.IGNORECASE)
_NUMBER = re.compile(r"[$€£]?[+-]?(?:\d{1,3}(?:,\d{3})++|\d++)(?:\.\d*+)?(?:e[+-]?\d{1,3})?%?")
_MISSING = "\0"


async def strategy(rounds: Rounds) -> Verdict:
    """One chain, or a vote over several."""
    verdict = await (_one(rounds) if rounds.chains == 1 else _voted(rounds))
    return verdict._replace(answer=answer_in(verdict.answer))


async def _one(rounds: Rounds, reason: str = "") -> Verdict:
    """Chains one after the other, until one of them is one."""
    return await plan_and_join(rounds, DIALECT, planner_messages, reason=reason)


async def _voted(rounds: Rounds) -> Verdict:
    """Several chains, and the answer that most of them come to."""
    plans = await _chains(rounds)
    await rounds.settle(*plans)  # all at once: one alone would stop what its answer does not need
    chosen, votes = _elected(rounds, plans)
    came = f"{votes} of {len(plans)} chains come to the answer of chain {chosen + 1}"
    rounds.chose(DIALECT, came if votes else f"none of {len(plans)} chains comes to an answer")
    verdict = await rounds.join(plans[chosen])
    return verdict if verdict.decision == "finish" else await _one(rounds, verdict.reason)


async def _chains(rounds: Rounds) -> list[Plan]:
    """The chains that came. Nobody has decided for one of them yet, so they change nothing.

    Raises:
        ModelError: not even the first one came.
    """
    plans: list[Plan] = []
    for _ in range(rounds.chains):
        try:
            reply = await rounds.read(planner_messages(rounds), DIALECT, effects=False)
        except ModelError:
            if not plans:
                raise
            break
        plans.append(reply.plan)
    return plans


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the model reads: the form of a chain, the tools, the question."""
    system = prompt(
        "abstraction",
        max_steps=rounds.max_steps,
        tools=tools_text(rounds.specs),
        inputs=inputs_text(rounds.inputs),
    )
    return asked(rounds, system, reason, "Give your symbols new numbers.")


def answer_in(text: Any) -> Any:
    """What stands after the last `Answer:` that begins a line of a filled chain, or all of it."""
    if not isinstance(text, str):
        return text
    marks = list(_ANSWER.finditer(text))
    return text[marks[-1].end() :].strip() if marks else text


def _elected(rounds: Rounds, plans: list[Plan]) -> tuple[int, int]:
    """The first chain of those that most agree with, and how many they are."""
    values = {step.id: step.value for step in rounds.steps() if step.has_value}
    ballots = [_ballot(plan, values) for plan in plans]
    counted = Counter(ballot for ballot in ballots if ballot is not None)
    if not counted:
        return next((place for place, plan in enumerate(plans) if plan.steps), 0), 0
    most, votes = counted.most_common(1)[0]  # of equally many, the one that came first
    return ballots.index(most), votes


def _ballot(plan: Plan, values: dict[str, Any]) -> str | None:
    """What a chain comes to, in one spelling; None if a result is missing from it."""
    parts = plan.output.parts if isinstance(plan.output, Template) else (plan.output,)
    text = "".join(_spelled(part, values) for part in parts)
    if _ANSWER.search(text) is None:  # the result that its text mentions last
        text = _spelled(
            next((part for part in reversed(parts) if isinstance(part, Ref)), ""), values
        )
    answer = " ".join(str(answer_in(text)).casefold().split()).removesuffix(".")
    return None if not answer or _MISSING in answer else _number(answer)


def _spelled(part: Any, values: dict[str, Any]) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Ref) or part.path or part.step not in values:
        return _MISSING
    value = values[part.step]
    return value if isinstance(value, str) else canonical_bytes(value).decode()


def _number(text: str) -> str:
    """A number in one spelling, whatever its own: 1,200 and 1200.0; other texts as they are."""
    if _NUMBER.fullmatch(text) is None:
        return text
    return f"{float(text.strip('$€£%').replace(',', '')):.9g}"
