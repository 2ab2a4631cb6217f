"""Python text in statements, as it arrives: where one begins, and where it has surely ended.

A simple statement ends with its line, unless a bracket, a text in three quotes or a backslash
keeps it open. A block (`if …:`) ends where a line begins that is neither indented nor its `else`.
Around the program a model may write prose and fences: with fences, only what is in them counts;
without, a line that does not look like Python is prose. Nothing is parsed here.

Invariant: every character is looked at once; a bracket that never closes is found out at the
text's end, or at a line that can only be the next statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heddle.plan.dialects.reading.cursor import SNIPPET, Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from heddle.plan.ir import Origin

__all__ = ["Statement", "Statements"]

_BLANKS = re.compile(r"[ \t\f]*+")
_PLAIN = re.compile(r"""[^'"()\[\]{}#\\\n]*+""")
_TO_END = re.compile(r"[^\n]*+")
_IN_TEXT = re.compile(r"""[^'"\\\n]*+""")
_FENCE = "```"
_OTHER = re.compile(
    r"`{3,}+\s*+(?:json|bash|sh|shell|text|txt|output|console|yaml|markdown|md)\b", re.I
)
_BLOCK = re.compile(r"(?:if|for|while|def|class|with|try|async|match)\b|@")
_GOES_ON = ("else", "elif", "except", "finally")
_WORDS = "if|elif|while|for|def|class|with|try|async|else|except"
_STRONG = re.compile(
    rf"""(?:[^\W\d]\w*+(?:\s*+,\s*+[^\W\d]\w*+)*+\s*+(?::[^=\n]{{1,60}})?(?:[-+*/%]|\*\*|//)?=(?!=)
      | (?:print|await\s++[\w.]++|[^\W\d][\w.]*+)\(
      | (?:{_WORDS})\b[^\n]*:[ \t]*+(?:\#[^\n]*+)?(?:\n|$)
      | (?:import|del|global|nonlocal|assert|raise)\s++[\w.]++(?:[ \t]*+[,;:+\-*/=<>(\[]|\s*+$)
      | from\s++[\w.]++\s++import\s | return\s++["'f\w(\[{{] | @\w
      )""",
    re.VERBOSE,
)
_NEXT = re.compile(r"[^\W\d]\w*+ = [^\W\d][\w.]*+\(.*\)[ \t]*+(?:#.*)?\n", re.DOTALL)
_RESCANS = 3


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of the program, as written.

    Attributes:
        text: all of its lines, without the first one's indentation.
        origin: where it begins.
        whole: every bracket and text in it is closed.
        sure: it is meant as Python: it stands in a fence, or looks like nothing else.
        depth: the most brackets that are open at once.
        note: comment lines before it.
        indent: the indentation that its lines have in common.
    """

    text: str
    origin: Origin
    whole: bool
    sure: bool
    depth: int
    note: str
    indent: int

    @property
    def snippet(self) -> str:
        """As much of its first line as a finding shows."""
        return self.text.split("\n", 1)[0][:SNIPPET]


@dataclass(slots=True)
class _Logical:
    """A logical line: its text, whether it was closed, and how deep its brackets went."""

    text: str
    whole: bool
    depth: int
    rest: str = ""  # the next statement, that an open bracket had swallowed


@dataclass(slots=True)
class _Brackets:
    """The brackets of a logical line.

    Attributes:
        depth: how many are open.
        deepest: how many were open at most.
        line: how many pieces were taken before the present line; 0 in the first one.
        before: how many were open when the present line began.
    """

    depth: int = 0
    deepest: int = 0
    line: int = 0
    before: int = 0

    def count(self, char: str) -> None:
        """Count a character."""
        if char in "([{":
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)
        elif char in ")]}":
            self.depth = max(0, self.depth - 1)


class Statements:
    """Reads a text and tells a listener each statement, once it is final.

    Args:
        cursor: the text.
        listener: who is told.
        rescans: how often an open bracket may be taken back when the text has ended.
    """

    def __init__(
        self,
        cursor: Cursor,
        listener: Callable[[Statement], None],
        *,
        fenced: bool = False,
        rescans: int = _RESCANS,
    ) -> None:
        self._cursor = cursor
        self._listener = listener
        self._inside = fenced  # inside a fence
        self._outside = False  # after a fence: what is not in one is prose
        self._skipped = False  # inside a fence of another language
        self._rescans = rescans
        self._width = -1  # of the indentation already taken; -1 for none
        self._note: list[str] = []

    def read(self) -> Generator[None, None, None]:
        """Read all of the text."""
        cursor = self._cursor
        while True:
            width = yield from self._indentation()
            if not cursor.left:
                return
            char = cursor.text[cursor.pos]
            if char == "\n":
                cursor.take(cursor.pos + 1)
                self._width = -1
            elif char == "`" and (yield from self._at_fence()):
                yield from self._fence()
            elif self._skipped or (self._outside and not self._inside):
                yield from self._skip()
            elif char == "#":
                self._note.append((yield from self._skip()).lstrip("# ").rstrip())
            else:
                yield from self._statement(width)
                self._note.clear()

    # -- lines that are no statements

    def _indentation(self) -> Generator[None, None, int]:
        """Take a line's indentation, unless it was taken before; its width."""
        cursor = self._cursor
        if self._width < 0:
            while cursor.left or (yield from cursor.more()):
                cursor.take_run(_BLANKS)
                if cursor.left:
                    break
            self._width = cursor.column - 1
        return self._width

    def _at_fence(self) -> Generator[None, None, bool]:
        cursor = self._cursor
        yield from cursor.more(3)
        return cursor.text.startswith(_FENCE, cursor.pos)

    def _fence(self) -> Generator[None, None, None]:
        line = yield from self._skip()
        self._inside = not (self._inside or self._skipped)
        self._skipped = self._inside and _OTHER.match(line) is not None
        self._inside = self._inside and not self._skipped
        self._outside = self._outside or self._inside
        self._note.clear()

    def _skip(self) -> Generator[None, None, str]:
        """Take the rest of a line, and its end."""
        cursor = self._cursor
        parts: list[str] = []
        while cursor.left or (yield from cursor.more()):
            parts.append(cursor.take_run(_TO_END))
            if cursor.left:
                cursor.take(cursor.pos + 1)
                break
        self._width = -1
        return "".join(parts)

    # -- statements

    def _statement(self, width: int) -> Generator[None, None, None]:
        origin = self._cursor.origin
        first = yield from self._logical()
        lines = [first]
        if _BLOCK.match(first.text) and first.whole:
            yield from self._block(width, lines)
        text = "".join(line.text for line in lines)
        whole = all(line.whole for line in lines)
        deepest = max(line.depth for line in lines)
        sure = self._inside or _STRONG.match(text) is not None
        note = "\n".join(line for line in self._note if line)
        if whole or lines[-1].rest or not sure:
            self._listener(Statement(text, origin, whole, sure, deepest, note, width))
            if lines[-1].rest:
                self._again(lines[-1].rest, origin.line + text.count("\n"))
        else:
            self._unclosed(text, origin, deepest, width)

    def _unclosed(self, text: str, origin: Origin, depth: int, width: int) -> None:
        """An open bracket has taken all that follows: only its own line is surely lost."""
        line, _, rest = text.partition("\n")
        self._listener(Statement(line, origin, False, True, depth, "", width))
        if self._rescans and rest.strip():
            self._again(rest, origin.line + 1)

    def _again(self, text: str, line: int) -> None:
        cursor = Cursor()
        cursor.line = line
        cursor.feed(text)
        cursor.end()
        inner = Statements(cursor, self._listener, fenced=self._inside, rescans=self._rescans - 1)
        for _ in inner.read():
            pass

    def _block(self, width: int, lines: list[_Logical]) -> Generator[None, None, None]:
        """Add the lines that belong to a block."""
        cursor = self._cursor
        while True:
            inner = yield from self._indentation()
            if not cursor.left:
                return
            char = cursor.text[cursor.pos]
            if char == "\n" or char == "#":
                yield from self._skip()
                lines.append(_Logical("\n", True, 0))
            elif char == "`" and (yield from self._at_fence()):
                return
            elif inner > width or (inner == width and (yield from self._goes_on(char))):
                line = yield from self._logical()
                line.text = " " * (inner - width) + line.text
                lines.append(line)
                if line.rest:
                    return
            else:
                return

    def _goes_on(self, char: str) -> Generator[None, None, bool]:
        """Whether the line begins with `else` and the like."""
        if char not in "ef":
            return False
        cursor = self._cursor
        yield from cursor.more(8)
        word = re.match(r"\w*", cursor.text[cursor.pos : cursor.pos + 8])
        return word is not None and word[0] in _GOES_ON

    def _logical(self) -> Generator[None, None, _Logical]:
        """Take a line, and those that an open bracket, text or backslash adds to it."""
        cursor, brackets = self._cursor, _Brackets()
        cursor.record = []
        while cursor.left or (yield from cursor.more()):
            cursor.take_run(_PLAIN)
            char = cursor.text[cursor.pos : cursor.pos + 1]
            if char in ("'", '"'):
                if not (yield from self._text(char)):
                    return self._taken(brackets, whole=False)
            elif char == "#":
                yield from self._comment()
            elif char == "\n":
                ended = yield from self._line_end(brackets)
                if ended is not None:
                    return ended
            elif char:
                cursor.take(cursor.pos + 1)
                brackets.count(char)
                if char == "\\" and (yield from cursor.more()):
                    cursor.take(cursor.pos + 1)
        return self._taken(brackets, whole=not brackets.depth)

    def _line_end(self, brackets: _Brackets) -> Generator[None, None, _Logical | None]:
        """Take a line's end; the logical line, if it ends here."""
        cursor = self._cursor
        cursor.take(cursor.pos + 1)
        if not brackets.depth:
            return self._taken(brackets, whole=True)
        record = cursor.record or []
        line = "".join(record[brackets.line :])
        if not brackets.line and not self._may_go_on(line):
            return self._taken(brackets, whole=False)
        if brackets.line and brackets.depth == brackets.before and _NEXT.fullmatch(line):
            return self._cut(brackets)
        if (yield from cursor.more()) and cursor.text[cursor.pos] == "`":
            return self._taken(brackets, whole=False)
        brackets.line, brackets.before = len(record), brackets.depth
        return None

    def _may_go_on(self, line: str) -> bool:
        """Whether a bracket that is open at a line's end can be Python's, not prose's."""
        return self._inside or _STRONG.match(line) is not None

    def _cut(self, brackets: _Brackets) -> _Logical:
        """A line that can only be the next statement stands inside an open bracket."""
        record = self._cursor.record or []
        rest = "".join(record[brackets.line :])
        del record[brackets.line :]
        cut = self._taken(brackets, whole=False)
        cut.rest = rest
        return cut

    def _taken(self, brackets: _Brackets, *, whole: bool) -> _Logical:
        text = "".join(self._cursor.record or ())
        self._cursor.record = None
        self._width = -1
        return _Logical(text, whole, brackets.deepest)

    def _comment(self) -> Generator[None, None, None]:
        cursor = self._cursor
        while cursor.left or (yield from cursor.more()):
            cursor.take_run(_TO_END)
            if cursor.left:
                return

    def _text(self, quote: str) -> Generator[None, None, bool]:
        """Take a text in quotes; False if the program ends inside."""
        cursor = self._cursor
        yield from cursor.more(3)
        triple = cursor.text.startswith(quote * 3, cursor.pos)
        cursor.take(cursor.pos + (3 if triple else 1))
        while cursor.left or (yield from cursor.more()):
            cursor.take_run(_IN_TEXT)
            if not cursor.left:
                continue
            char = cursor.text[cursor.pos]
            if char == "\n" and not triple:
                return True  # never closed; its line says so
            if char == "\\":
                yield from cursor.more(2)
                cursor.take(cursor.pos + min(2, cursor.left))
            elif char == quote and triple:
                yield from cursor.more(3)
                closed = cursor.text.startswith(quote * 3, cursor.pos)
                cursor.take(cursor.pos + (3 if closed else 1))
                if closed:
                    return True
            else:
                cursor.take(cursor.pos + 1)
                if char == quote:
                    return True
        return not triple
