"""The native dialect: tool calls as models write them natively; a plan of one level.

    {"id": "call_x", "name": "price", "arguments": {"ticker": "AAPL"}}    a provider's, one a line
    [price(ticker="AAPL"), news.find(about="AAPL", limit=3)]              as Python writes calls

JSON is read in every shape that `calls` knows, and in `{"price": {"ticker": "AAPL"}}` and
`<function=price>{"ticker": "AAPL"}`; lists of calls as `native_calls` says. Both are found bare, in
lists, tags, fences and prose. Native calls cannot name a sibling's result, so every argument is
literal data: `$1` in it is text. A sum of numbers (`p=1/6`) is folded; nothing else is computed.

The steps are numbered in order, "1", "2", …. A provider's own id of a call goes to the note.
A step is final when its object or bracket closes; a call alone in its line, when the line goes on.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.native.calls import NAME, Calls, Written
from heddle.plan.dialects.native.literals import Literals
from heddle.plan.dialects.reading.calls import Call, call_of
from heddle.plan.dialects.reading.cursor import SNIPPET, Reading
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.names import Names, Place
from heddle.plan.dialects.reading.objects import Closed, Objects, value_of
from heddle.plan.ir import MISSING, Hole, Origin, Step, nodes_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from heddle.plan.dialects import Piece
    from heddle.plan.ir import Plan, Value

__all__ = ["NativeReader", "fits", "id_for", "likely", "reader", "write"]

_ID = re.compile(r"[1-9][0-9]{0,8}")
_TAGS = re.compile(r"<\|?/?tool_calls?\|?>|<function=")
_REFERRING = re.compile(r"""\$|["'](?:label|responses|after|depends_on|dependencies)["']""")
_LISTS = re.compile(
    rf"""^(?:[ \t>*`\-]|<\|\w++\|>)*+(?:\[\s{{0,99}}+){{1,4}}+["']?{NAME}\(""", re.MULTILINE
)
_ALONE = re.compile(rf"\s*+(?:```\w*+\s*+)?+{NAME}\((?:[^\W\d]\w*+\s*+=|\))[^\n]*+[\s`]*+")
_OTHER = re.compile(
    r"\)\s*+=\s*+y?[0-9]|-+>[ \t]*+[A-Za-z]{1,8}_?[0-9]{1,4}[ \t]*+\]|\bfor\s++\w++\s++in\b"
)
_FUNCTION = re.compile(rf"<function=({NAME})>\Z")
_NAME = re.compile(NAME)
_NEAR = 200
_HINT = 'a call reads {"name": "tool", "arguments": {…}}'


class NativeReader(Reading):
    """One reading of one text.

    Args:
        round: the round of the plan.
    """

    def __init__(self, *, round: int = 1) -> None:
        super().__init__()
        self._names = Names(round, None)
        self._objects = Objects(self._cursor, self)
        self._count = 0
        self._tagged = ""  # the tool that a tag before an object names
        self._last = Place("", "", Origin(1, 1), ""), ""  # the last call, and its text

    def _read(self) -> Generator[None, None, None]:
        yield from Calls(self._cursor, self).read()

    def call(self, id: str, name: str, arguments: str) -> list[Piece]:
        """A call that a provider gave in its own form: as if its JSON stood on the next line.

        Args:
            id: the provider's name for it; "" for none.
            name: the tool.
            arguments: an object as JSON text.
        """
        data = {"id": id} if id else {}  # some servers give none
        data |= {"name": name, "arguments": arguments}
        text = json.dumps(data)
        closed = Closed(data, Origin(self._count + 1, 1), text)
        place = self._place(closed.origin, text[:SNIPPET])
        try:
            self._accept(_step_of(closed, place, ""), text)
        except Fault as fault:
            self._dig(fault, place, text)
        pieces, self._pieces = self._pieces, []
        return pieces

    # -- calls as Python writes them

    def on_call(self, call: Written) -> bool:
        """A call has ended; False for prose with brackets."""
        place = self._place(call.origin, call.snippet)
        if not call.closed:
            message = "the call's closing bracket or quote never came"
            self._dig(
                Fault("unclosed-call", message, "ask for the whole call again"), place, call.text
            )
            return True
        literals = Literals(call.extent, self._names, place)
        try:
            args = literals.read()
        except Fault as fault:
            if call.trailing:
                return False
            origin = _within(call, fault.offset)
            self._dig(fault, self._place(origin, call.snippet), call.text)
            return True
        if _doubtful(call, args, literals):
            return False
        named = _named(args)
        self._accept(Step(place.step, call.name, named, origin=call.origin), call.text)
        if named is not args:
            message = "the object between the brackets was read as the arguments by name"
            self._emit(place.finding("bad-arguments", message, "write f(a=1)", warning=True))
        for offset, words in literals.split:
            at = Place("", place.step, _within(call, offset), call.snippet)
            message, hint = f"{words} was read as two numbers", "write one number without a comma"
            self._emit(at.finding("split-number", message, hint, warning=True))
        for offset, words in literals.unquoted:
            fault = Fault("unquoted-text", f"{words[:40]!r} was read as text", "quote texts")
            self._remark(fault, _within(call, offset), call.snippet, place.step)
        return True

    def on_continued(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """Something is done with the result of the last call: it is none."""
        place, text = self._last
        finding = Place(place.name, place.step, origin, snippet).finding(
            fault.code, fault.message, fault.hint
        )
        self._emit(Hole(place.step, text, (finding,), place.origin))

    # -- JSON, as it is found

    def read_json(self, *, listed: bool) -> Generator[None, None, bool]:
        """Read an object, or a list of them from its first; whether there was a call in it."""
        count = self._count
        found = _FUNCTION.search(self._cursor.segment[-_NEAR:])
        self._tagged = found[1] if found else ""
        yield from self._objects.bracket(listed=listed)
        return self._count > count

    def on_object(self, closed: Closed) -> None:
        """A call, or an object around calls."""
        if closed.wrapped:
            if closed.fault:
                self._remark(*closed.fault)
            return
        place = self._place(closed.origin, closed.text.split("\n", 1)[0][:SNIPPET])
        try:
            if closed.fault:
                fault, origin, line = closed.fault
                place = self._place(origin, line)
                raise fault
            step = _step_of(closed, place, self._tagged)
        except Fault as fault:
            self._dig(fault, place, closed.text)
        else:
            self._accept(step, closed.text)

    def on_field(self, key: str, value: Any, origin: Origin) -> None:
        """A field of an object: nothing to do until it closes."""

    def on_stray(self, value: Any, origin: Origin) -> None:
        """A text or a number stands among the calls."""
        fault = Fault("bad-call", f"{str(value)[:40]!r} stands where a call should", _HINT)
        self._remark(fault, origin, self._cursor.snippet)

    def on_fault(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """Something is wrong around the calls."""
        self._remark(fault, origin, snippet)

    # -- pieces

    def _place(self, origin: Origin, snippet: str) -> Place:
        """A place in the next call."""
        name = str(self._count + 1)
        return Place(name, self._names.id_of(name), origin, snippet)

    def _accept(self, entry: Step | Hole, text: str) -> None:
        self._last = self._place(entry.origin or Origin(1, 1), ""), text
        self._count += 1
        self._emit(entry)

    def _dig(self, fault: Fault, place: Place, text: str) -> None:
        finding = place.finding(fault.code, fault.message, fault.hint or _HINT)
        self._accept(Hole(place.step, text, (finding,), place.origin), text)

    def _remark(self, fault: Fault, origin: Origin, snippet: str, step: str = "") -> None:
        place = Place("", step, origin, snippet)
        self._emit(place.finding(fault.code, fault.message, fault.hint or _HINT))


def _doubtful(call: Written, args: Mapping[str, Value], literals: Literals) -> bool:
    """Whether a call alone may be prose: it is, unless its arguments are data with names."""
    if not call.alone or not (call.trailing or literals.unquoted):
        return False
    return (
        not args
        or any(name.isdigit() for name in args)
        or bool(call.trailing and literals.unquoted)
    )


def _named(args: dict[str, Value]) -> dict[str, Value]:
    """The arguments of a call; those of `f({"a": 1})` are the object's own."""
    lone = args.get("0") if len(args) == 1 else None
    if isinstance(lone, dict) and lone:
        return cast("dict[str, Value]", lone)
    return args


def _within(call: Written, offset: int) -> Origin:
    """The place of an offset in a call's arguments."""
    text = call.extent.text
    lines = text.count("\n", 0, offset)
    if not lines:
        return Origin(call.body.line, call.body.column + offset)
    return Origin(call.body.line + lines, offset - text.rfind("\n", 0, offset))


def _step_of(closed: Closed, place: Place, tagged: str) -> Step:
    """The step that an object is.

    Raises:
        Fault: it is no call, or more than a native call can be.
    """
    call = call_of(closed.data)
    if tagged and closed.alone:
        call = Call(tagged, "", closed.data)
    if call is None:
        call = _keyed(closed.data)
    note = call.fields.pop("note", "")
    if call.fields:
        message = f"a native call has no {', '.join(call.fields)[:60]}"
        raise Fault("bad-field", message, "calls of one reply run side by side")
    if call.label and call.label != place.name:
        note = f"{call.label}\n{note}" if note else call.label
    return Step(place.step, call.tool, _arguments(call.args), note=note, origin=place.origin)


def _keyed(data: dict[str, Any]) -> Call:
    """The call that `{"tool": {arguments}}` is.

    Raises:
        Fault: it is none.
    """
    if len(data) == 1:
        [(name, args)] = data.items()
        if isinstance(args, dict) and _NAME.fullmatch(name):
            return Call(name.replace("\\_", "_"), "", args)
    raise Fault("bad-call", "an object stands where a call should, and is no call", _HINT)


def _arguments(args: Any) -> dict[str, Value]:
    """A call's arguments by name; positional ones by their place, from "0".

    Raises:
        Fault: they are a text that is no JSON.
    """
    if isinstance(args, str):
        args = _read_json(args) if args.strip() else None
    if args is None:
        return {}
    if isinstance(args, dict):
        named = cast("dict[str, Any]", args)
        return {name.replace("\\_", "_"): value for name, value in named.items()}
    listed = cast("list[Any]", args if isinstance(args, list) else [args])
    return {str(count): value for count, value in enumerate(listed)}


def _read_json(text: str) -> Any:
    """What a JSON text is, by the quick way where it is plain JSON, which it nearly always is.

    Raises:
        Fault: it cannot be read.
    """
    if "\\u" in text or len(text) > _QUICK:
        return value_of(text)
    try:
        return _QUICKLY.decode(text)
    except (ValueError, RecursionError):
        return value_of(text)  # which reads more, and says what is wrong


def _only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("no JSON number")
    return number


_QUICK = 10_000  # characters; nothing so short nests too deeply to be copied
_QUICKLY = json.JSONDecoder(
    object_pairs_hook=_only_once, parse_float=_finite, parse_constant=_finite
)


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> NativeReader:
    """Start a reading; no call can name a result of an earlier round either."""
    return NativeReader(round=round)


def likely(text: str) -> float:
    """How much a text looks like this dialect: calls in a list or in tags, or one alone.

    Calls in JSON are the `json` dialect's, which reads their references too, if they have any.
    """
    if _TAGS.search(text) and not _REFERRING.search(text):
        return 0.85
    if _LISTS.search(text):
        return 0.3 if _OTHER.search(text) else 0.9
    return 0.4 if _ALONE.fullmatch(text) else 0.0


def fits(id: str) -> bool:
    """Whether a step can have that id: a number without leading zeros, of at most nine digits."""
    return _ID.fullmatch(id) is not None


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: its number."""
    return str(n)


def write(plan: Plan) -> str:
    """A plan of one level as JSON, one call a line.

    Raises:
        ValueError: a part that native calls do not have: a reference, a guard, an output, a note
            is left out.
    """
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole")
    if plan.output is not None:
        raise ValueError("native calls name no output")
    return "".join(f"{_line(step, id_for(n))}\n" for n, step in enumerate(plan.steps, 1))


def _line(step: Step, id: str) -> str:
    if step.id != id:
        raise ValueError(f"step {step.id!r}: native calls are numbered in order, this one {id}")
    if said := _unsaid(step):
        raise ValueError(f"step {id}: a native call has no {said}")
    if next(nodes_of(step.args), None) is not None:
        raise ValueError(f"step {id}: a native call cannot refer to a result")
    try:
        line = json.dumps(
            {"name": step.tool, "arguments": dict(step.args)}, ensure_ascii=False, allow_nan=False
        )
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character") from None
    except TypeError as error:
        raise ValueError(str(error)) from None
    return line


def _unsaid(step: Step) -> str:
    """The name of a part that native calls do not have; "" for none."""
    plain = Step("", "")
    for part in fields(step):
        value = getattr(step, part.name)
        if part.name in {"id", "tool", "args", "note", "origin"}:
            continue
        if value is not MISSING and value != getattr(plain, part.name):
            return part.name
    return ""
