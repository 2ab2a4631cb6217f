"""Nodes and links made steps: what each reference and link means, and what it cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.links.graph import circle_of, first_node, nearest, order_of
from heddle.plan.dialects.reading.names import PATH, Place, path_of, text_of
from heddle.plan.ir import Hole, Ref, Step, qualified

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heddle.plan.dialects import Piece
    from heddle.plan.dialects.reading.literal import Fault
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Origin, Value

__all__ = ["Link", "Lowering", "Node"]

_REFERENCE = re.compile(r"<node-([0-9]{1,9})>")
_WHOLE = re.compile(rf"<node-([0-9]{{1,9}})>({PATH})")
_ALMOST = re.compile(r"<\s?node[ _-]{0,2}[0-9]++\s?>|\bnode[_-][0-9]++\b", re.IGNORECASE)
_NODE_HINT = 'a node reads {"task": "tool", "arguments": ["text", "<node-0>"]}'
_NAME_HINT = "give every node an id of its own, and let links name those"


@dataclass(slots=True)
class Node:
    """A node as it was read.

    Attributes:
        id: its own, where the text gives it one; else "".
        args: a list, an object, or None for none.
        fault: what is wrong with it, where, and the line.
    """

    tool: str
    id: str
    args: Any
    origin: Origin
    snippet: str
    text: str
    fault: tuple[Fault, Origin, str] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it was read: the names at its ends."""

    source: str
    target: str
    origin: Origin
    snippet: str

    def finding(self, code: str, message: str, hint: str) -> Finding:
        """A finding at this place."""
        return Place("", "", self.origin, self.snippet).finding(code, message, hint)


