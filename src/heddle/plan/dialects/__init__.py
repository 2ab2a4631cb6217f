r"""Dialects: surface syntaxes of plans. Text in, steps out, incrementally.

A dialect is one file, one line of `DIALECTS` and its example in `EXAMPLES`.

>>> plan = parse('1. search("a")\n2. search("b $1")', "llmcompiler")
>>> [step.id for step in plan.steps]
['1', '2']
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from heddle.errors import ConfigError
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Origin, Plan, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.plan.ir import Value

__all__ = [
    "DIALECTS",
    "EXAMPLES",
    "CallReader",
    "Dialect",
    "Piece",
    "Reader",
    "dialect_named",
    "parse",
    "recognise",
    "take",
]

Piece: TypeAlias = Step | Hole | Finding
"""What a reader gives back: a step, the place of a bad line, or a remark on one that stands."""


class Reader(Protocol):
    """One reading of one text. The same pieces come out however the text is cut.

    Attributes:
        output: what the plan's answer is, where the text says so; read it after `close`.
    """

    output: Value

    def feed(self, text: str) -> Sequence[Piece]:
        """Take the next part of the text; give back what has become final.

        A hole of an id that was already given replaces that step; a step of an id that was given
        as a hole fills it.

        Cost: linear over all calls, one character or a megabyte at a time.
        """
        ...

    def close(self) -> Sequence[Piece]:
        """The text has ended; give back what was still open."""
        ...


class CallReader(Reader, Protocol):
    """A reader that takes native calls too, as a provider gave them."""

    def call(self, id: str, name: str, arguments: str) -> Sequence[Piece]:
        """Take a call; give back the step, or the hole, that it is.

        Args:
            id: the provider's name for it; "" for none.
            name: the tool.
            arguments: an object as JSON text.
        """
        ...


class Dialect(Protocol):
    """A module that reads and writes one surface syntax."""

    def reader(self, *, round: int = 1, earlier: Mapping[str, str] | None = None) -> Reader:
        """Start a reading.

        Args:
            round: the round of the plan; ids of later rounds are qualified.
            earlier: ids of earlier rounds that the text may refer to, by the name it would use.
        """
        ...

    def likely(self, text: str) -> float:
        """How much a text looks like this dialect, from 0 to 1."""
        ...

    def write(self, plan: Plan) -> str:
        """A plan as text of this dialect.

        Raises:
            ValueError: the dialect cannot express the plan; the message says which part.
        """
        ...

    def fits(self, id: str) -> bool:
        """Whether text of this dialect can carry a step id: `write` refuses the ids that do not."""
        ...

    def id_for(self, n: int) -> str:
        """The id that this dialect gives the n-th step of a plan, counted from 1; it fits."""
        ...


DIALECTS: dict[str, str] = {
    "llmcompiler": "heddle.plan.dialects.llmcompiler.dialect",
    "json": "heddle.plan.dialects.json",
    "react": "heddle.plan.dialects.react",
    "rewoo": "heddle.plan.dialects.rewoo.dialect",
    "native": "heddle.plan.dialects.native.dialect",
    "links": "heddle.plan.dialects.links.dialect",
    "abstraction": "heddle.plan.dialects.abstraction.dialect",
    "python": "heddle.plan.dialects.python.dialect",
}
"""Every dialect by name, and the module that is it."""

EXAMPLES: dict[str, str] = {
    "llmcompiler": '1. tool("argument")',
    "json": '{"id": "1", "tool": "name", "args": {"argument": "value"}}',
    "react": "Action: tool[argument]",
    "rewoo": "#E1 = tool[argument]",
    "native": '[tool(argument="value")]',
    "links": '{"nodes": [{"id": "1", "task": "tool", "arguments": ["argument"]}], "links": []}',
    "abstraction": "[argument -tool-> y1]",
    "python": 'x = tool("argument")',
}
"""How a plan of one step reads in each of them, for those who wrote none."""


def dialect_named(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        ConfigError: there is none; the hint lists what there is.
    """
    if name not in DIALECTS:
        near = difflib.get_close_matches(name, DIALECTS, 1)
        raise ConfigError(
            f"there is no dialect {name!r}",
            code="unknown-dialect",
            hint=(f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(DIALECTS)}",
        )
    return cast("Dialect", import_module(DIALECTS[name]))


def recognise(text: str) -> str | None:
    """The name of the dialect that a text looks most like, or None."""
    scores = {name: dialect_named(name).likely(text) for name in DIALECTS}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0 else None


def take(plan: Plan, piece: Piece) -> None:
    """Put what a reader gave back in its place in the plan."""
    if isinstance(piece, Finding):
        plan.findings.append(piece)
    elif isinstance(piece, Hole):
        plan.findings.extend(piece.findings)
        if piece.id in plan:
            plan.dig(piece)
        else:
            plan.add(piece)
    elif piece.id in plan and isinstance(plan[piece.id], Hole):
        plan.fill(piece)
    else:
        plan.add(piece)


def parse(text: str, dialect: str = "auto") -> Plan:
    """Read a whole text as a plan, closed. Faults are holes and findings, never raised.

    Args:
        text: what a model wrote, or a file holds.
        dialect: a name from `DIALECTS`, or "auto" to recognise it.

    Cost: linear in the text.

    Raises:
        ConfigError: there is no dialect of that name.
    """
    name = recognise(text) if dialect == "auto" else dialect
    plan = Plan(text=text, dialect=name or "")
    if name is not None:
        reader = dialect_named(name).reader()
        for piece in (*reader.feed(text), *reader.close()):
            take(plan, piece)
        plan.output = reader.output
    answered = bool(plan.entries) or plan.output is not None
    if not answered and not any(item.severity == "error" for item in plan.findings):
        plan.findings.append(_empty(text, name))
    plan.findings.sort(key=lambda item: (item.line, item.column))
    plan.close()
    return plan


def _empty(text: str, name: str | None) -> Finding:
    lines = text.strip().splitlines()
    return Finding.at(
        Origin(1, 1),
        "empty-plan" if name or not lines else "unknown-dialect",
        "the text holds no step" if lines else "the text is empty",
        hint=_remedy(text, name),
        snippet=lines[0][:120] if lines else "",
    )


def _remedy(text: str, name: str | None) -> str:
    other = recognise(text)
    if name is not None and other not in (None, name):
        return f"the text looks like the {other} dialect: read it as that"
    if name is not None:
        return f"in the {name} dialect a step reads {EXAMPLES[name]}"
    others = ", ".join(EXAMPLES)
    return f"a step reads {EXAMPLES['llmcompiler']}; the dialects are {others}"
