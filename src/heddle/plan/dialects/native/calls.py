"""Calls as Python writes them, found in what a model says: `[f(a=1), g.h(b="x")]`, or one alone.

Lists may stand side by side or in each other; calls may stand in texts (`["f(a=1)"]`) and beside
objects. `;` separates as `,` does. A call alone begins its line and has the rest of it for itself.
Everything else is prose.

What would have to be evaluated is refused: joined lists, a subscript or an attribute of a result,
a comprehension. A call is handed over at its closing bracket, and called back if one follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

from heddle.plan.dialects.reading.calltext import call_text
from heddle.plan.dialects.reading.cursor import SNIPPET, Cursor
from heddle.plan.dialects.reading.literal import (
    BLANKS,
    PAIRS,
    QUOTES,
    Extent,
    Fault,
    comment,
    quoted,
    unescape,
)
from heddle.plan.ir import Origin

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["NAME", "Calls", "Listener", "Written"]

NAME = r"[^\W\d](?:[\w.\-]|\\_)*+"
"""The name of a tool, as a pattern; a Markdown writer's `net\\_income` too."""

_NAME = re.compile(NAME)
_WORD = re.compile(r"[\w.\-\\]*+")
_NUMBER = re.compile(r"[0-9]{1,4}\.?")
_BETWEEN = re.compile(r"[^\w\[{]*+")
_GAP = re.compile(r"[ \t]*+")
_SIGNS = re.compile(r"[+>*/%|&^@\-]*+")
_LEAD = re.compile(r"[\s>*+•\-–—#`,;|&.):]*+")
_HEAD = re.compile(rf"[\s>*\-`]*+\[?\s*+({NAME})")
_UP_TO_BRACKET = re.compile(rf"[^()\[\]{{}}{QUOTES}]*+")
_BOUND = 8
_REFUSED = "list the calls side by side; nothing is evaluated"
_HINT = 'a list of calls reads [tool(name="value"), other(count=2)]'


@dataclass(frozen=True, slots=True)
class Written:
    """A call as it was written.

    Attributes:
        extent: the text between its brackets.
        text: all of it.
        closed: whether the closing bracket came.
        origin: where its name begins.
        body: where its arguments begin.
        alone: it stands in no list, so it is prose if it does not read as a call.
        trailing: words follow it on its line.
    """

    name: str
    extent: Extent
    text: str
    closed: bool
    origin: Origin
    body: Origin
    snippet: str
    alone: bool = False
    trailing: bool = False


