"""JSON schemas, as far as a plan needs them: does a value match, can a result fit, what is a part.

Types are strict, as JSON has them: "3" is not a number, true is not a number, 5.0 is a whole
number. Keywords that are not in `KEYWORDS` accept everything; so do patterns, which are not
evaluated, because a pattern from outside may take exponential time.

A schema that was cut out of a larger one keeps that one under the private key `$root`, so that
its `$ref`s still lead somewhere.

>>> mismatch([1, "2"], {"type": "array", "items": {"type": "number"}})
"[1] must be a number, got text '2'"
>>> incompatible({"type": "string"}, {"type": "number"})
'it is text, and a number is wanted'
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.plan.ir import Choose, Input, Item, Path, Ref, Template, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heddle.plan.ir import Value
    from heddle.plan.spec import Schema

__all__ = [
    "DEEPEST",
    "KEYWORDS",
    "embedded",
    "fault",
    "incompatible",
    "mismatch",
    "part",
    "printable",
    "said",
    "show_path",
]

Fault: TypeAlias = "tuple[Path, str]"  # where in the value, and what is wrong there
Kinds: TypeAlias = frozenset[str]
Body: TypeAlias = Any  # what stands behind a keyword of a schema: written by others, so anything

Rooted: TypeAlias = "tuple[Body, Schema]"  # a schema, and the one that its `$ref`s lead from

DEEPEST = 200  # levels of lists, objects and alternatives that are judged
_LIST, _OBJECT = frozenset({"array"}), frozenset({"object"})
_SAYING = frozenset({"type", "properties", "items", "enum", "const"})  # more than alternatives
_FURTHEST = 40  # levels of two schemas that are compared; what lies deeper may fit
_NODES = (Ref, Item, Input, Template, Choose)
_ROOT = "$root"
_ANYTHING: Schema = {}
_NEVER: Schema = {"not": {}}
_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_KIND_OF: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    tuple: "array",
    dict: "object",
}

# -- does a value match? -------------------------------------------------------------------------


def mismatch(value: Value, schema: Schema) -> str | None:
    """Why a value does not match a schema, with the path, or None. Nodes inside are skipped.

    Cost: linear in the value for a plain schema; value times schema at worst.
    """
    found = fault(value, schema)
    if found is None:
        return None
    path, reason = found
    return f"{show_path(path)} {reason}" if path else reason


def fault(value: Value, schema: Schema) -> Fault | None:
    """The first place where a value does not match a schema, and why; or None."""
    return _Judge().fault(value, schema, schema, 0)


class _Judge:
    """One judgement. It remembers what it met under alternatives, which may meet it again."""

    def __init__(self) -> None:
        self.met: dict[tuple[int, int], Fault | None] = {}

    def fault(self, value: Value, schema: Body, root: Schema, depth: int) -> Fault | None:
        if schema is False:
            return (), "must not be given"
        if isinstance(value, _NODES) or not isinstance(schema, Mapping):
            return None
        if depth > DEEPEST:
            return (), f"nests too deep to be judged (more than {DEEPEST} levels)"
        schema = cast("Schema", schema)
        root = schema.get(_ROOT, root)
        if _BRANCHING.isdisjoint(schema):
            return self._first_fault(value, schema, root, depth)
        key = id(value), id(schema)
        if key not in self.met:
            self.met[key] = None  # a schema that leads back to itself asks nothing more
            self.met[key] = self._first_fault(value, schema, root, depth)
        return self.met[key]

    def _first_fault(self, value: Value, schema: Schema, root: Schema, depth: int) -> Fault | None:
        for keyword, wanted in schema.items():
            form, rule = KEYWORDS.get(keyword, _UNKNOWN)
            if isinstance(wanted, form):
                found = rule(self, value, schema, wanted, root, depth + 1)
                if found is not None:
                    return found
        return None

    def inside(
        self, parts: Iterable[tuple[str | int, Value, Body]], root: Schema, depth: int
    ) -> Fault | None:
        """The first fault among the parts of a container, with its key put before the path."""
        for key, value, schema in parts:
            found = self.fault(value, schema, root, depth)
            if found is not None:
                return (key, *found[0]), found[1]
        return None


def _type(judge: _Judge, value: Value, schema: Schema, wanted: Body, *_: Body) -> Fault | None:
    kinds = _declared_kinds(wanted)
    if kinds is None or _is_one_of(value, kinds):
        return None
    return (), f"must be {_either(kinds)}, got {said(value)}"


def _is_one_of(value: Value, kinds: Kinds) -> bool:
    kind = _kind_of(value)
    if kind in kinds or (kind == "integer" and "number" in kinds):
        return True
    return kind == "number" and "integer" in kinds and value.is_integer()


def _kind_of(value: Value) -> str:
    return _KIND_OF.get(type(value), "")  # pyright: ignore[reportUnknownArgumentType]


def _enum(judge: _Judge, value: Value, schema: Schema, wanted: Body, *_: Body) -> Fault | None:
    if _holds_node(value) or any(_same(value, option) for option in wanted):
        return None
    options = ", ".join(said(option, bare=True) for option in wanted[:8])
    return (), f"must be one of {options}{', …' if len(wanted) > 8 else ''}, got {said(value)}"


def _const(judge: _Judge, value: Value, schema: Schema, wanted: Body, *_: Body) -> Fault | None:
    if _holds_node(value) or _same(value, wanted):
        return None
    return (), f"must be {said(wanted, bare=True)}, got {said(value)}"


def _holds_node(value: Value) -> bool:
    return isinstance(value, (list, dict)) and next(nodes_of(value), None) is not None


def _same(one: Value, other: Value) -> bool:
    """Whether two JSON values are equal, where true is not 1."""
    if isinstance(one, (list, dict)) or isinstance(other, (list, dict)):
        return bool(one == other)
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _any_of(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    faults: list[Fault] = []
    for branch in wanted:
        found = judge.fault(value, branch, root, depth)
        if found is None:
            return None
        faults.append(found)
    deepest = max(faults, key=lambda item: len(item[0]), default=((), "can never be given"))
    kinds = _kinds({"anyOf": wanted}, root)
    if deepest[0] or kinds is None or _is_one_of(value, kinds):
        return deepest  # the alternative that it came closest to
    return (), f"must be {_either(kinds)}, got {said(value)}"


def _one_of(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    if _holds_node(value):  # what a node stands for may decide between the alternatives
        return _any_of(judge, value, schema, wanted, root, depth)
    fits = sum(judge.fault(value, branch, root, depth) is None for branch in wanted)
    if fits > 1:
        return (), f"must match one of {len(wanted)} alternatives and matches {fits}"
    return None if fits else _any_of(judge, value, schema, wanted, root, depth)


def _all_of(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    faults = (judge.fault(value, branch, root, depth) for branch in wanted)
    return next((found for found in faults if found), None)


def _ref(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    return judge.fault(value, _target(wanted, root), root, depth)


def _items(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    if not isinstance(value, (list, tuple)):
        return None
    items = cast("list[Any]", value)
    start = len(_list(schema, "prefixItems"))
    if wanted is False and len(items) > start:
        return (), f"must have at most {_count(start, 'item')}, got {len(items)}"
    rest = ((place, items[place], wanted) for place in range(start, len(items)))
    return judge.inside(rest, root, depth)


def _prefix_items(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    if not isinstance(value, (list, tuple)):
        return None
    pairs = enumerate(zip(cast("list[Any]", value), wanted, strict=False))
    return judge.inside(((place, item, sub) for place, (item, sub) in pairs), root, depth)


def _properties(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    if not isinstance(value, dict):
        return None
    mapping = cast("dict[str, Any]", value)
    parts = ((key, item, wanted[key]) for key, item in mapping.items() if key in wanted)
    return judge.inside(parts, root, depth)


def _required(judge: _Judge, value: Value, schema: Schema, wanted: Body, *_: Body) -> Fault | None:
    if not isinstance(value, dict):
        return None
    lacking = next((name for name in filter(_is_text, wanted) if name not in value), None)
    return None if lacking is None else ((), f'must have "{printable(lacking)}"')


def _additional(
    judge: _Judge, value: Value, schema: Schema, wanted: Body, root: Schema, depth: int
) -> Fault | None:
    if not isinstance(value, dict) or "patternProperties" in schema:
        return None
    known = _mapping(schema, "properties")
    mapping = cast("dict[str, Any]", value)
    extra = [(key, item, wanted) for key, item in mapping.items() if key not in known]
    if extra and wanted is False:
        return (), f'must not have "{printable(str(extra[0][0]))}"'
    return judge.inside(extra, root, depth)


def _bound(
    types: tuple[type, ...],
    measure: Callable[[Any], Any],
    fits: Callable[[Any, Any], bool],
    words: str,
) -> _Rule:
    """A rule that compares one measure of a value with a number."""

    def rule(judge: _Judge, value: Value, schema: Schema, wanted: Body, *_: Body) -> Fault | None:
        if not isinstance(value, types) or isinstance(value, bool) or isinstance(wanted, bool):
            return None
        if fits(measure(value), wanted):
            return None
        return (), f"must {words.format(said(wanted, bare=True))}, got {said(value)}"

    return rule


def _itself(value: Value) -> Value:
    return value


_Rule: TypeAlias = "Callable[..., Fault | None]"
_NUMBERS, _TEXTS, _LISTS, _SCHEMA = (int, float), (str,), (list, tuple), (dict, bool)

KEYWORDS: dict[str, tuple[type | tuple[type, ...], _Rule]] = {
    "type": ((str, list), _type),
    "enum": (list, _enum),
    "const": (object, _const),
    "anyOf": (list, _any_of),
    "oneOf": (list, _one_of),
    "allOf": (list, _all_of),
    "$ref": (str, _ref),
    "items": (_SCHEMA, _items),
    "prefixItems": (list, _prefix_items),
    "properties": (dict, _properties),
    "required": (list, _required),
    "additionalProperties": (_SCHEMA, _additional),
    "minimum": (_NUMBERS, _bound(_NUMBERS, _itself, ge, "be at least {}")),
    "maximum": (_NUMBERS, _bound(_NUMBERS, _itself, le, "be at most {}")),
    "exclusiveMinimum": (_NUMBERS, _bound(_NUMBERS, _itself, gt, "be more than {}")),
    "exclusiveMaximum": (_NUMBERS, _bound(_NUMBERS, _itself, lt, "be less than {}")),
    "minLength": (int, _bound(_TEXTS, len, ge, "have at least {} characters")),
    "maxLength": (int, _bound(_TEXTS, len, le, "have at most {} characters")),
    "minItems": (int, _bound(_LISTS, len, ge, "have at least {} items")),
    "maxItems": (int, _bound(_LISTS, len, le, "have at most {} items")),
}
"""Every keyword that is judged: the form its body must have to count, and the rule."""

_UNKNOWN: tuple[tuple[type, ...], _Rule] = ((), _bound((), _itself, ge, ""))
_BRANCHING = frozenset({"anyOf", "oneOf", "allOf", "$ref"})

# -- can a result ever fit? ----------------------------------------------------------------------


def incompatible(result: Schema, wanted: Schema) -> str | None:
    """Why a declared result can never fit where it is wanted; None when it may, or is unknown.

    A list fits by its items: a list of texts is not a list of numbers, though both may be empty.

    Cost: at most the product of the two schemas' sizes.
    """
    return _Fit().clash((result, result), (wanted, wanted), 0)


class _Fit:
    """One comparison of two schemas, which may both lead back to themselves."""

    def __init__(self) -> None:
        self.met: dict[tuple[int, int], str | None] = {}

    def clash(self, result: Rooted, wanted: Rooted, depth: int) -> str | None:
        """Why no alternative of the result fits any alternative of what is wanted."""
        key = id(result[0]), id(wanted[0])
        if key not in self.met:
            self.met[key] = None
            self.met[key] = None if depth > _FURTHEST else self._clash(result, wanted, depth + 1)
        return self.met[key]

    def _clash(self, result: Rooted, wanted: Rooted, depth: int) -> str | None:
        given, fitting = _kinds(*result), _kinds(*wanted)
        if given and fitting and _numeric(given).isdisjoint(_numeric(fitting)):
            return f"it is {_either(given)}, and {_either(fitting)} is wanted"
        found: str | None = None
        for one, other in product(_alternatives(*result), _alternatives(*wanted)):
            again = self._leaf_clash(one, other, depth)
            if again is None:
                return None
            found = found or again
        return found

    def _leaf_clash(self, result: Rooted, wanted: Rooted, depth: int) -> str | None:
        given, fitting = _kinds(*result), _kinds(*wanted)
        if given and fitting and _numeric(given).isdisjoint(_numeric(fitting)):
            return f"it is {_either(given)}, and {_either(fitting)} is wanted"
        values = _values_of(result[0])
        if values is not None:
            faults = [_Judge().fault(value, *wanted, depth) for value in values]
            return _of_values(faults)
        clashes = (
            *(((sub, result[1]), wanted) for sub in _list(result[0], "allOf")),
            *((result, (sub, wanted[1])) for sub in _list(wanted[0], "allOf")),
        )
        found = next((text for pair in clashes if (text := self.clash(*pair, depth))), None)
        return found or self._clash_inside(result, wanted, given, depth)

    def _clash_inside(
        self, result: Rooted, wanted: Rooted, kinds: Kinds | None, depth: int
    ) -> str | None:
        """A clash of the parts, where the result is always a list or always an object."""
        if kinds == _LIST and "items" in result[0] and "items" in wanted[0]:
            pair = (result[0]["items"], result[1]), (wanted[0]["items"], wanted[1])
            found = self.clash(*pair, depth)
            return found and f"in its items, {found}"
        if kinds != _OBJECT:
            return None
        ours, theirs = _mapping(result[0], "properties"), _mapping(wanted[0], "properties")
        for name in filter(_is_text, _list(wanted[0], "required")):
            if name not in ours and result[0].get("additionalProperties") is False:
                return f'it has no "{name}", which is wanted'
            if name in ours and name in theirs:
                found = self.clash((ours[name], result[1]), (theirs[name], wanted[1]), depth)
                if found:
                    return f'in its "{name}", {found}'
        return None


def _is_text(value: Value) -> bool:
    return isinstance(value, str)


def _of_values(faults: list[Fault | None]) -> str | None:
    """Why none of the values that a result may have fits."""
    first = faults[0]
    return None if first is None or None in faults else f"it {first[1]}"


def _numeric(kinds: Kinds) -> Kinds:
    """The kinds, where a number may be whole and a whole number is a number."""
    return kinds | {"number"} if "integer" in kinds else kinds


# -- what is at a path? --------------------------------------------------------------------------


def part(schema: Schema, path: Path) -> Schema | None:
    """The schema of the part of a value at a path; None where it is not declared.

    An object that declares its properties has no others, unless `additionalProperties` or
    `patternProperties` say so: a result's author lists what is in it.

    Cost: O(length of the path), times the alternatives.

    Raises:
        KeyError: there can be no such part; the argument is a message.
    """
    place: Rooted = (schema, schema)
    for key in path:
        place = _step_into(place, key)
    found, root = _resolved(*place)
    if not found or found is _NEVER:
        return None
    return found if found is root else embedded(found, root)


def embedded(schema: Schema, root: Schema | None = None) -> Schema:
    """A schema that may stand inside another one: its `$ref`s still lead into its own root.

    Args:
        schema: the schema.
        root: where its `$ref`s lead from; None for itself.
    """
    return {_ROOT: root or schema, **schema} if _refers(schema) else schema


def _refers(schema: Schema) -> bool:
    """Whether a schema has `$ref`s anywhere, and so needs the root they lead from."""
    stack: list[Body] = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            mapping = cast("dict[str, Any]", item)
            if "$ref" in mapping:
                return True
            stack.extend(mapping.values())
        elif isinstance(item, list):
            stack.extend(cast("list[Any]", item))
    return False


def _step_into(place: Rooted, key: str | int) -> Rooted:
    """What the alternatives that can have the part say about it; `{}` if one says nothing."""
    parts: list[Rooted] = []
    refusal: KeyError | None = None
    for schema, root in _alternatives(*place):
        try:
            found = _part_of_one(schema, root, key)
        except KeyError as error:
            refusal = refusal or error
            continue
        parts.append((_ANYTHING if found is None else found, root))
    if not parts and refusal is not None:
        raise refusal
    if len(parts) == 1:
        return parts[0]
    if any(not found for found, _ in parts):
        return _ANYTHING, _ANYTHING
    return {"anyOf": [{"allOf": [found], _ROOT: root} for found, root in parts]}, _ANYTHING


def _part_of_one(schema: Schema, root: Schema, key: str | int) -> Body:
    kinds = _kinds(schema, root)
    if kinds is not None and ("object" if isinstance(key, str) else "array") not in kinds:
        raise KeyError(f"it is {_either(kinds)} and has no part {show_path((key,))}")
    if "const" in schema:
        return _part_of_value(schema["const"], key)
    if "enum" in schema or "allOf" in schema:
        return None
    return _property(schema, key) if isinstance(key, str) else _element(schema, key)


def _part_of_value(value: Value, key: str | int) -> Schema:
    try:
        return {"const": value[key]}
    except (KeyError, IndexError):
        raise KeyError(f"{said(value)} has no part {show_path((key,))}") from None


def _property(schema: Schema, key: str) -> Body:
    properties = _mapping(schema, "properties")
    if key in properties:
        return properties[key]
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        return cast("Schema", rest)
    if "patternProperties" in schema or rest is True or (rest is None and not properties):
        return None
    names = ", ".join(f'"{name}"' for name in list(properties)[:8])
    raise KeyError(f'it has no "{printable(key)}"; it has {names or "nothing"}')


def _element(schema: Schema, key: int) -> Body:
    if key < 0:
        raise KeyError(f"places in a list count from 0, so there is no [{key}]")
    first = _list(schema, "prefixItems")
    if key < len(first):
        return first[key]
    rest = schema.get("items")
    most = len(first) if rest is False else schema.get("maxItems")
    if isinstance(most, int) and key >= most:
        raise KeyError(f"it has at most {_count(most, 'item')}, so there is no [{key}]")
    return cast("Schema", rest) if isinstance(rest, dict) else None


# -- what a schema says --------------------------------------------------------------------------


def _list(schema: Schema, keyword: str) -> list[Any]:
    body = schema.get(keyword)
    return cast("list[Any]", body) if isinstance(body, list) else []


def _mapping(schema: Schema, keyword: str) -> Mapping[str, Any]:
    body = schema.get(keyword)
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _resolved(schema: Body, root: Schema) -> Rooted:
    """A schema behind its `$ref`s and one-armed `allOf`s, and the root of its own `$ref`s."""
    for _ in range(_FURTHEST):
        if not isinstance(schema, Mapping):
            return (_NEVER if schema is False else _ANYTHING), root
        schema = cast("Schema", schema)
        root = schema.get(_ROOT, root)
        if "$ref" in schema:
            schema = _target(schema["$ref"], root)
        elif len(arms := _list(schema, "allOf")) == 1 and not _SAYING.intersection(schema):
            schema = arms[0]
        else:
            return schema, root
    return _ANYTHING, root


def _target(pointer: Body, root: Schema) -> Body:
    """What a local `$ref` points to; `{}` (anything) for what is not there or not local."""
    if not isinstance(pointer, str) or not pointer.startswith("#"):
        return _ANYTHING
    found: Body = root
    for key in pointer[1:].split("/")[1:]:
        if not isinstance(found, Mapping):
            return _ANYTHING
        name = key.replace("~1", "/").replace("~0", "~")
        found = cast("Schema", found).get(name, _ANYTHING)
    return found


def _alternatives(schema: Body, root: Schema) -> list[Rooted]:
    """The schema, or what it is one of, alternatives of alternatives too; each once."""
    found: list[Rooted] = []
    met: set[int] = set()
    stack: list[tuple[Body, Schema]] = [(schema, root)]
    while stack:
        schema, root = _resolved(*stack.pop())
        if id(schema) in met:
            continue
        met.add(id(schema))
        arms = _list(schema, "anyOf") or _list(schema, "oneOf")
        if arms and not _SAYING.intersection(schema):
            stack.extend((arm, root) for arm in reversed(arms))
        else:
            found.append((schema, root))
    return found


def _kinds(schema: Body, root: Schema) -> Kinds | None:
    """The JSON types that a schema allows; None where it does not say."""
    kinds: set[str] = set()
    for one, _ in _alternatives(schema, root):
        values = _values_of(one)
        if "type" in one:
            declared = _declared_kinds(one["type"])
        else:
            declared = None if values is None else frozenset(map(_kind_of, values))
        if declared is None:
            return None
        kinds |= declared
    return frozenset(kinds) or None


def _declared_kinds(declared: Body) -> Kinds | None:
    names = [declared] if isinstance(declared, str) else declared
    if not isinstance(names, list):
        return None
    kinds = cast("list[Any]", names)
    known = all(isinstance(kind, str) and kind in _WORDS for kind in kinds)
    return frozenset(kinds) or None if known else None


def _values_of(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else _list(schema, "enum") or None


# -- words ---------------------------------------------------------------------------------------


def show_path(path: Path) -> str:
    """A path as people write it.

    >>> show_path(("items", 2, "unit price"))
    'items[2]["unit price"]'
    """
    text = ""
    if len(path) > 12:
        path = (*path[:6], "…", *path[-3:])
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif key.isidentifier():
            text += f".{printable(key)}" if text else printable(key)
        else:
            text += f'["{printable(key)}"]' if text else printable(key)
    return text


def said(value: Value, *, bare: bool = False) -> str:
    """A value in few words, safe to print.

    Args:
        value: JSON, or what should have been.
        bare: without the name of its type.
    """
    if isinstance(value, str):
        return _quoted(value) if bare else f"text {_quoted(value)}"
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return _digits(value) if bare else f"the number {_digits(value)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(cast('list[Any]', value))}"
    if isinstance(value, dict):
        return "an object"
    return f"a {type(value).__name__}, which is not JSON"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


def printable(text: str) -> str:
    """A name as a message may show it: short, and without control characters or half characters."""
    short = text if len(text) <= 64 else text[:63] + "…"
    return short if short.isprintable() else repr(short)[1:-1]


def _digits(value: float) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return "with very many digits"
    return repr(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _either(kinds: Kinds) -> str:
    names = [name for kind, name in _WORDS.items() if kind in kinds]
    return ", ".join(names[:-1]) + (" or " if len(names) > 1 else "") + names[-1]
