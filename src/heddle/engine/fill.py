"""Filling: references are replaced by values, once, as values.

What takes a placeholder's place is never scanned again: a result that reads `$1` stays the text
`$1`. Containers are copied, so that a tool that changes its argument changes nobody else's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from heddle.errors import ToolFailed
from heddle.plan.ir import Choose, Input, Item, Ref, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heddle.plan.ir import Path, Value

__all__ = ["ATOMS", "fill", "fresh", "part", "text_of"]

ATOMS = frozenset((str, int, float, bool, type(None)))
_MAX_NESTING = 200


def fill(value: Value, look: Callable[[Ref | Input | Item | Choose], Any], depth: int = 0) -> Any:
    """A value with every node replaced by what it stands for.

    Args:
        value: JSON with nodes.
        look: gives the value of a reference, an input, an item or a choice; a fresh copy.
        depth: containers around the value.

    Cost: linear in the value and in what it refers to.

    Raises:
        ToolFailed: a path that leads nowhere (code `bad-path`), or containers nested too deeply.
    """
    kind = value.__class__
    if kind in ATOMS:
        return value
    if kind is Ref or kind is Input or kind is Item or kind is Choose:
        return look(value)
    if kind is Template:
        return "".join(
            item if isinstance(item, str) else text_of(look(item)) for item in value.parts
        )
    _refuse_deep(depth)
    if kind is dict:
        return {name: fill(item, look, depth + 1) for name, item in value.items()}
    return [look(item) if type(item) is Ref else fill(item, look, depth + 1) for item in value]


def fresh(value: Any, depth: int = 0) -> Any:
    """A copy of a JSON value that shares no container with it.

    Raises:
        ToolFailed: containers nested too deeply.
    """
    kind = value.__class__
    if kind in ATOMS:
        return value
    _refuse_deep(depth)
    if kind is dict:
        return {name: fresh(item, depth + 1) for name, item in value.items()}
    if kind is list:
        return [fresh(item, depth + 1) for item in value]
    return value


def _refuse_deep(depth: int) -> None:
    if depth > _MAX_NESTING:
        raise ToolFailed(
            f"a value nests deeper than {_MAX_NESTING} lists and objects", code="nesting-too-deep"
        )


def part(value: Any, path: Path, name: str) -> Any:
    """The part of a value at a path: plain look-ups in dicts and lists, never attributes.

    Args:
        value: a JSON value.
        path: keys and indexes.
        name: what the value is called in an error.

    Raises:
        ToolFailed: the path leads nowhere (code `bad-path`).
    """
    for depth, key in enumerate(path):
        if isinstance(value, dict) and isinstance(key, str) and key in value:
            value = cast("Mapping[str, Any]", value)[key]
        elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):  # pyright: ignore[reportUnknownArgumentType]
            value = cast("list[Any]", value)[key]
        else:
            where = "".join(f"[{item!r}]" for item in path[:depth])
            raise ToolFailed(
                f"{name}{where} has no {key!r}: it is {_describe(value)}",
                code="bad-path",
            )
    return value


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        keys = [str(key) for key in cast("dict[Any, Any]", value)]
        return f"an object with {', '.join(keys[:8]) or 'no keys'}{', …' if len(keys) > 8 else ''}"
    if isinstance(value, list):
        return f"a list of {len(cast('list[Any]', value))}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else "a text" if isinstance(value, str) else "a number"


def text_of(value: Any) -> str:
    """A value as it reads inside a text: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
