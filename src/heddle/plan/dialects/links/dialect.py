"""The links dialect: nodes and the links between them, as TaskBench and its kin write plans.

    {"task_nodes": [{"task": "Translation", "arguments": ["example.txt"]},
                    {"task": "Text-to-Speech", "arguments": ["<node-0>"]}],
     "task_links": [{"source": "Translation", "target": "Text-to-Speech"}]}

`tool_nodes`, `sampled_nodes` and `nodes` are nodes too, `edges` are links, and either may be JSON
text. A node may have an `id`; links name nodes by their ids, or by their tools where no other node
calls the same. `<node-k>` is the result of a node, counted from 0, or from 1 where the links or the
order show it (a warning says so; `first_node` in the object settles it). A link without a reference
orders two steps. Arguments are a list of texts, or an object of them by name.

Nodes and links say nothing before the last of them, so the steps come out, sorted, at the end.
What cannot be is left as text and is an error, so that a plan with a fault never runs.

Source: TaskBench (microsoft/JARVIS, taskbench), GNN4TaskPlan (WxxShirley/GNN4TaskPlan).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.links.steps import Link, Lowering, Node
from heddle.plan.dialects.links.writing import fits, id_for, write
from heddle.plan.dialects.reading.cursor import SNIPPET, Reading
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.objects import Closed, Objects, value_of
from heddle.plan.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from heddle.plan.ir import Origin

__all__ = ["LinksReader", "fits", "id_for", "likely", "reader", "write"]

_PREFIXES = ("", "task_", "tool_", "sampled_")
_NODES = frozenset(f"{prefix}nodes" for prefix in _PREFIXES)
_LINKS = frozenset(f"{prefix}{name}" for prefix in _PREFIXES for name in ("links", "edges"))
_TOOLS = ("task", "tool", "name", "id")
_LIKELY = re.compile(r"""["'](?:task_|tool_|sampled_)nodes["']\s*+:""")
_PLAIN = re.compile(r"""["']nodes["']\s*+:"""), re.compile(r"""["'](?:links|edges)["']\s*+:""")
_HINT = 'a node reads {"task": "tool", "arguments": ["text", "<node-0>"]}'
_LINK_HINT = 'a link reads {"source": "tool", "target": "tool"}'


class LinksReader(Reading):
    """One reading of one text.

    Args:
        round: the round of the plan.
    """

    def __init__(self, *, round: int = 1) -> None:
        super().__init__()
        self._round = round
        self._nodes: list[Node] = []
        self._links: list[Link] = []
        self._first: int | None = None  # what the text says that nodes are counted from
        self._plans = 0

    def _read(self) -> Generator[None, None, None]:
        return Objects(self._cursor, self, _NODES | _LINKS).read()

    # -- what is found

    def on_object(self, closed: Closed) -> None:
        """A node, a link, or the object around them."""
        snippet = closed.text.split("\n", 1)[0][:SNIPPET]
        if closed.wrapped or closed.alone:
            self._around(closed)
        elif "source" in closed.data or "target" in closed.data:
            self._link(closed, snippet)
        else:
            self._node(closed, snippet)

    def on_field(self, key: str, value: Any, origin: Origin) -> None:
        """A field: perhaps nodes or links as JSON text."""
        if key == "first_node" and value in (0, 1):
            self._first = int(value)
        if key not in _NODES | _LINKS or not isinstance(value, str):
            return
        try:
            items = value_of(value)
        except Fault as fault:
            self._say(fault.code, fault.message, origin, fault.hint)
            return
        for item in cast("list[Any]", items if isinstance(items, list) else [items]):
            if isinstance(item, dict):
                self.on_object(Closed(cast("dict[str, Any]", item), origin, value, alone=False))
            else:
                self.on_stray(item, origin)

    def on_stray(self, value: Any, origin: Origin) -> None:
        """A text or a number stands among the nodes or links."""
        message = f"{str(value)[:40]!r} stands where a node or a link should"
        self._say("bad-call", message, origin, _HINT)

    def on_fault(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """The text around the nodes and links cannot be read."""
        self._emit(Finding.at(origin, fault.code, fault.message, hint=fault.hint, snippet=snippet))

    def _around(self, closed: Closed) -> None:
        if closed.fault:
            self.on_fault(*closed.fault)
        self._plans += closed.wrapped
        if self._plans > 1 and closed.wrapped:
            message = "the text holds more than one plan"
            self._say("bad-json", message, closed.origin, "give each plan a text of its own")

    def _link(self, closed: Closed, snippet: str) -> None:
        if closed.fault:
            self.on_fault(*closed.fault)
            return
        ends = [closed.data.get("source"), closed.data.get("target")]
        wrong = [end for end in ends if not isinstance(end, (str, int))]
        if not wrong:
            self._links.append(Link(str(ends[0]), str(ends[1]), closed.origin, snippet))
            return
        message = f"the end of a link must be a name, got {str(wrong[0])[:40]}"
        self._emit(Finding.at(closed.origin, "bad-link", message, hint=_LINK_HINT, snippet=snippet))

    def _node(self, closed: Closed, snippet: str) -> None:
        data = closed.data
        key = next((key for key in _TOOLS if isinstance(data.get(key), str)), "id")
        tool = str(data.get(key, "")).strip()
        given = data.get("id") if key != "id" else None
        node = Node(
            tool,
            str(given) if isinstance(given, (str, int)) else "",
            data.get("arguments"),
            closed.origin,
            snippet,
            closed.text,
            closed.fault,
        )
        if node.fault is None and not tool:
            node.fault = Fault("bad-call", "a node names no tool", _HINT), closed.origin, snippet
        if node.fault is None and not isinstance(node.args, (list, dict, type(None))):
            message = "a node's arguments must be a list"
            node.fault = Fault("bad-arguments", message, _HINT), closed.origin, snippet
        self._nodes.append(node)

    def _say(self, code: str, message: str, origin: Origin, hint: str) -> None:
        snippet = self._cursor.snippet
        self._emit(Finding.at(origin, code, message, hint=hint, snippet=snippet))

    # -- the end

    def _finish(self) -> None:
        self._emit(*Lowering(self._nodes, self._links, self._first, self._round).pieces())


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> LinksReader:
    """Start a reading; a node can refer to nothing but other nodes of its plan."""
    return LinksReader(round=round)


def likely(text: str) -> float:
    """How much a text looks like this dialect: whether an object of nodes and links is its own.

    Nodes that stand deeper are somebody's data.
    """
    if _LIKELY.search(text):
        return 0.95
    nodes, links = (pattern.search(text) for pattern in _PLAIN)
    if nodes is None or links is None:
        return 0.0
    before = text[: nodes.start()]
    return 0.95 if before.count("{") - before.count("}") == 1 else 0.0
