"""Killers: steps with which process after process of a run has died.

A process that dies says nothing of why. It may have been its step, or somebody beside the run. So a
death counts against a step only where nothing else was under way, and only if that process had not
brought the run further; and it is the last ones in a row that count.

    began 1, 1 ended, began 2 │ began 2 and 3 │ began 2 │ began 2 │    three got nowhere,
             further               whose?          2         2         with 2 died two
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from heddle.engine import events as ev

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from heddle.engine.events import Entry

__all__ = ["Deaths", "deaths_of"]

_Place: TypeAlias = "tuple[str, int | None]"

_FURTHER = (
    ev.StepResult, ev.ElementEnded, ev.ModelCall, ev.CancelRequested, ev.RunFinished,
)  # fmt: skip
"""Events, beside the frequent ones, that show that a process has got somewhere, or was stopped."""


class Deaths(NamedTuple):
    """The last deaths of a run's processes.

    Attributes:
        stuck: processes in a row that have not brought the run further, the last included.
        by_place: how many of these died with nothing under way but this step, or this element.
    """

    stuck: int
    by_place: Mapping[_Place, int]


def deaths_of(entries: Sequence[Entry], nested: Collection[_Place]) -> Deaths:
    """The last deaths of a run that is not over.

    Args:
        entries: what its journal has.
        nested: the places that expand plans; they call nothing themselves.

    Cost: linear in what happened since the run was last brought further.
    """
    stuck, found = 0, Counter[_Place]()
    begun: set[_Place] = set()
    over: set[_Place] = set()  # attempts before this have come to something: we go backwards
    for entry in reversed(entries):
        if entry.__class__ is tuple:
            if entry[0] in (ev.RESULT, ev.ENDED):
                break
            if entry[0] == ev.STARTED:
                begun |= {(entry[2], entry[4])} - over  # type: ignore[misc]
        elif isinstance(entry, ev.StepIntent):
            begun |= {(entry.step, entry.element)} - over
        elif isinstance(entry, ev.StepError):
            over.add((entry.step, entry.element))
        elif isinstance(entry, ev.LeaseTaken):
            suspects = begun - set(nested)
            stuck += 1
            found.update(suspects if len(suspects) == 1 else ())
            begun, over = set(), set()
        elif isinstance(entry, _FURTHER):
            break
    return Deaths(stuck, found)
