"""A plan as nodes and links."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.canonical import canonical_text
from heddle.plan.dialects.reading.names import PATH
from heddle.plan.ir import MISSING, Plan, Ref, Step, Template, dependencies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.ir import Value

__all__ = ["fits", "id_for", "write"]

_FIELD = re.compile(rf"{PATH}\Z")
_SAID = frozenset({"id", "tool", "args", "after", "note", "origin"})


def fits(id: str) -> bool:
    """Whether a step can have that id: any text but an empty one."""
    return id != ""


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: its number."""
    return str(n)


def write(plan: Plan) -> str:
    """A plan as nodes and links, each in a line.

    Nodes have ids only if tools alone do not tell them apart, or the ids are not 1, 2, ….

    Raises:
        ValueError: a part that nodes and links do not have: a guard, an output, an object in an
            argument, a reference within a text that would be read otherwise.
    """
    from heddle.plan.dialects import parse  # it imports the dialects, when they are asked for

    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole")
    if plan.output is not None:
        raise ValueError("nodes and links name no output")
    written = _Writing(plan.steps)
    meant = canonical_text(Plan(plan.steps))
    for first in ("", '  "first_node": 0,\n'):
        text = written.text(first)
        read = parse(text, "links")
        if canonical_text(read) == meant and not any(f.severity == "error" for f in read.findings):
            return text
    raise ValueError(_difference(plan, read))


class _Writing:
    """Writes the steps of one plan."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps
        self._places = {step.id: place for place, step in enumerate(steps)}
        numbered = [step.id for step in steps] == [id_for(n + 1) for n in range(len(steps))]
        self._named = numbered and len({step.tool for step in steps}) == len(steps)

    def text(self, first: str) -> str:
        """All of it; `first` is a line of its own."""
        nodes = ",\n    ".join(map(self._node, self._steps))
        links = ",\n    ".join(link for step in self._steps for link in self._links(step))
        listed = f"[\n    {links}\n  ]" if links else "[]"
        lines = f'  "nodes": [\n    {nodes}\n  ],\n  "links": {listed}\n'
        return "{\n" + first + lines + "}\n"

    def _node(self, step: Step) -> str:
        if said := _unsaid(step):
            raise ValueError(f"step {step.id}: a node has no {said}")
        names = list(step.args)
        args: Any = {name: self._value(value, step) for name, value in step.args.items()}
        if names == [str(count) for count in range(len(names))]:
            args = list(args.values())
        node = {"task": step.tool, "arguments": args}
        return _json(node if self._named else {"id": step.id, **node}, step)

    def _links(self, step: Step) -> list[str]:
        ends = [self._end(source) for source in dependencies(step)]
        return [_json({"source": end, "target": self._end(step.id)}, step) for end in ends]

    def _end(self, id: str) -> str:
        return self._steps[self._place(id)].tool if self._named else id

    def _place(self, id: str) -> int:
        if id not in self._places:
            raise ValueError(f"a reference to step {id!r}, which is not in the plan")
        return self._places[id]

    def _value(self, value: Value, step: Step) -> Any:
        if isinstance(value, Ref):
            return f"<node-{self._place(value.step)}>{_path(value)}"
        if isinstance(value, Template):
            return "".join(self._part(part, step) for part in value.parts)
        if isinstance(value, list):
            return [self._value(item, step) for item in cast("list[Any]", value)]
        if value is None or isinstance(value, (str, int, float)):
            return value
        raise ValueError(f"step {step.id}: an argument of a node is a text, not {_kind(value)}")

    def _part(self, part: object, step: Step) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Ref) and not part.path:
            return f"<node-{self._place(part.step)}>"
        raise ValueError(f"step {step.id}: only a whole result can stand within a text")


def _path(ref: Ref) -> str:
    keys = [f"[{key}]" if isinstance(key, int) else f'["{key}"]' for key in ref.path]
    path = "".join(keys)
    if not _FIELD.match(path):
        raise ValueError(f"a reference to step {ref.step!r} has a path that cannot be written")
    return path


def _kind(value: object) -> str:
    return "an object" if isinstance(value, dict) else f"a {type(value).__name__}"


def _json(value: Mapping[str, Any], step: Step) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"step {step.id}: half of a surrogate pair is no character") from None
    return text


def _unsaid(step: Step) -> str:
    """The name of a part that nodes do not have; "" for none."""
    plain = Step("", "")
    for part in fields(step):
        value = getattr(step, part.name)
        if part.name not in _SAID and value is not MISSING and value != getattr(plain, part.name):
            return part.name
    return ""


def _difference(plan: Plan, read: Plan) -> str:
    """Which step would be read otherwise, or not at all."""
    for finding in read.findings:
        if finding.severity == "error":
            return f"step {finding.step}: {finding.message}"
    for step, other in zip(plan.steps, read.steps, strict=False):
        if canonical_text(Plan([step])) != canonical_text(Plan([other])):
            return f"step {step.id}: nodes and links would read it otherwise"
    return "nodes and links would be read in another order"
