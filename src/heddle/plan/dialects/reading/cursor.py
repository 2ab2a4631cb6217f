"""The text of a dialect as it arrives: what was taken is forgotten, what was not is kept.

A reading is one generator over a `Cursor`. It takes whatever is there and yields when it needs
more, so the same pieces come out however the text is cut, and no character is looked at twice.

Invariant: a generator that yields has taken all but a few characters, so that feeding one
character costs the same whatever came before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.plan.ir import Origin

if TYPE_CHECKING:
    import re
    from collections.abc import Generator

    from heddle.plan.dialects import Piece
    from heddle.plan.ir import Value

__all__ = ["SNIPPET", "Cursor", "Reading"]

SNIPPET = 120
"""At most so many characters of a line are shown in a finding."""

_FIRST, _LAST, _KEPT = 300, 300, 4096


class Cursor:
    """A place in a text that is still arriving. CRLF reads as LF; a byte order mark is dropped.

    Attributes:
        text: what has arrived and was not forgotten; `pos` says how much of it was taken.
        ended: no more will come.
        line: line of the next character, from 1.
        column: column of the next character, from 1.
        snippet: the current line up to here, at most `SNIPPET` characters.
        length: characters of the current line since `mark`.
        record: everything taken since somebody set it to a list; None records nothing.
    """

    __slots__ = (
        "_fresh",
        "_held",
        "_segment",
        "column",
        "ended",
        "length",
        "line",
        "pos",
        "record",
        "snippet",
        "text",
    )

    def __init__(self) -> None:
        self.text = ""
        self.pos = 0
        self.ended = False
        self.line = 1
        self.column = 1
        self.snippet = ""
        self.length = 0
        self._segment = ""
        self.record: list[str] | None = None
        self._held = ""  # a carriage return, until we know what follows
        self._fresh = True

    @property
    def left(self) -> int:
        """How many characters are here and not taken."""
        return len(self.text) - self.pos

    @property
    def origin(self) -> Origin:
        """The place of the next character."""
        return Origin(self.line, self.column)

    @property
    def segment(self) -> str:
        """The current line since `mark`, without its middle where it is very long."""
        if self.whole:
            return self._segment
        return self._segment[:_FIRST] + self._segment[-_LAST:]

    @property
    def whole(self) -> bool:
        """Whether `segment` is all of the line since `mark`."""
        return self.length <= _FIRST + _LAST

    def feed(self, chunk: str) -> None:
        """Add what has arrived."""
        if self._fresh and chunk:
            chunk = chunk.removeprefix("\ufeff")
            self._fresh = False
        chunk = self._held + chunk
        self._held = "\r" if chunk.endswith("\r") else ""
        chunk = chunk.removesuffix("\r").replace("\r\n", "\n")
        self.text = self.text[self.pos :] + chunk
        self.pos = 0

    def end(self) -> None:
        """No more will come."""
        self.text = self.text[self.pos :] + self._held
        self.pos = 0
        self.ended = True

    def more(self, count: int = 1) -> Generator[None, None, bool]:
        """Wait for some characters; False if the text ends before."""
        while self.left < count:
            if self.ended:
                return False
            yield
        return True

    def take(self, end: int) -> str:
        """Take the text up to a position."""
        piece = self.text[self.pos : end]
        self.pos = end
        if self.record is not None:
            self.record.append(piece)
        cut = piece.rfind("\n")
        if cut < 0:
            self._extend(piece)
            return piece
        self.line += piece.count("\n")
        self.column = 1
        self.snippet = ""
        self.mark()
        self._extend(piece[cut + 1 :])
        return piece

    def take_run(self, pattern: re.Pattern[str]) -> str:
        """Take what a pattern matches here, which may be nothing."""
        found = pattern.match(self.text, self.pos)
        return self.take(found.end()) if found and found.end() > self.pos else ""

    def mark(self) -> None:
        """Begin a new segment here."""
        self._segment = ""
        self.length = 0

    def _extend(self, piece: str) -> None:
        self.column += len(piece)
        if len(self.snippet) < SNIPPET:
            self.snippet = (self.snippet + piece)[:SNIPPET]
        self.length += len(piece)
        self._segment += piece
        if len(self._segment) > _KEPT:
            self._segment = self._segment[:_FIRST] + self._segment[-_LAST:]


class Reading:
    """One reading of one text: `_read` is the generator, and `_emit` gives back a piece."""

    def __init__(self) -> None:
        self.output: Value = None
        self._cursor = Cursor()
        self._pieces: list[Piece] = []
        self._running: Generator[None, None, None] | None = self._read()

    def feed(self, text: str) -> list[Piece]:
        """Take the next part of the text; give back what has become final."""
        if self._running is not None:
            self._cursor.feed(text)
        return self._advance()

    def close(self) -> list[Piece]:
        """The text has ended; give back what was still open."""
        self._cursor.end()
        pieces = self._advance()
        self._finish()
        pieces += self._pieces
        self._pieces = []
        return pieces

    def _advance(self) -> list[Piece]:
        if self._running is not None:
            try:
                next(self._running)
            except StopIteration:
                self._running = None
        pieces, self._pieces = self._pieces, []
        return pieces

    def _emit(self, *pieces: Piece) -> None:
        self._pieces.extend(pieces)

    def _read(self) -> Generator[None, None, None]:
        raise NotImplementedError

    def _finish(self) -> None:
        """Say what can only be said at the end."""
