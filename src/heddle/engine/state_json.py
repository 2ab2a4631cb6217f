"""The folded state as JSON and back: what a snapshot holds.

    {"fields": […], "run": […], "rounds": [[…], …], "steps": {"id": […], "round": […], …}}

Steps are columns, one list for each field, since a run may have a million of them: what is read is
then few large lists, and not many small ones. A step of the plan that has nothing but arguments is
null in its column and stands in those of `tool`, `args` and `note`, its arguments as the text of
their JSON, which nobody reads before somebody looks. `fields` is what the version that wrote it
has. Another version has another state, and makes it anew from the events, which is what they are
for.

Invariant: `state_from_json(json.loads(json.dumps(state_to_json(state)))) == state`.

>>> from heddle.engine.state import fold
>>> state_from_json(state_to_json(fold([]))) == fold([])
True
"""

from __future__ import annotations

import json
from array import array
from dataclasses import fields
from itertools import starmap
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
from heddle.plan.canonical import Unread
from heddle.plan.ir import plain_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heddle.engine.wire import Fields
    from heddle.plan.ir import Step

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
        "steps": _columns(list(state.steps.values())),
    }


def _columns(steps: list[StepState]) -> dict[str, list[Any]]:
    columns = {name: [getattr(step, name) for step in steps] for name in _NAMES}
    columns["map"] = [None if step.map is None else _map_row(step, step.map) for step in steps]
    columns["step"] = [None if step.step is None else step_to_wire(step.step) for step in steps]
    return columns | _taken_out(columns["step"])


def _map_row(step: StepState, map: MapState) -> list[Any]:
    row = _row(_MAP, map)
    if step.value is map.values:
        row[_VALUES_PLACE] = None  # one list, written once
    return row


def _taken_out(steps: list[Any]) -> dict[str, list[Any]]:
    """The columns of the steps that have nothing but arguments, which they leave."""
    plain = [step if step is not None and step.keys() <= _PLAIN else None for step in steps]
    for place, step in enumerate(plain):
        if step is not None:
            steps[place] = None
    return {
        "tool": [None if step is None else step["tool"] for step in plain],
        "args": [None if step is None else _text(step.get("args", {})) for step in plain],
        "note": [None if step is None else step.get("note", "") for step in plain],
    }


_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


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
    columns = data["steps"]
    columns["map"] = [None if row is None else _map_from_json(row) for row in columns["map"]]
    columns["step"] = list(starmap(_step, _rows(columns, "id", *_TAKEN_OUT, "step")))
    steps = list(starmap(StepState, _rows(columns, *_NAMES)))
    for step in steps:
        if step.map is not None and step.map.values is None:  # pyright: ignore
            step.map.values = step.value  # one list, written once
    state.steps = dict(zip(columns["id"], steps, strict=True))
    return state


def _rows(columns: dict[str, list[Any]], *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(columns[name] for name in names), strict=True)


def _step(id: str, tool: Any, args: Any, note: Any, other: Any) -> Step | None:
    if tool is not None:
        return plain_step(id, tool, args, note, None, Unread)
    return None if other is None else step_from_wire(other, sound=True)


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
_ROUND, _MAP = _forms(RoundState), _forms(MapState)
_VALUES_PLACE = [name for name, _ in _MAP].index("values")
_NAMES = [each.name for each in fields(StepState)]
_TAKEN_OUT = ("tool", "args", "note")
_PLAIN = {"id", *_TAKEN_OUT}
_ALL = [
    [name for name, _ in _RUN],
    [name for name, _ in _ROUND],
    _NAMES,
    [name for name, _ in _MAP],
]


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
