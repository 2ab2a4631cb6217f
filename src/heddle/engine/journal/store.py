"""Stores: where the frames of journals are kept, and who may add to them.

A run is a chain of frames. A frame holds some events and the hash of the frame before it, so that
nothing can be changed, left out or put between without being noticed. Whoever adds frames holds the
run's lease, whose fencing token is in each of them: a process that was slow to notice that it lost
its lease cannot add any more.

Invariant: the frames and the head of a run change together. What `append` with `sync` has taken
survives the loss of the process and of power; without it, the loss of the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = ["Frame", "Head", "RunLease", "RunRow", "Snapshot", "Store"]


class Frame(NamedTuple):
    """Some consecutive events of a run.

    Attributes:
        number: 0 for the first of the run, then without gaps.
        seq: sequence number of its first event.
        events: how many it holds.
        token: fencing token of the lease under which it was written.
        wall: wall clock when it was written, in seconds since 1970; for people, never for order.
        prev: hash of the frame before it; for the first, that of the format and the run's id.
        hash: SHA-256 over all of the above and the body, in hexadecimal.
        body: canonical JSON in UTF-8; see `frames`.
    """

    number: int
    seq: int
    events: int
    token: int
    wall: float
    prev: str
    hash: str
    body: bytes


class Head(NamedTuple):
    """Where a run's chain ends, kept beside the frames and changed with them."""

    number: int
    hash: str


class RunLease(NamedTuple):
    """The right to add to a run.

    Attributes:
        owner: host, process and its start, so that a dead owner on this machine is known as dead.
        token: grows with each lease of the run.
    """

    run: str
    owner: str
    token: int


class Snapshot(NamedTuple):
    """The folded state up to and including the frame `number`; its body is canonical JSON."""

    number: int
    hash: str
    body: bytes


class RunRow(NamedTuple):
    """A run as a list of runs shows it, without reading its journal.

    Attributes:
        title: the question, or what names the plan; one line.
        status: "running" until RunFinished is in the journal, then its status.
        owner: who holds the lease; "" for nobody.
        until: wall clock when the lease ends.
        created: wall clock.
        updated: wall clock of the last frame.
        progress: how far it is, as `progress` writes it; "" where nothing was said.
    """

    run: str
    title: str
    status: str
    owner: str
    token: int
    until: float
    created: float
    updated: float
    head: Head | None
    progress: str = ""


class Store(Protocol):
    """Frames of many runs. Every method may raise JournalError; see its codes in `errors`.

    A method that raised has changed nothing.
    """

    async def create(self, run: str, title: str, owner: str, ttl_s: float) -> RunLease:
        """A new run, with its first lease.

        Raises:
            JournalError: `run-exists`.
        """
        ...

    async def lease(self, run: str, owner: str, ttl_s: float) -> RunLease:
        """Take the lease of a run that nobody holds, or whose owner is dead or overdue.

        Raises:
            JournalError: `run-unknown`; `run-leased`, which says by whom and until when.
        """
        ...

    async def renew(self, lease: RunLease, ttl_s: float) -> None:
        """Hold it for longer.

        Raises:
            JournalError: `lease-lost`.
        """
        ...

    async def release(self, lease: RunLease) -> None:
        """Give it back; one that was lost is left alone."""
        ...

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
        """Add frames, and the large values that they name, all or nothing.

        Args:
            lease: the run's.
            frames: the next ones, in order. None at all makes durable, with `sync`, what was taken
                before.
            large: values by the SHA-256 of their bytes; those that are there already are kept.
            sync: whether to return only when they would survive a loss of power.
            status: that of the run, where the frames end it.
            progress: kept in the run's row; "" leaves what is there.

        Raises:
            JournalError: `lease-lost`; `journal-gap` if they do not follow the head.
        """
        ...

    def frames(self, run: str, after: int = -1) -> AsyncIterator[Frame]:
        """The frames behind the number `after`, in order, as they stand there; nothing is verified.

        Raises:
            JournalError: `run-unknown`.
        """
        ...

    async def large(self, digest: str) -> bytes:
        """A large value, as it stands there.

        Raises:
            JournalError: `journal-damaged` if it is not there.
        """
        ...

    async def save(self, lease: RunLease, snapshot: Snapshot) -> None:
        """Keep a snapshot in the place of the one before it."""
        ...

    async def snapshot(self, run: str) -> Snapshot | None:
        """The last snapshot, as it stands there; None if there is none."""
        ...

    async def run(self, run: str) -> RunRow:
        """One run.

        Raises:
            JournalError: `run-unknown`.
        """
        ...

    async def runs(self, limit: int = 50) -> list[RunRow]:
        """Runs, the latest first."""
        ...

    async def aclose(self) -> None:
        """Let go of files and connections; leases stay until they are released or overdue."""
        ...
