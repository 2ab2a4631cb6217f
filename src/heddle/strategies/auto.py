"""Choose between planning first and going step by step, and say why.

The planner begins to write, and its steps to run, as always. Where it could plan nearly everything,
that is the plan. Where it has to write `later`, what the whole task would cost is estimated both
ways (`boundary`), from the plan so far and from tasks before it; if going step by step is expected
to cost less, the plan is given up while it is being written. Once this has come out alike several
times with the same tools, the choice is made before anything is asked.

A choice may narrow what a planning model reads in mid-run, and never widens it: once any tool has
returned anything, who plans first stays with it, whatever tools return and however often they fail.

Source: ours; the rule is "arguments or existence" (`boundary`). Beside it in the literature stand
as-needed decomposition (ADaPT, arXiv 2311.05772) and lazy replanning (arXiv 2605.08477).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from heddle.errors import ModelError
from heddle.models.protocol import Request
from heddle.plan.canonical import encode
from heddle.plan.ir import Step
from heddle.strategies import direct, llmcompiler, parallel, react
from heddle.strategies.boundary import Bill, Prices, Shape, Sizes, plan_first, stepwise
from heddle.strategies.experience import evidence, is_later
from heddle.strategies.llmcompiler import DIALECT, planner_messages
from heddle.strategies.rounds import plan_and_join
from heddle.strategies.wording import prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.plan.ir import Plan
    from heddle.strategies import Messages, Rounds, Verdict
    from heddle.strategies.experience import Evidence, Habit

__all__ = ["DIALECT", "Choice", "decide", "planner_messages", "strategy"]

_UNKNOWN_DEPTH = 8.0  # levels of a task whose end a first draft does not show
_TRUST = 10.0  # calls' worth of evidence that earlier runs count for at most
_CLEAR = 1.25  # times the other way's cost that make a choice clear
_SAMPLE = 32  # steps that are measured
_PATIENCE = 2.0  # times the usual number of turns before a run is planned to its end


class Choice(NamedTuple):
    """What was chosen, and why.

    Attributes:
        clear: whether the other way would cost much more.
    """

    strategy: str
    reasons: tuple[str, ...]
    clear: bool = False


async def strategy(rounds: Rounds) -> Verdict:
    """Choose, go that way, and remember what the task was like."""
    if not _tools(rounds):
        rounds.chose("direct", "there is no tool to call")
        return await direct.strategy(rounds)
    habit = rounds.experience.of(_tools(rounds))
    planned = habit.settled != "parallel"
    try:
        if habit.settled is not None:
            rounds.chose(habit.settled, *_settled_reasons(habit))
            if planned:
                return await llmcompiler.strategy(rounds)
            return await _step_by_step(rounds, habit)
        draft = _Draft(rounds, habit)
        reply = await rounds.read(planner_messages(rounds), DIALECT, drop=draft.too_dear)
        planned = not reply.dropped
        draft.decided(reply.plan, dropped=reply.dropped)
        if planned:
            return await plan_and_join(rounds, DIALECT, planner_messages, first=reply.plan)
        return await _step_by_step(rounds, habit)
    finally:
        habit.learn(rounds.steps(), planned=planned)


class _Draft:
    """The first plan of a run, watched while it is being written."""

    def __init__(self, rounds: Rounds, habit: Habit) -> None:
        self._rounds = rounds
        self._habit = habit

    def too_dear(self, plan: Plan) -> bool:
        """Whether to give the plan up: it could, and going step by step is expected to cost less.

        Cost: constant for a step that says nothing new.
        """
        last = plan.entries[-1]
        if not isinstance(last, Step) or not is_later(last) or self._rounds.heard:
            return False
        return self._choice(plan).strategy != "llmcompiler"

    def decided(self, plan: Plan, *, dropped: bool) -> None:
        """Say what was chosen and why, and remember it."""
        choice, shown = self._choice(plan), evidence(plan.steps)
        self._habit.drafted(choice.strategy, 2 if choice.clear else 1)
        if dropped:
            self._habit.dropped(shown)
        elif choice.strategy != "llmcompiler":
            late = "a tool had returned something before that was known, so it stays with the plan"
            choice = choice._replace(strategy="llmcompiler", reasons=(*choice.reasons, late))
        self._rounds.chose(choice.strategy, *choice.reasons)

    def _choice(self, plan: Plan) -> Choice:
        steps = plan.steps
        return decide(_sizes(self._rounds, self._habit, steps), self._habit, evidence(steps))


def decide(sizes: Sizes, habit: Habit, draft: Evidence) -> Choice:
    """The way that is expected to cost less from here; what is written is paid for.

    Args:
        sizes: of the texts.
        habit: what runs with these tools were like.
        draft: what the plan shows so far.
    """
    shape = _shape(habit, draft)
    prices = Prices()
    first, turns = plan_first(shape, sizes), stepwise(shape, sizes)
    paid = Bill(sizes.prompt, 0.0, draft.steps * sizes.step, 1).cost(prices)
    ahead, beside = first.cost(prices) - paid, turns.cost(prices)
    open_end = "at least " if draft.laters else ""
    return Choice(
        "llmcompiler" if ahead <= beside else "parallel",
        (
            f"{open_end}{_count(draft.steps, 'call')} in {_count(draft.depth, 'level')}, "
            f"{_count(draft.laters, 'place')} where a result decides what comes next",
            f"planning first is expected to take {_tokens(first)}, step by step {_tokens(turns)}",
        ),
        max(ahead, beside) >= _CLEAR * min(ahead, beside),
    )


def _shape(habit: Habit, draft: Evidence) -> Shape:
    """The whole task, from the part of it that the draft shows and from tasks before it."""
    if not draft.laters:
        return Shape(draft.steps, max(1, draft.depth), 0.0, habit.failing)
    trust = min(1.0, _TRUST / habit.trials) if habit.trials else 0.0
    share = (draft.laters + trust * habit.laters) / (draft.below + trust * habit.trials)
    depth = max(draft.depth + 1, habit.depth or _UNKNOWN_DEPTH)
    steps = max(draft.steps + draft.laters, habit.steps or draft.first * depth)
    return Shape(steps, depth, min(1.0, share), habit.failing)


def _sizes(rounds: Rounds, habit: Habit, steps: Sequence[Step]) -> Sizes:
    """Sizes of the texts, from the prompts, the plan and the results of runs before."""
    question = len(rounds.question)
    turn = Request(tuple(parallel.planner_messages(rounds)), tools=tuple(rounds.specs.values()))
    sample = steps[:_SAMPLE]
    calls = [len(step.tool) + len(json.dumps(encode(dict(step.args)))) for step in sample]
    action = sum(calls) / 4 / max(1, len(sample))
    notes = sum(len(step.note) for step in sample) / 4 / max(1, len(sample))
    return Sizes(
        prompt=_characters(planner_messages(rounds)) / 4,
        turn=turn.characters / 4,
        join=(len(prompt("joiner", last="")) + question) / 4,
        result=habit.result,
        observation=habit.observation,
        step=action + notes,
        action=action,
    )


def _characters(messages: Messages) -> int:
    return sum(message.characters for message in messages)


def _settled_reasons(habit: Habit) -> tuple[str, ...]:
    share = habit.laters / habit.trials if habit.trials else 0.0
    return (
        "the last plans with these tools came to this",
        f"about {_count(round(habit.steps), 'call')} in {_count(round(habit.depth), 'level')}; "
        f"a result decides what comes next at {share:.0%} of those below the first",
    )


# -- step by step --------------------------------------------------------------------------------


async def _step_by_step(rounds: Rounds, habit: Habit) -> Verdict:
    """Turns, in the provider's own form where it has one; planned to the end if they do not end."""
    usual = _PATIENCE * habit.depth if habit.runs else None

    def lasts() -> bool:
        return rounds.last_turn_next or (usual is not None and rounds.turns > usual + 1)

    try:
        verdict = await parallel.turns(rounds, lasts)
    except ModelError as error:
        if error.code != "no-tool-calls":
            raise
        rounds.chose("react", "the model has no native tool calls")
        verdict = await react.turns(rounds, lasts)
    if verdict is not None:
        return verdict
    reason = f"{rounds.turns} turns did not come to an answer"
    rounds.chose("llmcompiler", reason, "planned from here on, by one who reads no result")
    return await plan_and_join(rounds, DIALECT, planner_messages, reason=reason)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _tokens(bill: Bill) -> str:
    return f"{(bill.input + bill.output) / 1000:.1f}k tokens in {bill.calls:.0f} calls"


def _tools(rounds: Rounds) -> list[str]:
    """The tools that the user passed."""
    return [name for name, spec in rounds.specs.items() if not spec.asks_model]
