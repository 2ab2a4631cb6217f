"""The write gate of a round: effects wait there until its plan is closed, clean and approved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.node import Node
    from heddle.engine.resources import Resources

__all__ = ["Gate", "Origins"]

Origins: TypeAlias = "Callable[[str], tuple[int, int, str]]"
"""(round, n, h(n)) of an effectful step, by its id."""


class Gate:
    """Whether the effects of one round may start.

    Args:
        resources: named resources as the round's steps see them.

    Attributes:
        resources: the same.
        origins: where effects come from; None while they may not start.
        waiting: effectful steps that are ready but for this.
        replan: the number of its round, or of that around it, if that was planned anew after
            others, so that what they have done is not done again; 0 if not.
    """

    __slots__ = ("_asking", "_verdict", "origins", "replan", "resources", "waiting")

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.origins: Origins | None = None
        self.waiting: list[Node] = []
        self.replan = 0
        self._verdict: bool | None = None
        self._asking: list[asyncio.Future[bool]] = []

    def decide(self, verdict: bool) -> None:
        """Say whether the effects may start; whoever asked is told."""
        self._verdict = verdict
        asking, self._asking = self._asking, []
        for future in asking:
            if not future.done():
                future.set_result(verdict)

    async def decided(self) -> bool:
        """Whether the effects may start; returns as soon as that is known."""
        if self._verdict is not None:
            return self._verdict
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asking.append(future)
        return await future
