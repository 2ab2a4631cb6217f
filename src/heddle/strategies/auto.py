"""Choose between planning first and going step by step, and say why.

The planner begins to write, and its steps to run, as always. Where it could plan nearly everything,
that is the plan. Where it has to write `later`, what the whole task would cost is estimated both
ways (`boundary`), from the plan so far and from tasks before it; if going step by step is expected
to cost less, the plan is given up while it is being written. Once this has come out alike several
times with the same tools, the choice is made before anything is asked.

A choice may narrow what a planning model reads in mid-run, and never widens it: once any tool has
returned anything, who plans first stays with it, whatever tools return and however often they fail.
Nor do failures in earlier runs widen it: there has to be a `later` of a planner that had read
nothing. How long the results of earlier runs were does count, in what the two ways cost.

Source: ours; the rule is "arguments or existence" (`boundary`). Beside it in the literature stand
as-needed decomposition (ADaPT, arXiv 2311.05772) and lazy replanning (arXiv 2605.08477).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from heddle.errors import ModelError
from heddle.models.protocol import Request, Usage
from heddle.plan.ir import Step
from heddle.strategies import direct, parallel, react
from heddle.strategies.boundary import Bill, Prices, Shape, Sizes, plan_first, replans, stepwise
from heddle.strategies.experience import called, evidence, is_later, written
from heddle.strategies.llmcompiler import DIALECT, planner_messages
from heddle.strategies.rounds import plan_and_join
from heddle.strategies.wording import prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.plan.ir import Plan
    from heddle.strategies import Messages, Rounds, Verdict
    from heddle.strategies.experience import Evidence, Habit

__all__ = ["DIALECT", "Bounds", "Choice", "decide", "planner_messages", "strategy"]

_UNKNOWN_DEPTH = 8.0  # levels of a task whose end a first draft does not show
_TRUST = 10.0  # calls' worth of evidence that earlier runs count for at most
_FEWEST_TURNS = 2  # one that calls, and one that answers
_FEW_TURNS = 12  # turns that nobody is impatient of
_PATIENCE = 2.0  # times the most turns of a run before, until the rest is planned
_PRICES = Prices()


class Choice(NamedTuple):
    """What was chosen, and why."""

    strategy: str
    reasons: tuple[str, ...]


class Bounds(NamedTuple):
    """What a run may have.

    Attributes:
        plans: by one who plans first.
        turns: of one who goes step by step, the one that answers included, before the rest is
            planned.
    """

    plans: float = math.inf
    turns: float = math.inf


_UNBOUNDED = Bounds()


async def strategy(rounds: Rounds) -> Verdict:
    """Choose, go that way, and remember what the task was like."""
    if not _tools(rounds):
        rounds.chose("direct", "there is no tool to call")
        return await direct.strategy(rounds)
    habit = rounds.experience.of(_tools(rounds))
    choice = _beforehand(rounds, habit)
    if choice is not None:
        rounds.chose(choice.strategy, *choice.reasons)
        return await _step_by_step(rounds, habit)
    draft = _Draft(rounds, habit)
    reply = await rounds.read(planner_messages(rounds), DIALECT, drop=draft.gives_up)
    if reply.dropped:
        return await _step_by_step(rounds, habit)
    draft.stays(reply.plan)
    return await _planned(rounds, habit, reply.plan)


def _beforehand(rounds: Rounds, habit: Habit) -> Choice | None:
    """What is chosen without looking at a plan; None to look at one."""
    if rounds.replaying:  # what was chosen then, whatever is known by now
        return Choice(rounds.foretold, ()) if rounds.foretold else None
    if not habit.known:
        return None
    choice = decide(_sizes(rounds, habit, ()), habit, None, _bounds(rounds))
    return None if choice.strategy == DIALECT else choice


class _Draft:
    """The first plan of a run, watched while it is being written."""

    def __init__(self, rounds: Rounds, habit: Habit) -> None:
        self._rounds = rounds
        self._habit = habit

    def gives_up(self, plan: Plan) -> bool:
        """Whether to give the plan up: it could, and going step by step is expected to cost less.

        Cost: constant for a step that says nothing new.
        """
        last = plan.entries[-1]
        if not isinstance(last, Step) or not is_later(last) or self._rounds.heard:
            return False
        choice = self._choice(plan)
        if choice.strategy == DIALECT:
            return False
        self._habit.looked(evidence(plan.steps))
        self._rounds.chose(choice.strategy, *choice.reasons)
        return True

    def stays(self, plan: Plan) -> None:
        """Say that the plan was not given up, and why."""
        choice = self._choice(plan)
        late = "a tool had returned something before that was known, so it stays with the plan"
        kept = choice.strategy == DIALECT
        self._rounds.chose(DIALECT, *choice.reasons, *(() if kept else (late,)))

    def _choice(self, plan: Plan) -> Choice:
        steps = plan.steps
        sizes = _sizes(self._rounds, self._habit, steps)
        return decide(sizes, self._habit, evidence(steps), _bounds(self._rounds))


def decide(
    sizes: Sizes, habit: Habit, draft: Evidence | None, bounds: Bounds = _UNBOUNDED
) -> Choice:
    """The way that is expected to cost less from here; what is written is paid for.

    Only plans widen: where no planner that had read nothing has marked a place with `later`, there
    is no going step by step, whatever tools returned in earlier runs; and what failed in them does
    not speak for it. A way that is expected to end in time comes before one that is not.

    Args:
        sizes: of the texts.
        habit: what runs with these tools were like.
        draft: what the plan shows so far; None to judge by those runs alone.
        bounds: plans and turns that the run may have.
    """
    shape = _shape(habit, draft)
    seen = _seen(shape) if draft is None else _shown(draft)
    if not shape.conditional:
        return Choice(DIALECT, (seen,))
    late = _too_late(shape, bounds)
    if late is not None:
        return late._replace(reasons=(seen, *late.reasons))
    paid = Bill(sizes.prompt, 0.0, draft.steps * sizes.step, 1) if draft else Bill(0, 0, 0, 0)
    first, turns = plan_first(shape, sizes).without(paid), stepwise(shape, sizes)
    what = "going on with the plan" if draft else "planning first"
    expected = f"{what} is expected to take {_tokens(first)}, step by step {_tokens(turns)}"
    learned = _costs(shape, sizes, habit.kept, habit.factors)
    undisturbed = _costs(shape._replace(failing=0.0), sizes, habit.kept, {})
    due = paid.cost(_PRICES)
    dearer = all(ahead - due > beside for ahead, beside in (learned, undisturbed))
    return Choice("parallel" if dearer else DIALECT, (seen, expected))


def _costs(
    shape: Shape, sizes: Sizes, kept: float, factors: Mapping[str, float]
) -> tuple[float, float]:
    """What planning first and going step by step are expected to cost.

    Args:
        shape: of the task.
        sizes: of its texts.
        kept: share of what the provider could keep that it keeps.
        factors: by which earlier runs were off.
    """
    ahead = plan_first(shape, sizes).cost(_PRICES, cache=kept) * factors.get(DIALECT, 1.0)
    beside = stepwise(shape, sizes).cost(_PRICES, cache=kept) * factors.get("parallel", 1.0)
    return ahead, beside


def _too_late(shape: Shape, bounds: Bounds) -> Choice | None:
    """What to choose where one way is expected to end in time, and the other is not.

    Failures do not count here: a joiner may well do without what failed.
    """
    plans = 1 + replans(shape._replace(failing=0.0))
    turns = shape.depth + 1
    if plans > bounds.plans and turns <= bounds.turns:
        reason = (
            f"planning first is expected to take {plans:.1f} plans, and {bounds.plans:.0f} may be"
        )
        return Choice("parallel", (reason,))
    if turns > bounds.turns and (plans <= bounds.plans or bounds.turns < _FEWEST_TURNS):
        reason = (
            f"step by step is expected to take {turns:.0f} turns, and {bounds.turns:.0f} may be"
        )
        return Choice(DIALECT, (reason,))
    return None


def _shape(habit: Habit, draft: Evidence | None) -> Shape:
    """The whole task, from the part of it that a plan shows and from tasks before it."""
    if draft is None:
        return Shape(habit.steps, max(1.0, habit.depth), habit.share, habit.failing)
    if not draft.laters:
        return Shape(draft.steps, max(1, draft.depth), 0.0, habit.failing)
    trust = min(1.0, _TRUST / habit.trials) if habit.trials else 0.0
    share = (draft.laters + trust * habit.laters) / (draft.below + trust * habit.trials)
    depth = max(draft.depth + 1, habit.depth or _UNKNOWN_DEPTH)
    steps = max(draft.steps + draft.laters, habit.steps or draft.first * depth)
    return Shape(steps, depth, min(1.0, share), habit.failing)


def _shown(draft: Evidence) -> str:
    open_end = "at least " if draft.laters else ""
    return (
        f"{open_end}{_count(draft.steps, 'call')} in {_count(draft.depth, 'level')}, "
        f"{_count(draft.laters, 'place')} where a result decides what comes next"
    )


def _seen(shape: Shape) -> str:
    return (
        f"runs with these tools took about {_count(round(shape.steps), 'call')} in "
        f"{_count(round(shape.depth), 'level')}, and a result decided what came next at "
        f"{shape.conditional:.0%} of those below the first"
    )


def _sizes(rounds: Rounds, habit: Habit, steps: Sequence[Step]) -> Sizes:
    """Sizes of the texts, from the prompts, the plan and the results of runs before."""
    question = len(rounds.question)
    turn = Request(tuple(parallel.planner_messages(rounds)), tools=tuple(rounds.specs.values()))
    return Sizes(
        prompt=_characters(planner_messages(rounds)) / 4,
        turn=turn.characters / 4,
        join=(len(prompt("joiner", last="")) + question) / 4,
        result=habit.result,
        observation=habit.observation,
        step=written(steps, notes=True) if steps else habit.step,
        action=written(steps) if steps else habit.action,
    )


def _bounds(rounds: Rounds) -> Bounds:
    return Bounds(rounds.max_rounds, rounds.max_turns - 1)


def _characters(messages: Messages) -> int:
    return sum(message.characters for message in messages)


# -- step by step --------------------------------------------------------------------------------


async def _step_by_step(rounds: Rounds, habit: Habit) -> Verdict:
    """Turns, in the provider's own form where it has one; planned to the end if they do not end."""
    most = max(_FEW_TURNS, _PATIENCE * habit.deepest) if habit.runs else None
    before = rounds.spent

    def lasts() -> bool:
        if rounds.replaying:
            return rounds.foretold == DIALECT
        if rounds.late:  # for a plan, too: the last turn answers
            return False
        return rounds.last_turn_next or (most is not None and rounds.turns > most)

    way = "parallel"
    try:
        verdict = await parallel.turns(rounds, lasts)
    except ModelError as error:
        if error.code != "no-tool-calls":
            raise
        way = "react"
        rounds.chose("react", "the model has no native tool calls")
        verdict = await react.turns(rounds, lasts)
    habit.learn(rounds.steps(), planned=False)
    if verdict is not None:
        if way == "parallel":
            _compare(rounds, habit, "parallel", before)
        return verdict
    reason = f"{_count(rounds.turns, 'turn')} did not come to an answer"
    rounds.chose(DIALECT, reason, "planned from here on, by one who reads no result")
    return await plan_and_join(rounds, DIALECT, planner_messages, reason=reason)


