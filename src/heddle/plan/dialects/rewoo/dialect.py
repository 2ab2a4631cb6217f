r"""The ReWOO dialect: `Plan: why`, then `#E1 = Tool[text]`, where `#E1` in a later text refers.

    text     := { plan | evidence }
    plan     := ("Plan" | "#Plan") INT? ":" text               the note of the evidence after it
    evidence := "#E" INT ("=" | ":") NAME "[" text "]"         on a line of its own, or on a plan's
    ref      := "#E" INT path?  |  "$input." NAME path?        `#E10` is not `#E1`

The text in the brackets is one argument, as it is written; quotes around all of it are no part of
it. It is a list of arguments only where it is clearly one (`bracketed`). `#E1` in a plan's words
means nothing. A name that is no step stays text, and is a finding.

Nothing says what the answer is: a solver reads all evidence. An evidence is final at the end of
the line on which its bracket closes. A bracket that never closes is closed at the end of its
line, with a warning, if that line has ended.

Source: ReWOO (arXiv 2305.18323); variants from billxbf/ReWOO (algos/PWS.py), Gentopia-AI/Gentopia
(gentopia/agent/rewoo) and the LangGraph tutorial.

>>> reader = RewooReader()
>>> [step.id for step in reader.feed("Plan: why\n#E1 = Search[a]\n#E2 = LLM[say #E1]\n")]
['E1', 'E2']
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heddle.plan.dialects.reading.action import trailing
from heddle.plan.dialects.reading.bracketed import TOOL, arguments_in
from heddle.plan.dialects.reading.closing import Unclosed, closes
from heddle.plan.dialects.reading.lines import Line, LineReading
from heddle.plan.dialects.reading.literal import PAIRS, Fault
from heddle.plan.dialects.reading.names import Names, Place
from heddle.plan.dialects.rewoo.evidence import (
    MENTION,
    MENTION_OR_BARE,
    fits,
    id_for,
    lines_of,
    with_references,
)
from heddle.plan.ir import Hole, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from heddle.plan.ir import Plan, Value

__all__ = ["RewooReader", "fits", "id_for", "likely", "reader", "write"]

_LEAD = r"[ \t>*_•+\-–—`,;|&]*+(?:[0-9]{1,3}[.)][ \t]*+[*_`]*+)?+"
_WORD = r"(?:(?:step|task|evidence)[ ]?[0-9]{0,3}+[*_]*+[ ]?[:.)\-–]?[*_]*+[ ]?)?+"
_HEAD = re.compile(
    rf"""(?:(?P<hash>\\?\#[ ]?)|(?<![\w\#]))[Ee][ ]?(?P<number>[0-9]{{1,9}})(?!\w)[*_`]*+\s*+
    (?P<sep>:=|[=:]|->|→)?+[\s*_`]*+(?P<tool>{TOOL})[*_`]*+(?P<gap>[ ]?)(?P<opening>[\[(])""",
    re.VERBOSE,
)
_START = re.compile(_LEAD + _WORD, re.IGNORECASE)
_PLAN = re.compile(
    rf"{_LEAD}{_WORD}\#?[ ]?plan[ ]?\#?[0-9]{{0,3}}+[*_]*+[ ]?:[*_]*+[ \t]*+", re.IGNORECASE
)
_NEXT_PLAN = re.compile(r"(?<!\w)[*_]{0,2}\#?plan[ ]?\#?[0-9]{0,3}+[*_]*+:[*_]*+[ \t]*+", re.I)
_DEFINED = re.compile(rf"{_LEAD}{_WORD}\\?\#[ ]?E[ ]?([0-9]{{1,9}})(?!\w)[*_`]*+\s*+[=:]", re.I)
_NEARLY = re.compile(
    rf"{_LEAD}{_WORD}[\[(]?\\?[#＃][ ]?E[ _]?([0-9]{{1,9}})[\])]?[*_`]*+"
    rf"(?:[ ]?[^\w\s\[(]{{1,3}}[ ]?|[ ])(?-i:\w[\w.\-]*+)[ ]?[\[(]",
    re.IGNORECASE,
)  # no `#E1 = Tool[`, and nothing else either
_UNNAMED = re.compile(
    rf"{_LEAD}(?:\\?[\[(]?\#?[^\W\d]\w{{0,20}}[\])]?)?[ ]?=?[ ]?(?:[^\W\d][\w.\-]*+)\["
    r"[^\]]*[^\W\d][^\]]*\][\s.`]*+"
)
_AWAITED = re.compile(rf"{_LEAD}{_WORD}\\?\#[ ]?E[ ]?[0-9]{{1,9}}[*_`]*+\s*+[=:][\s*_`]*+", re.I)
_NUMBERLESS = re.compile(rf"{_LEAD}\#[ ]?E[*_`]*+\s*+(?:[=:]|$)")
_FENCE = re.compile(r"\s*+(?:```|~~~)")
_LIKELY = re.compile(
    rf"\#[ ]?[Ee][ ]?[0-9]{{1,9}}(?!\w)[*_`]*+"
    rf"(?:\s*+[=:]\s*+[*_`]*+{TOOL}[*_`]*+[ ]?[\[(]|[ ]{TOOL}\[)"
)
_BARE_LIKELY = re.compile(rf"^{_LEAD}E[0-9]{{1,9}}[ \t]*+[=:][ \t]*+[\w.-]++\[", re.MULTILINE)
_PLAN_LIKELY = re.compile(_PLAN.pattern, re.IGNORECASE | re.MULTILINE)
_HINT = "an evidence reads `#E1 = Tool[text]`, on a line of its own"


@dataclass(frozen=True, slots=True)
class _Call:
    """An evidence up to its opening bracket, and where that stands in its line.

    Attributes:
        bare: it was written without `#`.
    """

    name: str
    tool: str
    opening: str
    start: int
    end: int
    bare: bool


class RewooReader(LineReading):
    """One reading of one text.

    Args:
        round: the round of the plan.
        earlier: ids of earlier rounds, by their name: "E1".
    """

    def __init__(self, *, round: int = 1, earlier: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = Names(round, earlier, "#")
        self._bare: set[str] = set()  # names that were defined without `#`, and may be used so
        self._given: dict[str, tuple[str, dict[str, Value]]] = {}
        self._note: list[str] = []
        self._noting = False  # a plan's words may go on
        self._open: tuple[_Call, Line, Unclosed] | None = None
        self._awaited: Line | None = None  # `#E1 =` alone on its line: the call may follow

    # -- lines

    def _take(self, line: Line) -> bool:
        if self._open is not None and not _begins(line.text):
            self._continue(line, self._open)
            return False
        self._abandon()
        if line.text.strip() and self._awaited is not None:
            line = self._joined(self._awaited, line)
        if _AWAITED.fullmatch(line.text):
            self._awaited = line
        else:
            self._scan(line, 0, None)
        return False

    def _joined(self, first: Line, line: Line) -> Line:
        """A line as the rest of the one before, if only then it is a call."""
        self._awaited = None
        both = Line(f"{first.text} {line.text.lstrip()}", first.number, line.whole)
        if not _begins(line.text) and _calls(both.text, 0):
            return both
        self._is_bad(first)
        return line

    def _continue(self, line: Line, open: tuple[_Call, Line, Unclosed]) -> None:
        call, first, unclosed = open
        rest = unclosed.add(line.text)
        if rest is not None:
            self._open = None
            closed = (call, first, unclosed.text)
            self._scan(line, len(line.text) - len(rest), closed)

    def _scan(self, line: Line, at: int, closed: tuple[_Call, Line, str] | None) -> None:
        """Read a line from a place on, where an evidence may just have closed."""
        text, calls = line.text, _calls(line.text, at)
        pairs, starts = _pairs(text, at), [call.start for call in calls]
        for call in calls:
            if call.start < at:
                continue  # it stands in the brackets of the one before
            self._between(line, at, call.start, closed)
            closed, at = None, call.end
            end = pairs.get(call.end - 1, -1)
            later = bisect_right(starts, max(end, call.start))
            after = starts[later] if later < len(starts) else len(text)
            if end >= 0:
                end = call.end + closes(text[call.end : after], call.opening)
                closed, at = (call, line, text[call.end : end]), end + 1
            elif after < len(text):
                self._lose(call, line, text[call.end : after])
            else:
                unclosed = Unclosed(call.opening)
                unclosed.add(text[call.end :])
                self._open = (call, line, unclosed)
                return
        self._between(line, at, len(text), closed)

    def _between(
        self, line: Line, start: int, end: int, closed: tuple[_Call, Line, str] | None
    ) -> None:
        """What stands before an evidence, between two, or after the last one."""
        text = line.text[start:end]
        if closed is not None:
            plan = _NEXT_PLAN.search(text)
            self._accept(*closed, text[: plan.start()] if plan else text)
            if plan:
                self._say(text[plan.end() :])
        elif start == 0 and (plan := _PLAN.match(text)):
            self._say(text[plan.end() :])
        elif start == 0 and end == len(line.text) and self._is_bad(line):
            self._noting = False
        elif self._noting and not _FENCE.match(text) and _START.sub("", text, count=1).strip():
            self._note.append(text.strip())

    def _say(self, words: str) -> None:
        """A plan begins."""
        self._noting = True
        if words.strip():
            self._note.append(words.strip())

    # -- evidences

    def _place(self, call: _Call, line: Line) -> Place:
        id = self._names.id_of(call.name)
        return Place(call.name, id, line.origin(call.start), line.snippet)

    def _accept(self, call: _Call, line: Line, text: str, trail: str, *warnings: str) -> None:
        """Emit the step that an evidence is, or the hole.

        Args:
            call: its beginning.
            line: the line on which it begins.
            text: what stands in its brackets.
            trail: what follows them on their line.
            warnings: what is wrong with its brackets.
        """
        place = self._place(call, line)
        try:
            remark = trailing(trail)
            args = self._arguments(call, text, place)
        except Fault as fault:
            self._names.findings.clear()
            finding = place.finding(fault.code, fault.message, fault.hint or _HINT)
            whole = f"#{call.name} = {call.tool}{call.opening}{text}{PAIRS[call.opening]}{trail}"
            self._dig(place, whole, finding.code, finding.message, finding.hint)
            return
        if self._given.get(call.name) == (call.tool, args):
            self._warn(place, "duplicate-id", f"{call.name} is given twice in the same words")
        else:
            self._given.setdefault(call.name, (call.tool, args))
            self._emit(Step(place.step, call.tool, args, note=self._noted(), origin=place.origin))
        for message in warnings:
            self._warn(place, "unclosed-call", message)
        if remark:
            self._warn(place, "trailing-text", remark)
        self._emit(*self._names.findings)
        self._end(call.name, bare=call.bare)

    def _arguments(self, call: _Call, text: str, place: Place) -> dict[str, Value]:
        """What stands in the brackets.

        Raises:
            Fault: it cannot be read.
        """
        mention = MENTION_OR_BARE if self._bare else MENTION

        def look(name: str, certain: bool) -> str | None:
            step = self._names.find(name, place)
            if step is None:
                self._names.unknown(name, place, certain=certain)
            return step

        def hashless(name: str) -> None:
            if name in self._names:
                message = f"{name} stands without its #, so it was left as text"
                hint = f"write #{name} if the step is meant"
                found = place.finding("unknown-reference", message, hint, warning=True)
                self._names.findings.append(found)

        def render(raw: str, read: Callable[[str], str]) -> Value:
            return with_references(raw, read, look, self._bare, hashless)

        return arguments_in(text, render, mention=mention, call=call.opening == "(")

    def _noted(self) -> str:
        return "\n".join(self._note)

    def _end(self, name: str, *, bare: bool = False) -> None:
        """An evidence has been read: from now on its name is a step."""
        self._names.findings.clear()
        self._names.add(name)
        self._note.clear()
        self._noting = False
        if bare:
            self._bare.add(name)

    # -- what is wrong

    def _abandon(self, *, cut: bool = False) -> None:
        """The bracket that is open will not close any more.

        Args:
            cut: its last line may have been cut off.
        """
        if self._open is None:
            return
        (call, line, unclosed), self._open = self._open, None
        meant = None if cut else unclosed.meant()
        if meant is None:
            self._lose(call, line, unclosed.text)
        else:
            message = "its closing bracket is missing, or brackets inside of it do not match"
            self._accept(call, line, meant, "", message)

    def _lose(self, call: _Call, line: Line, text: str) -> None:
        lost = f"#{call.name} = {call.tool}{call.opening}{text}"
        message = "the evidence's closing bracket never came"
        self._dig(self._place(call, line), lost, "unclosed-call", message, _HINT)

    def _is_bad(self, line: Line) -> bool:
        """Whether a line without a call should be one; say so."""
        if _NUMBERLESS.match(line.text):
            place = Place("", "", line.origin(), line.snippet)
            self._emit(place.finding("bad-call", "an evidence has no number", _HINT))
            return True
        found = _DEFINED.match(line.text) or _NEARLY.match(line.text)
        if found is None:
            return self._is_unnamed(line)
        name = f"E{int(found[1])}"
        place = Place(name, self._names.id_of(name), line.origin(), line.snippet)
        if name in self._names:
            self._warn(place, "prose-line", f"a second line defines {name}, and is no call")
        else:
            self._dig(place, line.text, "bad-call", f"{name} is no call of a tool", _HINT)
        return True

    def _is_unnamed(self, line: Line) -> bool:
        """Whether a line is a call that no evidence names, or names otherwise; say so."""
        if not _UNNAMED.fullmatch(line.text):
            return False
        place = Place("", "", line.origin(), line.snippet)
        message = "a call is no evidence, so nothing can refer to it"
        self._emit(place.finding("bad-call", message, _HINT))
        return True

    def _dig(self, place: Place, text: str, code: str, message: str, hint: str) -> None:
        self._emit(Hole(place.step, text, (place.finding(code, message, hint),), place.origin))
        self._end(place.name)

    def _warn(self, place: Place, code: str, message: str) -> None:
        self._emit(place.finding(code, message, _HINT, warning=True))

    def _finish(self) -> None:
        self._abandon(cut=self._cut)
        if self._awaited is not None:
            self._is_bad(self._awaited)
        self._names.close()
        self._emit(*self._names.findings)


def _calls(text: str, start: int) -> list[_Call]:
    """Where an evidence may begin in a line, in order; some may stand inside of others."""
    lead = _START.match(text)
    first = lead.end() if lead else 0
    return [
        _Call(
            f"E{int(found['number'])}",
            found["tool"].replace("\\", ""),
            found["opening"],
            found.start(),
            found.end(),
            not found["hash"],
        )
        for found in _HEAD.finditer(text, start)
        if _is_call(found, begins=found.start() <= first)
    ]


def _is_call(found: re.Match[str], *, begins: bool) -> bool:
    """Whether what looks like an evidence's beginning is one, and no prose.

    Args:
        found: a match of `_HEAD`.
        begins: nothing stands before it on its line.
    """
    round, words = found["opening"] == "(", " " in found["tool"]
    if round and (found["gap"] or (words and found["sep"] != "=")):
        return False
    apart = bool(found["gap"]) or words
    sure = found["sep"] == "=" or (found["sep"] == ":" and not apart)
    if not found["hash"]:
        return begins and sure
    if not found["sep"]:
        return begins and not (round or words)
    return begins or sure


def _begins(text: str) -> bool:
    """Whether a line begins something new, so that an open bracket before it was never closed."""
    lead = _START.match(text)
    head = _HEAD.match(text, lead.end() if lead else 0)
    if head and _is_call(head, begins=True):
        return True
    return any(pattern.match(text) for pattern in (_PLAN, _DEFINED, _FENCE))


def _pairs(text: str, start: int) -> dict[int, int]:
    """Where each bracket closes, by where it opens; square and round ones do not mind each other.

    Cost: linear in the text.
    """
    pairs: dict[int, int] = {}
    opened: dict[str, list[int]] = {"]": [], ")": []}
    for found in re.finditer(r"[\[\]()]", text[start:]):
        place = found.start() + start
        if found[0] in PAIRS:
            opened[PAIRS[found[0]]].append(place)
        elif opened[found[0]]:
            pairs[opened[found[0]].pop()] = place
    return pairs


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> RewooReader:
    """Start a reading."""
    return RewooReader(round=round, earlier=earlier)


def likely(text: str) -> float:
    """How much a text looks like this dialect: whether an evidence is defined by a call."""
    if _LIKELY.search(text):
        return 0.95
    if _BARE_LIKELY.search(text):
        return 0.7 if _PLAN_LIKELY.search(text) else 0.3
    return 0.0


def write(plan: Plan) -> str:
    """A plan as `Plan:` lines and evidences.

    Raises:
        ValueError: a part that the dialect cannot express; the message says which.
    """
    return "\n".join([*_written(plan), ""])


def _written(plan: Plan) -> Iterator[str]:
    for note, line in lines_of(plan):
        words = " ".join(note.split())
        if words and not _calls(f"Plan: {words}", 0):
            yield f"Plan: {words}"
        yield line
