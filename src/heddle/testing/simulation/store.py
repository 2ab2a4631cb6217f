"""A disk that loses what was not synced, and a store on it that fails as real ones do.

The disk outlives the programs that use it. Each life of a program opens a store of its own on it.
When the power fails, the head of each run's chain is where it was at the last sync; of the frames
behind it, some are still there, torn or whole, as a disk leaves them that writes in its own order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from heddle.engine.journal.store import Frame, Head, RunLease, RunRow, Snapshot
from heddle.errors import JournalError
from heddle.testing.simulation.faults import NoFaults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from heddle.testing.simulation.life import Life

__all__ = ["SimulatedDisk", "SimulatedStore"]

_EPOCH = 1_700_000_000.0


@dataclass
class _Kept:
    """What a disk holds of a run.

    Attributes:
        synced: how many frames would survive a loss of power.
        torn: what the last loss of power left behind the head.
        holder: the life that holds the lease; None for nobody.
    """

    row: RunRow
    frames: list[Frame] = field(default_factory=list[Frame])
    synced: int = 0
    synced_status: str = "running"
    torn: list[Frame] = field(default_factory=list[Frame])
    snapshot: Snapshot | None = None
    synced_snapshot: Snapshot | None = None
    holder: Life | None = None

    @property
    def head(self) -> Head | None:
        return Head(self.frames[-1].number, self.frames[-1].hash) if self.frames else None

    def whole(self, last: str) -> list[Frame]:
        """The frames behind the head that a reader has found whole, up to the one of this hash."""
        hashes = [frame.hash for frame in self.torn]
        return self.torn[: hashes.index(last) + 1] if last in hashes else []


class SimulatedDisk:
    """What is left when a program dies.

    Args:
        seed: chooses what a loss of power leaves.

    Attributes:
        runs: what there is of each run, by its id.
        appends: calls that added frames.
        syncs: how many of them asked for durability.
        jump_s: by how much the wall clock is wrong.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed ^ 0xD15C)
        self.runs: dict[str, _Kept] = {}
        self._large: dict[str, bytes] = {}
        self._unsynced: dict[str, str] = {}  # large values that are not safe yet, by their run
        self.appends = 0
        self.syncs = 0
        self.jump_s = 0.0
        self._lived_s = 0.0

    def wall(self, life: Life) -> float:
        """What a clock on the wall shows."""
        return _EPOCH + self._lived_s + life.time() + self.jump_s

    def outlive(self, life: Life, *, power: bool = False) -> None:
        """A life has ended, by a loss of power or otherwise."""
        self._lived_s += life.time()
        if not power:
            return
        for kept in self.runs.values():
            self._lose(kept)
        for digest in self._unsynced:
            del self._large[digest]
        self._unsynced.clear()

    def _lose(self, kept: _Kept) -> None:
        lost, kept.frames = kept.frames[kept.synced :], kept.frames[: kept.synced]
        kept.torn = [self._tear(frame) for frame in lost if self._random.random() < 0.5]
        kept.snapshot = kept.synced_snapshot
        kept.row = kept.row._replace(status=kept.synced_status, head=kept.head)

    def _tear(self, frame: Frame) -> Frame:
        if self._random.random() < 0.5 and b'"large":[]' in frame.body:
            return frame  # one that names large values is no use without them
        return frame._replace(body=frame.body[: self._random.randrange(len(frame.body))])

    def open(self, life: Life, faults: NoFaults | None = None) -> SimulatedStore:
        """A store on this disk, for one life of a program."""
        return SimulatedStore(self, life, faults or NoFaults(), self._random)

    # -- what stores do ------------------------------------------------------------------------

    def kept(self, run: str) -> _Kept:
        """What there is of a run.

        Raises:
            JournalError: `run-unknown`.
        """
        found = self.runs.get(run)
        if found is None:
            raise JournalError(f"there is no run {run!r} on this disk", code="run-unknown")
        return found

    def write(self, run: str, frames: Sequence[Frame], large: Mapping[str, bytes]) -> None:
        """Add frames; they are not safe until `sync`."""
        kept = self.kept(run)
        kept.frames.extend(kept.whole(frames[0].prev))
        kept.torn.clear()
        kept.frames.extend(frames)
        for digest, value in large.items():
            if digest not in self._large:
                self._large[digest] = value
                self._unsynced[digest] = run

    def sync(self, run: str) -> None:
        """Whatever was written of a run is safe from here on."""
        kept = self.kept(run)
        kept.synced = len(kept.frames)
        kept.synced_status, kept.synced_snapshot = kept.row.status, kept.snapshot
        self._unsynced = {key: of for key, of in self._unsynced.items() if of != run}

    def value(self, digest: str) -> bytes:
        """A large value.

        Raises:
            JournalError: `journal-damaged` if it is not there.
        """
        if digest not in self._large:
            raise JournalError(f"the value {digest[:12]}… is missing", code="journal-damaged")
        return self._large[digest]