async def _planned(rounds: Rounds, habit: Habit, plan: Plan) -> Verdict:
    """Rounds of plan and join, from a first plan that is running."""
    try:
        verdict = await plan_and_join(rounds, DIALECT, planner_messages, first=plan)
    finally:
        habit.learn(rounds.steps(), planned=True)
    _compare(rounds, habit, DIALECT, Usage())
    return verdict


def _compare(rounds: Rounds, habit: Habit, strategy: str, before: Usage) -> None:
    """Remember what a way has cost over what the model says of just such a task."""
    planned = strategy == DIALECT
    states = rounds.steps() if planned else called(rounds.steps())
    steps = [state.step for state in states if state.step is not None]
    if not steps or rounds.spent.estimated:
        return
    shown, sizes = evidence(steps), _sizes(rounds, habit, steps)
    rounds_taken = len({state.round for state in states})
    depth = shown.depth if planned else rounds_taken
    share = shown.laters / max(1, shown.below - shown.laters)
    shape = Shape(shown.steps, max(1, depth), min(1.0, share))
    model = (plan_first if planned else stepwise)(shape, sizes)
    scale = rounds.tokens_per_character * 4
    now = rounds.spent
    used = Bill(
        (now.input_tokens - before.input_tokens) / scale,
        (now.cached_input_tokens - before.cached_input_tokens) / scale,
        (now.output_tokens - before.output_tokens) / scale,
        1,
    )
    habit.costed(strategy, used.cost(_PRICES) / model.cost(_PRICES))
    if model.cached:
        habit.cached(used.cached / model.cached)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _tokens(bill: Bill) -> str:
    calls = _count(round(bill.calls), "model call")
    return f"{(bill.input + bill.output) / 1000:.1f}k tokens in {calls}"


def _tools(rounds: Rounds) -> list[str]:
    """The tools that the user passed."""
    return [name for name, spec in rounds.specs.items() if not spec.asks_model]
