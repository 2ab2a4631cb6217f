"""Keeping: a run and its journal, for as long as this process owns the run."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from heddle.engine.journal.owners import this_process
from heddle.engine.journal.places import open_store
from heddle.engine.journal.progress import progress_of
from heddle.engine.journal.writer import LEASE_S, Journal
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from heddle.engine.journal.places import Place
    from heddle.engine.journal.store import Head, RunLease, Store
    from heddle.engine.workshop import Workshop

__all__ = ["kept", "kept_on", "store_at"]


@asynccontextmanager
async def store_at(place: Place) -> AsyncGenerator[Store]:
    """The store at a place; closed again, unless it was passed open."""
    store = open_store(place)
    try:
        yield store
    finally:
        if store is not place:
            await store.aclose()


@asynccontextmanager
async def kept(workshop: Workshop, place: Place | None, title: str) -> AsyncGenerator[None]:
    """Keep a new run at a place, from its first event to its last; None keeps it in memory only.

    Args:
        workshop: the run's parts; nothing of it runs yet.
        place: where.
        title: the question, or what names the plan.

    Raises:
        JournalError: it cannot be kept there.
    """
    if place is None:
        yield
        return
    async with store_at(place) as store:
        line = " ".join(title.split())[:200]
        lease = await _created(store, workshop.run_id, line)
        async with kept_on(workshop, store, lease):
            yield


async def _created(store: Store, run: str, title: str) -> RunLease:
    """The lease of a new run; one of which nothing but its name was written down is new, too.

    Raises:
        JournalError: `run-exists`; what the store says.
    """
    try:
        return await store.create(run, title, this_process(), LEASE_S)
    except JournalError as error:
        if error.code != "run-exists" or (await store.run(run)).head is not None:
            raise
        lease = await store.lease(run, this_process(), LEASE_S)
        if (await store.run(run)).head is not None:  # somebody was quicker
            await store.release(lease)
            raise
        return lease


@asynccontextmanager
async def kept_on(
    workshop: Workshop, store: Store, lease: RunLease, head: Head | None = None
) -> AsyncGenerator[None]:
    """Keep a run in a store under a lease, which is given back at the end.

    Args:
        workshop: the run's parts.
        store: where.
        lease: the run's.
        head: of what is there already; the log has all of it.
    """
    seq = len(workshop.log.events) if head is not None else 0
    journal = Journal(
        workshop.log, store, lease, head=head, seq=seq, failed=workshop.lose,
        progress=lambda: progress_of(workshop.log.state()),
    )  # fmt: skip
    try:
        workshop.owned(lease)
        if head is not None:  # a process that dies at once is to be known of
            with suppress(JournalError):  # the run has been told, and stops
                await workshop.log.durable(len(workshop.log.events) - 1)
        yield
    finally:
        await journal.aclose()
