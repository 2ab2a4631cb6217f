"""What runs with the same tools were like: shapes, sizes, failures, and what was chosen.

An `Experience` belongs to one process, and is shared by the runs of an agent. Runs that are older
count for less, so that it follows tasks that change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heddle.plan.canonical import encode
from heddle.plan.ir import dependencies
from heddle.strategies.wording import observed, results_text
from heddle.tools.builtin.later import LATER_SPEC

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heddle.engine.state import StepState
    from heddle.plan.ir import Step

__all__ = ["Evidence", "Experience", "Habit", "called", "evidence", "is_later", "levels", "written"]

_FADING = 0.8  # what a run counts for after one more
_ENOUGH = 4  # calls that could or could not be planned, after which tools are known
_ASK_AGAIN = 32  # runs step by step after which there is a plan all the same
_SAMPLE = 32  # results that are measured


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a plan, or a run, shows of how conditional its tasks are.

    Attributes:
        steps: calls, without the places that say `later`.
        depth: levels.
        first: calls of the first level.
        laters: places where the next call could not be planned.
        below: calls below the first level, those places included.
    """

    steps: int = 0
    depth: int = 0
    first: int = 0
    laters: int = 0
    below: int = 0


def is_later(step: Step) -> bool:
    """Whether a step marks what cannot be planned yet."""
    return step.tool == LATER_SPEC.name


def levels(steps: Iterable[Step]) -> int:
    """The most steps that need each other, one after another. Cost: linear."""
    depth: dict[str, int] = {}
    for step in steps:
        depth[step.id] = 1 + max((depth.get(id, 0) for id in dependencies(step)), default=0)
    return max(depth.values(), default=0)


def evidence(steps: Sequence[Step]) -> Evidence:
    """What a plan shows. Cost: linear."""
    calls = [step for step in steps if not is_later(step)]
    first = sum(not dependencies(step) for step in calls)
    laters = len(steps) - len(calls)
    return Evidence(len(calls), levels(calls), first, laters, len(calls) - first + laters)


def written(steps: Sequence[Step], *, notes: bool = False) -> float:
    """Tokens of a step as a model writes it, at four characters each; the mean of the first few."""
    sample = steps[:_SAMPLE]
    size = sum(len(step.tool) + len(json.dumps(encode(dict(step.args)))) for step in sample)
    size += sum(len(step.note) for step in sample) if notes else 0
    return size / 4 / max(1, len(sample))


@dataclass(slots=True)
class Habit:
    """What runs with one set of tools were like; means, in which older runs fade.

    Attributes:
        runs: how many there were.
        weight: what they count for now.
        deepest: the most levels of a run.
        result: tokens of one result as a joiner reads it, at four characters each.
        observation: ... and as one reads it who goes step by step.
        step: ... and of one step of a plan, written;
        action: the same of one call without a word about it.
        laters: places that could not be planned, and
        trials: calls that could have been such places.
        since: runs since a plan was last looked at.
        kept: share of what a provider could keep that it has kept, and charged less for.
        factors: what a way has really cost over what the model says of it, by strategy.
    """

    runs: int = 0
    weight: float = 0.0
    steps: float = 0.0
    depth: float = 0.0
    deepest: int = 0
    failing: float = 0.0
    result: float = 150.0
    observation: float = 120.0
    step: float = 40.0
    action: float = 25.0
    laters: float = 0.0
    trials: float = 0.0
    since: int = 0
    kept: float = 0.0
    factors: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def known(self) -> bool:
        """Whether a task can be judged by those before it, without looking at a plan."""
        return self.runs > 0 and self.trials >= _ENOUGH and self.since < _ASK_AGAIN

    @property
    def share(self) -> float:
        """Share of the calls below the first level that could not be planned."""
        return min(1.0, self.laters / self.trials) if self.trials else 0.0

    def looked(self, draft: Evidence) -> None:
        """A first plan shows what could not be planned; nobody had read a result."""
        self.since = 0
        self.laters = _FADING * self.laters + draft.laters
        self.trials = _FADING * self.trials + draft.below

    def learn(self, steps: Sequence[StepState], *, planned: bool) -> None:
        """Take a run into the means.

        Args:
            steps: all that it did.
            planned: whether it was planned first, so that it shows what could not be.
        """
        steps = steps if planned else called(steps)
        self.since = 0 if planned else self.since + 1
        seen = evidence([state.step for state in steps if state.step is not None])
        if not seen.steps:
            return
        self.runs += 1
        self.weight = _FADING * self.weight + 1
        depth = seen.depth if planned else len({state.round for state in steps})
        self.deepest = max(self.deepest, depth)
        self._mean("steps", seen.steps)
        self._mean("depth", depth)
        self._mean("failing", sum(state.status == "failed" for state in steps) / len(steps))
        sample = [state for state in steps if state.step and not is_later(state.step)][:_SAMPLE]
        sample_steps = [state.step for state in sample if state.step]
        self._mean("result", len(results_text(sample)) / 4 / len(sample))
        self._mean("observation", sum(len(observed(state)) for state in sample) / 4 / len(sample))
        self._mean("action", written(sample_steps))
        if planned:
            self._mean("step", written(sample_steps, notes=True))
            self.looked(evidence(_first_plan(steps)))

    def costed(self, strategy: str, factor: float) -> None:
        """A way has cost so many times what the model says of it."""
        known = self.factors.get(strategy, factor)
        self.factors[strategy] = (known + factor) / 2

    def cached(self, share: float) -> None:
        """A provider has kept such a share of what it could; the last runs count for most."""
        self.kept = (self.kept + min(1.0, max(0.0, share))) / 2

    def _mean(self, name: str, value: float) -> None:
        before = getattr(self, name)
        setattr(self, name, before + (value - before) / self.weight)


def called(steps: Sequence[StepState]) -> list[StepState]:
    """The steps whose calls were made to the end: not those of a plan that was given up."""
    return [state for state in steps if state.status in ("done", "failed")]


def _first_plan(steps: Sequence[StepState]) -> list[Step]:
    """The steps of the plan that was written before anything was read."""
    first = min((state.round for state in steps), default=1)
    return [state.step for state in steps if state.round == first and state.step is not None]


class Experience:
    """Habits by the tools that were offered."""

    def __init__(self) -> None:
        self._habits: dict[frozenset[str], Habit] = {}

    def of(self, tools: Iterable[str]) -> Habit:
        """What runs with just these tools were like."""
        return self._habits.setdefault(frozenset(tools), Habit())