class Lowering:
    """Makes steps of the nodes and links of one plan.

    Args:
        first: the number of the first node, where the text says it.
        round: the round of the plan.
    """

    def __init__(
        self, nodes: Sequence[Node], links: Sequence[Link], first: int | None, round: int
    ) -> None:
        self._nodes = nodes
        self._links = links
        self._findings: list[Finding] = []
        names = [node.id or str(place) for place, node in enumerate(nodes, 1)]
        self._ids = [qualified(round, name) for name in names]
        self._pairs = dict.fromkeys(self._meant())
        self._find_circle()
        self._first = self._numbering() if first is None else first
        self._order = order_of(len(nodes), self._pairs) or list(range(len(nodes)))
        self._rank = {place: rank for rank, place in enumerate(self._order)}

    def pieces(self) -> Iterator[Piece]:
        """The steps in an order that the links allow, holes, and what was found."""
        sources: dict[int, list[int]] = {}
        for source, target in self._pairs:
            sources.setdefault(target, []).append(source)
        for place in self._order:
            yield self._entry(place, sources.get(place, []))
        yield from self._findings

    # -- links

    def _meant(self) -> Iterator[tuple[int, int]]:
        """The nodes that each link means, where it means two."""
        places: dict[str, list[int]] = {}
        for place, node in enumerate(self._nodes):
            places.setdefault(node.tool, []).append(place)
        twice = [tool for tool, found in places.items() if len(found) > 1]
        places |= {node.id: [place] for place, node in enumerate(self._nodes) if node.id}
        for link in self._links:
            ends = [self._end(name, link, places, twice) for name in (link.source, link.target)]
            if None not in ends:
                yield cast("tuple[int, int]", tuple(ends))

    def _end(
        self, name: str, link: Link, places: dict[str, list[int]], twice: list[str]
    ) -> int | None:
        """The node at one end of a link; None if there is none, or more than one."""
        found = places.get(name, [])
        if len(found) == 1:
            return found[0]
        tool = name if found else nearest(name, twice)
        if not found:
            hint = "name a node's tool, as the node spells it"
            message = f"a link names {name[:60]!r}, which is no node"
            self._findings.append(link.finding("dangling-link", message, hint))
        if tool is not None:
            message = f"a link names {name[:60]!r}, and more than one node calls {tool[:60]!r}"
            self._findings.append(link.finding("ambiguous-link", message, _NAME_HINT))
        return None

    def _find_circle(self) -> None:
        leads: dict[str, list[str]] = {}
        for link in self._links:
            leads.setdefault(link.source, []).append(link.target)
        circle = circle_of(leads)
        if not circle:
            return
        closing = (circle[-2], circle[-1])
        link = next(link for link in self._links if (link.source, link.target) == closing)
        message = f"links lead in a circle: {' → '.join(circle)}"[:300]
        self._findings.append(link.finding("cyclic-link", message, "leave out one of them"))

    # -- numbers

    def _numbering(self) -> int:
        """Whether nodes are counted from 0 or from 1; from 0 where it cannot be told."""
        uses = [
            (place, int(k))
            for place, node in enumerate(self._nodes)
            for text in _texts(node.args)
            for k in _REFERENCE.findall(text)
        ]
        first = first_node(uses, self._pairs)
        if first == 0 or not uses:
            return 0
        node = self._nodes[uses[0][0]]
        place = Place("", self._ids[uses[0][0]], node.origin, node.snippet)
        if first is None:
            message = "<node-k> may count from 0 or from 1: links and order do not say which"
            hint = "count from 0, and link every node to those that use it"
            self._findings.append(place.finding("ambiguous-numbering", message, hint))
            return 0
        message = "<node-k> counts from 1 here, as links and order show"
        hint = "count from 0"
        self._findings.append(place.finding("counted-from-one", message, hint))
        return 1

    # -- nodes

    def _entry(self, place: int, sources: list[int]) -> Step | Hole:
        node, id = self._nodes[place], self._ids[place]
        if node.fault is not None:
            fault, origin, snippet = node.fault
            finding = Place("", id, origin, snippet).finding(
                fault.code, fault.message, fault.hint or _NODE_HINT
            )
            return Hole(id, node.text, (finding,), node.origin)
        used: set[int] = set()
        args = {name: self._value(value, place, used) for name, value in _named(node.args)}
        before = [source for source in sources if self._rank[source] < self._rank[place]]
        after = dict.fromkeys(self._ids[source] for source in before if source not in used)
        return Step(id, node.tool, args, after=tuple(after), origin=node.origin)

    def _value(self, value: Any, place: int, used: set[int]) -> Value:
        if isinstance(value, str):
            return self._text(value, place, used)
        if isinstance(value, list):
            listed = cast("list[Any]", value)
            return [self._value(item, place, used) for item in listed]
        if isinstance(value, dict):
            message = "an argument is an object, where a text or <node-k> is expected"
            self._find(place, "object-argument", message, "give the text itself")
            items = cast("dict[str, Any]", value).items()
            return {key: self._inner(item, place, used) for key, item in items}
        return value

    def _inner(self, value: Any, place: int, used: set[int]) -> Value:
        """A value within an object, which was found already."""
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {key: self._inner(item, place, used) for key, item in items}
        return self._value(value, place, used)

    def _text(self, text: str, place: int, used: set[int]) -> Value:
        """A text with the references in it; those that cannot be are left as text, and found."""
        if whole := _WHOLE.fullmatch(text):
            target = self._target(int(whole[1]), place)
            if target is None:
                return text
            used.add(target)
            return Ref(self._ids[target], path_of(whole[2]))
        parts: list[str | Ref] = []
        done = 0
        for found in _REFERENCE.finditer(text):
            target = self._target(int(found[1]), place)
            if target is not None:
                used.add(target)
                parts += [text[done : found.start()], Ref(self._ids[target])]
                done = found.end()
        if found := _ALMOST.search(_REFERENCE.sub("", text)):
            message = f"{found[0][:40]!r} looks like a reference, but was left as text"
            self._find(place, "unknown-reference", message, "write <node-0>", warning=True)
        return text_of([*parts, text[done:]])

    def _target(self, number: int, place: int) -> int | None:
        """The node that a number means to another one, or None."""
        target = number - self._first
        if not 0 <= target < len(self._nodes):
            message = f"<node-{number}> is no node: there are {len(self._nodes)}"
            self._find(place, "unknown-reference", message, f"count them from {self._first}")
        elif target == place:
            message = f"<node-{number}> is the node itself"
            self._find(place, "cyclic-reference", message, "refer to an earlier node")
        elif self._rank[target] > self._rank[place]:
            order = "and no link puts it before" if target > place else "since links put it there"
            message = f"<node-{number}> comes later, {order}"
            self._find(place, "forward-reference", message, "refer to an earlier node")
        else:
            return target
        return None

    def _find(
        self, place: int, code: str, message: str, hint: str, *, warning: bool = False
    ) -> None:
        node = self._nodes[place]
        where = Place("", self._ids[place], node.origin, node.snippet)
        self._findings.append(where.finding(code, message, hint, warning=warning))


def _named(args: Any) -> Iterator[tuple[str, Any]]:
    """Arguments by name; those of a list by their place, from "0"."""
    if isinstance(args, dict):
        yield from cast("dict[str, Any]", args).items()
    elif isinstance(args, list):
        yield from ((str(count), item) for count, item in enumerate(cast("list[Any]", args)))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            stack.extend(cast("list[Any]", item))
