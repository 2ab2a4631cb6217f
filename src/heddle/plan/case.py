"""What the verifier's rules look at: one step, read once, and what is known when it arrives."""

from __future__ import annotations

import difflib
import json
import math
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from heddle.plan.bounds import most_elements
from heddle.plan.ir import MISSING, Choose, Input, Item, Path, Ref, Template
from heddle.plan.schema import embedded, incompatible, part, printable, said, show_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from heddle.plan.ir import Node, Step, Value
    from heddle.plan.limits import Limits
    from heddle.plan.spec import Schema, ToolSpec

__all__ = ["NESTING", "Case", "Known", "Reading", "Scope", "Sighting", "Tool", "position"]

Trail: TypeAlias = Any  # a path in linked form, (trail, key) or None, which costs O(1) to grow

NESTING = 200  # lists and objects inside one argument that the engine can carry at all
_MOST_BITS = 14_284  # of the 4,300 digits that Python reads and prints
_LIST: Schema = {"type": "array"}
_FLAG: Schema = {"type": "boolean"}
_quote = json.encoder.encode_basestring


class Known(NamedTuple):
    """What is known of an id: the schema of its result, its depth and its place in the plan."""

    result: Schema | None
    depth: int
    place: int
    hole: bool = False


class Tool:
    """What the rules need of a tool, compiled once."""

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec
        root = spec.parameters
        schema = part(root, ()) or {}
        declared = schema.get("properties")
        declared = cast("dict[str, Any]", declared) if isinstance(declared, dict) else None
        self.properties: dict[str, Schema] = {
            name: embedded(cast("Schema", sub), root) if isinstance(sub, dict) else {}
            for name, sub in (declared or {}).items()
        }
        self.names = tuple(self.properties)
        required = schema.get("required")
        self.required = [
            name
            for name in cast("list[Any]", required if isinstance(required, list) else [])
            if isinstance(name, str)
        ]
        rest = schema.get("additionalProperties")
        self.rest: Schema = embedded(cast("Schema", rest), root) if isinstance(rest, dict) else {}
        self.open = (
            declared is None or "patternProperties" in schema or rest is True or bool(self.rest)
        )
        self.result = embedded(spec.result) if spec.result else None
        self._wanted: dict[tuple[str, Path], Schema | None] = {}

    def schema(self, name: str) -> Schema:
        """The schema of an argument; `{}` (anything) where the tool does not say."""
        return self.properties.get(name, self.rest)

    def wanted(self, name: str, path: Path) -> Schema | None:
        """The schema of a part of an argument, or None where the tool does not say."""
        key = name, path
        if key not in self._wanted:
            try:
                self._wanted[key] = part(self.schema(name), path)
            except KeyError:  # the literal around it does not match: another rule's business
                self._wanted[key] = None
        return self._wanted[key]


class Scope:
    """What all steps of a plan share.

    Attributes:
        known: every id so far.
        coming: ids that are known to follow; a reference to one is judged when the plan closes.
        told: codes that are reported once per plan, and were.
        unmet: whether some step named an id that was not known when it came.
        maps: the most elements of each map so far; None where nothing bounds it.
        calls: calls that the steps so far may ask for, unbounded maps left out.
    """

    def __init__(
        self,
        tools: Mapping[str, ToolSpec],
        limits: Limits | None,
        inputs: Collection[str] | None,
        coming: Collection[str],
        runnable_only: bool,
    ) -> None:
        self.tools = tools
        self.limits = limits
        self.inputs = None if inputs is None else frozenset(inputs)
        self.coming = frozenset(coming)
        self.runnable_only = runnable_only
        self.known: dict[str, Known] = {}
        self.entries = 0
        self.told: set[str] = set()
        self.unmet = False
        self.maps: dict[str, int | None] = {}
        self.calls = 0
        self._compiled: dict[str, Tool] = {}
        self._clashes: dict[tuple[int, Path, int], str | None] = {}
        self._suggestions = 32  # looking for similar names is slow; nobody reads more of them

    def tool(self, name: str) -> Tool | None:
        """The compiled tool of that name."""
        if name not in self._compiled and name in self.tools:
            self._compiled[name] = Tool(self.tools[name])
        return self._compiled.get(name)

    def suggest(self, name: str, names: Collection[str], otherwise: str = "") -> str:
        """A hint: the most similar name, or else what there is, after the words of `otherwise`."""
        if len(name) <= 64 and len(names) <= 2_000 and self._suggestions > 0:
            self._suggestions -= 1
            folded = {known.casefold(): known for known in names}
            near = difflib.get_close_matches(name.casefold(), folded, 1, cutoff=0.75)
            if near:
                return f'did you mean "{folded[near[0]]}"?'
        return _listed(names, otherwise) if otherwise else ""

    def look(self, ref: Ref) -> tuple[Schema | None, str]:
        """The schema of what a reference stands for, and why there is no such thing."""
        known = self.known.get(ref.step)
        if known is None or known.result is None:
            return None, ""
        try:
            return part(known.result, ref.path), ""
        except KeyError as error:
            return None, str(error.args[0])

    def clash(self, ref: Ref, wanted: Schema) -> str | None:
        """Why a reference cannot stand where `wanted` is; each kind of pair is judged once."""
        known = self.known.get(ref.step)
        if known is None or known.result is None:
            return None
        key = id(known.result), ref.path, id(wanted)
        if key not in self._clashes:
            given, _ = self.look(ref)
            self._clashes[key] = None if given is None else incompatible(given, wanted)
        return self._clashes[key]