class _Frames:
    """Frames one after the other; unlike a generator, it may be left in the middle."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = iter(frames)

    def __aiter__(self) -> _Frames:
        return self

    async def __anext__(self) -> Frame:
        for frame in self._frames:
            return frame
        raise StopAsyncIteration


class SimulatedStore:
    """A `Store` in memory, for one life of a program; see `engine.journal.store.Store`.

    Args:
        disk: outlives it.
        life: whose store it is; when it dies, its store does nothing any more.
        faults: says what goes wrong.
        random: chooses how slow a slow disk is.
    """

    def __init__(self, disk: SimulatedDisk, life: Life, faults: NoFaults, random: Random) -> None:
        self._disk = disk
        self._life = life
        self._fires = faults.fires
        self._random = random
        self._broken = False

    async def _begin(self) -> None:
        """A call arrives: it may take its time, and fail at once."""
        await self._life.alive()
        if self._broken:
            raise JournalError("the disk has failed before", code="journal-unwritable")
        if self._fires("disk-slow"):
            await self._life.pause(self._random.choice((0.001, 0.1, 3.0)))
        if self._fires("clock-jump"):
            self._disk.jump_s += self._random.choice((-3600.0, -1.0, 1.0, 3600.0))

    async def create(self, run: str, title: str, owner: str, ttl_s: float) -> RunLease:
        """A new run, with its first lease; see `Store.create`."""
        await self._begin()
        if run in self._disk.runs:
            raise JournalError(f"there is a run {run!r} already", code="run-exists")
        now = self._disk.wall(self._life)
        row = RunRow(run, title, "running", owner, 1, now + ttl_s, now, now, None)
        self._disk.runs[run] = _Kept(row, holder=self._life)
        return RunLease(run, owner, 1)

    async def lease(self, run: str, owner: str, ttl_s: float) -> RunLease:
        """Take a lease that nobody holds, or whose life is over; see `Store.lease`."""
        await self._begin()
        kept, now = self._disk.kept(run), self._disk.wall(self._life)
        held = kept.holder is not None and not kept.holder.dead
        if held and now < kept.row.until:
            raise JournalError(f"{kept.row.owner} has the run {run!r}", code="run-leased")
        token = kept.row.token + 1
        kept.row = kept.row._replace(owner=owner, token=token, until=now + ttl_s)
        kept.holder = self._life
        return RunLease(run, owner, token)

    def _holds(self, lease: RunLease) -> _Kept:
        kept = self._disk.kept(lease.run)
        if kept.row.token != lease.token:
            raise JournalError("another process has taken the run over", code="lease-lost")
        return kept

    async def renew(self, lease: RunLease, ttl_s: float) -> None:
        """Hold it for longer; see `Store.renew`."""
        await self._begin()
        kept = self._holds(lease)
        kept.row = kept.row._replace(until=self._disk.wall(self._life) + ttl_s)

    async def release(self, lease: RunLease) -> None:
        """Give it back; see `Store.release`."""
        await self._life.alive()
        kept = self._disk.kept(lease.run)
        if kept.row.token == lease.token:
            kept.holder = None
            kept.row = kept.row._replace(owner="", until=0.0)

    async def append(
        self,
        lease: RunLease,
        frames: Sequence[Frame],
        large: Mapping[str, bytes],
        *,
        sync: bool,
        status: str = "",
        progress: str = "",
    ) -> None:
        """Add frames, all or nothing; see `Store.append`."""
        await self._begin()
        await self._dies_at("kill-before-append")
        kept = self._holds(lease)
        self._refuse(kept, frames)
        disk = self._disk
        disk.appends += 1
        disk.syncs += sync
        if sync and self._fires("disk-error"):
            self._broken = True  # what was written before may be gone: nothing may trust it
            raise JournalError("the disk could not be synced", code="journal-unwritable")
        if frames:
            disk.write(lease.run, frames, large)
        kept.row = kept.row._replace(
            status=status or kept.row.status, head=kept.head, updated=disk.wall(self._life),
            progress=progress or kept.row.progress,
        )  # fmt: skip
        if sync:
            disk.sync(lease.run)
        await self._dies_at("kill-after-append")

    def _refuse(self, kept: _Kept, frames: Sequence[Frame]) -> None:
        """Raise what keeps these frames from being added."""
        if self._fires("disk-full"):
            raise JournalError("no space is left on the disk", code="journal-full")
        if self._fires("disk-locked"):
            raise JournalError("the store is locked", code="journal-locked")
        torn = kept.whole(frames[0].prev) if frames else ()
        number = len(kept.frames) + len(torn)
        for frame in frames:
            if frame.number != number:
                raise JournalError(
                    f"frame {frame.number} does not follow {number - 1}", code="journal-gap"
                )
            number += 1

    async def _dies_at(self, kind: str) -> None:
        if self._fires(kind):
            self._life.die()
            await self._life.alive()

    def frames(self, run: str, after: int = -1) -> AsyncIterator[Frame]:
        """The frames, and what is left behind the head; see `Store.frames`."""
        kept = self._disk.kept(run)
        return _Frames([*kept.frames[after + 1 :], *kept.torn])

    async def large(self, digest: str) -> bytes:
        """A large value; see `Store.large`."""
        await self._life.alive()
        return self._disk.value(digest)

    async def save(self, lease: RunLease, snapshot: Snapshot) -> None:
        """Keep a snapshot in the place of the one before it; see `Store.save`."""
        await self._begin()
        self._holds(lease).snapshot = snapshot

    async def snapshot(self, run: str) -> Snapshot | None:
        """The last snapshot; see `Store.snapshot`."""
        await self._life.alive()
        return self._disk.kept(run).snapshot

    async def run(self, run: str) -> RunRow:
        """One run; see `Store.run`."""
        await self._life.alive()
        return self._disk.kept(run).row

    async def runs(self, limit: int = 50) -> list[RunRow]:
        """Runs, the latest first; see `Store.runs`."""
        await self._life.alive()
        rows = [kept.row for kept in self._disk.runs.values()]
        return sorted(rows, key=lambda row: row.created, reverse=True)[:limit]

    async def aclose(self) -> None:
        """Nothing to let go of; see `Store.aclose`."""
