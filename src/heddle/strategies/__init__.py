"""Strategies: when to plan. One file each, prompts beside them as Markdown.

A strategy is a small program over `Rounds`: it says what a model reads, which dialect it writes,
and when another round is worth it. A new one is one file and one line of `STRATEGIES`.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, cast

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heddle.engine.state import StepState
    from heddle.models.protocol import Message, ToolCall, Usage
    from heddle.plan.ir import Plan
    from heddle.plan.spec import ToolSpec
    from heddle.strategies.experience import Experience

__all__ = ["STRATEGIES", "Messages", "Reply", "Rounds", "Strategy", "Verdict", "strategy_named"]

Messages: TypeAlias = "Sequence[Message]"
"""What a model reads."""


class Verdict(NamedTuple):
    """What a join decided."""

    decision: Literal["finish", "replan"]
    answer: Any = None
    reason: str = ""


class Reply(NamedTuple):
    """What a model wrote where it could write a plan.

    Attributes:
        plan: what was read of it, and is running; without steps where it only answered.
        text: its own words, without what it claims to have observed before it was observed.
        calls: its native calls; each is the step, or hole, of the same place in the plan.
        dropped: whether the plan was given up while it was written.
    """

    plan: Plan
    text: str
    calls: tuple[ToolCall, ...] = ()
    dropped: bool = False


class Rounds(Protocol):
    """What a strategy may do, and what it may see."""

    @property
    def question(self) -> str:
        """The user's question."""
        ...

    @property
    def inputs(self) -> Mapping[str, str]:
        """Type names of the caller's data, by name; never the data."""
        ...

    @property
    def specs(self) -> Mapping[str, ToolSpec]:
        """The tools."""
        ...

    @property
    def max_steps(self) -> int:
        """Steps in one plan."""
        ...

    @property
    def max_rounds(self) -> int:
        """Plans in one run."""
        ...

    @property
    def max_turns(self) -> int:
        """Turns, in one run, of one who reads every result."""
        ...

    @property
    def chains(self) -> int:
        """How many times a question is to be planned, where a strategy votes."""
        ...

    @property
    def experience(self) -> Experience:
        """What earlier runs with the same agent were like."""
        ...

    @property
    def spent(self) -> Usage:
        """Tokens of all that models were asked so far."""
        ...

    @property
    def tokens_per_character(self) -> float:
        """What the provider counts for a character of a prompt; a quarter, until it has counted."""
        ...

    @property
    def next_round(self) -> int:
        """The number of the round that `read` would begin."""
        ...

    @property
    def replaying(self) -> bool:
        """Whether the run was resumed, and its program has not come to where it was cut off.

        Plans, replies and verdicts are then those of the record. A program need not ask, unless it
        chooses by what is not in the run: then it goes by `foretold`.
        """
        ...

    @property
    def foretold(self) -> str:
        """The strategy that was chosen next before the run was cut off; "" if none was."""
        ...

    @property
    def heard(self) -> bool:
        """Whether any tool has returned anything in this run."""
        ...

    @property
    def turns(self) -> int:
        """How many turns were taken by one who reads every result."""
        ...

    @property
    def last_round(self) -> bool:
        """Whether no further plan may be asked for, by number or by time."""
        ...

    @property
    def late(self) -> bool:
        """Whether so little time is left that there is no more than an answer to come."""
        ...

    @property
    def last_turn_next(self) -> bool:
        """Whether the next turn is the last, by number or by time."""
        ...

    async def read(
        self,
        messages: Messages,
        dialect: str,
        *,
        native: bool = False,
        may_answer: bool = False,
        effects: bool = True,
        stop: Sequence[str] = (),
        drop: Callable[[Plan], bool] | None = None,
    ) -> Reply:
        """Ask for a plan, start what is written while it is written; return when it is whole.

        Args:
            messages: what the model reads.
            dialect: what it writes.
            native: offer the tools in the provider's own form; only native calls are plan.
            may_answer: it may answer instead of calling anything, and it will see its own faults,
                so that no line is repaired. Otherwise a reply without a step is a fault.
            effects: whether the plan may change the world; if not, its effects end skipped.
            stop: texts before which the reply ends.
            drop: asked after each step whether to give the plan up; what was started is stopped.

        Raises:
            ModelError: it failed before it had written a step; with `may_answer`, at any time.
        """
        ...

    async def settle(self, *plans: Plan) -> None:
        """Return when all that a join of one of these plans needs has ended."""
        ...

    async def plan(self, messages: Messages, dialect: str) -> Plan:
        """`read`, then `settle`.

        Raises:
            ModelError: the planner failed before it had written a step.
        """
        ...

    async def ask(self, messages: Messages, role: str) -> str:
        """A model's reply that is no plan.

        Raises:
            ModelError: the model failed.
        """
        ...

    async def join(self, plan: Plan, messages: Messages | None = None) -> Verdict:
        """Join the results by the plan's own output, if it has one, or by asking the joiner.

        Args:
            plan: what was run.
            messages: what the joiner reads, if it is not to be asked for a verdict in the closed
                form; its reply is then the answer.

        Raises:
            ModelError: the joiner failed.
        """
        ...

    def steps(self) -> Sequence[StepState]:
        """All steps of all rounds so far, in plan order."""
        ...

    def chose(self, strategy: str, *reasons: str) -> None:
        """Say which strategy goes on from here, and why."""
        ...


class Strategy(Protocol):
    """A module that is a strategy.

    Attributes:
        DIALECT: what its planner writes before anything was read; None where there is no such plan.
    """

    DIALECT: str | None

    async def strategy(self, rounds: Rounds) -> Verdict:
        """Answer the question."""
        ...

    def planner_messages(self, rounds: Rounds, reason: str = "") -> Messages:
        """What the model reads first.

        Args:
            rounds: the run so far.
            reason: why another round is wanted; "" in the first.
        """
        ...


STRATEGIES: dict[str, str] = {
    "auto": "heddle.strategies.auto",
    "direct": "heddle.strategies.direct",
    "react": "heddle.strategies.react",
    "parallel": "heddle.strategies.parallel",
    "rewoo": "heddle.strategies.rewoo",
    "llmcompiler": "heddle.strategies.llmcompiler",
    "abstraction": "heddle.strategies.abstraction",
    "code": "heddle.strategies.code",
}
"""Every strategy by name, and the module that it is."""


def strategy_named(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        ConfigError: there is none; the hint lists what there is.
    """
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, 1)
        raise ConfigError(
            f"there is no strategy {name!r}",
            code="unknown-strategy",
            hint=(f"did you mean {near[0]!r}? " if near else "")
            + f"known: {', '.join(STRATEGIES)}",
        )
    return cast("Strategy", import_module(STRATEGIES[name]))
