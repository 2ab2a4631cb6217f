"""The record: all events of a run in order, small in memory.

A step has four events, and a run keeps them all. As objects each would be looked through by
Python's garbage collector again and again; as a plain tuple of scalars it is not. So these four are
kept as plain tuples, (number of the kind, *fields), and become events when somebody looks. The
older part of a long run may be kept as something smaller still, in stretches that are read when
somebody looks there.

>>> from heddle.engine.events import READY, RunFinished
>>> record = Record()
>>> record.kept.append((READY, 1.5, "1"))
>>> record[0]
StepReady(at=1.5, step='1')
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

from heddle.engine.events import FREQUENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from heddle.engine.events import Entry, Event

__all__ = ["Record", "Stretch", "event_of"]

_event = cast("Callable[[type[Event], tuple[Any, ...]], Event]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


def event_of(entry: Entry) -> Event:
    """The event that an entry of the record stands for."""
    if entry.__class__ is tuple:
        return _event(FREQUENT[entry[0]], entry[1:])  # type: ignore[index]
    return cast("Event", entry)


class Stretch(Protocol):
    """Consecutive entries, one at least, as something smaller than they are."""

    def __len__(self) -> int:
        """How many."""
        ...

    def entries(self) -> list[Entry]:
        """The entries themselves, made anew. It may raise what reading a journal raises."""
        ...


class Record(Sequence["Event"]):
    """Events in order, as a sequence that only grows.

    Args:
        entries: what it begins with.

    Attributes:
        kept: the entries behind the stretches; to append one is to add an event.

    Cost: an event is made anew each time it is looked at; one in a stretch with all others of it,
    unless the one that was looked at before is of the same stretch.

    Raises:
        JournalError: whoever looks into a stretch finds that it is damaged.
    """

    __slots__ = ("_ends", "_looked", "_stretches", "kept")
    __hash__ = None  # type: ignore[assignment]  # it grows

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.kept: list[Entry] = list(entries)
        self._stretches: list[Stretch] = []
        self._ends: list[int] = []  # by stretch, the place behind its last entry
        self._looked: tuple[int, list[Entry]] = (-1, [])

    def copy(self) -> Record:
        """The record as it is now. Cost: its stretches are shared."""
        again = Record(self.kept)
        again._stretches, again._ends = self._stretches[:], self._ends[:]
        return again

    @property
    def _before(self) -> int:
        """How many entries are in stretches."""
        return self._ends[-1] if self._ends else 0

    def put(self, stretch: Stretch) -> None:
        """Add what is behind the stretches so far, in front of all that is kept."""
        self._ends.append(self._before + len(stretch))
        self._stretches.append(stretch)

    def entries(self, first: int = 0) -> Iterator[Entry]:
        """The entries from a place on; those too that come while somebody looks."""
        while rest := self._rest(first):
            yield from rest
            first += len(rest)

    def _rest(self, place: int) -> list[Entry]:
        """The entries from a place to the end of its stretch."""
        if place >= self._before:
            return self.kept[place - self._before :]
        number = bisect_right(self._ends, place)
        return self._read(number)[place - self._ends[number] :]

    def _read(self, number: int) -> list[Entry]:
        looked, entries = self._looked
        if looked != number:
            entries = self._stretches[number].entries()
            self._looked = number, entries
        return entries

    def _at(self, place: int) -> Entry:
        if place >= self._before:
            return self.kept[place - self._before]
        number = bisect_right(self._ends, place)
        return self._read(number)[place - self._ends[number]]

    @property
    def rare(self) -> list[Event]:
        """The events that not every step has; nothing is made for the others. Cost: linear."""
        return [cast("Event", entry) for entry in self.entries() if entry.__class__ is not tuple]

    def __len__(self) -> int:
        return self._before + len(self.kept)

    def __iter__(self) -> Iterator[Event]:
        return map(event_of, self.entries())

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> list[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | list[Event]:
        places = range(len(self))[place]
        if isinstance(places, range):
            return [event_of(self._at(each)) for each in places]
        return event_of(self._at(places))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Record, list)):
            return list(self) == list(cast("Sequence[Event]", other))
        return NotImplemented

    def __repr__(self) -> str:
        return repr(list(self))
