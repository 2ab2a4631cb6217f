"""Intake: a planner's reply on its way into a round, while it is being written.

Text goes to the reader as it comes; what the reader gives back goes to the round, and so to the
scheduler. A native call is one line of JSON to the reader of native calls. Reading stops where a
bound is reached.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from heddle.errors import ModelError
from heddle.models.protocol import ToolCall
from heddle.plan.findings import Finding, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from heddle.engine.round import Round
    from heddle.plan.dialects import CallReader, Piece, Reader
    from heddle.plan.ir import Plan
    from heddle.plan.limits import Limits

__all__ = ["Intake"]


class Intake:
    """One reply, and the round that it becomes.

    Args:
        begin: begins the round; called once, when the first piece of a plan has come.
        reader: reads the reply.
        limits: bounds on the reply and on the plan.
        drop: asked after each piece of a plan whether to give it up, and read no more.

    Attributes:
        dropped: whether it was given up.
        round: what the reply has become; None while no piece of a plan has come.
        calls: native calls, in order.
    """

    def __init__(
        self,
        begin: Callable[[], Round],
        reader: Reader,
        limits: Limits,
        drop: Callable[[Plan], bool] | None = None,
    ) -> None:
        self.round: Round | None = None
        self.calls: list[ToolCall] = []
        self._begin = begin
        self._reader = reader
        self._limits = limits
        self._drop = drop
        self.dropped = False
        self._text: list[str] = []
        self._size = 0

    @property
    def text(self) -> str:
        """What the model wrote; its native calls stand apart, in `calls`."""
        return "".join(self._text)

    @property
    def said(self) -> str:
        """The same, without what its model observed for itself, where the reader knows of that."""
        return getattr(self._reader, "said", self.text)

    def begun(self) -> Round:
        """The round, begun now if no piece of a plan has come yet."""
        if self.round is None:
            self.round = self._begin()
        return self.round

    async def read(
        self, stream: AsyncGenerator[str | ToolCall], *, native: bool = False
    ) -> ModelError | None:
        """Read a reply to its end, or to the first bound that it breaks.

        Args:
            stream: the reply as it comes.
            native: whether only native calls are plan, and the text around them is not.

        Returns:
            Why the reply broke off, or None if it is whole or was long enough.
        """
        cut: ModelError | None = None
        try:
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    if self._take(self._read(piece, native=native)):
                        await asyncio.sleep(0)  # what has become ready starts now
                    if self.dropped or self._is_full():
                        break
        except ModelError as error:
            cut = error
        if not self.dropped:
            self._take(self._reader.close())
        return cut

    def _read(self, piece: str | ToolCall, *, native: bool) -> Sequence[Piece]:
        """What the reader makes of a piece."""
        if isinstance(piece, ToolCall):
            self.calls.append(piece)
            self._size += len(piece.arguments)
            reader = cast("CallReader", self._reader)  # calls come only where they were asked for
            return reader.call(piece.id, piece.name, piece.arguments)
        self._text.append(piece)
        self._size += len(piece)
        return () if native else self._reader.feed(piece)

    def _take(self, pieces: Sequence[Piece]) -> bool:
        """Take in what the reader gave, up to the first step or bad line too many."""
        for piece in pieces:
            round = self.begun()
            if round.failed or len(round.plan) > self._limits.max_steps:
                break  # there may be thousands more
            round.take(piece)
            if self._drop is not None and self._drop(round.plan):
                self.dropped = True
                break
        return bool(pieces)

    def _is_full(self) -> bool:
        """Whether a bound was broken; the finding says so, and reading stops."""
        if self._size > self._limits.max_text_bytes:
            message = f"the reply is larger than {self._limits.max_text_bytes} bytes"
            self.begun().take(Finding.at(None, "text-too-large", message))
            return True
        if self.round is None:
            return False
        return self.round.failed or len(self.round.plan) > self._limits.max_steps

    def close(self, cut: ModelError | None) -> None:
        """The reply has ended, and what could be repaired is: close its round.

        Args:
            cut: why the reply broke off.
        """
        round = self.begun()
        if not round.plan.entries and cut is None:
            round.take(_no_plan(self.text))
        if cut is not None:
            message = f"the planner broke off: {cut.message}"
            round.take(Finding.at(None, "plan-cut", message, hint=cut.hint))
        if round.failed:
            message = f"more than {self._limits.max_holes} lines cannot be used"
            round.take(Finding.at(None, "too-many-holes", message))
        round.close()


def _no_plan(text: str) -> Finding:
    """A reply without a step: what the planner wrote instead."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return Finding.at(
        Origin(1, 1),
        "empty-plan",
        f"the reply holds no step; it begins {first[:80]!r}" if first else "the reply is empty",
        hint="see what the planner was asked, or try another model",
        snippet=first[:120],
    )
