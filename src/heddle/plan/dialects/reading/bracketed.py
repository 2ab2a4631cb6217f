"""What stands between the brackets of `Tool[…]` or `tool(…)`: one text, or a list of arguments.

ReWOO and ReAct write one text, as it is: `Search[Peter O'Meara, actor]`. It is a list of arguments
only where nothing else can be meant:

    Tool["text"]                          one text: the quotes are no part of it
    Tool["a", #E1, 3]    f(3, "a")        values with commas, one of them a quoted text or reference
    Tool[query="a"]      f(query="a")     names before the values
    Tool[{"query": "a"}]                  an object: its keys are the names
    Tool[#E1, #E2, which is larger?]      two references or more first; the rest is one text
    f(3)                                  in round brackets a value alone is a value

`Tool[153,701]`, `Tool[x = 3]` and `Tool["a" or "b"]` are texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.plan.canonical import NODE_KEYS
from heddle.plan.dialects.reading.literal import (
    BLANKS,
    NESTING,
    SCALARS,
    Fault,
    check_quotes,
    number,
    unescape,
)
from heddle.plan.dialects.reading.names import INPUT, PATH, path_of, text_of
from heddle.plan.ir import Input, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heddle.plan.ir import Ref, Value

__all__ = [
    "GIVEN",
    "TOOL",
    "Render",
    "arguments_in",
    "as_written",
    "given",
    "marked",
    "rendered",
    "with_inputs",
]

Render: TypeAlias = "Callable[[str, Callable[[str], str]], Value]"
"""Makes a value of a text with references in it, and a reader of the escapes between them."""

TOOL = r"[^\W\d](?:[\w.\-/]|\\(?=_)|[ ](?=\w)){0,63}+"
"""The name of a tool, as a pattern: words with blanks between them."""

GIVEN = re.compile(
    rf"\$(?:input\.(?P<input>{INPUT})(?P<input_path>{PATH})"
    rf"|\{{input\.(?P<braced>{INPUT})(?P<braced_path>{PATH})\}})"
)
"""A reference to the caller's data: `$input.mail`, `${input.mail}`."""

_CLOSING = {'"': '"', "'": "'", "“": "”", "”": "”", "‘": "’", "’": "’"}
_STOPS = {quote: re.compile(rf"\\.|{closing}", re.DOTALL) for quote, closing in _CLOSING.items()}
_AFTER_TEXT = re.compile(r"\s*+(?:[,)\]}:]|\Z)")
_KEYWORD = re.compile(r"([^\W\d][\w-]*+)\s*+(?:=(?!=)|:(?=\s*+[\"'“]))\s*+")
_KEY = re.compile(r"([^\W\d][\w-]*+)")
_COLON = re.compile(r"\s*+:\s*+")
_WORD = re.compile(r"[^\s,:=\[\](){}\"'“”#$]++")
_JSON_HINT = 'give {"name": value, …}, or one text'
_ENUMERATION = re.compile(r"(?:and|or)\b|[&+]", re.IGNORECASE)


class _Free(Exception):
    """What stands here is no value, so it is free text."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as it is written, references unread: quoted or not, or a lone reference."""

    raw: str
    read: Callable[[str], str]


def as_written(text: str) -> str:
    """A text without escapes.

    Raises:
        Fault: a character that is no valid Unicode.
    """
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise Fault("bad-text", "half of a surrogate pair is no character")
    return text


def given(found: re.Match[str]) -> Input | None:
    """The caller's data that a match of `GIVEN` names."""
    name = found["input"] or found["braced"]
    path = found["input_path"] or found["braced_path"] or ""
    return Input(name, path_of(path)) if name else None


def marked(
    raw: str,
    read: Callable[[str], str],
    mention: re.Pattern[str],
    node_of: Callable[[re.Match[str]], Ref | Input | None],
) -> Value:
    """What a text with references means.

    Args:
        raw: the text, escapes unread.
        read: reads the escapes; what is escaped is no reference.
        mention: what a reference looks like.
        node_of: the reference that a match is; None for what stays text.
    """
    parts: list[str | Ref | Input] = []
    done = 0
    for found in (_unless_escaped(mention) if read is unescape else mention).finditer(raw):
        node = node_of(found) if found.lastindex else None
        if node is not None:
            parts += [read(raw[done : found.start()]), node]
            done = found.end()
    return text_of([*parts, read(raw[done:])])


