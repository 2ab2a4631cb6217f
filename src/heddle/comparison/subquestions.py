"""A step as the sub-question that it answers, in words.

>>> from heddle.plan.ir import Ref, Step
>>> said(Step("2", "compute", {"expression": "a * 2", "values": {"a": Ref("1")}}))
'{1} * 2'
>>> said(Step("E2", "search", {"0": Ref("E1", ("name",))}, note="Find its author."))
'Find its author.'
"""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, cast

from heddle.plan.expression import ExpressionError, read
from heddle.plan.ir import Choose, Input, Item, Ref, Template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.ir import Step, Value

__all__ = ["said"]


def said(step: Step) -> str:
    """What a step is for: what its planner noted, what it asks a model, or else its call."""
    instruction = step.args.get("instruction", step.args.get("0"))
    if step.note:
        return step.note
    if step.tool == "llm" and isinstance(instruction, (str, Template)):
        return _spelled(instruction, "")
    if worked := _worked(step):
        return worked
    args = (
        f"{_spelled(value)}" if name.isdecimal() else f"{name}={_spelled(value)}"
        for name, value in step.args.items()
    )
    return f"{step.tool}({', '.join(args)})"


def _worked(step: Step) -> str:
    """The expression of a `compute` step with references in their places; "" for another step."""
    text, values = step.args.get("expression"), step.args.get("values", {})
    if step.tool != "compute" or not isinstance(text, str) or not isinstance(values, dict):
        return ""
    held = cast("dict[str, Value]", values)
    try:
        tree = read(text, held.keys())
    except ExpressionError:
        return ""
    return ast.unparse(
        _Placing({name: _spelled(value) for name, value in held.items()}).visit(tree)
    )


class _Placing(ast.NodeTransformer):
    """Puts what names stand for in their place, as text."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """What a name stands for."""
        return ast.Name(self._texts.get(node.id, node.id), node.ctx)


def _spelled(value: Value, quote: str = '"') -> str:
    """A value as a person reads it, references in braces."""
    if isinstance(value, Template):
        parts = (part if isinstance(part, str) else _spelled(part) for part in value.parts)
        return f"{quote}{''.join(parts)}{quote}"
    if isinstance(value, Ref):
        return "{" + ".".join((value.step, *map(str, value.path))) + "}"
    if isinstance(value, Input):
        return "{" + ".".join(("input", value.name, *map(str, value.path))) + "}"
    if isinstance(value, Item):
        return "{" + ".".join(("each", *map(str, value.path))) + "}"
    if isinstance(value, Choose):
        return " or ".join(map(_spelled, value.options))
    if isinstance(value, dict):
        pairs = cast("dict[str, Value]", value).items()
        return "{" + ", ".join(f'"{name}": {_spelled(each)}' for name, each in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelled, cast("list[Value]", value))) + "]"
    if isinstance(value, str) and not quote:
        return value
    return json.dumps(value, ensure_ascii=False)
