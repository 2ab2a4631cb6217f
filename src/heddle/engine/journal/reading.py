"""Reading a run back: its frames, verified, as events, folded, or packed beside a snapshot.

A snapshot is the state after one frame, so that a long run is folded from there. It is bound to
that frame and to its own bytes by a hash. It is made of the events and can be made anew, so one
that does not fit is passed over, and the events say what the state is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from heddle.engine.journal.frames import Chain, canonical, decode, digest_of, named_in, parsed
from heddle.engine.journal.packed import Packed
from heddle.engine.journal.store import Head, Snapshot
from heddle.engine.many import many_objects
from heddle.engine.record import Record
from heddle.engine.state import RunState
from heddle.engine.state_json import state_from_json, state_to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from heddle.engine.events import Entry
    from heddle.engine.journal.store import Frame, Store

__all__ = ["Page", "folded", "packed", "read", "snapshot_of"]


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
    async for frame in _frames(store, run, chain):
        entries = decode(frame.body, await _large(store, frame), strict=strict)
        yield Page(Head(frame.number, frame.hash), entries, frame.wall)


async def _frames(store: Store, run: str, chain: Chain) -> AsyncIterator[Frame]:
    """The frames that follow in a chain, each verified."""
    async for frame in store.frames(run, chain.number):
        if not chain.follows(frame):
            break
        yield frame
    chain.end()


async def _large(store: Store, frame: Frame) -> dict[str, bytes]:
    return {digest: await store.large(digest) for digest in named_in(frame.body)}


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


async def packed(store: Store, run: str) -> tuple[RunState, Record] | None:
    """The state of a run by its snapshot, and its events, which are read when somebody looks.

    None if there is no snapshot, or none that fits.

    Cost: linear. All frames are verified, as by `read`; those that the snapshot stands for are not
    decoded.

    Raises:
        JournalError: as `read`. Who looks at the events may find that a frame is none of ours.
    """
    snapshot = await store.snapshot(run)
    if snapshot is None:
        return None
    state, record = None, Record()
    with many_objects():
        async for frame in _frames(store, run, Chain(run, (await store.run(run)).head)):
            stretch = Packed(frame.number, frame.events, frame.body, await _large(store, frame))
            record.put(stretch)
            if state is not None:
                state.take_all(stretch.entries())
            elif frame.number == snapshot.number:
                state = _state_in(snapshot, frame)
    return None if state is None else (state, record)


def snapshot_of(state: RunState, head: Head) -> Snapshot:
    """The state after the frame that `head` names. Cost: linear."""
    if state.finished is not None:
        state.critical_path_s()  # known from here on, and in the snapshot
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
    if not chain.follows(frame):
        return None
    state = _state_in(snapshot, frame)
    return state and (state, chain)


def _state_in(snapshot: Snapshot, frame: Frame) -> RunState | None:
    """The state that a snapshot holds; None if it does not fit its frame, or this version."""
    if not _fits(snapshot, frame):
        return None
    try:
        with many_objects():
            return state_from_json(parsed(snapshot.body))
    except (ValueError, RecursionError):
        return None