@cache
def _unless_escaped(mention: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(rf"\\.|{mention.pattern}", re.DOTALL)


def with_inputs(raw: str, read: Callable[[str], str]) -> Value:
    """What a text means in which nothing but the caller's data can be named."""
    return marked(raw, read, GIVEN, given)


def arguments_in(
    text: str, render: Render, *, mention: re.Pattern[str] | None = None, call: bool = False
) -> dict[str, Value]:
    """The arguments by name; positional ones by their place, from "0".

    Args:
        text: what stands between the brackets.
        render: what a text with references means.
        mention: what a reference looks like; None where there are none.
        call: the brackets are round.

    Cost: linear in the text.

    Raises:
        Fault: the text cannot be read; with its offset.
    """
    if not text.strip():
        return {}
    items = _Items(text, mention)
    listed = items.read(call)
    if listed is None:
        listed = {"0": _Text(text.strip(), as_written)}
    return {name: rendered(value, render) for name, value in listed.items()}


def rendered(value: Any, render: Render) -> Value:
    """A value with the references in its texts.

    Raises:
        Fault: a text, or an object, that cannot be read.
    """
    if isinstance(value, _Text):
        return render(value.raw, value.read)
    if isinstance(value, str):
        return render(value, as_written)
    if isinstance(value, list):
        return [rendered(item, render) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        out = {key: rendered(item, render) for key, item in mapping.items()}
        if not NODE_KEYS.isdisjoint(out) and next(nodes_of(out), None):
            message = "an object that looks like a plan's node cannot hold a reference"
            raise Fault("bad-node", message, "rename the key that begins with `$`")
        return out
    return value


class _Items:
    """The values between two brackets, as far as there are any.

    Args:
        text: what stands between them.
        mention: what a reference looks like.
    """

    def __init__(self, text: str, mention: re.Pattern[str] | None) -> None:
        self._text = text
        self._mention = mention
        self._at = 0
        self._args: dict[str, Any] = {}
        self._comma = False  # a comma stands at the end

    def read(self, call: bool) -> dict[str, Any] | None:
        """The arguments, with texts as they are written; None if all is one text.

        Raises:
            Fault: it is a list of arguments, and cannot be read.
        """
        try:
            self._take_all()
        except _Free:
            return self._with_rest(call)
        values = list(self._args.values())
        if list(self._args) == ["0"] and isinstance(values[0], dict) and not self._comma:
            return cast("dict[str, Any]", values[0])
        if call or any(isinstance(value, _Text) for value in values):
            return self._args
        telling = len(values) > 1 or "0" not in self._args
        return self._args if telling and any(isinstance(v, (list, dict)) for v in values) else None

    def _with_rest(self, call: bool) -> dict[str, Any] | None:
        """Two references or more and then one text; None if all is one text."""
        values, rest = list(self._args.values()), self._text[self._at :].strip()
        mentions = all(isinstance(value, _Text) and value.read is as_written for value in values)
        listed = len(values) >= 2 and all(name.isdecimal() for name in self._args)
        if mentions and listed and not _ENUMERATION.match(rest):
            return {**self._args, str(len(values)): _Text(rest, as_written)}
        if self._text.lstrip().startswith(('{"', "{'")):
            raise Fault("bad-json", "the arguments look like JSON and cannot be read", _JSON_HINT)
        if call and self._text.lstrip()[:1] in _CLOSING:
            message = "an argument mixes quoted text with something else"
            raise Fault("bad-arguments", message, "give quoted texts with commas between them")
        return None

    def _take_all(self) -> None:
        """Take values while there are any.

        Raises:
            _Free: something else comes; `_at` is where it begins.
            Fault: an argument is given twice.
        """
        position = 0
        self._blanks()
        while self._at < len(self._text):
            start = self._at
            name = str(position)
            if found := _KEYWORD.match(self._text, self._at):
                name, self._at = found[1], found.end()
            try:
                value = self._value(0)
                self._blanks()
                self._comma = self._taken(",")
                if not self._comma and self._at < len(self._text):
                    raise _Free
            except _Free:
                self._at = start
                raise
            if name in self._args:
                raise Fault("duplicate-key", f"argument {name} is given twice", "", start)
            self._args[name] = value
            position += name == str(position)
            self._blanks()

    # -- values

    def _value(self, depth: int) -> Any:
        char = self._text[self._at : self._at + 1]
        if char in ("[", "{"):
            if depth >= NESTING:
                message = f"lists and objects nest deeper than {NESTING}"
                raise Fault("nesting-too-deep", message, "give a flatter value", self._at)
            self._at += 1
            return self._list(depth + 1) if char == "[" else self._object(depth + 1)
        if char in _CLOSING:
            return self._quoted()
        found = self._mention.match(self._text, self._at) if self._mention else None
        if found:
            self._at = found.end()
            return _Text(found[0], as_written)
        return self._scalar()

    def _scalar(self) -> Any:
        found = _WORD.match(self._text, self._at)
        if found is None:
            raise _Free
        self._at = found.end()
        if found[0] in SCALARS:
            return SCALARS[found[0]]
        try:
            value = number(found[0])
        except Fault:
            raise _Free from None
        if value is None:
            raise _Free
        return value

    def _quoted(self) -> _Text:
        quote, start = self._text[self._at], self._at + 1
        if quote in "\"'" and self._text.startswith(quote * 3, self._at):
            end = self._text.find(quote * 3, start + 2)
            if end >= 0:
                self._at = end + 3
                return _Text(self._text[start + 2 : end], unescape)
        for found in _STOPS[quote].finditer(self._text, start):
            if found[0][0] != "\\" and _AFTER_TEXT.match(self._text, found.end()):
                self._at = found.end()
                return _Text(self._checked(self._text[start : found.start()], quote), unescape)
        raise _Free

    def _checked(self, raw: str, quote: str) -> str:
        try:
            check_quotes(raw, quote)
        except Fault:
            raise _Free from None
        return raw

    def _list(self, depth: int) -> list[Any]:
        return [self._value(depth) for _ in self._between("]")]

    def _object(self, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for _ in self._between("}"):
            key, start = self._key(), self._at
            colon = _COLON.match(self._text, self._at)
            if colon is None:
                raise _Free
            self._at = colon.end()
            if key in out:
                raise Fault("duplicate-key", f"an object names {key!r} twice", "", start)
            out[key] = self._value(depth)
        return out

    def _key(self) -> str:
        if self._text[self._at : self._at + 1] in tuple(_CLOSING):
            return unescape(self._quoted().raw)
        found = _KEY.match(self._text, self._at)
        if found is None:
            raise _Free
        self._at = found.end()
        return found[1]

    def _between(self, closing: str) -> Iterator[None]:
        """Once for each item up to a closing bracket, which is taken."""
        self._blanks()
        while not self._taken(closing):
            yield
            self._blanks()
            if not self._taken(","):
                if not self._taken(closing):
                    raise _Free
                return
            self._blanks()

    def _blanks(self) -> None:
        found = BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _taken(self, char: str) -> bool:
        if not self._text.startswith(char, self._at):
            return False
        self._at += 1
        return True
