"""Canonical JSON: what `parse`, `convert`, hashes and outside tools share.

    {"heddle": 1, "steps": [{"id", "tool", "args", … only fields that are set}], "output": Value}

Nodes read `{"$ref": id, "path": […]}`, `{"$item": path}`, `{"$input": name, "path": […]}`,
`{"$template": […]}` and `{"$choose": […]}`; data that looks like a node is wrapped, verbatim, as
`{"$literal": data}`. Bytes are as RFC 8785 has them, except that integers are always exact.

Invariant: `canonical_text(from_json(json.loads(text)))` is `text` for every canonical text.
Source: RFC 8785 (JSON Canonicalization Scheme).

>>> from heddle.plan.ir import Plan, Ref, Step
>>> plan = Plan([Step("1", "price", {"ticker": "AAPL"}), Step("2", "double", {"x": Ref("1")})])
>>> canonical_text(plan)[:60]
'{"heddle":1,"steps":[{"args":{"ticker":"AAPL"},"id":"1","too'
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.ir import (
    MISSING,
    Choose,
    Hole,
    Input,
    Item,
    Node,
    Origin,
    Path,
    Plan,
    Ref,
    Step,
    Template,
    Value,
    When,
    plain_step,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FORMAT",
    "NODE_KEYS",
    "NodeError",
    "Unread",
    "canonical_bytes",
    "canonical_text",
    "decode",
    "decoded",
    "encode",
    "hash_of",
    "plain_from_json",
    "plan_hash",
    "plan_to_json",
    "prefix_hash",
    "sound",
    "step_from_json",
    "step_to_json",
]

FORMAT = 1
NODE_KEYS = frozenset({"$ref", "$item", "$input", "$template", "$choose", "$literal"})
_STEP_KEYS = frozenset(field.name for field in fields(Step)) - {"origin"}
_SCALARS = frozenset((str, int, float, bool, type(None)))
_PLAIN_KEYS = frozenset(("id", "tool", "args", "note"))


class NodeError(ValueError):
    """A node or a step in JSON form that the format does not allow."""

    def __init__(self, message: str, code: str = "bad-node") -> None:
        super().__init__(message)
        self.code = code


# -- bytes ---------------------------------------------------------------------------------------

_quote = json.encoder.encode_basestring  # the short escapes and \\u00xx, as RFC 8785 asks


def _number(value: float) -> str:
    """A float as ECMAScript prints it (RFC 8785 §3.2.2.3)."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    if value == 0:
        return "0"
    text = repr(value)
    if "e" not in text:  # both print it alike, but for the point of a whole number
        return text.removesuffix(".0")
    size = abs(value)
    if 1e-6 <= size < 1e21:
        plain = format(Decimal(text), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    mantissa, _, exponent = text.partition("e")
    sign = "-" if exponent.startswith("-") else "+"
    return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').lstrip('0')}"


def _write(value: Any, out: list[str]) -> None:
    if value.__class__ is str:
        out.append(_quote(value))
    elif isinstance(value, dict):
        _write_object(cast("dict[str, Any]", value), out)
    elif isinstance(value, (list, tuple)):
        mark = "["
        for item in cast("list[Any]", value):
            out.append(mark)
            _write(item, out)
            mark = ","
        out.append("[]" if mark == "[" else "]")
    else:
        out.append(_scalar(value))


def _write_object(mapping: dict[str, Any], out: list[str]) -> None:
    plain = "".join(mapping).isascii()  # then code points are in the order of UTF-16
    mark = "{"
    for key in sorted(mapping) if plain else sorted(mapping, key=_utf16):
        item = mapping[key]
        if item.__class__ is str:  # as most are: no call
            out.append(f"{mark}{_quote(key)}:{_quote(item)}")
        else:
            out.append(f"{mark}{_quote(key)}:")
            _write(item, out)
        mark = ","
    out.append("{}" if mark == "{" else "}")


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _quote(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def canonical_bytes(value: Any) -> bytes:
    """A JSON value as RFC 8785 bytes.

    Raises:
        ValueError: NaN, infinity, or text with a lone surrogate.
        TypeError: something that is not JSON.
    """
    out: list[str] = []
    _write(value, out)
    return "".join(out).encode()


def sound(text: str) -> str:
    """Text that can be written down: half of a surrogate pair becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# -- values --------------------------------------------------------------------------------------


def encode(value: Value) -> Any:
    """A value with nodes as plain JSON."""
    if value.__class__ in _SCALARS or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if not NODE_KEYS.isdisjoint(mapping):
            return {"$literal": _verbatim(mapping)}
        return {key: encode(item) for key, item in mapping.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in cast("list[Any]", value)]
    return _encode_node(value)


def _encode_node(node: Node) -> dict[str, Any]:
    if isinstance(node, Ref):
        return {"$ref": node.step, **_path_field(node.path)}
    if isinstance(node, Item):
        return {"$item": list(node.path)}
    if isinstance(node, Input):
        return {"$input": node.name, **_path_field(node.path)}
    if isinstance(node, Template):
        return {"$template": [encode(part) for part in node.parts]}
    if isinstance(node, Choose):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may pass anything
        return {"$choose": [encode(option) for option in node.options]}
    raise TypeError(f"{type(node).__name__} is not a plan value")


def _path_field(path: Path) -> dict[str, Any]:
    return {"path": list(path)} if path else {}


def _verbatim(value: Any) -> Any:
    """Check that data to be wrapped holds no node, which `$literal` could not carry."""
    if isinstance(value, (Ref, Item, Input, Template, Choose)):
        raise TypeError("a literal that looks like a node cannot hold a reference")
    if isinstance(value, dict):
        return {key: _verbatim(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_verbatim(item) for item in cast("list[Any]", value)]
    return value


def decode(value: Any) -> Value:
    """Plain JSON as a value with nodes.

    Raises:
        NodeError: a node that is malformed.
    """
    if isinstance(value, dict):
        return _decode_mapping(value)  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(value, list):
        return value
    items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]  # no call of `cast`: there may be millions
    return [item if item.__class__ in _SCALARS else decode(item) for item in items]


def decoded(args: dict[str, Any]) -> dict[str, Value]:
    """Arguments as values with nodes; see `decode`."""
    return {
        name: item if item.__class__ in _SCALARS else decode(item) for name, item in args.items()
    }


def _decode_mapping(mapping: dict[str, Any]) -> Value:
    if len(mapping) == 1 and (name := mapping.get("$ref")) and name.__class__ is str:
        return Ref(name)
    kinds = NODE_KEYS.intersection(mapping)
    if not kinds:
        return {key: decode(item) for key, item in mapping.items()}
    return _decode_node(mapping, kinds)


def _decode_node(mapping: dict[str, Any], kinds: frozenset[str]) -> Value:
    kind = next(iter(kinds))
    extra = set(mapping) - {kind} - ({"path"} if kind in ("$ref", "$input") else set())
    if len(kinds) > 1 or extra:
        odd = ", ".join(sorted(extra or kinds))
        raise NodeError(f"a {kind} node cannot also have {odd}; wrap data as {{'$literal': …}}")
    body = mapping[kind]
    if kind == "$literal":
        return body
    if kind == "$item":
        return Item(_path(body))
    if kind in ("$ref", "$input"):
        if not isinstance(body, str) or not body:
            raise NodeError(f"{kind} must be a name, got {body!r}")
        path = _path(mapping.get("path", []))
        return Ref(body, path) if kind == "$ref" else Input(body, path)
    if not isinstance(body, list):
        raise NodeError(f"{kind} must be a list, got {body!r}")
    parts = [decode(part) for part in cast("list[Any]", body)]
    if kind == "$choose":
        if not parts or not all(isinstance(part, Ref) for part in parts):
            raise NodeError("$choose must be a list of $ref nodes")
        return Choose(tuple(parts))
    if not all(isinstance(part, (str, Ref, Item, Input)) for part in parts):
        raise NodeError("$template must be a list of texts and references")
    return Template(tuple(parts))


def _path(path: Any) -> Path:
    if not isinstance(path, list):
        raise NodeError(f"a path must be a list of keys and indexes, got {path!r}")
    for key in cast("list[Any]", path):
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise NodeError(f"a path holds texts and whole numbers, got {key!r}")
    return tuple(cast("list[str | int]", path))


# -- steps and plans -----------------------------------------------------------------------------


def step_to_json(step: Step, *, note: bool = False) -> dict[str, Any]:
    """A step as plain JSON: only the fields that are set, and no origin.

    Args:
        step: the step.
        note: keep the note, for people; canonical text leaves it out.
    """
    out: dict[str, Any] = {"id": step.id, "tool": step.tool}
    if step.args:
        out["args"] = {name: encode(value) for name, value in step.args.items()}
    if step.over is not MISSING:
        out["over"] = encode(step.over)
    if step.default is not MISSING:
        out["default"] = step.default
    if step.when is not None:
        subject = encode(step.when.subject)
        out["when"] = {"not": subject} if step.when.negated else subject
    lists = ("after", step.after or None), ("reads", step.reads or None)
    for name, names in (*lists, ("writes", step.writes or None), ("sees", step.sees)):
        if names is not None:
            out[name] = list(names)
    singles = ("bound", step.bound), ("role", step.role), ("retry", step.retry)
    for name, value in (*singles, ("timeout_s", step.timeout_s)):
        if value is not None:
            out |= {name: value}
    if note and step.note:
        out["note"] = step.note
    return out


def step_from_json(
    data: dict[str, Any], origin: Origin | None = None, *, sound: bool = False
) -> Step:
    """A step from plain JSON, which has no origin of its own.

    Args:
        data: what was read.
        origin: where it stood in a text.
        sound: whether it is known to be what `step_to_json` wrote: plain arguments are then decoded
            when somebody looks at them.

    Raises:
        NodeError: a field that is unknown, missing or malformed.
    """
    if (plain := plain_from_json(data, origin, sound=sound)) is not None:
        return plain
    if not data.keys() <= _STEP_KEYS:
        unknown = min(data.keys() - _STEP_KEYS)
        raise NodeError(f"a step has no field {unknown!r}", "bad-field")
    args = data.get("args", {})
    if isinstance(args, list):
        args = {str(place): item for place, item in enumerate(cast("list[Any]", args))}
    if not isinstance(args, dict):
        raise NodeError("args must be an object", "bad-field")
    return Step(
        id=_text(data, "id"),
        tool=_text(data, "tool"),
        args={name: decode(item) for name, item in cast("dict[str, Any]", args).items()},
        after=_names(data, "after") or (),
        over=decode(data["over"]) if "over" in data else MISSING,
        bound=_whole(data, "bound", 1),
        when=_guard(data["when"]) if data.get("when") is not None else None,
        default=data.get("default", MISSING),
        role=_text(data, "role") if data.get("role") is not None else None,
        sees=_names(data, "sees"),
        reads=_names(data, "reads") or (),
        writes=_names(data, "writes") or (),
        timeout_s=_seconds(data),
        retry=_whole(data, "retry", 0),
        note=str(data.get("note", "")),
        origin=origin,
    )


def plain_from_json(data: dict[str, Any], origin: Origin | None, *, sound: bool) -> Step | None:
    """A step with arguments and nothing else, as most are; None of any other. See step_from_json.

    There may be a million of them.
    """
    if not data.keys() <= _PLAIN_KEYS:
        return None
    get: Any = data.get
    id, tool, args, note = get("id"), get("tool"), get("args"), get("note", "")
    if not (id.__class__ is tool.__class__ is note.__class__ is str and args.__class__ is dict):
        return None
    if not (id and tool):
        return None
    if sound:
        return plain_step(id, tool, args, note, origin, Unread)
    return plain_step(id, tool, decoded(args), note, origin)


class Unread(Step):
    """A plain step whose arguments are still JSON, as data or as text, as `step_to_json` made it.

    A look at them makes it a Step like any other. A journal may hold a million steps, and at those
    that have ended hardly anybody looks again. `plain_step` makes it.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # as that of any step with arguments

    @property
    def args(self) -> Mapping[str, Value]:  # type: ignore[override]
        """The arguments, decoded."""
        raw = _args.__get__(self)
        args = decoded(json.loads(raw) if raw.__class__ is str else raw)
        _args.__set__(self, args)
        object.__setattr__(self, "__class__", Step)
        return args

    def _looked_at(self) -> Step:
        _ = self.args
        return self

    def __eq__(self, other: object) -> bool:
        return self._looked_at() == other

    def __repr__(self) -> str:
        return repr(self._looked_at())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._looked_at().__reduce_ex__(protocol)


_args = cast("Any", Step).args  # where they are kept, which the property stands before


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and name == "id":
        return str(value)
    if not isinstance(value, str) or not value:
        raise NodeError(f"{name} must be a text, got {value!r}", "bad-field")
    return value


def _names(data: dict[str, Any], name: str) -> tuple[str, ...] | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise NodeError(f"{name} must be a list of names", "bad-field")
    names = [str(item) if isinstance(item, int) else item for item in cast("list[Any]", value)]
    if not all(isinstance(item, str) for item in names):
        raise NodeError(f"{name} must be a list of names", "bad-field")
    return tuple(names)


def _whole(data: dict[str, Any], name: str, least: int) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise NodeError(f"{name} must be a whole number from {least}", "bad-field")
    return value


def _seconds(data: dict[str, Any]) -> float | None:
    value = data.get("timeout_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise NodeError("timeout_s must be a positive number of seconds", "bad-field")
    return value


def _guard(value: Any) -> When:
    negated = isinstance(value, dict) and set(cast("dict[str, Any]", value)) == {"not"}
    subject = decode(value["not"] if negated else value)
    if not isinstance(subject, (Ref, Item, Input)):
        raise NodeError("when must be a $ref, $item or $input, or {'not': one of them}")
    return When(subject, negated)


def plan_to_json(plan: Plan, *, notes: bool = False) -> dict[str, Any]:
    """A plan as plain JSON.

    Raises:
        ValueError: the plan has holes, which no format can carry.
    """
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole: repair it first")
    out: dict[str, Any] = {"heddle": FORMAT}
    out["steps"] = [step_to_json(step, note=notes) for step in plan.steps]
    if plan.output is not None:
        out["output"] = encode(plan.output)
    return out


def canonical_text(plan: Plan) -> str:
    """A plan as canonical text, without notes and origins.

    Raises:
        ValueError: the plan has holes.
    """
    return canonical_bytes(plan_to_json(plan)).decode()


# -- hashes --------------------------------------------------------------------------------------


def hash_of(value: Any) -> str:
    """SHA-256 of a JSON value's canonical bytes, as hexadecimal text."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def prefix_hash(plan: Plan, n: int) -> str:
    """h(n) = SHA-256(h(n-1) + canonical step n), with h(0) = SHA-256("heddle/1").

    Hashes are made when first asked for and kept.

    Cost: linear over the life of a plan.

    Raises:
        ValueError: there is a hole among the first n entries, or n is too large.
    """
    if not 0 <= n <= len(plan):
        raise ValueError(f"the plan has {len(plan)} steps, not {n}")
    last = plan.hashes[-1] if plan.hashes else hashlib.sha256(b"heddle/1").digest()
    while len(plan.hashes) < n:
        entry = plan.entries[len(plan.hashes)]
        if isinstance(entry, Hole):
            raise ValueError(f"step {entry.id} is a hole")
        last = hashlib.sha256(last + canonical_bytes(step_to_json(entry))).digest()
        plan.hashes.append(last)
    return (plan.hashes[n - 1] if n else hashlib.sha256(b"heddle/1").digest()).hex()


def plan_hash(plan: Plan) -> str:
    """The hash of a whole plan: its last prefix hash.

    Raises:
        ValueError: the plan has holes.
    """
    return prefix_hash(plan, len(plan))
