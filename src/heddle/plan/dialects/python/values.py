"""Values of a Python program on their way into steps: choices, guards, and elements of maps."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.python.scope import Bound, Cell
from heddle.plan.ir import Choose, Input, Item, Ref, Template, When

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heddle.plan.ir import Path, Value

__all__ = [
    "at",
    "cells_in",
    "held_cells",
    "joined",
    "nodes_in",
    "options",
    "other",
    "places_of",
    "with_items",
]


def options(bound: Bound) -> tuple[Ref, ...]:
    """The references that a choice adds for a value."""
    if isinstance(bound, Choose):
        return bound.options
    return (cast("Ref", bound),)


def other(when: When) -> When:
    """The guard of the other branch."""
    return When(when.subject, not when.negated)


def at(bound: Bound, path: Path) -> Bound:
    """The part at a path of what a name stands for."""
    if isinstance(bound, Choose):
        return Choose(tuple(Ref(each.step, (*each.path, *path)) for each in bound.options))
    if isinstance(bound, Ref):
        return Ref(bound.step, (*bound.path, *path))
    if isinstance(bound, Cell):
        return Cell(bound.column, (*bound.path, *path))
    return Input(bound.name, (*bound.path, *path))


def nodes_in(value: Value) -> Iterable[Any]:
    """Everything in a value that is no container."""
    if isinstance(value, dict):
        for each in cast("dict[str, Any]", value).values():
            yield from nodes_in(each)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from nodes_in(each)
    else:
        yield value


def cells_in(value: Value) -> Iterable[Cell]:
    """The parts of elements that a value uses."""
    for each in nodes_in(value):
        if isinstance(each, Cell):
            yield each
        elif isinstance(each, Template):
            yield from (part for part in each.parts if isinstance(part, Cell))


def places_of(used: list[int]) -> list[tuple[int, Path]]:
    """For each list of a map its path in the element."""
    if len(used) == 1:
        return [(used[0], ())]
    return [(column, (place,)) for place, column in enumerate(used)]


def with_items(value: Value, places: dict[int, Path]) -> Any:
    """A value with `Item`s in the place of cells."""
    if isinstance(value, Cell):
        return Item((*places[value.column], *value.path))
    if isinstance(value, Template):
        return Template(tuple(with_items(part, places) for part in value.parts))
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        return {key: with_items(each, places) for key, each in held.items()}
    if isinstance(value, list):
        return [with_items(each, places) for each in cast("list[Any]", value)]
    return value


def held_cells(tree: ast.AST, held: dict[str, Bound]) -> dict[str, Cell]:
    """The placeholders in a tree that stand for a part of the element."""
    found: dict[str, Cell] = {}
    for node in ast.walk(tree):
        bound = held.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(bound, Cell):
            found[cast("ast.Name", node).id] = bound
    return found


def joined(parts: list[Any]) -> list[Any]:
    """Parts of a template, with neighbouring texts made one, and empty ones left out."""
    found: list[Any] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    return found
