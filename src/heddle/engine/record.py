"""The record: all events of a run in order, small in memory.

A step has four events, and a run keeps them all. As objects each would be looked through by
Python's garbage collector again and again; as a plain tuple of scalars it is not. So these four are
kept as plain tuples, (number of the kind, *fields), and become events when somebody looks.

>>> from heddle.engine.events import READY, RunFinished
>>> record = Record()
>>> record.kept.append((READY, 1.5, "1"))
>>> record[0]
StepReady(at=1.5, step='1')
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, overload

from heddle.engine.events import FREQUENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from heddle.engine.events import Entry, Event

__all__ = ["Record", "event_of"]

_event = cast("Callable[[type[Event], tuple[Any, ...]], Event]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


def event_of(entry: Entry) -> Event:
    """The event that an entry of the record stands for."""
    if entry.__class__ is tuple:
        return _event(FREQUENT[entry[0]], entry[1:])  # type: ignore[index]
    return cast("Event", entry)


class Record(Sequence["Event"]):
    """Events in order, as a sequence that only grows.

    Args:
        entries: what it begins with.

    Attributes:
        kept: the entries; to append one is to add an event.

    Cost: an event is made anew each time it is looked at.
    """

    __slots__ = ("kept",)
    __hash__ = None  # type: ignore[assignment]  # it grows

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.kept: list[Entry] = list(entries)

    @property
    def rare(self) -> list[Event]:
        """The events that not every step has; nothing is made for the others. Cost: linear."""
        return [cast("Event", entry) for entry in self.kept if entry.__class__ is not tuple]

    def __len__(self) -> int:
        return len(self.kept)

    def __iter__(self) -> Iterator[Event]:
        return map(event_of, self.kept)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> list[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | list[Event]:
        if isinstance(place, slice):
            return [event_of(entry) for entry in self.kept[place]]
        return event_of(self.kept[place])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Record, list)):
            return list(self) == list(cast("Sequence[Event]", other))
        return NotImplemented

    def __repr__(self) -> str:
        return repr(list(self))
