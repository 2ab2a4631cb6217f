"""Reading a run back: its frames, verified, as events, or folded.

A snapshot is the state after one frame, so that a long run is folded from there. It is bound to
that frame and to its own bytes by a hash. It is made of the events and can be made anew, so one
that does not fit is passed over, and the events say what the state is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from heddle.engine.journal.frames import Chain, canonical, decode, digest_of, named_in, parsed
from heddle.engine.journal.store import Head, Snapshot
from heddle.engine.many import many_objects
from heddle.engine.state import RunState
from heddle.engine.state_json import state_from_json, state_to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from heddle.engine.events import Entry
    from heddle.engine.journal.store import Frame, Store

__all__ = ["Page", "folded", "read", "snapshot_of"]


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


async def read(store: Store, run: str, *, strict: bool = False) -> AsyncIterator[Page]:
    """The events of a run, frame by frame; all of them were there when it began to look.

    Args:
        store: where it is kept.
        run: its id.
        strict: whether to refuse frames that are not canonical, byte for byte, as the audit does.

    Cost: linear; the memory of one frame.

    Raises:
        JournalError: `run-unknown`; `journal-damaged`, `journal-newer`; what the store says.
    """
    row = await store.run(run)
    async for page in _pages(store, run, Chain(run, row.head), strict=strict):
        yield page


async def _pages(
    store: Store, run: str, chain: Chain, *, strict: bool = False
) -> AsyncIterator[Page]:
    """What follows in a chain that was looked at so far."""
    async for frame in store.frames(run, chain.number):
        if not chain.follows(frame):
            break
        large = {digest: await store.large(digest) for digest in named_in(frame.body)}
        entries = decode(frame.body, large, strict=strict)
        yield Page(Head(frame.number, frame.hash), entries, frame.wall)
    chain.end()


async def folded(store: Store, run: str) -> RunState:
    """The state of a run, from its last snapshot on.

    Cost: linear in the steps, and in the events since the snapshot. What the snapshot stands for is
    not read, and so not verified: `read` and the audit do that.

    Raises:
        JournalError: as `read`.
    """
    head = (await store.run(run)).head
    state, chain = await _last_snapshot(store, run, head) or (RunState(), Chain(run, head))
    with many_objects():
        async for page in _pages(store, run, chain):
            state.take_all(page.entries)
    return state


def snapshot_of(state: RunState, head: Head) -> Snapshot:
    """The state after the frame that `head` names. Cost: linear."""
    with many_objects():
        body = canonical(state_to_json(state))
    return Snapshot(head.number, _bound(head.hash, body), body)


def _bound(frame_hash: str, body: bytes) -> str:
    return digest_of(frame_hash.encode() + b"\n" + body)


def _fits(snapshot: Snapshot, frame: Frame) -> bool:
    return snapshot.hash == _bound(frame.hash, snapshot.body)


async def _last_snapshot(
    store: Store, run: str, head: Head | None
) -> tuple[RunState, Chain] | None:
    """The state of the last snapshot and the chain from there on; None if there is none that fits.

    The frame it stands for is verified by itself, and by those that follow up to the head.
    """
    snapshot = await store.snapshot(run)
    if snapshot is None:
        return None
    frame = await anext(store.frames(run, snapshot.number - 1), None)
    if frame is None:
        return None
    chain = Chain(run, head, number=frame.number - 1, hash=frame.prev, seq=frame.seq)
    if not chain.follows(frame) or not _fits(snapshot, frame):
        return None
    try:
        with many_objects():
            state = state_from_json(parsed(snapshot.body))
    except (ValueError, RecursionError):
        return None
    return state and (state, chain)
