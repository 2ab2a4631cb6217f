"""The writer: the events of one log, as frames in a store.

    log ──cursor──▶ frames ──one append at a time──▶ store
                                │
    durable(seq) ◀──sync────────┘

Events wait up to GROUP_S seconds for others, so that a frame has many of them. An effect waits for
nothing but the disk: what is there is appended at once, and all that wait by then share the sync.
What an effect has come to is appended at once, too, and nobody waits for it: a process that dies
before it leaves a write behind of which nobody knows whether it has happened.
While one append is in flight, what comes joins the next.

A store that fails is not asked again. Whoever waits for it gets its error, and the run is told.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from heddle.engine.events import RunFinished
from heddle.engine.journal.frames import encode, frame_of, root
from heddle.engine.journal.reading import snapshot_of
from heddle.engine.journal.store import Head
from heddle.errors import HeddleError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.journal.store import Frame, RunLease, Store
    from heddle.engine.log import EventLog

__all__ = ["CLOSING_S", "GROUP_S", "LEASE_S", "Journal"]

GROUP_S = 0.005
"""Seconds that an event waits for others before they are appended together."""

LEASE_S = 30.0
"""Seconds that a lease holds; it is renewed when a third of them has passed."""

CLOSING_S = 2.0
"""Seconds for the last events to reach the store, once nobody wants to wait for them."""

_LEAVING_S = 0.1
"""Seconds for an append to leave that was given up."""

SNAPSHOT_EVENTS = 200_000
"""Events from which on a run that is over leaves a snapshot: fewer are folded in a moment."""

_FRAME_EVENTS = 512  # a frame stays well below 32 KiB while its values are small


class Journal:
    """Keeps the events of a log in a store while it has the run's lease.

    Call it in a running loop.

    Args:
        log: what is kept; it waits for this journal before effects.
        store: where.
        lease: the run's; the journal renews it, and gives it back in `aclose`.
        head: of the frames that are in the store already.
        seq: how many events those hold, all of which are in the log.
        failed: told once, when nothing more can be kept: the run must stop.
        progress: how far the run is, for the store's row.

    Attributes:
        error: why nothing more is kept; None while all is well.
        syncs: how often the disk was waited for.
    """

    def __init__(
        self,
        log: EventLog,
        store: Store,
        lease: RunLease,
        *,
        head: Head | None = None,
        seq: int = 0,
        failed: Callable[[HeddleError], object] = lambda _: None,
        progress: Callable[[], str] = str,
    ) -> None:
        self.error: HeddleError | None = None
        self.syncs = 0
        self.lease = lease
        self._log, self._store, self._failed = log, store, failed
        self._progress = progress
        self._head = head or Head(-1, root(lease.run))
        self._appended: int = seq  # events before this one are in the store
        self._synced: int = seq  # and on the disk
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._hurried = self._closing = False
        self._renewing = self._loop.create_task(self._renew())
        log.kept_by(self)
        self._wait_for_more()

    async def durable(self, seq: int) -> None:
        """Return when all events up to `seq` would survive the loss of power.

        Raises:
            JournalError: they would not; nothing more is kept.
        """
        if self.error is not None:
            raise self.error
        if seq < self._synced:
            return
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((seq, done))
        self._flush_soon()
        await done

    def hurry(self) -> None:
        """Append what this turn of the loop brings, without waiting for more."""
        self._hurried = True
        self._flush_soon()

    async def aclose(self) -> None:
        """Make all events durable and give the lease back. What fails is in `error`.

        Whoever is cancelled meanwhile waits for it all the same, for CLOSING_S seconds.
        """
        closing = self._loop.create_task(self._close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing], timeout=CLOSING_S)
            if not closing.done() and self._flushing is not None:
                self._flushing.cancel()  # the disk does not answer, and nobody may wait for it
                await asyncio.wait([self._flushing], timeout=_LEAVING_S)
            raise
        finally:
            closing.cancel()

    async def _close(self) -> None:
        try:
            await self._keep_the_rest()
        finally:
            self._log.kept_by(None)
            if self._timer is not None:
                self._timer.cancel()
            self._closing = True
            self._renewing.cancel()
        await asyncio.wait([self._renewing])
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        with suppress(HeddleError):
            await self._store.release(self.lease)

    async def _keep_the_rest(self) -> None:
        if self._log.events:
            with suppress(HeddleError):
                await self.durable(len(self._log.events) - 1)
                await self._leave_snapshot()

    async def _leave_snapshot(self) -> None:
        events = self._log.events
        if len(events) >= SNAPSHOT_EVENTS and isinstance(events[-1], RunFinished):
            await self._store.save(self.lease, snapshot_of(self._log.state(), self._head))

    # -- when to append ----------------------------------------------------------------------

    def _wait_for_more(self) -> None:
        """Sleep until there is something to keep."""
        if self._appended < len(self._log.events):
            self._timer = self._loop.call_later(GROUP_S, self._flush_soon)
        else:
            self._log.when_grown(self._grown)

    def _grown(self) -> None:
        if self._flushing is None and self._timer is None and self.error is None:
            self._timer = self._loop.call_later(GROUP_S, self._flush_soon)

    def _flush_soon(self) -> None:
        """Append in the next turn of the loop, so that all that comes in this one is in it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is None and self.error is None:
            self._flushing = self._loop.create_task(self._flush())

    async def _flush(self) -> None:
        try:
            await self._append()
            while self._waiting or self._hurried:
                await self._append()
        except Exception as error:  # whatever a store raises, nothing more is kept
            self._stop(error)
        self._flushing = None
        if self.error is None:
            self._wait_for_more()

    def _stop(self, cause: Exception) -> None:
        if self.error is not None:
            return
        error = self.error = _named(cause)
        for _, done in self._waiting:
            if not done.done():
                done.set_exception(error)
        self._waiting.clear()
        self._failed(error)

    # -- appending ---------------------------------------------------------------------------

    async def _append(self) -> None:
        """All events that are there; on the disk, if one ends the run or is waited for."""
        end = len(self._log.events)
        self._hurried = False
        status = self._ending(end)
        sync = bool(self._waiting or status)
        if end == self._appended and not sync:
            return  # what was hurried came along with what somebody waited for
        frames, large = self._frames(end)
        await self._store.append(
            self.lease, frames, large, sync=sync, status=status,
            progress=self._progress() if frames else "",
        )  # fmt: skip
        if frames:
            self._head = Head(frames[-1].number, frames[-1].hash)
        self._appended = end
        if sync:
            self.syncs += 1
            self._synced = end
            self._tell()

    def _ending(self, end: int) -> str:
        """How the events up to `end` end the run; "" if they do not. A late result may follow."""
        new = self._log.events.kept[self._appended : end]
        ended = [entry.status for entry in new if isinstance(entry, RunFinished)]
        return ended[-1] if ended else ""

    def _frames(self, end: int) -> tuple[list[Frame], dict[str, bytes]]:
        """The events up to `end`, and the large values among them."""
        frames: list[Frame] = []
        large: dict[str, bytes] = {}
        number, hash = self._head
        kept = self._log.events.kept
        for seq in range(self._appended, end, _FRAME_EVENTS):
            entries = kept[seq : min(end, seq + _FRAME_EVENTS)]
            body, values = encode(entries)
            large |= values
            number += 1
            frame = frame_of(
                body, number=number, seq=seq, events=len(entries), token=self.lease.token,
                wall=time.time(), prev=hash,
            )  # fmt: skip
            hash = frame.hash
            frames.append(frame)
        return frames, large

    def _tell(self) -> None:
        """Those whose events are on the disk may go on."""
        waiting, self._waiting = self._waiting, []
        for seq, done in waiting:
            if seq >= self._synced:
                self._waiting.append((seq, done))
            elif not done.done():
                done.set_result(None)

    # -- the lease ---------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Keep the lease until the journal is closed.

        A store that is in the middle of a renewal may finish it, and the cancellation is gone then.
        """
        while self.error is None and not self._closing:
            await asyncio.sleep(LEASE_S / 3)
            try:
                await self._store.renew(self.lease, LEASE_S)
            except Exception as error:  # whatever a store raises, the lease is lost
                self._stop(error)


def _named(cause: Exception) -> HeddleError:
    if isinstance(cause, HeddleError):
        return cause
    return InternalError(f"the journal's store raised {cause!r}")
