"""What the expressions of `compute` can do: operators, functions and methods, as tables.

Each checks what it is given; each result is bounded before it is made, where it could be large.
Numbers follow `heddle.tools.builtin.arithmetic`. Every fault is a `ToolFailed`: `bad-operand` (a
value that does not fit), `bad-path` (a key or an index that is not there) or `too-large`.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from heddle.errors import ToolFailed
from heddle.plan.expression import SPEC
from heddle.tools.builtin.arithmetic import bounded, divide, raised, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "BINARY",
    "COMPARE",
    "FUNCTIONS",
    "MAX_SIZE",
    "bad",
    "described",
    "elements",
    "failed",
    "index_of",
    "key_of",
    "method",
    "misfit",
    "number_of",
    "part",
    "text_of",
    "too_large",
]

MAX_SIZE: Final = 1_000_000
"""Elements and characters in one value that is made."""


# -- faults


def bad(message: str, hint: str = "") -> ToolFailed:
    """The failure of a value that does not fit."""
    return ToolFailed(message, code="bad-operand", hint=hint)


def too_large(message: str) -> ToolFailed:
    """The failure of something that would hold or take too much."""
    return ToolFailed(message, code="too-large", hint="compute less at once")


def described(value: Any) -> str:
    """What a value is, in words, with the value where it is short."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text {value!r:.60}"
    if isinstance(value, (int, float)):
        return f"the number {value!r:.30}"
    return f"a list of {len(cast('list[Any]', value))}" if isinstance(value, list) else "an object"


def misfit(what: str, *values: Any) -> NoReturn:
    """Refuse values of the wrong kind."""
    raise bad(
        f"{what} cannot take {' and '.join(map(described, values))}", "check what it is given"
    )


# -- kinds of values


def number_of(what: str, value: Any) -> Any:
    """A number."""
    if not isinstance(value, (int, float)):
        misfit(what, value)
    return value


