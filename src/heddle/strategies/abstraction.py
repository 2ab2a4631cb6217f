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
from typing import TYPE_CHECKING, Any

from heddle.plan.canonical import canonical_bytes
from heddle.plan.ir import Ref, nodes_of
from heddle.strategies.rounds import plan_and_join
from heddle.strategies.wording import asked, inputs_text, prompt, tools_text

if TYPE_CHECKING:
    from collections.abc import Hashable

    from heddle.plan.ir import Plan
    from heddle.strategies import Messages, Rounds, Verdict

__all__ = ["DIALECT", "answer_in", "planner_messages", "strategy"]

DIALECT = "abstraction"
_ANSWER = re.compile(r"(?:^|\n)[^\S\n]*Answer:[^\S\n]*", re.IGNORECASE)


async def strategy(rounds: Rounds) -> Verdict:
    """One chain, or a vote over several."""
    if rounds.chains == 1:
        verdict = await plan_and_join(rounds, DIALECT, planner_messages)
        return verdict._replace(answer=answer_in(verdict.answer))
    plans = [(await _chain(rounds)) for _ in range(rounds.chains)]
    await rounds.settle(*plans)  # all at once: one alone would stop what its answer does not need
    chosen, votes = _elected(rounds, plans)
    rounds.chose(
        DIALECT, f"{votes} of {len(plans)} chains come to the answer of chain {chosen + 1}"
    )
    verdict = await rounds.join(plans[chosen])
    return verdict._replace(answer=answer_in(verdict.answer))


async def _chain(rounds: Rounds) -> Plan:
    """One chain among several: nobody has decided for it yet, so it changes nothing."""
    return (await rounds.read(planner_messages(rounds), DIALECT, effects=False)).plan


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
    cast = [ballot for ballot in ballots if ballot is not None]
    if not cast:
        return 0, 0
    most = max(cast, key=lambda ballot: (cast.count(ballot), -cast.index(ballot)))
    return ballots.index(most), cast.count(most)


def _ballot(plan: Plan, values: dict[str, Any]) -> Hashable:
    """What a chain comes to: the value that its text mentions last; None if it has none."""
    mentioned = [node.step for node in nodes_of(plan.output) if isinstance(node, Ref)]
    if not mentioned or mentioned[-1] not in values:
        return None
    value = values[mentioned[-1]]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.9g}"
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    return canonical_bytes(value)
