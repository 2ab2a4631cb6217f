"""Strategies: when to plan. One file each, prompts beside them as Markdown.

A strategy is a small program over `Rounds`: it says what the planner reads, which dialect it
writes, and when another round is worth it. A new one is one file and one line of `STRATEGIES`.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from heddle.engine.state import StepState
    from heddle.models.protocol import Message
    from heddle.plan.ir import Plan
    from heddle.plan.spec import ToolSpec

__all__ = ["STRATEGIES", "Messages", "Rounds", "Strategy", "Verdict", "strategy_named"]

Messages: TypeAlias = "Sequence[Message]"
"""What a model reads."""


class Verdict(NamedTuple):
    """What a join decided."""

    decision: Literal["finish", "replan"]
    answer: Any = None
    reason: str = ""


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
    def next_round(self) -> int:
        """The number of the round that `plan` would begin."""
        ...

    @property
    def last_round(self) -> bool:
        """Whether no further round may begin."""
        ...

    async def plan(self, messages: Messages, dialect: str) -> Plan:
        """Ask the planner; run what it writes while it writes; return when it has all ended.

        Raises:
            ModelError: the planner failed before it had written a step.
        """
        ...

    async def join(self, plan: Plan) -> Verdict:
        """Join the results by the plan's own output, if it has one, or by asking the joiner.

        Raises:
            ModelError: the joiner failed.
        """
        ...

    def steps(self) -> Sequence[StepState]:
        """All steps of all rounds so far, in plan order."""
        ...


Strategy: TypeAlias = "Callable[[Rounds], Awaitable[Verdict]]"

STRATEGIES: dict[str, str] = {
    "llmcompiler": "heddle.strategies.llmcompiler",
}
"""Every strategy by name, and the module whose `strategy` it is."""


def strategy_named(name: str) -> tuple[str, Strategy, str]:
    """A strategy's name, the strategy, and why it was chosen.

    Args:
        name: a name from `STRATEGIES`, or "auto".

    Raises:
        ConfigError: there is none of that name; the hint lists what there is.
    """
    reason = "chosen by the caller"
    if name == "auto":
        name, reason = "llmcompiler", "the only strategy that plans ahead in this version"
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, 1)
        known = ", ".join(("auto", *STRATEGIES))
        raise ConfigError(
            f"there is no strategy {name!r}",
            code="unknown-strategy",
            hint=(f"did you mean {near[0]!r}? " if near else "") + f"known: {known}",
        )
    return name, import_module(STRATEGIES[name]).strategy, reason