class Listener(Protocol):
    """Who is told what was found, and reads what is JSON."""

    def on_call(self, call: Written) -> bool:
        """A call has ended; whether it was one, and no prose."""
        ...

    def on_continued(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """Something follows the last call that would change what it means."""
        ...

    def on_fault(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """Something is wrong around the calls."""
        ...

    def read_json(self, *, listed: bool) -> Generator[None, None, bool]:
        """Read the object that begins here, with the rest of its list; whether it held a call."""
        ...


@dataclass(slots=True)
class _List:
    """A list that is open.

    Attributes:
        depth: how many brackets.
        items: whether something was in it.
        sure: whether a call was.
        ready: whether a call may come: at the beginning, and after a comma.
        closed: whether its last bracket came.
    """

    depth: int = 0
    items: bool = False
    sure: bool = False
    ready: bool = True
    closed: bool = False


_Refusal: TypeAlias = tuple[Fault, Origin, str]


class Calls:
    """Reads a text and tells a listener what it finds.

    Args:
        cursor: the text.
        listener: who is told.
        at: where the text stands, if it stands in another: in a list.
    """

    def __init__(
        self, cursor: Cursor, listener: Listener, at: tuple[Origin, str] | None = None
    ) -> None:
        self._cursor = cursor
        self._listener = listener
        self._at = at
        self._fresh = True  # nothing but marks on this line so far, so a call may begin
        self._joined: str | None = None  # what came after a list of calls, while it is no word
        self._found = False

    def read(self) -> Generator[None, None, bool]:
        """Read all of the text; whether it held a call."""
        cursor = self._cursor
        while cursor.left or (yield from cursor.more()):
            self._prose(cursor.take_run(_BETWEEN))
            if not cursor.left:
                continue
            char = cursor.text[cursor.pos]
            if char == "[":
                yield from self._list()
            elif char == "{":
                yield from self._object()
            else:
                yield from self._word()
        return self._found

    # -- outside of lists

    def _prose(self, run: str) -> None:
        """What is neither a word nor a bracket: whether a call may follow it."""
        start = max(run.rfind(char) for char in "\n>:") + 1
        marks = _LEAD.match(run, start)
        self._fresh = (self._fresh or start > 0) and marks is not None and marks.end() == len(run)
        if self._joined is not None:
            self._joined = (self._joined + run)[:_BOUND]

    def _word(self) -> Generator[None, None, None]:
        cursor, origin, fresh = self._cursor, self._cursor.origin, self._fresh
        before = cursor.snippet
        word = yield from self._name()
        self._joined = None
        self._fresh = fresh and _NUMBER.fullmatch(word) is not None
        if fresh and _NAME.fullmatch(word) and (yield from self._at_bracket()):
            yield from self._alone(word, origin, before)

    def _name(self) -> Generator[None, None, str]:
        parts: list[str] = []
        while self._cursor.left or (yield from self._cursor.more()):
            parts.append(self._cursor.take_run(_WORD))
            if self._cursor.left:
                break
        return "".join(parts)

    def _at_bracket(self) -> Generator[None, None, bool]:
        return (yield from self._cursor.more()) and self._char() == "("

    def _alone(self, name: str, origin: Origin, before: str) -> Generator[None, None, None]:
        """A call in no list, or prose with brackets."""
        call = replace((yield from self._call(name, origin, before)), alone=True)
        if not call.closed:
            self._found = self._listener.on_call(call) or self._found
            return
        refusal = yield from self._after("[(")
        trailing = refusal is None and _begins_word(self._char())
        if self._listener.on_call(replace(call, trailing=trailing)):
            self._found = True
            if refusal:
                self._listener.on_continued(*refusal)
            elif trailing:
                message = "what follows a call on its line was ignored"
                self._listener.on_fault(Fault("trailing-text", message, _HINT), *self._place())
        self._fresh = refusal is None and not trailing

    def _object(self) -> Generator[None, None, None]:
        if self._at is not None:  # there is one reader of JSON, and it stands elsewhere
            self._cursor.take(self._cursor.pos + 1)
            fault = Fault("bad-call", "an object stands in a text, where a call should", _HINT)
            self._listener.on_fault(fault, *self._place())
            return
        self._fresh = yield from self._listener.read_json(listed=False)
        self._found = self._fresh or self._found

    # -- lists

    def _list(self) -> Generator[None, None, None]:
        """A list, if there are calls in it."""
        this = _List()
        subscript = self._joined == ""
        going = True
        while going:
            yield from self._blanks()
            char = self._char()
            if char == "":
                going = self._cut(this)
            elif char in "[],;":
                going = self._mark(this, char)
            else:
                going = yield from self._item(this, char)
        if subscript and not this.sure:
            self._refuse("a part is taken of a list of calls")
        self._fresh = this.sure
        self._joined = None
        if this.sure and this.closed:
            self._joined = ""
            yield from self._closed()

    def _cut(self, this: _List) -> bool:
        if this.sure:
            message = "the text ends before the list of calls is closed, so calls may be missing"
            fault = Fault("unclosed-call", message, "ask for the whole list again")
            self._listener.on_fault(fault, *self._place())
        return False

    def _mark(self, this: _List, char: str) -> bool:
        self._cursor.take(self._cursor.pos + 1)
        this.depth += (char == "[") - (char == "]")
        this.ready = char != "]"
        this.closed = this.depth == 0
        return not this.closed

    def _item(self, this: _List, char: str) -> Generator[None, None, bool]:
        """What stands in a list; whether the list goes on."""
        if char == "{" and self._at is None:
            whole = this.depth == 1 and not this.items
            this.items = True
            if (yield from self._listener.read_json(listed=whole)):
                self._sure(this)
            this.closed = whole
            return not whole
        this.items = True
        if char in QUOTES:
            return (yield from self._text(this))
        cursor, origin, before = self._cursor, self._cursor.origin, self._cursor.snippet
        name = yield from self._name()
        if not (_NAME.fullmatch(name) and (yield from self._at_bracket())):
            return (yield from self._stray(this, name or char))
        call = yield from self._call(name, origin, before)
        self._listener.on_call(call)
        self._sure(this)
        this.ready = False
        return (yield from self._follows(this, cursor.line))

    def _sure(self, this: _List) -> None:
        """There is a call in the list; it must not be joined to the list before it."""
        if not this.sure and self._joined and self._joined.strip() in ("+", ">"):
            self._refuse("lists of calls are joined")
        this.sure = self._found = True
        self._joined = None

    def _follows(self, this: _List, line: int) -> Generator[None, None, bool]:
        """What follows a call in a list: a separator, or something that changes what it means."""
        cursor = self._cursor
        yield from self._blanks()
        char = self._char()
        if char in ("", *"],;") or (cursor.line > line and _begins_word(char)):
            return True
        fault = Fault("continued-call", "something is done with the result of a call", _REFUSED)
        self._listener.on_continued(fault, *self._place())
        yield from self._skip(this)
        return False

    def _stray(self, this: _List, word: str) -> Generator[None, None, bool]:
        """Something that is no call stands in a list; then it may be prose."""
        if not this.sure:
            return False
        if this.ready:
            message = f"{word[:40]!r} stands where a call should"
            self._listener.on_fault(Fault("bad-call", message, _HINT), *self._place())
        else:
            fault = Fault("continued-call", f"{word[:40]!r} follows a call", _REFUSED)
            self._listener.on_continued(fault, *self._place())
        yield from self._skip(this)
        return False

    def _skip(self, this: _List) -> Generator[None, None, None]:
        """Take the rest of a list."""
        cursor = self._cursor
        while this.depth > 0 and (cursor.left or (yield from cursor.more())):
            cursor.take_run(_UP_TO_BRACKET)
            char = self._char()
            if char and char in QUOTES:
                yield from quoted(cursor, Extent())
            elif char:
                cursor.take(cursor.pos + 1)
                this.depth += 1 if char in PAIRS else -1

    def _text(self, this: _List) -> Generator[None, None, bool]:
        """A text in a list, perhaps with a call in it."""
        at, extent = self._place(), Extent()
        if not (yield from quoted(self._cursor, extent)):
            return self._cut(this)
        text = extent.text[: extent.strings[0]]
        width = 3 if len(text) >= 6 and text.startswith(text[0] * 3) else 1
        if self._at is None:
            inner = Cursor()
            inner.feed(_read(text[width:-width]))
            inner.end()
            if (yield from Calls(inner, self._listener, at).read()):
                self._sure(this)
        this.ready = False
        return True

    def _closed(self) -> Generator[None, None, None]:
        """A list of calls has closed: see that nothing is done with it."""
        refusal = yield from self._after("(")
        if refusal:
            self._listener.on_fault(*refusal)
            self._joined = None
        elif self._char() in tuple("])}"):
            fault = Fault("trailing-text", "a bracket closes nothing, and was ignored", _HINT)
            self._listener.on_fault(fault, *self._place())

    # -- calls

    def _call(self, name: str, origin: Origin, before: str) -> Generator[None, None, Written]:
        """Take a call, and hand over those before it that were never closed."""
        cursor = self._cursor
        while True:
            cursor.take(cursor.pos + 1)
            body, extent = cursor.origin, Extent()
            closed = yield from call_text(cursor, extent, self._interrupted)
            text = f"{name}({extent.text}" + ")" * closed
            lost = not closed and cursor.left > 0
            text = text.rpartition("\n")[0] if lost else text
            at, line = self._at or (origin, (before + text.split("\n", 1)[0])[:SNIPPET])
            call = Written(name.replace("\\_", "_"), extent, text, closed, at, body, line)
            head = _HEAD.fullmatch(cursor.segment) if lost else None
            if head is None:
                return call
            self._listener.on_call(call)
            before, name = head[0][: head.start(1)], head[1]
            origin = Origin(cursor.line, cursor.column - len(name))

    def _interrupted(self) -> bool:
        return _HEAD.fullmatch(self._cursor.segment) is not None

    def _after(self, brackets: str) -> Generator[None, None, _Refusal | None]:
        """What follows on the line, if it would do something with a result."""
        cursor = self._cursor
        yield from cursor.more()
        origin, snippet = self._place()
        char = self._char()
        if char and char in brackets:
            what = "a result is called, or a part of it taken"
            return Fault("continued-call", what, _REFUSED), origin, snippet
        if char == ".":
            yield from cursor.more(2)
            if not _begins_word(cursor.text[cursor.pos + 1 : cursor.pos + 2]):
                return None
            what = "an attribute is taken of a result"
            return Fault("continued-call", what, _REFUSED), origin, snippet
        return (yield from self._joint())

    def _joint(self) -> Generator[None, None, _Refusal | None]:
        """A sign that joins results, if one follows on the line, and something after it."""
        gap = yield from self._run(_GAP)
        origin, snippet = self._place()
        signs = yield from self._run(_SIGNS)
        self._prose(gap + signs)
        if not signs:
            return None
        self._prose((yield from self._run(_GAP)))
        char = self._char()
        if char == "[" or char.isdigit() or (signs != "-" and _begins_value(char)):
            what = f"results are joined with {signs[:8]!r}"
            return Fault("continued-call", what, _REFUSED), origin, snippet
        return None

    # -- characters

    def _char(self) -> str:
        """The next character, if there is one."""
        return self._cursor.text[self._cursor.pos : self._cursor.pos + 1]

    def _run(self, pattern: re.Pattern[str]) -> Generator[None, None, str]:
        cursor, parts = self._cursor, list[str]()
        while cursor.left or (yield from cursor.more()):
            parts.append(cursor.take_run(pattern))
            if cursor.left:
                break
        return "".join(parts)

    def _blanks(self) -> Generator[None, None, None]:
        """Take blanks and comments."""
        while True:
            yield from self._run(BLANKS)
            if not (self._cursor.left and self._cursor.text[self._cursor.pos] in "#/"):
                return
            if not (yield from comment(self._cursor)):
                return

    def _refuse(self, what: str) -> None:
        self._listener.on_fault(Fault("continued-call", what, _REFUSED), *self._place())

    def _place(self) -> tuple[Origin, str]:
        """Where the cursor stands, and the line so far."""
        return self._at or (self._cursor.origin, self._cursor.snippet)


def _begins_word(char: str) -> bool:
    return char.isalpha() or char == "_"


def _begins_value(char: str) -> bool:
    return char.isalnum() or char in ("_", "(", "'", '"')


def _read(raw: str) -> str:
    """What a text says; as it is, if it says what no text can."""
    try:
        return unescape(raw)
    except Fault:
        return raw
