"""A text that is read line by line, as it arrives: a line is looked at once, when it has ended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heddle.plan.dialects.reading.cursor import SNIPPET, Reading
from heddle.plan.findings import Origin

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Line", "LineReading", "place_in"]

_LINE = re.compile(r"[^\n]++")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text.

    Attributes:
        text: what it says, without its end.
        number: counted from 1.
        whole: its end has come; False for a last line that may have been cut off.
    """

    text: str
    number: int
    whole: bool = True

    @property
    def snippet(self) -> str:
        """As much of it as a finding shows."""
        return self.text[:SNIPPET]

    def origin(self, offset: int = 0) -> Origin:
        """The place of a character in it."""
        return Origin(self.number, offset + 1)


def place_in(lines: str, first: Origin, offset: int) -> Origin:
    """The place of a character in a text of several lines.

    Args:
        lines: the text.
        first: the place of its first character.
        offset: of the character.
    """
    breaks = lines.count("\n", 0, offset)
    if not breaks:
        return Origin(first.line, first.column + offset)
    return Origin(first.line + breaks, offset - lines.rfind("\n", 0, offset))


class LineReading(Reading):
    """One reading of one text, line by line: `_take` is given each line, once."""

    _cut = False  # the text ended within a line, which may have been broken off

    def _read(self) -> Generator[None, None, None]:
        cursor, parts = self._cursor, list[str]()
        while cursor.left or (yield from cursor.more()):
            parts.append(cursor.take_run(_LINE))
            if not cursor.left:
                continue
            line = Line("".join(parts), cursor.line)
            parts.clear()
            cursor.take(cursor.pos + 1)
            if self._take(line):
                return
        if any(parts):
            self._cut = True
            self._take(Line("".join(parts), cursor.line, whole=False))

    def _take(self, line: Line) -> bool:
        """Read a line. True if nothing after it belongs to the plan."""
        raise NotImplementedError