def text_of(what: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        misfit(what, value)
    return value


def key_of(value: Any) -> str:
    """A key of an object, which is a text."""
    return text_of("the key of an object", value)


def index_of(value: Any) -> int:
    """An index, which is an integer."""
    if not isinstance(value, int):
        misfit("an index", value)
    return value


def elements(value: Any) -> list[Any]:
    """What a comprehension goes over: a list's elements, an object's keys, a text's characters."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    if not isinstance(value, (dict, str)):
        raise bad(f"{described(value)} is no list", "go over a list")
    return list(cast("Iterable[Any]", value))


def part(value: Any, key: Any) -> Any:
    """The part at an index (a negative one counts from the end) or key."""
    if isinstance(value, dict) and isinstance(key, str):
        if key in value:
            return cast("dict[str, Any]", value)[key]
    elif isinstance(value, (list, str)) and isinstance(key, int):
        held = cast("list[Any]", value)
        if -len(held) <= key < len(held):
            return held[key]
    raise ToolFailed(f"{described(value)} has no {key!r:.60}", code="bad-path")


# -- operators


def failed(error: ArithmeticError, name: str) -> ToolFailed:
    """The failure that an arithmetic error is."""
    if isinstance(error, ZeroDivisionError):
        return bad("division by zero")
    if isinstance(error, OverflowError):
        return too_large(f"{name}: {error}" if "digits" in str(error) else "a number is too large")
    return bad(f"{name}: {error}")


def _numeric(sign: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
            misfit(sign, left, right)
        try:
            return bounded(function(left, right))
        except ArithmeticError as error:
            raise failed(error, sign) from None

    return apply


_ADD = _numeric("+", lambda left, right: left + right)
_MULTIPLY = _numeric("*", lambda left, right: left * right)


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        return cast("list[Any]", left) + cast("list[Any]", right)
    return _ADD(left, right)


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, (str, list)):
        left, right = cast("Any", right), left
    if isinstance(left, (str, list)) and isinstance(right, int):
        if len(cast("str", left)) * right > MAX_SIZE:
            raise too_large(f"a value would hold more than {MAX_SIZE:,} elements")
        return cast("Any", left) * right
    return _MULTIPLY(left, right)


BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: _numeric("-", lambda left, right: left - right),
    ast.Mult: _multiply,
    ast.Div: _numeric("/", divide),
    ast.FloorDiv: _numeric("//", lambda left, right: left // right),
    ast.Mod: _numeric("%", lambda left, right: left % right),
    ast.Pow: _numeric("**", raised),
}


def _ordered(sign: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        try:
            return compare(left, right)
        except TypeError:
            misfit(sign, left, right)

    return apply


def _inside(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        return text_of("`in` a text", left) in right
    if isinstance(right, dict):
        return isinstance(left, str) and left in right
    if not isinstance(right, list):
        misfit("`in`", right)
    return left in right


COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: _ordered("<", lambda left, right: left < right),
    ast.LtE: _ordered("<=", lambda left, right: left <= right),
    ast.Gt: _ordered(">", lambda left, right: left > right),
    ast.GtE: _ordered(">=", lambda left, right: left >= right),
    ast.In: _inside,
    ast.NotIn: lambda left, right: not _inside(left, right),
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
}


# -- functions


_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})++(?:\.[0-9]*+)?")
_PLAIN = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]{1,4}+)?")


def _read_number(what: str, value: Any) -> Any:
    """A number, or the one that a text holds: "12", " 1,200.5 "."""
    if not isinstance(value, str):
        return number_of(what, value)
    text = value.strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if len(text) > 1_000 or not _PLAIN.fullmatch(text):
        raise bad(f"{what}: {value!r:.60} is no number", "ask the tool for the number only")
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _float(value: Any) -> float:
    return cast("float", bounded(float(_read_number("float", value))))


def _int(value: Any) -> int:
    if isinstance(value, str) and not value.strip().lstrip("+-").replace(",", "").isdigit():
        raise bad(f"int: {value!r:.60} is no whole number", "write int(float(x)) to cut it off")
    return int(_read_number("int", value))


def _str(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _format(value: Any, spec: Any = "") -> str:
    if not isinstance(spec, str) or not SPEC.fullmatch(spec):
        raise bad("this format is not in the language", "write one such as .2f or ,")
    if not spec:
        return _str(value)
    if not isinstance(value, (int, float, str)):
        misfit("a format", value)
    if isinstance(value, str) and spec[-1] in "bdeEfFgGnoxX%,":
        value = _read_number("format", value)
    return format(value, spec)


def _sum(values: Any, start: Any = 0) -> Any:
    total = start
    numbers = elements(values)
    if all(isinstance(each, (int, float)) for each in numbers):
        for each in numbers:
            total = _ADD(total, each)
        return total
    return misfit("sum", next(e for e in numbers if not isinstance(e, (int, float))))


_NONE: Any = object()


def _extreme(name: str, choose: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*values: Any, key: Any = None, default: Any = _NONE) -> Any:
        items = elements(values[0]) if len(values) == 1 else list(values)
        if not items:
            if default is _NONE:
                raise bad(f"{name} of an empty list", f"write {name}(xs, default=0)")
            return default
        return choose(items, key=key)

    return apply


def _sorted(values: Any, *, key: Any = None, reverse: Any = False) -> Any:
    return sorted(elements(values), key=key, reverse=bool(reverse))


def _range(*ends: Any) -> list[int]:
    found = range(*map(index_of, ends))
    if len(found) > MAX_SIZE:
        raise too_large(f"a range would hold more than {MAX_SIZE:,} elements")
    return list(found)


def _sized(value: Any) -> int:
    if not isinstance(value, (str, list, dict)):
        misfit("len", value)
    return len(cast("str", value))


def _enumerate(values: Any, start: Any = 0) -> list[Any]:
    return [[place, each] for place, each in enumerate(elements(values), index_of(start))]


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return dict(cast("dict[str, Any]", value))
    pairs = [elements(each) for each in elements(value)]
    if any(len(pair) != 2 for pair in pairs):
        raise bad("dict takes pairs of a key and a value")
    return {key_of(key): each for key, each in pairs}


def _zip(*lists: Any) -> list[Any]:
    return [list(each) for each in zip(*map(elements, lists), strict=False)]


def _round(value: Any, ndigits: Any = None) -> Any:
    number = _read_number("round", value)
    return rounded(number) if ndigits is None else rounded(number, index_of(ndigits))


def _numeric_function(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: bounded(function(number_of(name, value)))


def _all(values: Any) -> bool:
    return all(elements(values))


def _any(values: Any) -> bool:
    return any(elements(values))


def _listed(values: Any) -> list[Any]:
    return list(elements(values))


def _map(function: Callable[[Any], Any], values: Any) -> list[Any]:
    return [function(each) for each in elements(values)]


def _reversed(values: Any) -> list[Any]:
    return elements(values)[::-1]


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": _numeric_function("abs", abs),
    "all": _all,
    "any": _any,
    "bool": bool,
    "ceil": _numeric_function("ceil", math.ceil),
    "dict": _object,
    "enumerate": _enumerate,
    "float": _float,
    "floor": _numeric_function("floor", math.floor),
    "format": _format,
    "int": _int,
    "len": _sized,
    "list": _listed,
    "map": _map,
    "max": _extreme("max", max),
    "min": _extreme("min", min),
    "pow": _numeric("pow", raised),
    "range": _range,
    "reversed": _reversed,
    "round": _round,
    "sorted": _sorted,
    "sqrt": _numeric_function("sqrt", math.sqrt),
    "str": _str,
    "sum": _sum,
    "tuple": _listed,
    "zip": _zip,
}


# -- methods


def method(owner: Any, name: str, args: list[Any]) -> Any:
    """What a method gives; it is looked up in a table, never on the value."""
    kind = "text" if isinstance(owner, str) else "list" if isinstance(owner, list) else "object"
    method = _METHODS.get((kind, name))
    if method is None or not isinstance(owner, (str, list, dict)):
        raise bad(f"{described(owner)} has no method {name}")
    try:
        return method(owner, *args)
    except ValueError as error:
        raise bad(f"{name}: {error}") from None
    except TypeError:
        misfit(name, owner, *args)


def _join(separator: str, values: Any) -> str:
    parts = [text_of("join", each) for each in elements(values)]
    if len(separator) * len(parts) + sum(map(len, parts)) > MAX_SIZE:
        raise too_large(f"a text would hold more than {MAX_SIZE:,} characters")
    return separator.join(parts)


def _replace(text: str, old: Any, new: Any) -> str:
    count = text.count(text_of("replace", old))
    if len(text) + count * len(text_of("replace", new)) > MAX_SIZE:
        raise too_large(f"a text would hold more than {MAX_SIZE:,} characters")
    return text.replace(old, new)


def _get(owner: dict[str, Any], key: Any, default: Any = None) -> Any:
    return owner.get(key, default) if isinstance(key, str) else default


def _split(text: str, *by: Any) -> list[str]:
    return text.split(*by)


def _count(values: list[Any], item: Any) -> int:
    return values.count(item)


def _place(values: list[Any], item: Any) -> int:
    return values.index(item)


def _items(held: dict[str, Any]) -> list[Any]:
    return [[key, each] for key, each in held.items()]


def _keys(held: dict[str, Any]) -> list[str]:
    return list(held)


def _values(held: dict[str, Any]) -> list[Any]:
    return list(held.values())


_METHODS: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("text", "capitalize"): str.capitalize,
    ("text", "count"): str.count,
    ("text", "endswith"): str.endswith,
    ("text", "index"): str.index,
    ("text", "join"): _join,
    ("text", "lower"): str.lower,
    ("text", "lstrip"): str.lstrip,
    ("text", "replace"): _replace,
    ("text", "rstrip"): str.rstrip,
    ("text", "split"): _split,
    ("text", "splitlines"): str.splitlines,
    ("text", "startswith"): str.startswith,
    ("text", "strip"): str.strip,
    ("text", "title"): str.title,
    ("text", "upper"): str.upper,
    ("list", "count"): _count,
    ("list", "index"): _place,
    ("object", "get"): _get,
    ("object", "items"): _items,
    ("object", "keys"): _keys,
    ("object", "values"): _values,
}
