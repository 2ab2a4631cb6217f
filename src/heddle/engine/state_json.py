"""The folded state as JSON and back: what a snapshot holds.

    {"fields": […], "run": […], "rounds": [[…], …], "steps": [[…], …]}

Steps and rounds are rows, their fields in the order of `fields`, since a run may have a million of
them. In the row of a step, its plan's step is [tool, args, note] where it has no more. The list of
fields is that of the version that wrote it. Another version has another state, and makes it anew
from the events, which is what they are for.

Invariant: `state_from_json(json.loads(json.dumps(state_to_json(state)))) == state`.

>>> from heddle.engine.state import fold
>>> state_from_json(state_to_json(fold([]))) == fold([])
True
"""

from __future__ import annotations

from array import array
from dataclasses import fields
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from heddle.engine.elements import ItemFault, MapState
from heddle.engine.state import RoundState, RunState, StepState
from heddle.engine.wire import (
    WireError,
    event_from_json,
    event_to_json,
    finding_from_wire,
    finding_to_wire,
    step_from_wire,
    step_to_wire,
)
from heddle.plan.canonical import decoded
from heddle.plan.ir import plain_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.wire import Fields

__all__ = ["state_from_json", "state_to_json"]


def state_to_json(state: RunState) -> Fields:
    """A state as plain JSON. Containers are shared with the state: do not change them.

    Cost: linear.

    Raises:
        WireError: it holds what JSON has no form for.
    """
    return {
        "fields": _ALL,
        "run": _row(_RUN, state),
        "rounds": [_row(_ROUND, round) for round in state.rounds],
        "steps": [_step_row(step) for step in state.steps.values()],
    }


def _step_row(step: StepState) -> list[Any]:
    row = _row(_STEP, step)
    if step.step is not None and row[_STEP_PLACE].keys() <= _PLAIN:
        row[_STEP_PLACE] = [step.step.tool, row[_STEP_PLACE].get("args", {}), step.step.note]
    if step.map is not None and step.value is step.map.values:
        row[_MAP_PLACE][_VALUES_PLACE] = None  # one list, written once
    return row


def state_from_json(data: Any) -> RunState | None:
    """The state that `state_to_json` wrote; None if it is that of another version.

    Cost: linear.

    Raises:
        WireError: it is no state.
    """
    try:
        if data["fields"] != _ALL:
            return None
        return _read(data)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise WireError(f"it is no state: {error!r}") from error


def _read(data: Any) -> RunState:
    state = RunState()
    _fill(_RUN, state, data["run"])
    for row in data["rounds"]:
        state.rounds.append(_fill(_ROUND, RoundState(0, "", 0.0), row))
    steps, converted = state.steps, [(i, form.read) for i, (_, form) in enumerate(_STEP) if form]
    for row in data["steps"]:
        for place, read in converted:
            value = row[place]
            if value.__class__ is list and place == _STEP_PLACE:
                row[place] = plain_step(row[0], value[0], decoded(value[1]), value[2])
            elif value is not None:
                row[place] = read(value)
        step = steps[row[0]] = StepState(*row)
        if step.map is not None and step.map.values is None:  # pyright: ignore
            step.map.values = step.value  # one list, written once
    return state


# -- how fields are written ----------------------------------------------------------------------


class _Form(NamedTuple):
    """How what is no plain JSON is written and read; None stands for itself."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _trusted(data: Any) -> Any:
    return event_from_json(data, sound=True)


def _each(form: _Form) -> _Form:
    def write(items: Any) -> Any:
        return [form.write(item) for item in items]

    def read(items: Any) -> Any:
        return [form.read(item) for item in items]

    return _Form(write, read)


def _by(form: _Form, key: Callable[[Any], Any]) -> _Form:
    """A dictionary as the list of its items, which know their keys."""

    def write(items: Any) -> Any:
        return [form.write(item) for item in items.values()]

    def read(items: Any) -> Any:
        return {key(item): item for item in map(form.read, items)}

    return _Form(write, read)


def _pairs(value: dict[int, Any]) -> list[list[Any]]:
    return [[key, item] for key, item in value.items()]


def _doubles(items: Any) -> array[float]:
    return array("d", items)


def _fault(row: Any) -> ItemFault:
    return ItemFault(*row)


def _map_to_json(map: MapState) -> list[Any]:
    return _row(_MAP, map)


def _map_from_json(row: Any) -> MapState:
    return _fill(_MAP, MapState(0), row)


_EVENT = _Form(event_to_json, _trusted)
_PAIRS = _Form(_pairs, dict)

_BY_TYPE: dict[str, _Form | None] = {
    "str": None,
    "int": None,
    "int | None": None,
    "bool": None,
    "float": None,
    "float | None": None,
    "Status": None,
    "Any": None,
    "list[Any]": None,
    "dict[int, str]": _PAIRS,
    "dict[int, float]": _PAIRS,
    "array[float]": _Form(list, _doubles),
    "tuple[str, ...]": _Form(list, tuple),
    "list[tuple[float, float | None]]": _each(_Form(list, tuple)),
    "Step | None": _Form(step_to_wire, partial(step_from_wire, sound=True)),
    "MapState | None": _Form(_map_to_json, _map_from_json),
    "dict[int, ItemFault]": _by(_Form(list, _fault), attrgetter("element")),
    "list[Finding]": _each(_Form(finding_to_wire, finding_from_wire)),
    "list[ev.ModelCall]": _each(_EVENT),
    "list[ev.StepResult | ev.LateResult]": _each(_EVENT),
    "dict[int, ev.ModelStarted]": _by(_EVENT, attrgetter("call")),
    "ev.RunFinished | None": _EVENT,
}
"""By its type as `state` and `elements` spell it, how a field is written; None: as it is."""

_Row = list[tuple[str, "_Form | None"]]


def _forms(kind: type[Any], *, without: tuple[str, ...] = ()) -> _Row:
    return [
        (each.name, _BY_TYPE[cast("str", each.type)])
        for each in fields(kind)
        if each.name not in without
    ]


_RUN = _forms(RunState, without=("rounds", "steps"))
_ROUND, _STEP, _MAP = _forms(RoundState), _forms(StepState), _forms(MapState)
_STEP_PLACE = [name for name, _ in _STEP].index("step")
_PLAIN = {"id", "tool", "args", "note"}
_MAP_PLACE = [name for name, _ in _STEP].index("map")
_VALUES_PLACE = [name for name, _ in _MAP].index("values")
_ALL = [[name for name, _ in forms] for forms in (_RUN, _ROUND, _STEP, _MAP)]


def _row(forms: _Row, thing: Any) -> list[Any]:
    row: list[Any] = []
    for name, form in forms:
        value = getattr(thing, name)
        row.append(value if form is None or value is None else form.write(value))
    return row


def _fill(forms: _Row, thing: Any, row: list[Any]) -> Any:
    for (name, form), value in zip(forms, row, strict=True):
        setattr(thing, name, value if form is None or value is None else form.read(value))
    return thing
