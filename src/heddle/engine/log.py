"""The log of a run: events in order, and readers that follow at their own pace.

`emit` is a list append. A reader is a cursor into the list, so that a slow page or terminal holds
nothing up and loses nothing: it re-folds from where it stands.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from heddle.engine.events import RunFinished
from heddle.engine.record import Record, event_of
from heddle.engine.state import RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from heddle.engine.events import Entry, Event

__all__ = ["EventLog", "Keeper"]


class Keeper(Protocol):
    """Keeps the events of a log where they survive; see `journal.writer`."""

    async def durable(self, seq: int) -> None:
        """Return when all events up to `seq` would survive a crash."""
        ...

    def hurry(self) -> None:
        """Keep what there is as soon as may be; nobody waits for it."""
        ...


class EventLog:
    """Events of one run, in memory.

    Args:
        sinks: called with each event, at once; they must be quick and must not raise.

    Attributes:
        recalled: how many of the events are of the past of a run that is gone on with.
        events: all events so far; an event's sequence number is its index.
        emit: adds an event and wakes the readers. It is the list's own `append` while there is
            nobody to tell, because it is called four times a step.
    """

    def __init__(self, *sinks: Callable[[Event], None]) -> None:
        self.events = Record()
        self.recalled = 0
        self._state = RunState()
        self._folded = 0
        self._sinks = sinks
        self.emit: Callable[[Entry], None] = self._tell if sinks else self.events.kept.append
        self._clock: Callable[[], float] | None = None
        self._started = 0.0
        self._waiting: list[Callable[[], object]] = []
        self._keeper: Keeper | None = None
        self._closed = False

    def now(self) -> float:
        """Seconds since the first call, on the running loop's clock."""
        if self._clock is None:
            self._clock = _clock_of(asyncio.get_running_loop())
            self._started = self._clock()
        return self._clock() - self._started

    def recall(self, entries: Sequence[Entry], last_s: float) -> None:
        """Begin with the events of a run that is gone on with; its clock goes on from the last."""
        self.recalled = len(entries)
        if self._sinks or self._waiting:
            for entry in entries:
                self.emit(entry)
        else:
            self.events.kept += entries
        self.now()
        self._started -= last_s

    def state(self) -> RunState:
        """The fold of all events so far. It goes on with the run: look, and change nothing.

        Cost: linear in the events that came since it was last asked for.
        """
        kept = self.events.kept
        while self._folded < len(kept):
            self._state.take(kept[self._folded])
            self._folded += 1
        return self._state

    def _tell(self, entry: Entry) -> None:
        self.events.kept.append(entry)
        for sink in self._sinks:
            sink(event_of(entry))
        self._wake()
        if not self._sinks:
            self.emit = self.events.kept.append

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()

    def when_grown(self, tell: Callable[[], object]) -> None:
        """Call something once, at the next event, or when the log is closed."""
        self._waiting.append(tell)
        self.emit = self._tell

    def close(self) -> None:
        """No more events will come: readers end when they have read what there is."""
        self._closed = True
        self._wake()

    def kept_by(self, keeper: Keeper | None) -> None:
        """Somebody keeps the events from here on, or nobody does any more."""
        self._keeper = keeper

    async def durable(self, seq: int) -> None:
        """Return when all events up to `seq` would survive a crash; in memory, at once.

        Raises:
            JournalError: they would not, and never will.
        """
        if self._keeper is not None:
            await self._keeper.durable(seq)

    def hurry(self) -> None:
        """What an effect has come to was seen, or will be said now: it is to be kept at once."""
        if self._keeper is not None:
            self._keeper.hurry()

    async def follow(self) -> AsyncIterator[Event]:
        """All events from the first, then each as it comes, until the run or the log has ended."""
        place = 0
        while True:
            while place < len(self.events):
                event = self.events[place]
                place += 1
                yield event
                if isinstance(event, RunFinished) and place == len(self.events):
                    return
            if self._closed:
                return
            grown = asyncio.Event()
            self.when_grown(grown.set)
            await grown.wait()


def _clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """A loop's clock; of a common loop, what its `time` calls: it is read three times a step."""
    plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
    return time.monotonic if plain else loop.time
