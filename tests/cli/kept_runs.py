"""Runs in a journal, made of events that were not written by a process that runs them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import heddle
from heddle.engine.events import LeaseTaken, StepIntent
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.progress import progress_of
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.writer import Journal
from heddle.engine.log import EventLog
from heddle.testing import run_virtual

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heddle.engine.events import Event

PLAN = '1. look("bob")\n2. send($1)\n3. join("sent: $2")\n'


@heddle.tool(effect="read")
async def look(name: str) -> str:
    """An address."""
    return f"{name}@example.org"


@heddle.tool(effect="write")
async def send(to: str) -> str:
    """A message."""
    return f"sent to {to}"


def events_of(text: str = PLAN, **options: Any) -> tuple[str, list[Event]]:
    """The id and the events of a run that went well."""
    result = run_virtual(heddle.execute(heddle.parse(text), [look, send], **options))
    return result.run_id, _leased(result.events)


def _leased(events: Sequence[Event]) -> list[Event]:
    """The events as they are where a process has the lease of the run."""
    first, *rest = events
    return [
        first,
        LeaseTaken(0.0, this_process(), 1),
        *(event._replace(lease=1) if isinstance(event, StepIntent) else event for event in rest),
    ]


def keep(
    place: Path, run: str, events: Sequence[Event], *, title: str = "", held: bool = False
) -> None:
    """Write events into a journal; leave the lease with this process where it is to be held."""

    async def main() -> None:
        store = SQLiteStore(place)
        lease = await store.create(run, title, this_process(), 60)
        log = EventLog()
        journal = Journal(log, store, lease, progress=lambda: progress_of(log.state()))
        for event in events:
            log.emit(event)
        await journal.aclose()
        assert journal.error is None
        if held:
            await store.lease(run, this_process(), 60)
        await store.aclose()

    asyncio.run(main())


def intent_at(events: Sequence[Event]) -> int:
    """Where the first effect is announced."""
    return next(at for at, event in enumerate(events) if isinstance(event, StepIntent))
