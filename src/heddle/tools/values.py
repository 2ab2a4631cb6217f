"""The border between JSON and Python: a tool's arguments on the way in, its value on the way out.

Arguments are strict: "3" is not a number, but 5.0 is the integer 5, and JSON text stands for what
JSON has no form for (dates, enums, UUIDs, decimals). A container that a tool gets is always its
own copy, so a tool may change it without touching another step's value.

Values must be JSON that anyone can read again: no NaN, no lone surrogates, no nesting beyond
200. A value fits its declared type when its JSON does, so a list of dicts will do for a list of
dataclasses.

Scalars of exactly the declared type pass as they are, which is nearly all of them.
"""

from __future__ import annotations

import json
import math
import types
from inspect import Parameter as _Inspected
from typing import TYPE_CHECKING, Any, NamedTuple, Union, get_args, get_origin

from heddle.errors import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heddle.models.protocol import Usage
    from heddle.tools.signature import Parameter

__all__ = ["MAX_NESTING", "Metered", "binder", "dumper", "shown"]

MAX_NESTING = 200

_EMPTY = _Inspected.empty
_SCALARS = frozenset({str, int, float, bool, type(None)})
_NOTHING: frozenset[type] = frozenset()
_EXACT = 2**53  # floats beyond it no longer tell one integer from the next
_OPEN = (_EMPTY, Any, object, dict, list, dict[str, Any], list[Any], dict[str, object])


class Metered(NamedTuple):
    """What a tool may return when it spent model tokens: its value, and what that took.

    A tool's `invoke` passes it on, with the value dumped: whoever calls a tool takes it apart.
    """

    value: Any
    usage: Usage
    cost_usd: float | None = None


def shown(value: Any, width: int = 60) -> str:
    """A value for an error message, cut to a width."""
    try:
        text = repr(value)
    except Exception:  # a message about a bad value must not fail over it
        text = f"<{type(value).__name__}>"
    return text if len(text) <= width else text[: width - 1] + "…"


def _as_is(value: Any, kinds: frozenset[type]) -> bool:
    """Whether a value is a scalar of exactly one of these types, and sound JSON."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # of Any, on purpose
    if kind not in kinds:
        return False
    if kind is str:
        return value.isascii() or _encodable(value)
    if kind is int:
        return -_EXACT <= value <= _EXACT
    return kind is not float or math.isfinite(value)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kinds(hint: Any) -> frozenset[type]:
    """The scalar types that satisfy a hint as they are."""
    if hint is None:
        return frozenset({type(None)})
    if isinstance(hint, type):
        return frozenset({hint}) & _SCALARS
    if get_origin(hint) in (Union, types.UnionType):
        return frozenset[type]().union(*(_kinds(option) for option in get_args(hint)))
    return _SCALARS if hint is Any else _NOTHING


# -- arguments -----------------------------------------------------------------------------------

_argument_text = json.JSONEncoder(allow_nan=False).encode


def binder(tool: str, takes: Sequence[Parameter]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function from JSON arguments to what the tool's function is called with.

    Cost of a call: one look-up per scalar argument of the declared type; a JSON round trip for
    each of the others.

    Raises:
        ToolFailed: from the returned function, code `bad-argument`.
    """
    known = {item.name: item for item in takes}
    kinds = {item.name: _kinds(item.hint) for item in takes}
    required = [item.name for item in takes if item.required]
    # The commonest types that need no second look: what follows them is one comparison.
    quick = {item.name: item.hint for item in takes if item.hint in (int, bool)}
    total = len(known)

    def bind(args: dict[str, Any]) -> dict[str, Any]:
        bound = args
        for name, value in args.items():
            if type(value) is not quick.get(name) and not _as_is(value, kinds.get(name, _NOTHING)):
                if name not in known:
                    raise _unknown(tool, name, known)
                if bound is args:
                    bound = args.copy()
                bound[name] = _read(tool, known[name], value)
        if len(args) != total:
            for name in required:
                if name not in args:
                    raise _bad_argument(f"{tool}: argument {name!r} is missing")
        return bound

    return bind


def _bad_argument(message: str, hint: str = "") -> ToolFailed:
    return ToolFailed(message, code="bad-argument", hint=hint)


def _unknown(tool: str, name: str, known: dict[str, Parameter]) -> ToolFailed:
    takes = ", ".join(known) or "none"
    return _bad_argument(f"{tool}: there is no argument {shown(name)}", f"it takes {takes}")


