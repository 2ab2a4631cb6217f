"""Reading a run back: its frames, verified, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from heddle.engine.journal.frames import Chain, decode, named_in
from heddle.engine.journal.store import Head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from heddle.engine.events import Entry
    from heddle.engine.journal.store import Frame, Store

__all__ = ["Page", "read"]


class Page(NamedTuple):
    """The events of one frame.

    Attributes:
        head: the run's, if this page is its last; what `Journal` goes on from.
        entries: its events, as a log's record keeps them.
        wall: wall clock when it was written.
    """

    head: Head
    entries: list[Entry]
    wall: float


async def read(store: Store, run: str) -> AsyncIterator[Page]:
    """The events of a run, frame by frame; all of them were there when it began to look.

    Cost: linear; the memory of one frame.

    Raises:
        JournalError: `run-unknown`; `journal-damaged`, `journal-newer`; what the store says.
    """
    row = await store.run(run)
    chain = Chain(run, row.head)
    async for frame in store.frames(run):
        if not chain.follows(frame):
            break
        entries = await _events(store, frame)
        yield Page(Head(frame.number, frame.hash), entries, frame.wall)
    chain.end()


async def _events(store: Store, frame: Frame) -> list[Entry]:
    large = {digest: await store.large(digest) for digest in named_in(frame.body)}
    return decode(frame.body, large)
