"""The prose of an abstract chain as a plan's output: its text, with references in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heddle.plan.dialects.abstraction.brackets import prose_pieces
from heddle.plan.dialects.reading.cursor import SNIPPET
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.names import Names, Place, text_of
from heddle.plan.ir import Origin, Ref, Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heddle.plan.ir import Input, Value

__all__ = ["Mark", "output_of"]


@dataclass(frozen=True, slots=True)
class Mark:
    """The place of a step in the prose.

    Attributes:
        name: the symbol of its result.
        raw: the bracket as it was written.
    """

    name: str
    raw: str


@dataclass(slots=True)
class _Line:
    """A line of the prose: its parts, and where it begins in the text."""

    number: int
    parts: list[str | Mark]

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.raw for part in self.parts)

    @property
    def words(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str)).strip()

    @property
    def marked(self) -> bool:
        return any(isinstance(part, Mark) for part in self.parts)


def output_of(parts: Sequence[str | Mark], names: Names) -> Value:
    """What the prose says as the answer; None if it has no step, or no word.

    Args:
        parts: the whole text, with marks in the place of steps.
        names: the steps; it gets the findings about symbols that are none.

    Cost: linear in the text.
    """
    lines = _in_fence(list(_lines(parts)))
    if not any(line.marked for line in lines):
        return None
    while lines and not lines[0].words:
        lines.pop(0)
    try:
        pieces = [piece for line in lines for piece in _pieces(line, names)]
    except Fault as fault:
        place = Place("", "", Origin(lines[0].number, 1), lines[0].text[:SNIPPET])
        names.findings.append(place.finding(fault.code, fault.message, fault.hint))
        return None
    value = text_of(_trimmed(pieces[1:]))
    return value if isinstance(value, (Ref, Template)) else None


def _lines(parts: Sequence[str | Mark]) -> Iterator[_Line]:
    line = _Line(1, [])
    for part in _merged(parts):
        if isinstance(part, Mark):
            line.parts.append(part)
            below = part.raw.count("\n")
            line.number += below  # what follows the bracket stands on its last line
            continue
        first, *rest = part.split("\n")
        line.parts.append(first)
        for text in rest:
            yield line
            line = _Line(line.number + 1, [text])
    yield line


def _merged(parts: Sequence[str | Mark]) -> Iterator[str | Mark]:
    """The parts, with neighbouring texts made one."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        yield "".join(texts)
        texts = []
        yield part
    yield "".join(texts)


def _in_fence(lines: list[_Line]) -> list[_Line]:
    """The lines of the fence that holds all steps; else all but those that are fences."""
    fences = [place for place, line in enumerate(lines) if line.words.startswith(("```", "~~~"))]
    marked = [place for place, line in enumerate(lines) if line.marked]
    for opening, closing in zip(fences[::2], [*fences[1::2], len(lines)], strict=False):
        if marked and opening < marked[0] and marked[-1] < closing:
            return lines[opening + 1 : closing]
    dropped = set(fences)
    return [line for place, line in enumerate(lines) if place not in dropped]


def _pieces(line: _Line, names: Names) -> Iterator[str | Ref | Input]:
    """A line end, and the line with references in the place of steps and symbols."""
    yield "\n"
    snippet, column = line.text[:SNIPPET], 1
    for part in line.parts:
        if isinstance(part, Mark):
            yield Ref(names.id_of(part.name))
            column += len(part.raw)
            continue
        place = Place("", "", Origin(line.number, column), snippet)
        yield from prose_pieces(part, names, place)
        column += len(part)


def _trimmed(pieces: Sequence[str | Ref | Input]) -> list[str | Ref | Input]:
    """The pieces without blanks at either end."""
    found = list(pieces)
    while found and isinstance(found[0], str) and not found[0].strip():
        found.pop(0)
    while found and isinstance(found[-1], str) and not found[-1].strip():
        found.pop()
    if found and isinstance(found[0], str):
        found[0] = found[0].lstrip()
    if found and isinstance(found[-1], str):
        found[-1] = found[-1].rstrip()
    return found
