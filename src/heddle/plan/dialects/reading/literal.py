"""Literals as models write them: where a text ends, what its escapes mean, what a number is.

A quote closes a text only where an argument could end (before `, ) ] } :`, a comment or another
quote), so that `"He said "hi" there"` and `'Peter O'Meara'` are one text each. Quotes inside a
text must then come in pairs, or be apostrophes; anything else is a fault, never a guess.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from heddle.plan.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from heddle.plan.dialects.reading.cursor import Cursor

__all__ = [
    "BLANKS",
    "NESTING",
    "PAIRS",
    "QUOTES",
    "SCALARS",
    "Extent",
    "Fault",
    "check_quotes",
    "comment",
    "number",
    "number_text",
    "quoted",
    "unescape",
]

NESTING = Limits().max_nesting
"""Lists and objects inside one argument."""

_DIGITS = 308  # more than a double can hold; Python itself refuses some thousands
_DOUBLE, _SINGLE = "“”", "‘’"
_CLOSING = {
    '"': '"',
    "'": "'",
    **dict.fromkeys("“”„", _DOUBLE),
    **dict.fromkeys("‘’", _SINGLE),
}
QUOTES = "".join(_CLOSING)
PAIRS = {"(": ")", "[": "]", "{": "}"}
SCALARS: dict[str, bool | None] = {
    "True": True,
    "False": False,
    "None": None,
    "true": True,
    "false": False,
    "null": None,
}
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})

BLANKS = re.compile(r"\s*+")
_COMMENT = re.compile(r"[^\n]*+")
_ENDS = frozenset(",)]}:" + QUOTES)
_RUNS = {
    (closing, watch): re.compile(rf"[^{closing}\\\n{'(' if watch else ''}]*+")
    for closing in set(_CLOSING.values())
    for watch in (False, True)
}
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]++(?:_[0-9]++)*+(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_SHORT = {
    **{"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0"},
    **{char: char for char in QUOTES + "\\/$"},
    "\n": "",
}
_SURROGATE = re.compile("[\ud800-\udfff]")


class Fault(Exception):
    """Text that cannot be read: the code of the finding, and where it is wrong."""

    def __init__(self, code: str, message: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.offset = offset


class Extent:
    """A stretch of text that was taken, and the texts and brackets found in it.

    Attributes:
        strings: where each quoted text begins, quotes included, and where it ends.
        pairs: where each bracket opens, and where it closes.
    """

    __slots__ = ("_parts", "pairs", "size", "strings")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.size = 0
        self.strings: dict[int, int] = {}
        self.pairs: dict[int, int] = {}

    @property
    def text(self) -> str:
        """What was taken."""
        if len(self._parts) != 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0]

    def add(self, piece: str) -> None:
        """Append what was taken from a cursor."""
        self._parts.append(piece)
        self.size += len(piece)


# -- where a text ends ---------------------------------------------------------------------------


def quoted(
    cursor: Cursor, extent: Extent, interrupted: Callable[[], bool] | None = None
) -> Generator[None, None, bool]:
    """Take a text from its opening quote to its closing one, and the blanks after it.

    Args:
        cursor: stands on the opening quote.
        extent: gets the text.
        interrupted: asked at the first opening bracket of each new line whether the text was
            never closed, and something else has begun.

    Returns:
        False if the closing quote never came.
    """
    start = extent.size
    quote = cursor.text[cursor.pos]
    if (yield from _is_triple(cursor, quote)):
        return (yield from _triple(cursor, extent, quote))
    extent.add(cursor.take(cursor.pos + 1))
    closing = _CLOSING[quote]
    watch = False
    while cursor.left or (yield from cursor.more()):
        extent.add(cursor.take_run(_RUNS[closing, watch]))
        char = cursor.text[cursor.pos : cursor.pos + 1]
        if char == "\\":
            yield from cursor.more(2)
            extent.add(cursor.take(min(cursor.pos + 2, len(cursor.text))))
        elif char == "\n":
            extent.add(cursor.take(cursor.pos + 1))
            watch = interrupted is not None
        elif char == "(":
            if interrupted is not None and interrupted():
                return False
            watch = False
        elif char:
            line = cursor.line
            extent.add(cursor.take(cursor.pos + 1))
            end = extent.size
            if (yield from _ends(cursor, extent)):
                extent.strings[start] = end
                return True
            watch = watch or (interrupted is not None and cursor.line > line)
    return False


def _is_triple(cursor: Cursor, quote: str) -> Generator[None, None, bool]:
    if quote not in "\"'":
        return False
    while cursor.left < 3 and not cursor.ended:
        if cursor.text[cursor.pos :].strip(quote):
            return False
        yield
    return cursor.text.startswith(quote * 3, cursor.pos)


def _triple(cursor: Cursor, extent: Extent, quote: str) -> Generator[None, None, bool]:
    start = extent.size
    extent.add(cursor.take(cursor.pos + 3))
    while cursor.left or (yield from cursor.more()):
        extent.add(cursor.take_run(_RUNS[quote, False]))
        char = cursor.text[cursor.pos : cursor.pos + 1]
        if char == quote:
            yield from cursor.more(3)
            if cursor.text.startswith(quote * 3, cursor.pos):
                extent.add(cursor.take(cursor.pos + 3))
                extent.strings[start] = extent.size
                return True
        elif char == "\\":
            yield from cursor.more(2)
        if char:
            extent.add(cursor.take(min(cursor.pos + 1 + (char == "\\"), len(cursor.text))))
    return False


def _ends(cursor: Cursor, extent: Extent) -> Generator[None, None, bool]:
    """Take the blanks after a quote; whether an argument can end here."""
    size = extent.size
    while cursor.left or (yield from cursor.more()):
        extent.add(cursor.take_run(BLANKS))
        if not cursor.left:
            continue
        char = cursor.text[cursor.pos]
        if char in "#/":
            return extent.size > size and (yield from _at_comment(cursor))
        return char in _ENDS
    return True


def _at_comment(cursor: Cursor) -> Generator[None, None, bool]:
    if cursor.text[cursor.pos] == "#":
        return True
    yield from cursor.more(2)
    return cursor.text.startswith(("//", "/*"), cursor.pos)


def comment(cursor: Cursor) -> Generator[None, None, bool]:
    """Drop a comment (`# …`, `// …`, `/* … */`) if one begins here."""
    if not (yield from _at_comment(cursor)):
        return False
    if cursor.text.startswith("/*", cursor.pos):
        cursor.take(cursor.pos + 2)
        yield from _block_comment(cursor)
        return True
    while cursor.left or (yield from cursor.more()):
        cursor.take_run(_COMMENT)
        if cursor.left:
            break
    return True


def _block_comment(cursor: Cursor) -> Generator[None, None, None]:
    while (yield from cursor.more(2)):
        end = cursor.text.find("*/", cursor.pos)
        cursor.take(end + 2 if end >= 0 else len(cursor.text) - 1)
        if end >= 0:
            return
    cursor.take(len(cursor.text))


# -- what a text says ----------------------------------------------------------------------------


def unescape(raw: str) -> str:
    """A text's content with its escapes read; an unknown escape stays as it is.

    Raises:
        Fault: a character that is no valid Unicode.
    """
    if "\\" in raw:
        raw = _ESCAPE.sub(_unescaped, raw)
    if not _SURROGATE.search(raw):
        return raw
    try:
        return raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise Fault("bad-text", "half of a surrogate pair is no character") from None


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if not code:
        return _SHORT.get(found[4], found[0])
    try:
        return chr(int(code, 16))
    except (ValueError, OverflowError):
        raise Fault("bad-text", f"{found[0]} is no character") from None


def check_quotes(raw: str, quote: str) -> None:
    """Check that quotes inside a text come in pairs, or are apostrophes.

    Args:
        raw: the content, escapes unread.
        quote: the quote that opened the text.

    Raises:
        Fault: the text may be two, joined or side by side.
    """
    marks = _CLOSING[quote]
    if not any(mark in raw for mark in marks):
        return
    opened = False
    for found in re.finditer(rf"\\.|[{marks}]", raw, re.DOTALL):
        if found[0][0] == "\\":
            continue
        before, after = raw[found.start() - 1 : found.start()], raw[found.end() : found.end() + 1]
        if before.isalnum() and after.isalnum():
            continue
        opening = not (before.isalnum() or before in tuple(".,!?)]}%")) and bool(after.strip())
        if opening != opened:
            opened = opening
        elif not _possessive(raw, found.start(), marks):
            break
    else:
        if not opened:
            return
    raise Fault(
        "bad-arguments",
        "quotes inside a text are not paired, so where it ends is unclear",
        'escape quotes inside a text as \\"; texts cannot be joined with operators',
    )


def _possessive(raw: str, place: int, marks: str) -> bool:
    """Whether a quote is the apostrophe of `the dogs' tails`."""
    return (
        '"' not in marks
        and marks != _DOUBLE
        and raw[place - 1 : place] == "s"
        and (raw[place + 1 : place + 2] == " " and raw[place + 2 : place + 3].isalpha())
    )


def number(word: str) -> int | float | None:
    """The number that a bare word is, or None.

    Raises:
        Fault: a number that JSON cannot hold, or that may not be one.
    """
    if word.lstrip("+-").lower() in _NOT_FINITE:
        raise Fault("bad-number", f"{word} is not a number that JSON can hold", "give a finite one")
    if not _NUMBER.fullmatch(word):
        return None
    digits = word.lstrip("+-").replace("_", "")
    if digits[0] == "0" and digits[1:2].isdigit():
        raise Fault(
            "bad-number",
            f"{word[:20]} begins with a zero",
            "quote it if it is a text; write 1000 and not 1,000",
        )
    if digits.isdigit():
        if len(digits) > _DIGITS:
            raise Fault("bad-number", f"a number has {len(digits)} digits", "at most 308")
        return int(word)
    value = float(word)
    if not math.isfinite(value):
        raise Fault("bad-number", f"{word[:20]} is too large for a number", "give a finite one")
    return value


def number_text(value: float) -> str:
    """A number as every dialect of calls writes and reads it.

    Raises:
        ValueError: it has no JSON form, or more digits than are read back.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    if isinstance(value, int) and abs(value) >= 10**_DIGITS:
        raise ValueError("a number has more than 308 digits")
    return repr(value)