def _read(tool: str, parameter: Parameter, value: Any) -> Any:
    where = f"{tool}: argument {parameter.name!r}"
    try:
        text = _argument_text(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise _bad_argument(f"{where} is not JSON: {_why(error)}") from error
    try:
        return parameter.adapter.validate_json(text, strict=True)
    except Exception as error:  # a user's validator may raise anything
        said = _said(where, error)
    whole = _argument_text(_loaded(text))
    if whole != text:  # 5.0 is an integer in JSON, at any depth
        try:
            return parameter.adapter.validate_json(whole, strict=True)
        except Exception as error:  # a user's validator may raise anything
            said = _said(where, error)
    raise _bad_argument(said)


def _loaded(text: str) -> Any:
    """JSON with integral floats as integers; None for JSON that cannot be read at all."""
    try:
        return json.loads(text, parse_float=_whole)
    except (ValueError, RecursionError):
        return None


def _whole(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number


def _why(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return f"it nests deeper than {MAX_NESTING}"
    return shown_line(str(error) or type(error).__name__)


def shown_line(text: str) -> str:
    """The first line of a message, cut to a length that a terminal bears."""
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= 200 else line[:199] + "…"


def _said(where: str, error: Exception) -> str:
    """What a validator minds, with the path to it."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"{where}: {type(error).__name__}: {_why(error)}"
    first = error.errors(include_url=False, include_context=False)[0]
    path = "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in first["loc"])
    if first["type"] == "json_invalid":
        deep = "recursion" in first["msg"]
        return f"{where} " + (f"nests deeper than {MAX_NESTING}" if deep else "is not valid JSON")
    return f"{where}{path and ' at ' + path}: {first['msg'].lower()}, got {shown(first['input'])}"


# -- results -------------------------------------------------------------------------------------


def dumper(tool: str, gives: Any) -> Callable[[Any], Any]:
    """A function from what the tool's function returned to a JSON value.

    Args:
        tool: the tool's name, for messages.
        gives: the return annotation.

    Cost of a call: one look-up for a scalar of the declared type; linear in the value otherwise.

    Raises:
        ToolFailed: from the returned function, code `bad-result`.
    """
    kinds = _SCALARS if gives is _EMPTY else _kinds(gives)
    if float in kinds:
        kinds |= {int}
    dump = _sound if gives in _OPEN else _typed_dump(gives)
    outer = _outer(gives)

    def dumped(value: Any) -> Any:
        if _as_is(value, kinds):
            return value
        try:
            if outer is not None and type(value) is not outer:
                raise TypeError(f"it should be a {outer.__name__}")
            return dump(value)
        except Exception as error:  # a user's serializer may raise anything
            raise _bad_result(tool, value, error) from error

    return dumped


def _outer(gives: Any) -> type | None:
    """The container that an open annotation asks for at the top."""
    found = get_origin(gives) or gives
    return found if gives in _OPEN and found in (dict, list) else None


def _bad_result(tool: str, value: Any, error: Exception) -> ToolFailed:
    if hasattr(value, "close") and hasattr(value, "__await__"):
        value.close()  # a coroutine that nobody will await
        hint = "declare the tool's function `async def`"
    else:
        hint = ""
    return ToolFailed(
        f"{tool}: its value {shown(value)} cannot be passed on: {_complaint(error)}",
        code="bad-result",
        hint=hint,
    )


def _complaint(error: Exception) -> str:
    if isinstance(error, RecursionError) or "recursion limit" in str(error):
        return f"it nests deeper than {MAX_NESTING}"
    if isinstance(error, UnicodeEncodeError):
        return "it holds text that is not valid Unicode (a lone surrogate)"
    if isinstance(error, UnicodeDecodeError):
        return "it holds bytes that are no UTF-8 text"
    if "Out of range float" in str(error):
        return "NaN and infinity are not JSON"
    return _said("it does not fit its declared type", error)


def _sound(value: Any) -> Any:
    """A fresh copy of a JSON value.

    Raises:
        ValueError: NaN, infinity, nesting beyond 200, an integer of more than 4,300 digits.
        UnicodeEncodeError: a lone surrogate.
        TypeError: something that has no JSON form.
    """
    from pydantic_core import from_json

    return from_json(_value_text(value).encode())


def _plain(value: Any) -> Any:
    """Dataclasses, models, dates, sets and so on as JSON, by pydantic's generic rules."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, inf_nan_mode="constants")


_value_text = json.JSONEncoder(allow_nan=False, ensure_ascii=False, default=_plain).encode


def _typed_dump(gives: Any) -> Callable[[Any], Any]:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic_core import PydanticSerializationError

    # As the one element of a list, because a model's adapter takes no settings of ours, and
    # without this one NaN would turn into null unseen.
    listed: Any = types.GenericAlias(list, (gives,))
    adapter = TypeAdapter[list[Any]](listed, config=ConfigDict(ser_json_inf_nan="constants"))

    def dump(value: Any) -> Any:
        try:
            plain = adapter.dump_python([value], mode="json", warnings="error")
        except PydanticSerializationError:
            plain = None
        if plain is None or value is None:  # the serialiser lets None pass for anything
            fitting = adapter.validate_json(_argument_text([_sound(value)]), strict=True)
            plain = adapter.dump_python(fitting, mode="json")
        return _sound(plain[0])

    return dump
