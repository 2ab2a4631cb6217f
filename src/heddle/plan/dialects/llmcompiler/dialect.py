r"""The LLMCompiler dialect: numbered calls, `$N` references, `join()` last.

    plan    := { thought? call }  join?  "<END_OF_PLAN>"?
    thought := "Thought:" text NL
    call    := INT "." NAME "(" arguments ")"
    ref     := "$" INT path? | "${" INT path? "}" | "$input." NAME path?
    join    := INT "." "join(" text? ")"                a text with a reference is the answer

A call is final at its closing bracket. Around the calls a model may write what it likes: prose,
fences, bullets, remarks. What could change a plan's meaning is a finding, never dropped: a call
that was never closed, an operator after a call, a number that nothing came of.

Source: LLMCompiler (arXiv 2312.04511), the grammar of its planner prompt.

>>> reader = LLMCompilerReader()
>>> [step.id for step in reader.feed('1. search("a")\n2. search("b")')]
['1', '2']
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from heddle.plan.dialects.llmcompiler.writing import fits, id_for, write
from heddle.plan.dialects.reading.calltext import Arguments, call_text
from heddle.plan.dialects.reading.cursor import SNIPPET, Reading
from heddle.plan.dialects.reading.literal import QUOTES, Extent, Fault
from heddle.plan.dialects.reading.names import Names, Place
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Origin, Step, nodes_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

__all__ = ["LLMCompilerReader", "fits", "id_for", "likely", "reader", "write"]

_NAME = r"[^\W\d](?:[\w.\-]|\\_)*+"
_LEAD = r"[\s>*+•·\-–—#`,;|&]*+"
_WORD = r"(?:(?:step|task|action|call)\s*+:?\s*+)?+"
_NUMBER = rf"{_LEAD}(?:(?:and|then)\s++)?+{_WORD}[\[($#{{]*+(?P<id>[0-9]{{1,9}})(?!\w)[\])}}*`]*+"
_HEAD = re.compile(
    rf"{_NUMBER}(?P<sep>[\s.:)=>→|*`\\\-–—]*+)(?:\$\{{?[0-9]{{1,9}}\}}?\s*+=\s*+)?+"
    rf"(?P<name>{_NAME})[*`]*+(?P<gap>\s*+)",
    re.IGNORECASE,
)
_MID_HEAD = re.compile(rf"(?:^|[\s(:;>])(?P<id>[0-9]{{1,9}})\\?[.)]\s*+(?P<name>{_NAME})$")
_NAME_ONLY = re.compile(rf"[\s*`]*+(?P<name>{_NAME})[*`]*+(?P<gap>\s*+)")
_OTHER_LABEL = r"(?:(?:[a-z]?[0-9.]{0,5}[.):]|\w{1,12}\s*=)\s*+)?"
_UNNUMBERED = re.compile(
    rf"""[\s>*+•\-`|]*+{_OTHER_LABEL}{_NAME}\(\s*+(?:\w++\s*+=\s*+)?+["'“‘$].*\)[\s;.,`*|]*+""",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED = re.compile(rf"{_NUMBER}\s*+\\?[.:)]++(?![0-9])[\s*`]*+(?P<text>.*)", re.I | re.DOTALL)
_JOIN = re.compile(
    rf"(?:{_NUMBER}[\s.:)=*`]*+join\b|{_LEAD}join[\s*`]*+(?:$|[-–—#/<.(;]))", re.IGNORECASE
)
_RESYNC = re.compile(rf"\s*+[*`-]*+(?:(?P<id>[0-9]{{1,9}})[.):]\s*+)?+(?P<name>{_NAME})")
_THOUGHT = re.compile(
    rf"{_LEAD}(?:[0-9]{{1,9}}[.)]\s*+)?+(?:thought|reasoning|rationale)\s*+[*_]*+:[*_]*+\s*+(.*)",
    re.IGNORECASE | re.DOTALL,
)
_END = "END_OF_PLAN>"
_PROSE = re.compile(r"[^(\n>]*+")

_REMARK = re.compile(
    r"[\s,;.*`_~|]*+(?:$|#|//|<-|<!--|←|->|--|=>|→|[-–—](?=\s*[^\W\d])|\(|</?[|a-zA-Z])"
)
_CONTINUED = re.compile(
    rf"""\s*+(?:
      (?<!\s)\(  |  \.[^\W\d]  |  \[\s*+[-\d"':$]
      |  \*{{1,2}}\s*+[\d$("']  |  \+  |  /(?!/)  |  %  |  [|^@]\s*+\S
      |  [-–—]\s*+(?:[\d$("']|{_NAME}\()
      |  [<>]=?\s*+[\d$("']  |  [=!]=  |  =(?!>)
      |  (?:and|or)\s++(?:[$"'(\[]|{_NAME}\()
      |  if\s.*\selse\s  |  for\s++\w++\s++in\s++(?:[$(\[]|range)
      |  [\s,;&]*+(?:(?:and|then)\s++)?+{_NAME}\(
    )""",
    re.VERBOSE | re.DOTALL,
)
_GAP = 3  # ids between a call that was never closed and the one after it
_FAR = 10  # a numbered line of prose with an id so much higher is no lost call
_CLOSE_HINT = "close the call on its own line: `)` after the last argument"
_HINT = 'a step reads `N. tool("text", name=$1)`, on a line of its own'


@dataclass(frozen=True, slots=True)
class _Head:
    """The beginning of a call: its number, its tool, and where the number stands.

    Attributes:
        plain: it stands where a call should; False for one that only its argument can prove.
        before: what stands before it on the line, and may belong to the call before.
    """

    number: int
    tool: str
    origin: Origin
    plain: bool = True
    before: str = ""


class LLMCompilerReader(Reading):
    """One reading of one text.

    Args:
        round: the round of the plan.
        earlier: ids of earlier rounds, by their number.
    """

    def __init__(self, *, round: int = 1, earlier: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = Names(round, earlier)
        self._note: list[str] = []
        self._lost: dict[int, tuple[Origin, str]] = {}  # numbered lines that are no calls
        self._awaited: _Head | None = None  # a number alone on its line: its call may follow
        self._last: Hole | None = None  # the call before, on this line, should it prove to go on
        self._number = 0  # of the last call
        self._highest = max((int(name) for name in earlier or () if name.isdecimal()), default=0)

    # -- lines

    def _read(self) -> Generator[None, None, None]:
        cursor = self._cursor
        while cursor.left or (yield from cursor.more()):
            cursor.take_run(_PROSE)
            char = cursor.text[cursor.pos : cursor.pos + 1]
            if char == "(":
                if (yield from self._bracket()):
                    return
            elif char == ">":
                cursor.take(cursor.pos + 1)
                if cursor.segment.upper().endswith(_END):
                    self._trail(cursor.segment[: -len(_END)].removesuffix("<"))
                    return
            elif char == "\n":
                if self._line():
                    return
                cursor.take(cursor.pos + 1)
        self._line()

    def _bracket(self) -> Generator[None, None, bool]:
        """An opening bracket: perhaps a call's. True if the plan ends here."""
        cursor = self._cursor
        if _JOIN.fullmatch(cursor.segment):
            yield from self._joined(cursor.origin)
            return True
        head = self._head()
        if head is None or not (head.plain or (yield from self._argument_follows())):
            cursor.take(cursor.pos + 1)
            return False
        if head.tool.lower() == "join":
            yield from self._joined(head.origin)
            return True
        yield from self._call(head)
        return False

    def _joined(self, origin: Origin) -> Generator[None, None, None]:
        """The end of the plan; one text with a reference in it says what the answer is."""
        cursor, extent = self._cursor, Extent()
        cursor.take(cursor.pos + 1)
        closed = yield from call_text(cursor, extent, bool)
        if not closed or extent.text.lstrip()[:1] not in tuple(QUOTES):
            return
        place = Place("join", "", origin, cursor.snippet)
        try:
            args = Arguments(extent, self._names, place).read()
        except Fault:
            return
        if args.keys() == {"0"} and next(nodes_of(args), None) is not None:
            self.output = args["0"]

    def _line(self) -> bool:
        """The end of a line that is no call, or of what follows one. True if the plan ends."""
        segment = self._cursor.segment
        if _JOIN.match(segment):
            return True
        if self._last is not None:
            self._trail(segment)
        elif found := _THOUGHT.fullmatch(segment):
            self._note.append(found[1].strip())
        elif found := _NUMBERED.fullmatch(segment):
            self._numbered(found)
        elif self._awaited and segment.strip():
            self._lose(self._awaited.number, self._awaited.origin)
        elif _UNNUMBERED.fullmatch(segment):
            message = "a call has no number, so nothing can refer to it"
            self._emit(self._remark("bad-call", message))
        return False

    def _numbered(self, found: re.Match[str]) -> None:
        number = int(found["id"])
        column = self._cursor.column - len(found[0]) + found.start("id")
        origin = Origin(self._cursor.line, column)
        if found["text"].strip():
            self._lose(number, origin)
        else:
            self._awaited = _Head(number, "", origin)

    def _lose(self, number: int, origin: Origin) -> None:
        """Remember a numbered line that is no call: its call may come, or is lost."""
        self._awaited = None
        name = str(number)
        if name in self._names:
            message = f"a second line is numbered {name}, and is no call"
            self._emit(self._remark("prose-line", message, step=self._names.id_of(name)))
        elif number <= self._highest + _FAR:
            self._highest = max(self._highest, number)
            self._lost.setdefault(number, (origin, self._cursor.snippet))

    def _remark(self, code: str, message: str, *, step: str = "") -> Finding:
        """A finding about the line since the last call."""
        cursor = self._cursor
        origin = Origin(cursor.line, max(1, cursor.column - cursor.length))
        snippet = cursor.snippet
        return Finding.at(origin, code, message, hint=_HINT, snippet=snippet, step=step)

    def _trail(self, text: str) -> None:
        """What follows a call on its line: nothing, a remark, or something that changes it."""
        last, self._last = self._last, None
        if last is None:
            return
        if _CONTINUED.match(text):
            message = "something follows the closed call that would change what it means"
            finding = self._remark("continued-call", message, step=last.id)
            self._emit(Hole(last.id, last.text + text, (finding,), last.origin))
        elif not _REMARK.match(text):
            message = f"{text.strip()[:40]!r} after a call was ignored"
            self._emit(self._remark("trailing-text", message, step=last.id))

    # -- calls

    def _head(self) -> _Head | None:
        """The beginning of a call that ends at the cursor, if there is one."""
        text = self._cursor.segment
        if not text or not (text[-1].isalnum() or text[-1] in "_`*- \t"):
            return None
        if found := _HEAD.fullmatch(text) if self._cursor.whole else None:
            plain = not found["gap"] and any(char in found["sep"] for char in ".:)=>→|-–—")
            before = text[: found.start("id")]
            return self._head_at(found, plain, before if "+" in before else "")
        if self._awaited and (found := _NAME_ONLY.fullmatch(text)):
            awaited = self._awaited
            return _Head(awaited.number, _tool(found), awaited.origin, not found["gap"])
        found = _MID_HEAD.search(text, max(0, len(text) - SNIPPET))
        if found and int(found["id"]) == self._number + 1:
            return self._head_at(found, False, text[: found.start("id")])
        return None

    def _head_at(self, found: re.Match[str], plain: bool, before: str) -> _Head:
        column = self._cursor.column - (len(found.string) - found.start("id"))
        origin = Origin(self._cursor.line, column)
        return _Head(int(found["id"]), _tool(found), origin, plain, before)

    def _argument_follows(self) -> Generator[None, None, bool]:
        """Whether what follows the bracket can only be an argument, or the closing bracket."""
        cursor = self._cursor
        yield from cursor.more(2)
        return cursor.text[cursor.pos + 1 : cursor.pos + 2] in tuple("\"'“”‘)$[{")

    def _call(self, head: _Head) -> Generator[None, None, None]:
        cursor = self._cursor
        self._trail(head.before)
        self._awaited = None
        cursor.take(cursor.pos + 1)
        snippet, body, extent = cursor.snippet, cursor.origin, Extent()
        closed = yield from call_text(cursor, extent, lambda: self._is_next(head.number))
        first = extent.text.split("\n", 1)[0]
        line = snippet + first + (")" if closed and first == extent.text else "")
        name = str(head.number)
        place = Place(name, self._names.id_of(name), head.origin, line[:SNIPPET])
        self._find_lost(head.number)
        self._accept(head, place, extent, body if closed else None)
        self._names.add(name)
        self._number = head.number
        self._highest = max(self._highest, head.number)
        self._note.clear()
        if closed or not cursor.left:
            cursor.mark()

    def _is_next(self, number: int) -> bool:
        """Whether the line up to here begins another call than the one of that number."""
        found = _RESYNC.fullmatch(self._cursor.segment)
        if not found:
            return False
        if found["id"]:
            return number < int(found["id"]) <= number + _GAP
        return found["name"].lower() == "join"

    def _accept(self, head: _Head, place: Place, extent: Extent, body: Origin | None) -> None:
        """Emit the step that a call is, or the hole.

        Args:
            head: its number and name.
            place: where it stands.
            extent: the text of its arguments.
            body: where that text begins; None if its end never came.
        """
        text = f"{head.number}. {head.tool}({extent.text}"
        if body is None:
            message = "the call's closing bracket or quote never came"
            finding = place.finding("unclosed-call", message, _CLOSE_HINT)
            lost = text.rpartition("\n")[0] if self._cursor.left else text  # the next call's line
            self._emit(Hole(place.step, lost, (finding,), head.origin))
            return
        arguments = Arguments(extent, self._names, place)
        try:
            args = arguments.read()
        except Fault as fault:
            self._names.findings.clear()
            finding = _finding(fault, place, _within(body, extent.text, fault.offset))
            self._emit(Hole(place.step, text + ")", (finding,), head.origin))
            return
        self._emit(Step(place.step, head.tool, args, note=self._noted(), origin=head.origin))
        for offset, words in arguments.unquoted:
            fault = Fault("unquoted-text", f"{words[:40]!r} was read as text", "quote texts")
            self._emit(_finding(fault, place, _within(body, extent.text, offset)))
        for offset, words in arguments.split:
            message = f"{words} was read as two numbers"
            fault = Fault("split-number", message, "write one number without a comma")
            self._emit(
                replace(
                    _finding(fault, place, _within(body, extent.text, offset)), severity="warning"
                )
            )
        self._emit(*self._names.findings)
        self._names.findings.clear()
        self._last = Hole(place.step, text + ")", (), head.origin)

    def _noted(self) -> str:
        return "\n".join(self._note)

    # -- numbered lines that are no calls

    def _find_lost(self, number: int) -> None:
        """A call came: the line of its number was prose; those of lower numbers were calls."""
        if not self._lost:
            return
        for lost in sorted(place for place in self._lost if place < number):
            self._dig(lost)
        if number in self._lost:
            origin, snippet = self._lost.pop(number)
            message = f"a line numbered {number} is no call; the call came later"
            step = self._names.id_of(str(number))
            self._emit(Finding.at(origin, "prose-line", message, snippet=snippet, step=step))

    def _dig(self, number: int) -> None:
        origin, snippet = self._lost.pop(number)
        name = str(number)
        place = Place(name, self._names.id_of(name), origin, snippet)
        finding = place.finding("bad-call", f"line {number} of the plan is no call", _HINT)
        self._emit(Hole(place.step, snippet, (finding,), origin))
        self._names.add(name)

    def _finish(self) -> None:
        for number in sorted(self._lost):
            self._dig(number)
        self._names.close()
        self._emit(*self._names.findings)


def _tool(found: re.Match[str]) -> str:
    return found["name"].replace("\\_", "_")


def _within(body: Origin, text: str, offset: int) -> Origin:
    """The place of an offset in a call's arguments."""
    lines = text.count("\n", 0, offset)
    if not lines:
        return Origin(body.line, body.column + offset)
    return Origin(body.line + lines, offset - text.rfind("\n", 0, offset))


def _finding(fault: Fault, place: Place, origin: Origin) -> Finding:
    return Finding.at(
        origin,
        fault.code,
        fault.message,
        hint=fault.hint or _HINT,
        snippet=place.snippet,
        step=place.step,
    )


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> LLMCompilerReader:
    """Start a reading."""
    return LLMCompilerReader(round=round, earlier=earlier)


def likely(text: str) -> float:
    """How much a text looks like this dialect: whether a line begins with a numbered call."""
    for line in text.split("\n"):
        head, bracket, rest = line.partition("(")
        found = _HEAD.fullmatch(head) if bracket and len(head) < SNIPPET else None
        if found and (not found["gap"] or rest[:1] in tuple("\"'“”‘)$[{")):
            return 0.9
    return 0.0
