"""JSON that is still arriving, read into values; leniently, as models write it.

Accepted beside JSON: single and curly quotes, unescaped quotes inside a text, trailing commas,
comments, `True`, `False`, `None`, keys without quotes. What stands outside of every bracket is
prose. Objects are handed over as soon as they close where a step may stand: at the top, in a
list there, or under a key such as `steps` (`WRAPPERS`).

Invariant: no recursion, so that depth costs memory and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from heddle.plan.dialects.reading.cursor import Cursor
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

if TYPE_CHECKING:
    from collections.abc import Generator

    from heddle.plan.ir import Origin

__all__ = ["WRAPPERS", "Closed", "Listener", "Objects", "value_of"]

WRAPPERS = frozenset(
    {"steps", "plan", "calls", "tool_calls", "function_calls", "actions", "tasks"}
    | {"choices", "message"}
)
"""Keys under which steps may stand, in an object that is no step itself."""

_PROSE = re.compile(r"[^\[{]*+")
_WORD = re.compile(rf"[^\s,:\[\]{{}}{QUOTES}]++")
_KEY = re.compile(r"[^\W\d][\w.-]*+")
_CLOSES = {closing: opening for opening, closing in PAIRS.items()}
_DEEPEST = NESTING + 1  # the arguments' own object is no part of a value


@dataclass(slots=True)
class Closed:
    """An object that has closed where a step may stand.

    Attributes:
        data: what was read of it.
        origin: where it begins.
        text: all of it, as written.
        fault: the first thing wrong with it, where, and the line.
        alone: no object is around it.
        wrapped: steps stand in it, so it is none.
    """

    data: dict[str, Any]
    origin: Origin
    text: str = ""
    fault: tuple[Fault, Origin, str] | None = None
    alone: bool = True
    wrapped: bool = False


@dataclass(slots=True)
class _Frame:
    """An open bracket.

    Attributes:
        value: what was read of the list or object.
        steps: whether a step may stand directly inside, or it may be one.
        owner: the object around it, or it itself, that may be a step.
        depth: how many brackets are between it and the owner.
        awaits: what must come next: "first", "value", "key", "colon" or "comma".
    """

    bracket: str
    value: Any
    steps: bool
    owner: Closed | None
    depth: int
    awaits: str = "first"
    key: str = ""


class Listener(Protocol):
    """Who is told what was found."""

    def on_object(self, closed: Closed) -> None:
        """An object closed where a step may stand."""
        ...

    def on_field(self, key: str, value: Any, origin: Origin) -> None:
        """A field was read of an object that may be a step or hold some."""
        ...

    def on_stray(self, value: Any, origin: Origin) -> None:
        """Something that is no object stands where a step may stand."""
        ...

    def on_fault(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """Something is wrong outside of every object that may be a step."""
        ...


class Objects:
    """Reads a text and tells a listener what it finds.

    Args:
        cursor: the text.
        listener: who is told.
        wrappers: keys of top-level objects under which steps may stand.
    """

    def __init__(
        self, cursor: Cursor, listener: Listener, wrappers: frozenset[str] = WRAPPERS
    ) -> None:
        self._cursor = cursor
        self._listener = listener
        self._wrappers = wrappers
        self._stack: list[_Frame] = []
        self._counts = {"[": 0, "{": 0}
        self._lists = 0  # open lists of steps
        self._sure = False  # that the open top-level bracket is JSON, and no prose
        self._failed = False  # outside of every object, since the top-level bracket opened

    # -- characters

    def read(self) -> Generator[None, None, None]:
        """Read all of the text."""
        cursor = self._cursor
        while cursor.left or (yield from cursor.more()):
            cursor.take_run(_PROSE)
            if cursor.left:
                yield from self.bracket()

    def bracket(self, *, listed: bool = False) -> Generator[None, None, None]:
        """Read what opens here, up to what closes it; less, if it turns out to be prose.

        Args:
            listed: the bracket of a list was taken already, and its first item stands here.
        """
        cursor = self._cursor
        if listed:
            self._push(self._frame("[", None))
        else:
            self._open(cursor.text[cursor.pos])
        while self._stack and (cursor.left or (yield from cursor.more())):
            cursor.take_run(BLANKS)
            if cursor.left:
                yield from self._next(cursor.text[cursor.pos])
        self._end()

    def _next(self, char: str) -> Generator[None, None, None]:
        if char in QUOTES:
            yield from self._text()
        elif char in "#/" and (yield from comment(self._cursor)):
            pass
        elif char in "[{":
            self._open(char)
        elif char in "]}":
            self._close(_CLOSES[char])
        elif char in ",:":
            self._mark(char)
        else:
            yield from self._word()

    def _text(self) -> Generator[None, None, None]:
        cursor, origin, extent = self._cursor, self._cursor.origin, Extent()
        if not (yield from quoted(cursor, extent)):
            self._fail(Fault("unclosed-call", "the closing quote of a text never came"), origin)
            return
        end = extent.strings[0]
        raw, quote = extent.text[:end], extent.text[0]
        width = 3 if end >= 6 and raw.startswith(quote * 3) else 1
        raw = raw[width:-width]
        try:
            if width == 1:
                check_quotes(raw, quote)
            self._put(unescape(raw), origin)
        except Fault as fault:
            self._fail(_as_json(fault), origin)
            if self._stack:
                self._put("", origin)

    def _word(self) -> Generator[None, None, None]:
        cursor, origin = self._cursor, self._cursor.origin
        parts: list[str] = []
        while cursor.left or (yield from cursor.more()):
            parts.append(cursor.take_run(_WORD))
            if cursor.left:
                break
        word = "".join(parts)
        if not word:  # parentheses and the like
            word = cursor.take(cursor.pos + 1)
        try:
            self._put(self._bare(word), origin)
        except Fault as fault:
            self._fail(fault, origin)

    def _bare(self, word: str) -> Any:
        """What a word without quotes is.

        Raises:
            Fault: nothing that JSON has.
        """
        if word in SCALARS:
            return SCALARS[word]
        frame = self._stack[-1]
        if _at_key(frame) and _KEY.fullmatch(word):
            return word
        value = number(word)
        if value is not None:
            return value
        if word.startswith("$"):
            return word
        raise Fault("bad-json", f"{word[:40]!r} has no quotes", "quote texts and keys")

    # -- structure

    def _open(self, bracket: str) -> None:
        origin = self._cursor.origin
        if bracket == "{" and self._lists and self._stack[-1].awaits == "key":
            self._leave(origin)
        parent = self._stack[-1] if self._stack else None
        if parent is None:
            pass
        elif parent.awaits in ("first", "value") and not _at_key(parent):
            parent.awaits = "comma"
        elif parent.awaits == "comma" and parent.steps and parent.bracket == "[":
            pass  # steps side by side are as clear as with a comma
        else:
            self._fail(_missing(parent), origin)
            if not self._stack:
                return
        frame = self._frame(bracket, parent)
        self._push(frame)
        self._cursor.take(self._cursor.pos + 1)
        if frame.depth > _DEEPEST:
            message = f"lists and objects nest deeper than {NESTING}"
            self._fail(Fault("nesting-too-deep", message, "use a flatter form"), origin)

    def _push(self, frame: _Frame) -> None:
        if not self._stack:
            self._sure = self._failed = False
        self._stack.append(frame)
        self._counts[frame.bracket] += 1
        self._lists += frame.steps and frame.bracket == "["

    def _leave(self, origin: Origin) -> None:
        """An object begins where a key should: the step before was never closed."""
        message = "a '}' is missing: another object begins inside this one"
        self._fail(Fault("bad-json", message, "close every bracket"), origin)
        while self._stack and not (self._stack[-1].steps and self._stack[-1].bracket == "["):
            self._pop(origin)
        if self._stack:
            self._stack[-1].awaits = "value"

    def _frame(self, bracket: str, parent: _Frame | None) -> _Frame:
        value: Any = {} if bracket == "{" else []
        if parent is not None and not self._holds_steps(parent):
            return _Frame(bracket, value, False, parent.owner, parent.depth + 1)
        if parent is not None and parent.bracket == "{" and parent.owner is not None:
            parent.owner.wrapped = True
        if bracket == "[":
            return _Frame(bracket, value, True, None, 0)
        self._cursor.record = []
        closed = Closed(value, self._cursor.origin, alone=not self._counts["{"])
        return _Frame(bracket, value, True, closed, 0)

    def _holds_steps(self, frame: _Frame) -> bool:
        return frame.steps and (frame.bracket == "[" or frame.key in self._wrappers)

    def _put(self, value: Any, origin: Origin) -> None:
        """A text, number or other scalar was read."""
        frame = self._stack[-1]
        if frame.awaits == "comma" and frame.bracket == "{" and isinstance(value, str):
            frame.awaits = "key"  # a lost comma changes nothing, if a colon follows
        if _at_key(frame):
            if not isinstance(value, str):
                self._fail(Fault("bad-json", "a key must be a text", "quote keys"), origin)
            elif value in frame.value:
                message = f"an object names {value[:40]!r} twice"
                self._fail(Fault("duplicate-key", message, "name each key once"), origin)
            frame.key, frame.awaits = str(value), "colon"
        elif frame.awaits in ("first", "value"):
            frame.awaits = "comma"
            self._attach(frame, value, origin)
        else:
            self._fail(_missing(frame), origin)

    def _attach(self, frame: _Frame, value: Any, origin: Origin) -> None:
        if frame.bracket == "{":
            frame.value[frame.key] = value
            if frame.steps:
                self._listener.on_field(frame.key, value, origin)
        elif frame.steps and not self._sure:
            pass  # perhaps a footnote's number
        elif frame.steps:
            self._listener.on_stray(value, origin)
        else:
            frame.value.append(value)

    def _mark(self, char: str) -> None:
        frame = self._stack[-1]
        origin = self._cursor.origin
        self._cursor.take(self._cursor.pos + 1)
        if char == ":" and frame.awaits == "colon":
            frame.awaits, self._sure = "value", True
        elif char == "," and frame.awaits == "comma":
            frame.awaits = "key" if frame.bracket == "{" else "value"
        else:
            self._fail(Fault("bad-json", f"{char!r} stands where a value should", ""), origin)

    def _close(self, bracket: str) -> None:
        origin = self._cursor.origin
        char = PAIRS[bracket]
        self._cursor.take(self._cursor.pos + 1)
        if not self._counts[bracket]:
            self._fail(Fault("bad-json", f"a {char!r} closes nothing", "remove it"), origin)
            return
        while self._stack:
            frame = self._stack[-1]
            if frame.bracket != bracket:
                message = f"{PAIRS[frame.bracket]!r} is missing before this {char!r}"
                self._fail(Fault("bad-json", message, "close every bracket"), origin)
            elif _at_value(frame):
                self._fail(Fault("bad-json", "a key has no value", "write `key: value`"), origin)
            if not self._stack:
                return
            self._pop(origin)
            if frame.bracket == bracket:
                return

    def _pop(self, origin: Origin) -> None:
        """The innermost bracket has closed."""
        frame = self._stack.pop()
        self._counts[frame.bracket] -= 1
        self._lists -= frame.steps and frame.bracket == "["
        if self._stack and not frame.steps and frame.depth <= _DEEPEST:
            parent = self._stack[-1]
            if parent.awaits == "comma":
                self._attach(parent, frame.value, origin)
        if frame.steps and frame.owner is not None:
            frame.owner.text = "".join(self._cursor.record or ())
            self._cursor.record = None
            if self._sure:
                self._listener.on_object(frame.owner)

    # -- faults

    def _fail(self, fault: Fault, origin: Origin) -> None:
        """Something is wrong: with the object around it, with the text, or it is only prose."""
        if not self._sure:
            self._stack.clear()
            self._counts = dict.fromkeys(self._counts, 0)
            self._lists = 0
            self._cursor.record = None
            return
        owner = self._stack[-1].owner if self._stack else None
        where = (fault, origin, self._cursor.snippet)
        if owner is not None:
            owner.fault = owner.fault or where
        elif not self._failed:
            self._failed = True
            self._listener.on_fault(*where)

    def _end(self) -> None:
        """The text has ended; brackets may still be open."""
        origin = self._cursor.origin
        while self._stack:
            frame = self._stack[-1]
            whose = frame.owner is not None and not frame.owner.wrapped
            what = "this step" if whose else "the list of steps"
            message = f"the text ends before {what} is closed, so something may be missing"
            self._fail(Fault("unclosed-call", message, "ask for the whole plan again"), origin)
            if self._stack:
                self._pop(origin)


class _Lone:
    """Listens for one value."""

    def __init__(self) -> None:
        self.found: list[Closed] = []

    def on_object(self, closed: Closed) -> None:
        self.found.append(closed)

    def on_field(self, key: str, value: Any, origin: Origin) -> None: ...

    def on_stray(self, value: Any, origin: Origin) -> None: ...

    def on_fault(self, fault: Fault, origin: Origin, snippet: str) -> None:
        raise fault


def value_of(text: str) -> Any:
    """The value that a JSON text is.

    Raises:
        Fault: it cannot be read.
    """
    cursor, lone = Cursor(), _Lone()
    cursor.feed(f'{{"value": {text}\n}}')
    cursor.end()
    for _ in Objects(cursor, lone, frozenset()).read():
        pass
    if len(lone.found) != 1 or cursor.text.rstrip() != lone.found[0].text:
        raise Fault("bad-json", "JSON inside a text cannot be read", "give an object, not text")
    if lone.found[0].fault:
        raise lone.found[0].fault[0]
    return lone.found[0].data["value"]


def _at_key(frame: _Frame) -> bool:
    return frame.bracket == "{" and frame.awaits in ("first", "key")


def _at_value(frame: _Frame) -> bool:
    """Whether a key still waits for its value."""
    return frame.bracket == "{" and frame.awaits in ("colon", "value")


def _missing(frame: _Frame) -> Fault:
    what = {"colon": "':'", "comma": "','"}.get(frame.awaits, "a key")
    return Fault("bad-json", f"{what} is missing here", "separate values with commas")


def _as_json(fault: Fault) -> Fault:
    """A fault of a text, as it is called where there are no calls."""
    if fault.code == "bad-arguments":
        return Fault("bad-json", fault.message, fault.hint)
    return fault
