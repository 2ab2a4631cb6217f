"""Values, arguments and figures as a reader sees them.

A value is spelled lazily and cut at a bound, so that neither a very large nor a very deep one
costs more than what is shown of it.

>>> plain(arguments(Step("2", "double", {"0": "a", "x": Ref("1", ("price", 0))})))
'"a", x: $1.price[0]'
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from heddle.plan.ir import MISSING, Choose, Input, Item, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Piece", "arguments", "count", "cut", "plain", "seconds", "spell"]

_NAME = re.compile(r"[^\W\d]\w*")


class Piece(NamedTuple):
    """A bit of text, and whether it names a step's result, an input or an item."""

    text: str
    reference: bool = False


def spell(value: Any, *, longest: int = 4096) -> Iterator[Piece]:
    """A value as JSON, with references as plans write them.

    Args:
        value: JSON, with nodes anywhere in it.
        longest: characters of one text within the value; the rest of it is left out.
    """
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        for item in stack[-1]:
            if isinstance(item, Piece):
                yield item
                continue
            inner = _inside(item)
            if inner is not None:
                stack.append(inner)
                break
            yield _scalar(item, longest)
        else:
            stack.pop()


def _inside(item: Any) -> Iterator[Any] | None:
    if isinstance(item, dict):
        return _object(cast("dict[Any, Any]", item))
    if isinstance(item, (list, tuple)):
        return _list(cast("list[Any]", item), "[", "]")
    if isinstance(item, Template):
        return _template(item)
    if isinstance(item, Choose):
        return _list(list(item.options), "first of (", ")")
    return None


def _list(items: Iterable[Any], opening: str, closing: str) -> Iterator[Any]:
    yield Piece(opening)
    for place, item in enumerate(items):
        if place:
            yield Piece(", ")
        yield item
    yield Piece(closing)


def _object(items: dict[Any, Any]) -> Iterator[Any]:
    yield Piece("{")
    for place, (key, item) in enumerate(items.items()):
        if place:
            yield Piece(", ")
        yield str(key)
        yield Piece(": ")
        yield item
    yield Piece("}")


def _template(template: Template) -> Iterator[Any]:
    yield Piece('"')
    for part in template.parts:
        yield Piece(json.dumps(part, ensure_ascii=False)[1:-1]) if isinstance(part, str) else part
    yield Piece('"')


def _scalar(item: Any, longest: int) -> Piece:
    if isinstance(item, str):
        return Piece(json.dumps(item[:longest], ensure_ascii=False))
    if item is None or isinstance(item, (bool, float)):
        return Piece(json.dumps(item))
    if isinstance(item, int):
        return Piece(_whole(item, longest))
    if isinstance(item, Ref):
        return Piece(f"${item.step}{_path(item.path)}", True)
    if isinstance(item, Item):
        return Piece(f"$item{_path(item.path)}", True)
    if isinstance(item, Input):
        return Piece(f"$input.{item.name}{_path(item.path)}", True)
    return Piece(f"<{type(item).__name__}>")


def _whole(number: int, longest: int) -> str:
    """A whole number, unless writing it out would cost more than reading it is worth."""
    return str(number) if number.bit_length() < 3 * min(longest, 4096) else "<a very large number>"


def _path(path: tuple[str | int, ...]) -> str:
    return "".join(
        f".{key}" if isinstance(key, str) and _NAME.fullmatch(key) else f"[{json.dumps(key)}]"
        for key in path
    )


def arguments(step: Step) -> list[Piece]:
    """What a step is called with, and what else decides whether, when and how often it runs."""
    out: list[Piece] = []
    for name, value in islice(step.args.items(), 64):
        out.append(Piece(", ")) if out else None
        if not name.isdecimal():
            out.append(Piece(f"{name}: "))
        out += islice(spell(value), 256)
    for word, value in _conditions(step):
        out += [Piece(f" {word} "), *islice(spell(value), 64)]
    return out


def _conditions(step: Step) -> Iterator[tuple[str, Any]]:
    if step.over is not MISSING:
        yield "for each of", step.over
    if step.when is not None:
        yield "if not" if step.when.negated else "if", step.when.subject
    for id in step.after:
        yield "after", Ref(id)


def cut(pieces: Iterable[Piece], room: int) -> tuple[list[Piece], bool]:
    """The pieces that fit into so many characters, and whether anything was left out."""
    out: list[Piece] = []
    for piece in pieces:
        if len(piece.text) > room:
            out.append(Piece(piece.text[:room], piece.reference))
            return out, True
        room -= len(piece.text)
        out.append(piece)
    return out, False


def plain(pieces: Iterable[Piece]) -> str:
    """The text of some pieces."""
    return "".join(piece.text for piece in pieces)


def seconds(value: float) -> str:
    """A duration, with three figures or so, and a space before its unit that no line breaks at.

    >>> [" ".join(seconds(value).split()) for value in (0.00042, 0.35, 12.345, 4321)]
    ['0.42 ms', '0.350 s', '12.3 s', '4,321 s']
    """
    if value <= 0:
        return "0\N{NO-BREAK SPACE}s"
    if value < 0.01:
        return f"{value * 1000:.2f}\N{NO-BREAK SPACE}ms"
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}\N{NO-BREAK SPACE}s"


def count(number: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "step"), count(12000, "step")
    ('1 step', '12,000 steps')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
