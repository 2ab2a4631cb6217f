"""Events as JSON and back: what journals, pages and other processes share.

    {"schema": 3, "event": "StepReady", … the event's own fields}

Steps read as in canonical JSON, with their notes and origins. Reading is strict: another schema, an
unknown event, a field that is missing, unknown or of another type is refused.

Invariant: `event_from_json(json.loads(json.dumps(event_to_json(event)))) == event`, tuples inside
of arguments and values excepted, which come back as lists.

>>> from heddle.engine.events import StepEnded
>>> event_to_json(StepEnded(1.5, "1", "done"))
{'schema': 3, 'event': 'StepEnded', 'at': 1.5, 'step': '1', 'status': 'done', 'code': ''}
>>> event_from_json(event_to_json(StepEnded(1.5, "1", "done")))
StepEnded(at=1.5, step='1', status='done', code='')
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args

from heddle.engine.events import EVENTS, SCHEMA, EffectOrigin, Status
from heddle.models.protocol import Usage
from heddle.plan.canonical import plain_from_json, step_from_json, step_to_json
from heddle.plan.canonical import sound as made_sound
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Origin, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from heddle.engine.events import Event

__all__ = [
    "WireError", "event_from_json", "event_to_json", "finding_from_wire", "finding_to_wire",
    "step_from_wire", "step_to_wire", "trusted",
]  # fmt: skip

_HEAD = {"schema", "event"}
_MAX_NESTING = 500  # of what is read; values nest less, and everything that writes JSON can follow

Fields: TypeAlias = "dict[str, Any]"


class WireError(ValueError):
    """Something that is no event of this schema; the message says where and why."""


def event_to_json(event: Event) -> Fields:
    """An event as plain JSON. Containers are shared with the event: do not change them.

    Cost: linear in the event's values.

    Raises:
        WireError: a field holds what JSON has no form for, as NaN or half of a surrogate pair.
    """
    kind = type(event).__name__
    if EVENTS.get(kind) is not type(event):
        raise WireError(f"{kind} is no event")
    fields = {
        name: _at(kind, name, form.write, value)
        for (name, form), value in zip(_FORMS[kind].items(), event, strict=True)
    }
    return {"schema": SCHEMA, "event": kind, **fields}


def event_from_json(data: Any, *, sound: bool = False) -> Event:
    """The event that `event_to_json` wrote.

    Args:
        data: what was read.
        sound: whether it is known to be what `event_to_json` wrote, as by a hash. Types of fields
            are looked at all the same, but what values hold is not.

    Cost: linear in the data.

    Raises:
        WireError: another schema, an unknown event, or a field that does not fit.
    """
    if sound and (event := trusted(data)) is not None:
        return event
    data = _object(data)
    if type(data.get("schema")) is not int or data["schema"] != SCHEMA:
        raise WireError(f"it is not of schema {SCHEMA}, which this version reads")
    kind = data.get("event")
    if not isinstance(kind, str) or kind not in EVENTS:
        raise WireError(
            f"there is no event {kind!r:.40}" if isinstance(kind, str) else "it names no event"
        )
    forms = _FORMS[kind]
    _same_names(kind, data.keys() - _HEAD, forms)
    return EVENTS[kind](*[_at(kind, name, form.read, data[name]) for name, form in forms.items()])


def trusted(data: Any) -> Event | None:
    """An event that is known to be sound, in one pass; None if anything is wrong with it.

    `event_from_json` says what, and where.
    """
    try:
        kind, schema = data["event"], data["schema"]
        trusts = _TRUSTS[kind]
        if schema != SCHEMA or schema.__class__ is not int or len(data) != len(trusts) + 2:
            return None
        return EVENTS[kind](*[
            value if (value := data[name]).__class__ in plain else trust(value)
            for name, plain, trust in trusts
        ])  # fmt: skip
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _at(kind: str, name: str, convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(f"{kind}.{name}: {error}") from error


def _same_names(what: str, given: AbstractSet[Any], wanted: Mapping[str, Any]) -> None:
    if given == wanted.keys():
        return
    odd = min(given ^ wanted.keys(), key=str, default=None)
    if odd is not None:
        fault = "missing" if odd in wanted else "unknown"
        raise WireError(f"{what}: field {odd!r:.40} is {fault}")


# -- plain JSON ----------------------------------------------------------------------------------


def _json(value: Any) -> Any:
    """The value itself, if it is sound JSON. Cost: linear, without recursion."""
    level: list[Any] = [value]
    depth = 0
    while level:
        inner: list[Any] = []
        for item in level:
            if item.__class__ is str:  # as most are: no call
                item.encode()
            elif item.__class__ not in _SOUND:
                inner += _inside(item)
        level = inner
        depth += 1
        if depth > _MAX_NESTING:
            raise ValueError(f"it nests deeper than {_MAX_NESTING} lists and objects")
    return value


_SOUND = frozenset((bool, int, type(None)))
"""Classes of scalars, all of whose values are JSON."""


def _inside(value: Any) -> Any:
    """What a container holds, its keys included; scalars hold nothing and are checked."""
    if isinstance(value, dict):
        mapping = cast("dict[Any, Any]", value)
        for key in mapping:
            _text(key)
        return mapping.values()
    if isinstance(value, (list, tuple)):
        return cast("list[Any]", value)
    if isinstance(value, str):
        value.encode()
        return ()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number")
        return ()
    if isinstance(value, int):
        return ()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    value.encode()
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, got {type(value).__name__}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {type(value).__name__}")
    return value


def _object(value: Any) -> Fields:
    if not isinstance(value, dict):
        raise WireError(f"expected an object, got {type(value).__name__}")
    return cast("Fields", value)


def _json_object(value: Any) -> Fields:
    return _json(_object(value))


def _status(value: Any) -> Status:
    if _text(value) not in get_args(Status):
        raise ValueError(f"there is no status {value!r:.40}")
    return cast("Status", value)


# -- what is more than plain JSON ----------------------------------------------------------------


class _Form:
    """How the values of one type are written and read.

    Attributes:
        trust: reads what is known to be sound.
        plain: classes of such values that stand for themselves, so that nothing need be called.
    """

    def __init__(
        self,
        write: Callable[[Any], Any],
        read: Callable[[Any], Any],
        trust: Callable[[Any], Any] | None = None,
        *plain: type,
    ) -> None:
        self.write, self.read, self.trust, self.plain = write, read, trust or read, frozenset(plain)


def _plain(check: Callable[[Any], Any], *plain: type) -> _Form:
    return _Form(check, check, None, *plain)


def _itself(value: Any) -> Any:
    return value


def _optional(form: _Form) -> _Form:
    def write(value: Any) -> Any:
        return None if value is None else form.write(value)

    def read(value: Any) -> Any:
        return None if value is None else form.read(value)

    return _Form(write, read, None, type(None), *form.plain)


def _many(form: _Form) -> _Form:
    """Tuples of any length, as lists."""

    def write(value: Any) -> list[Any]:
        return [form.write(item) for item in value]

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, got {type(value).__name__}")
        return tuple(form.read(item) for item in cast("list[Any]", value))

    return _Form(write, read)


def _record(kind: type[Any], **forms: _Form) -> _Form:
    """Named tuples and dataclasses with these fields, as objects."""

    def write(value: Any) -> Fields:
        return {name: form.write(getattr(value, name)) for name, form in forms.items()}

    def read(value: Any) -> Any:
        data = _object(value)
        _same_names(kind.__name__, data.keys(), forms)
        return kind(**{name: form.read(data[name]) for name, form in forms.items()})

    return _Form(write, read)


def _pair(value: Any) -> list[str]:
    first, second = cast("list[Any]", value)
    return [_text(first), _text(second)]


def _read_pair(value: Any) -> tuple[str, str]:
    if not isinstance(value, list):
        raise TypeError(f"expected a pair, got {type(value).__name__}")
    first, second = _pair(value)
    return first, second


_TEXT, _WHOLE = _plain(_text, str), _plain(_whole, int)
_NUMBER, _FLAG = _plain(_number, float, int), _plain(_flag, bool)
_QUOTED = _Form(lambda text: _text(made_sound(text)), _text)  # of a plan whose text may be unsound
_ORIGIN = _record(Origin, line=_WHOLE, column=_WHOLE)


def step_to_wire(step: Step) -> Fields:
    """A step as in canonical JSON, with its note and its origin."""
    data = _json(step_to_json(step, note=True))
    return {**data, "origin": _ORIGIN.write(step.origin)} if step.origin else data


def step_from_wire(value: Any, *, sound: bool = False) -> Step:
    """The step that `step_to_wire` wrote.

    Args:
        value: what was read.
        sound: as for `event_from_json`.

    Raises:
        ValueError: it is none.
        TypeError: it is none.
    """
    data = _object(value if sound else _json(value))
    if "origin" not in data:
        return step_from_json(data, sound=sound)
    data = dict(data)
    return step_from_json(data, origin=_ORIGIN.read(data.pop("origin")), sound=sound)


def _trusted_step(value: Any) -> Step:
    plain = None if value.__class__ is not dict else plain_from_json(value, None, sound=True)
    return plain or step_from_wire(value, sound=True)


_SEVERITY = {"error", "warning"}


def _severity(value: Any) -> str:
    if _text(value) not in _SEVERITY:
        raise ValueError(f"there is no severity {value!r:.40}")
    return value


_FINDING = _record(
    Finding, code=_TEXT, severity=_plain(_severity), message=_QUOTED, hint=_QUOTED, line=_WHOLE,
    column=_WHOLE, snippet=_QUOTED, step=_QUOTED,
)  # fmt: skip
finding_to_wire, finding_from_wire = _FINDING.write, _FINDING.read
_HOLE = _record(Hole, id=_TEXT, text=_QUOTED, findings=_many(_FINDING), origin=_optional(_ORIGIN))
_USAGE = _record(
    Usage, input_tokens=_WHOLE, cached_input_tokens=_WHOLE, output_tokens=_WHOLE,
    estimated=_FLAG,
)  # fmt: skip
_EFFECT = _record(
    EffectOrigin, run=_TEXT, round=_WHOLE, n=_WHOLE, hash=_TEXT, element=_optional(_WHOLE)
)

_BY_TYPE: dict[str, _Form] = {
    "Any": _Form(_json, _json, _itself, str, int, float, bool, type(None), list, dict),
    "Mapping[str, Any]": _Form(_json_object, _json_object, _object, dict),
    "str": _TEXT,
    "int": _WHOLE,
    "int | None": _optional(_WHOLE),
    "float": _NUMBER,
    "float | None": _optional(_NUMBER),
    "bool": _FLAG,
    "Status": _plain(_status),
    "tuple[str, ...]": _many(_TEXT),
    "tuple[tuple[str, str], ...]": _many(_Form(_pair, _read_pair)),
    "Step": _Form(step_to_wire, step_from_wire, _trusted_step),
    "Hole": _HOLE,
    "Finding": _FINDING,
    "Usage": _USAGE,
    "Usage | None": _optional(_USAGE),
    "EffectOrigin": _EFFECT,
}
"""How a field is written, by its type as `engine.events` spells it."""


def _spelled(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else annotation.__forward_arg__


_FORMS: dict[str, dict[str, _Form]] = {
    kind: {name: _BY_TYPE[_spelled(hint)] for name, hint in event.__annotations__.items()}
    for kind, event in EVENTS.items()
}

_TRUSTS: dict[str, list[tuple[str, frozenset[type], Callable[[Any], Any]]]] = {
    kind: [(name, form.plain, form.trust) for name, form in forms.items()]
    for kind, forms in _FORMS.items()
}
"""The fields of each event as `trusted` reads them."""