def _listed(names: Collection[str], intro: str) -> str:
    shown = ", ".join(printable(name) for name in islice(names, 10))
    return f"{intro}: {shown or 'none'}{', …' if len(names) > 10 else ''}"


class Sighting(NamedTuple):
    """A node in a step: in which argument (or `over`, `when`), where in it, inside which text."""

    name: str
    path: Path
    node: Node
    in_text: bool


class Reading:
    """What one walk over a value finds: nodes, what JSON cannot hold, its size and depth.

    Cost: linear in the value; it stops going deeper at the bound.
    """

    __slots__ = ("_bound", "_stack", "name", "nesting", "nodes", "odd", "size")

    def __init__(self, name: str, value: Value, max_nesting: int) -> None:
        self.name = name
        self.nodes: list[Sighting] = []
        self.odd: list[tuple[str, Path, str]] = []
        self.size = 0
        self.nesting = 0
        self._bound = max_nesting
        self._stack: list[tuple[Value, Trail, int]] = [(value, None, 0)]
        while self._stack:
            self._visit(*self._stack.pop())

    def _visit(self, value: Value, trail: Trail, depth: int) -> None:
        kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is str:
            self._text(value, trail)
        elif value is None or kind is bool:
            self.size += 4
        elif kind is int or kind is float:
            self._number(value, trail)
        elif isinstance(value, (Ref, Item, Input, Template, Choose)):
            self._node(value, trail)
        elif isinstance(value, (dict, list, tuple)):
            self._container(value, trail, depth + 1)
        else:
            self._refuse("wrong-type", trail, f"must be JSON, got {said(value)}")

    def _text(self, text: str, trail: Trail) -> None:
        try:
            self.size += len(_quote(text).encode())
        except UnicodeEncodeError:
            self._refuse("bad-text", trail, f"holds half a character: {said(text, bare=True)}")

    def _number(self, number: float, trail: Trail) -> None:
        if isinstance(number, float):
            self.size += 8
            if not math.isfinite(number):
                self._refuse("bad-number", trail, f"is {number}, which JSON cannot hold")
            return
        self.size += number.bit_length() // 3 + 1
        if number.bit_length() > _MOST_BITS:
            self._refuse("bad-number", trail, "has more than 4,300 digits")

    def _node(self, node: Node, trail: Trail) -> None:
        place = _path(trail)
        self.nodes.append(Sighting(self.name, place, node, in_text=False))
        if isinstance(node, Choose):
            self.nodes += (Sighting(self.name, place, ref, False) for ref in node.options)
        elif isinstance(node, Template):
            for item in node.parts:
                if isinstance(item, str):
                    self._text(item, trail)
                else:
                    self.nodes.append(Sighting(self.name, place, item, in_text=True))

    def _container(self, value: Value, trail: Trail, depth: int) -> None:
        self.nesting = max(self.nesting, depth)
        self.size += 2 + len(value)
        if depth > self._bound:
            return
        if isinstance(value, dict):
            parts = list(cast("dict[Any, Any]", value).items())
            for key, _ in parts:
                self._key(key, trail)
        else:
            parts = list(enumerate(cast("list[Any]", value)))
        self._stack.extend((item, (trail, key), depth) for key, item in reversed(parts))

    def _key(self, key: object, trail: Trail) -> None:
        if isinstance(key, str):
            self._text(key, trail)
        else:
            self._refuse("wrong-type", trail, f"must have text for keys, got {said(key)}")

    def _refuse(self, code: str, trail: Trail, message: str) -> None:
        self.odd.append((code, _path(trail), message))


