"""A journal's store in memory, and runs that are cut off after any of their events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heddle.engine.journal.frames import encode, frame_of, root
from heddle.engine.journal.reading import read
from heddle.engine.journal.store import Head, RunLease, RunRow
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from heddle.engine.events import Entry
    from heddle.engine.journal.store import Frame, Snapshot


@dataclass
class Kept:
    """One run in a store."""

    owner: str = ""
    token: int = 0
    status: str = "running"
    progress: str = ""
    frames: list[Frame] = field(default_factory=list)
    snapshot: Snapshot | None = None


class MemoryStore:
    """A store whose leases never run out; nothing in it survives the process."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.values: dict[str, bytes] = {}

    async def create(self, run: str, title: str, owner: str, ttl_s: float) -> RunLease:
        if run in self.kept:
            raise JournalError("there is such a run", code="run-exists")
        self.kept[run] = Kept()
        return await self.lease(run, owner, ttl_s)

    async def lease(self, run: str, owner: str, ttl_s: float) -> RunLease:
        kept = self._run(run)
        if kept.owner:
            raise JournalError(f"{kept.owner} has it", code="run-leased")
        kept.owner, kept.token = owner, kept.token + 1
        return RunLease(run, owner, kept.token)

    async def renew(self, lease: RunLease, ttl_s: float) -> None:
        self._held(lease)

    async def release(self, lease: RunLease) -> None:
        kept = self._run(lease.run)
        if kept.token == lease.token:
            kept.owner = ""

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
        kept = self._held(lease)
        self.values |= large
        kept.frames += frames
        kept.status = status or kept.status
        kept.progress = progress or kept.progress

    async def frames(self, run: str, after: int = -1) -> AsyncIterator[Frame]:
        for frame in self._run(run).frames[after + 1 :]:
            yield frame

    async def large(self, digest: str) -> bytes:
        return self.values[digest]

    async def save(self, lease: RunLease, snapshot: Snapshot) -> None:
        self._held(lease).snapshot = snapshot

    async def snapshot(self, run: str) -> Snapshot | None:
        return self._run(run).snapshot

    async def run(self, run: str) -> RunRow:
        kept = self._run(run)
        last = kept.frames[-1] if kept.frames else None
        head = Head(last.number, last.hash) if last else None
        return RunRow(run, "", kept.status, kept.owner, kept.token, 0, 0, 0, head, kept.progress)

    async def runs(self, limit: int = 50) -> list[RunRow]:
        return [await self.run(run) for run in self.kept]

    async def aclose(self) -> None: ...

    def _run(self, run: str) -> Kept:
        if run not in self.kept:
            raise JournalError("there is no such run", code="run-unknown")
        return self.kept[run]

    def _held(self, lease: RunLease) -> Kept:
        kept = self._run(lease.run)
        if kept.token != lease.token:
            raise JournalError("somebody else has it", code="lease-lost")
        return kept

    def die(self, run: str) -> None:
        """The process that holds the lease is no more."""
        self._run(run).owner = ""


async def entries_of(store: Any, run: str) -> list[Entry]:
    """All events of a run."""
    return [entry async for page in read(store, run) for entry in page.entries]


def cut_after(entries: Sequence[Entry], n: int, run: str = "r", token: int = 1) -> MemoryStore:
    """A store as it is left by a process that died after the first n events of a run."""
    store = MemoryStore()
    body, large = encode(list(entries[:n]))
    frame = frame_of(body, number=0, seq=0, events=n, token=token, wall=0.0, prev=root(run))
    store.kept[run] = Kept(token=token, frames=[frame])
    store.values |= large
    return store
