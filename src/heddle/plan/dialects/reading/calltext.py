"""The argument list of a call, as the LLMCompiler dialect writes it.

`call_text` takes the text up to the closing bracket while it arrives; `Arguments` reads it once it
is whole. Python literals and JSON are read alike; what is neither is text without quotes, if that
is all it can be, and otherwise a fault.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from heddle.plan.canonical import NODE_KEYS
from heddle.plan.dialects.reading.literal import (
    BLANKS,
    NESTING,
    PAIRS,
    QUOTES,
    SCALARS,
    Extent,
    Fault,
    check_quotes,
    comment,
    number,
    quoted,
    unescape,
)
from heddle.plan.dialects.reading.names import INPUT, PATH, Names, Place, path_of, text_of
from heddle.plan.ir import Input, Ref, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from heddle.plan.dialects.reading.cursor import Cursor
    from heddle.plan.ir import Value

__all__ = ["Arguments", "call_text"]

_WORD = re.compile(rf"[^\s()\[\]{{}},:={QUOTES}#/]++")
_PREFIXES = frozenset({"r", "u", "b", "f", "rb", "br", "fr", "rf"})
_CLOSES = {closing: opening for opening, closing in PAIRS.items()}
_MARK = re.compile(
    rf"""\\.|\$(?:(?P<n>[0-9]{{1,9}})(?![0-9]|[.,][0-9])(?P<p>{PATH})"""
    rf"""|\{{(?P<b>[0-9]{{1,9}})(?P<q>{PATH})\}}(?P<r>{PATH})"""
    rf"""|input\.(?P<i>{INPUT})(?P<s>{PATH})|\{{input\.(?P<j>{INPUT})(?P<t>{PATH})\}})""",
    re.DOTALL,
)
_BARE = re.compile(rf"\$(?:([0-9]{{1,9}})({PATH})|\{{([0-9]{{1,9}})({PATH})\}}({PATH}))")
_INPUT = re.compile(rf"\$(?:input\.({INPUT})({PATH})|\{{input\.({INPUT})({PATH})\}})")
_KEYWORD = re.compile(r"([^\W\d][\w-]*+)\s*+(?:=(?!=)|(:))\s*+")
_KEY = re.compile(r"([^\s:=\"'{}\[\],()$]++)\s*+:\s*+")
_COLON = re.compile(r"\s*+[:=]\s*+")
_INNER_CALL = re.compile(r"(?<![\w.])([^\W\d][\w.]*+)\(")
_COMPREHENSION = re.compile(r"\bfor\s++\w++\s++in\b")
_MATHS = re.compile(
    "abs|average|avg|ceil|cos|count|exp|float|floor|int|len|ln|log|log10|max|mean|median|min|pow|"
    "product|round|sin|sqrt|sum|tan"
)


def call_text(
    cursor: Cursor, extent: Extent, interrupted: Callable[[], bool]
) -> Generator[None, None, bool]:
    """Take the text after an opening bracket, up to and with the one that closes it.

    Comments are left out. A surplus closing bracket is text.

    Args:
        cursor: stands after the opening bracket.
        extent: gets the text, without the closing bracket.
        interrupted: asked at the first opening bracket of each new line whether another call has
            begun, so that this one was never closed.

    Returns:
        False if the closing bracket never came.
    """
    scan = _Scan(cursor, extent)
    start = cursor.line
    while cursor.left or (yield from cursor.more()):
        extent.add(cursor.take_run(BLANKS))
        if not cursor.left:
            continue
        char = cursor.text[cursor.pos]
        if char in QUOTES and scan.text_may_begin:
            if not (yield from quoted(cursor, extent, interrupted)):
                return False
            scan.before = "value"
        elif char in "#/" and scan.comment_may_begin and (yield from comment(cursor)):
            pass
        elif char == "(" and cursor.line > start and interrupted():
            return False
        elif scan.take(char):
            return True
    return False


class _Scan:
    """What is open in a call, and what stands before the next character.

    Attributes:
        before: "fresh" where a value may begin, "value" after a text or a bracket, and else the
            beginning of the word.
    """

    def __init__(self, cursor: Cursor, extent: Extent) -> None:
        self.before = "fresh"
        self._cursor = cursor
        self._extent = extent
        self._open: list[tuple[str, int]] = [("(", -1)]
        self._counts = {"(": 1, "[": 0, "{": 0}

    @property
    def text_may_begin(self) -> bool:
        return self.before == "fresh" or self.before.lower() in _PREFIXES

    @property
    def comment_may_begin(self) -> bool:
        return self.before in ("fresh", "value")

    def take(self, char: str) -> bool:
        """Take a bracket, a separator or a word; True if it closes the call."""
        cursor, extent = self._cursor, self._extent
        if char in _CLOSES and self._close(_CLOSES[char]):
            cursor.take(cursor.pos + 1)
            return True
        if char in PAIRS:
            self._open.append((char, extent.size))
            self._counts[char] += 1
        if char in PAIRS or char in ",:=":
            self.before = "fresh"
            extent.add(cursor.take(cursor.pos + 1))
        elif char in _CLOSES:
            self.before = "value"
            extent.add(cursor.take(cursor.pos + 1))
        else:
            word = cursor.take_run(_WORD) or cursor.take(cursor.pos + 1)
            extent.add(word)
            self.before = _joined(self.before, word)
        return False

    def _close(self, opening: str) -> bool:
        """Close the innermost bracket, if it is of that kind; a `)` closes those inside it too.

        True if it was the call's own.
        """
        if not self._counts[opening] or (opening != "(" and self._open[-1][0] != opening):
            return False
        while True:
            char, place = self._open.pop()
            self._counts[char] -= 1
            if char == opening:
                if place >= 0:
                    self._extent.pairs[place] = self._extent.size
                return place < 0


def _joined(before: str, word: str) -> str:
    """The beginning of a word of which a part was taken."""
    return word[:3] if before == "fresh" else (before + word)[:3]


_AMOUNT = re.compile(r"-?[0-9]{1,3}")
_THREE = re.compile(r"[0-9]{3}(?:\.[0-9]++)?")


class Arguments:
    """Reads the text between the brackets of a call.

    Args:
        extent: the text, and where its texts and brackets are.
        names: what `$N` may mean.
        place: the step that the call belongs to.

    Attributes:
        unquoted: the texts without quotes that were accepted, each with its offset.
        split: numbers with a comma in them that were read as two, each with its offset.
    """

    def __init__(self, extent: Extent, names: Names, place: Place) -> None:
        self.unquoted: list[tuple[int, str]] = []
        self.split: list[tuple[int, str]] = []
        self._text = extent.text
        self._strings = extent.strings
        self._starts = list(extent.strings)
        self._pairs = extent.pairs
        self._names = names
        self._place = place

    def read(self) -> dict[str, Value]:
        """The arguments by name; positional ones by their place, from "0".

        Cost: linear in the text.

        Raises:
            Fault: the text cannot be read; with its offset.
        """
        args: dict[str, Value] = {}
        position = 0
        items = list(self._items(0, len(self._text)))
        self._find_split(items)
        for start, end in items:
            name, at = self._keyword(start, end)
            if name is None:
                name, position = str(position), position + 1
            if name in args:
                raise Fault("duplicate-key", f"argument {name} is given twice", "", start)
            args[name] = self._value(at, end, 0)
        return args

    # -- what is where

    def _items(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where the items between two brackets begin and end, without blanks around them."""
        begin = place = start
        while place <= end:
            char = self._text[place] if place < end else ","
            if char == ",":
                if item := self._trimmed(begin, place, last=place == end):
                    yield item
                begin = place + 1
            place = self._after(place)

    def _find_split(self, items: list[tuple[int, int]]) -> None:
        """Remember `1,200` where it is read as two numbers, and was probably meant as one.

        Raises:
            Fault: `$1,200`, which would be a reference and a number.
        """
        tight = [one[1] + 1 == other[0] for one, other in pairwise(items)]
        for (start, end), (begin, finish), close in zip(items, items[1:], tight, strict=False):
            if not close or not _THREE.fullmatch(self._text, begin, finish):
                continue
            first, said = self._text[start:end], self._text[start:finish]
            if first.startswith("$") and first[1:].isdecimal():
                hint = 'quote an amount: "$1,200"; put a blank after the comma of a reference'
                raise Fault("split-number", f"{said} is an amount, or two values", hint, start)
            if _AMOUNT.fullmatch(first.rpartition("=")[2].strip()) and (
                len(items) == 2 or not all(tight)
            ):
                self.split.append((start, said))

    def _after(self, place: int) -> int:
        """The next place that is not inside a text or a bracket that begins here."""
        if place in self._strings:
            return self._strings[place]
        return self._pairs.get(place, place) + 1

    def _trimmed(self, start: int, end: int, *, last: bool) -> tuple[int, int] | None:
        piece = self._text[start:end]
        if not piece.strip():
            if last:
                return None
            raise Fault("bad-arguments", "there is nothing before a comma", "", start)
        return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())

    def _keyword(self, start: int, end: int) -> tuple[str | None, int]:
        """The name before a value, and where the value begins."""
        found = _KEYWORD.match(self._text, start, end)
        if found and found.end() < end:
            if found[2] is None or self._is_literal(found.end(), end):
                return found[1], found.end()
        elif start in self._strings and self._strings[start] < end:
            colon = _COLON.match(self._text, self._strings[start], end)
            key = self._text[start + 1 : self._strings[start] - 1]
            if colon and colon.end() < end and key.replace("_", "a").replace("-", "a").isalnum():
                return key, colon.end()
        return None, start

    def _is_literal(self, start: int, end: int) -> bool:
        if start in self._strings or start in self._pairs:
            return self._after(start) == end
        word = self._text[start:end]
        return word in SCALARS or bool(_BARE.fullmatch(word)) or number(word) is not None

    # -- what it means

    def _value(self, start: int, end: int, depth: int) -> Value:
        if self._strings.get(start) == end:
            return self._quoted(start, end, "")
        prefix = self._text[start : start + 2].rstrip(QUOTES)
        if prefix and self._strings.get(start + len(prefix)) == end:
            return self._quoted(start + len(prefix), end, prefix.lower())
        if self._pairs.get(start) == end - 1:
            if depth >= NESTING:
                raise Fault(
                    "nesting-too-deep",
                    f"lists and objects nest deeper than {NESTING}",
                    "give the value in a flatter form",
                    start,
                )
            return self._container(start, end, depth + 1)
        return self._bare(start, end, depth)

    def _container(self, start: int, end: int, depth: int) -> Value:
        if self._text[start] == "{":
            return self._dict(start + 1, end - 1, depth)
        places = list(self._items(start + 1, end - 1))
        self._find_split(places)
        items = [self._value(*item, depth) for item in places]
        lone = self._text[start] == "(" and len(items) == 1
        if lone and not self._text[start:end].rstrip(") \t\n").endswith(","):
            return items[0]
        return items

    def _dict(self, start: int, end: int, depth: int) -> Value:
        out: dict[str, Value] = {}
        for begin, finish in self._items(start, end):
            key, at = self._key(begin, finish)
            if key in out:
                raise Fault("duplicate-key", f"an object names {key!r} twice", "", begin)
            out[key] = self._value(at, finish, depth)
        if not NODE_KEYS.isdisjoint(out) and next(nodes_of(out), None):
            raise Fault(
                "bad-node",
                "an object that looks like a plan's node cannot hold a reference",
                "rename the key that begins with `$`",
                start,
            )
        return out

    def _key(self, start: int, end: int) -> tuple[str, int]:
        if start in self._strings:
            stop = self._strings[start]
            colon = _COLON.match(self._text, stop, end)
            key: Any = self._content(start, stop)[0]
            key = unescape(key)
        else:
            colon = _KEY.match(self._text, start, end)
            key = colon[1] if colon else ""
        if not colon or colon.end() >= end:
            raise Fault("bad-arguments", "an object needs `key: value`", "", start)
        return key, colon.end()

    def _content(self, start: int, end: int) -> tuple[str, str]:
        """A text's content without its quotes, escapes unread, and the quote."""
        quote = self._text[start]
        width = 3 if end - start >= 6 and self._text.startswith(quote * 3, start) else 1
        return self._text[start + width : end - width], "" if width == 3 else quote

    def _quoted(self, start: int, end: int, prefix: str) -> Value:
        if "f" in prefix or "b" in prefix:
            raise Fault(
                "bad-arguments",
                f"a text cannot have the prefix {prefix!r}",
                "write references as $1 in a plain text",
                start,
            )
        raw, quote = self._content(start, end)
        try:
            if quote:
                check_quotes(raw, quote)
            if "r" in prefix:
                raw = raw.replace("\\", "\\\\")
            return self._template(raw, unescape)
        except Fault as fault:
            fault.offset = start
            raise

    def _template(self, raw: str, read: Callable[[str], str]) -> Value:
        """A text with the references in it."""
        parts: list[str | Ref | Input] = []
        done = 0
        for found in _MARK.finditer(raw):
            if source := found["i"] or found["j"]:
                parts.append(read(raw[done : found.start()]))
                parts.append(Input(source, path_of(found["s"] or found["t"] or "")))
                done = found.end()
                continue
            name = found["n"] or found["b"]
            if not name:
                self._escaped(_BARE.match(raw, found.start() + 1))
                continue
            name = str(int(name))
            step = self._names.find(name, self._place)
            if step is None:
                certain = bool(found["b"]) or found.span() == (0, len(raw))
                self._names.unknown(name, self._place, certain=certain)
                continue
            parts.append(read(raw[done : found.start()]))
            path = (found["p"] or "") + (found["q"] or "") + (found["r"] or "")
            parts.append(Ref(step, path_of(path)))
            done = found.end()
        return text_of([*parts, read(raw[done:])])

    def _escaped(self, found: re.Match[str] | None) -> None:
        """Warn where a dollar sign with a backslash stands before a step's number."""
        name = str(int(found[1] or found[3])) if found else ""
        if found and name in self._names:
            message = f"{found[0][:40]} is text, since a backslash stands before it"
            hint = "remove the backslash if the step is meant"
            finding = self._place.finding("unknown-reference", message, hint, warning=True)
            self._names.findings.append(finding)

    def _bare(self, start: int, end: int, depth: int) -> Value:
        """A scalar, a reference, or text without quotes."""
        text = self._text[start:end]
        if text in SCALARS:
            return SCALARS[text]
        try:
            value = number(text)
        except Fault as fault:
            fault.offset = start
            raise
        if value is not None:
            return value
        if found := _BARE.fullmatch(text):
            name = str(int(found[1] or found[3]))
            step = self._names.find(name, self._place) or self._names.id_of(name)
            path = (found[2] or "") + (found[4] or "") + (found[5] or "")
            return Ref(step, path_of(path))
        if found := _INPUT.fullmatch(text):
            return Input(found[1] or found[3], path_of(found[2] or found[4] or ""))
        if depth and _COMPREHENSION.search(text):
            message = "a list is written out, not computed"
            raise Fault("bad-arguments", message, "give one step for each item", start)
        return self._unquoted(text, start, end)

    def _unquoted(self, text: str, start: int, end: int) -> Value:
        inside = bisect_left(self._starts, start)
        if (inside < len(self._starts) and self._starts[inside] < end) or '"' in text:
            raise Fault(
                "bad-arguments",
                "an argument mixes quoted text with something else",
                "give one quoted text, number, list or reference; put other calls in own steps",
                start,
            )
        for found in _INNER_CALL.finditer(text):
            if not _MATHS.fullmatch(found[1].lower()):
                raise Fault(
                    "bad-arguments",
                    f"{found[1]}(…) is a call inside an argument",
                    "give it a numbered line of its own and refer to it as $N",
                    start + found.start(),
                )
        if any(char in text for char in "{}[]") and text[0] in "{[":
            raise Fault(
                "bad-arguments", "a list or object is followed by something else", "", start
            )
        self.unquoted.append((start, text))
        return self._template(text, _as_is)


def _as_is(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise Fault("bad-text", "half of a surrogate pair is no character")
    return text
