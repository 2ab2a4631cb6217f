"""A step's call as a person reads it, whatever dialect it was written in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.ir import MISSING, Choose, Input, Item, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.ir import Path, Value

__all__ = ["arguments_text", "call_text"]


def call_text(step: Step) -> str:
    """A step's call. For reading only: no dialect reads it back in every case.

    >>> call_text(Step("2", "send", {"0": Ref("1", ("usd",)), "body": ["hello", None]}))
    'send($1.usd, body=["hello", null])'
    >>> call_text(Step("3", "look", {"0": Item()}, over=Input("names")))
    'look($item) over $input.names'
    """
    over = "" if step.over is MISSING else f" over {_text(step.over)}"
    return f"{step.tool}({arguments_text(step.args)}){over}"


def arguments_text(args: Mapping[str, Value]) -> str:
    """The arguments of a call, those by position without their numbers.

    >>> arguments_text({"0": "bob", "text": Template(("dear ", Ref("1"), "!"))})
    '"bob", text="dear ${1}!"'
    """
    return ", ".join(
        f"{'' if name.isdigit() else f'{name}='}{_text(value)}" for name, value in args.items()
    )


def _text(value: Value) -> str:
    match value:
        case Ref() | Input() | Item():
            return f"${_name(value)}"
        case Choose():
            return f"first of {' '.join(map(_text, value.options))}"
        case Template():
            parts = [
                part if isinstance(part, str) else f"${{{_name(part)}}}" for part in value.parts
            ]
            return _literal("".join(parts))
        case dict():
            items = cast("dict[str, Any]", value).items()
            return f"{{{', '.join(f'{_literal(key)}: {_text(item)}' for key, item in items)}}}"
        case list() | tuple():
            return f"[{', '.join(map(_text, cast('list[Any]', value)))}]"
        case _:
            return _literal(value)


def _name(node: Ref | Input | Item) -> str:
    match node:
        case Ref():
            return node.step + _path(node.path)
        case Input():
            return f"input.{node.name}{_path(node.path)}"
        case Item():
            return f"item{_path(node.path)}"


def _path(path: Path) -> str:
    return "".join(
        f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{_literal(key)}]"
        for key in path
    )


def _literal(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)
