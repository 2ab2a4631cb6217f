"""What runs with the same tools were like: shapes, sizes, failures, and what was chosen.

An `Experience` belongs to one process, and is shared by the runs of an agent. Runs that are older
count for less, so that it follows tasks that change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heddle.plan.ir import dependencies
from heddle.strategies.wording import observed, results_text
from heddle.tools.builtin.later import LATER_SPEC

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heddle.engine.state import StepState
    from heddle.plan.ir import Step

__all__ = ["Evidence", "Experience", "Habit", "evidence", "is_later", "levels"]

_FADING = 0.8  # what a run counts for after one more
_STEADY = 4  # what drafts must weigh that agree, before the next one is not looked at
_ASK_AGAIN = 16  # runs after which there is another draft all the same
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


@dataclass(slots=True)
class Habit:
    """What runs with one set of tools were like; means, in which older runs fade.

    Attributes:
        runs: how many there were.
        weight: what they count for now.
        result: tokens of one result as a joiner reads it, at four characters each.
        observation: ... and as one reads it who goes step by step.
        laters: places that could not be planned, and
        trials: calls that could have been such places.
        choices: what the last drafts led to, the clear ones more than once.
        since: runs since the last draft that was looked at.
    """

    runs: int = 0
    weight: float = 0.0
    steps: float = 0.0
    depth: float = 0.0
    failing: float = 0.0
    result: float = 150.0
    observation: float = 120.0
    laters: float = 0.0
    trials: float = 0.0
    choices: list[str] = field(default_factory=list[str])
    since: int = 0

    @property
    def settled(self) -> str | None:
        """What drafts led to so often that the next need not be looked at; None if it varies."""
        last = self.choices[-_STEADY:]
        steady = len(last) == _STEADY and len(set(last)) == 1
        return last[0] if steady and self.since < _ASK_AGAIN else None

    def drafted(self, choice: str, weight: int) -> None:
        """A draft has led to this choice, which is as clear as its weight."""
        self.choices = [*self.choices, *[choice] * weight][-_STEADY:]
        self.since = 0

    def dropped(self, draft: Evidence) -> None:
        """A draft was given up: what it showed is known all the same."""
        self.laters = _FADING * self.laters + draft.laters
        self.trials = _FADING * self.trials + draft.below

    def learn(self, steps: Sequence[StepState], *, planned: bool) -> None:
        """Take a run into the means.

        Args:
            steps: all that it did.
            planned: whether it was planned first, so that it shows what could not be.
        """
        self.since += 1
        made = [state.step for state in steps if state.step is not None]
        seen = evidence(made)
        if not seen.steps:
            return
        self.runs += 1
        self.weight = _FADING * self.weight + 1
        share = 1 / self.weight
        rounds = len({state.round for state in steps})
        failed = sum(state.status == "failed" for state in steps) / len(steps)
        sample = [state for state in steps if state.step and not is_later(state.step)][:_SAMPLE]
        result = len(results_text(sample)) / 4 / max(1, len(sample))
        observation = sum(len(observed(state)) for state in sample) / 4 / max(1, len(sample))
        self.steps += share * (seen.steps - self.steps)
        self.depth += share * ((seen.depth if planned else rounds) - self.depth)
        self.failing += share * (failed - self.failing)
        self.result += share * (result - self.result)
        self.observation += share * (observation - self.observation)
        if planned:
            self.laters = _FADING * self.laters + seen.laters
            self.trials = _FADING * self.trials + max(seen.below - seen.laters, seen.laters)


class Experience:
    """Habits by the tools that were offered."""

    def __init__(self) -> None:
        self._habits: dict[frozenset[str], Habit] = {}

    def of(self, tools: Iterable[str]) -> Habit:
        """What runs with just these tools were like."""
        return self._habits.setdefault(frozenset(tools), Habit())
