"""How far a run is, in a line beside its frames, so that a list of runs reads no journal.

It is for people, like a title: nothing is decided by it.

>>> from heddle.engine.state import fold
>>> said(progress_of(fold([])))
Progress(done=0, total=0, unknown=[])
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from heddle.engine.state import RunState

__all__ = ["Progress", "progress_of", "said", "unknown_places"]


class Progress(NamedTuple):
    """How far a run is.

    Attributes:
        done: steps with a result.
        total: steps that are known.
        unknown: of a run that has ended, see `unknown_places`.
    """

    done: int
    total: int
    unknown: list[str]


def progress_of(state: RunState) -> str:
    """How far a run is, as JSON. Cost: O(1) while it runs, linear in its steps at its end."""
    unknown = unknown_places(state) if state.finished is not None else []
    return json.dumps([state.done, len(state.steps), unknown], ensure_ascii=False)


def said(progress: str) -> Progress | None:
    """What `progress_of` wrote; None where nothing was written yet, or something else was."""
    try:
        match json.loads(progress):
            case [int(done), int(total), [*unknown]]:
                return Progress(done, total, [str(place) for place in unknown])
            case _:
                return None
    except (ValueError, RecursionError):
        return None


def unknown_places(state: RunState) -> list[str]:
    """The writes whose outcome nobody saw, as `--resolve` names them: `3`, or `3[7]` in a map."""
    found: list[str] = []
    for step in state.steps.values():
        if step.status != "unknown":
            continue
        faults = step.map.failed_items if step.map is not None else ()
        items = [fault.element for fault in faults if fault.status == "unknown"]
        found += [f"{step.id}[{item}]" for item in items] or [step.id]
    return found