def _path(trail: Trail) -> Path:
    """A path out of its linked form, which costs O(1) to grow."""
    keys: list[str | int] = []
    while trail is not None:
        trail, key = trail
        keys.append(key if isinstance(key, int) else str(key))
    return tuple(reversed(keys))


class Case:
    """One step as its rules see it, its positional arguments named.

    Attributes:
        tool: the compiled tool; None if nobody knows it.
        readings: one for each argument, then for `default` and `over`.
        sightings: every node of the step, and the schema that is wanted in its place.
        names: every id that the step mentions, each once.
        place: the step's place in the plan: the next one, or that of the hole which it fills.
        depth: the number of steps on the longest path that ends here.
        result: the schema of what dependents see; None where it is not declared.
        elements: how often its tool can be called; None where nothing says so.
    """

    def __init__(self, scope: Scope, step: Step) -> None:
        self.scope = scope
        self.step = step
        self.tool = scope.tool(step.tool)
        bound = scope.limits.max_nesting if scope.limits else NESTING
        self.readings = [Reading(name, value, bound) for name, value in step.args.items()]
        if step.default is not MISSING:
            self.readings.append(Reading("default", step.default, bound))
        if step.over is not MISSING:
            self.readings.append(Reading("over", step.over, bound))
        self.sightings = list(self._sightings())
        self.refs = [seen.node for seen, _ in self.sightings if isinstance(seen.node, Ref)]
        before = dict.fromkeys([*(ref.step for ref in self.refs), *step.after])
        self.names = {**before, **dict.fromkeys(step.sees)} if step.sees else before
        own = scope.known.get(step.id)
        self.place = own.place if own else scope.entries
        known = [scope.known[name].depth for name in before if name in scope.known]
        self.depth = 1 + max(known, default=0)
        self.result = _result(step, self.tool)
        self.elements = most_elements(step, scope.maps, scope.limits)

    def _sightings(self) -> Iterator[tuple[Sighting, Schema | None]]:
        arguments = len(self.step.args)
        for place, reading in enumerate(self.readings):
            for seen in reading.nodes:
                yield seen, self._wanted(seen, argument=place < arguments)
        if self.step.when is not None:
            yield Sighting("when", (), self.step.when.subject, in_text=False), _FLAG

    def _wanted(self, seen: Sighting, *, argument: bool) -> Schema | None:
        if seen.in_text:
            return None
        if argument:
            return self.tool.wanted(seen.name, seen.path) if self.tool else None
        return _LIST if seen.name == "over" and not seen.path else None

    def spot(self, name: str, path: Path = ()) -> str:
        """A place in the step as messages name it."""
        place = f'"{show_path((name, *path))}"'
        if name in self.step.args and self.step.tool:
            return f"{printable(self.step.tool)}() argument {place}"
        return place


def _result(step: Step, tool: Tool | None) -> Schema | None:
    """A default widens what dependents may see; a map gives a list of it."""
    schema = tool.result if tool else None
    if schema is not None and step.default is not MISSING:
        schema = {"anyOf": [schema, {"const": step.default}]}
    if step.over is not MISSING:
        return _LIST if schema is None else {"type": "array", "items": schema}
    return schema


def position(name: str) -> int | None:
    """The place that the name of a positional argument stands for, or None.

    >>> position("0"), position("12"), position("01"), position("x")
    (0, 12, None, None)
    """
    if not (name.isascii() and name.isdecimal()) or len(name) > 6:
        return None
    return int(name) if str(int(name)) == name else None
