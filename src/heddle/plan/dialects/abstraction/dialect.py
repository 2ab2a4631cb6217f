r"""The abstraction dialect: an answer in prose, with brackets where results will stand.

    chain   := { prose | bracket }
    bracket := "[" expression "=" symbol "]"            arithmetic: the built-in tool `compute`
             | "[" text "-" TOOL [ "(" text ")" ] "->" symbol "]"
             | "[FUNC" TOOL "(" arguments ")" "=" symbol "]"
    symbol  := y1, y2, …

A step is final at its closing bracket. The prose is the plan's output: each bracket, and each
symbol that stands as a word, is a reference in it, so no model is asked to write the answer. Lines
at the beginning that hold nothing but brackets are no part of it, and a text of nothing else says
no output. Of a text with all brackets in one fence the output is what the fence holds.

Brackets without a symbol at their end are text: links, footnotes, remarks. One that computes and
names no result is a finding, and so is one that never closes.

Source: Chain-of-Abstraction (arXiv 2401.17464); the `FUNC` form is that of LlamaIndex
(llama_index.packs.agents_coa).

>>> reader = AbstractionReader()
>>> [step.id for step in reader.feed("She has [16 - 3 = y1] eggs, so [y1 * 2 = ")]
['y1']
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heddle.plan.dialects.abstraction.brackets import SYMBOL, bracket_of, call_of, symbol_id
from heddle.plan.dialects.abstraction.prose import Mark, output_of
from heddle.plan.dialects.abstraction.writing import fits, id_for, write
from heddle.plan.dialects.reading.cursor import SNIPPET, Reading
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.names import Names, Place
from heddle.plan.ir import Hole, Origin, Step

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from heddle.plan.dialects.abstraction.brackets import Bracket
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Value

__all__ = ["AbstractionReader", "fits", "id_for", "likely", "reader", "write"]

_RUN = re.compile(r"[^\[\]\n]++")
_DEEP = re.compile(r"\[++")
_OPEN = 32  # brackets within brackets; deeper ones are text
_LINES = 8  # a bracket that is open for so many lines, or over an empty one, is text
_SEEN = 400  # characters of a bracket that are looked at to find that it lacks something
_ENDED = re.compile(
    rf"(?:-+>|→|(?<![=<>!])=)\s*+(?P<name>{SYMBOL})(?![\w(.{{])(?P<rest>[^=\[\]+*/×÷<>→]*+)$"
)
_BEGUN = re.compile(rf"\s*+(?:FUNC\b|(?P<name>{SYMBOL})\s*+=(?!=))", re.IGNORECASE)
_GIVES = re.compile(rf"(?:(?<![=<>!])=|-+>|→)\s*+[^\w\s=]?{SYMBOL}(?![\w(])|^\s*+{SYMBOL}\s*+:")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*+"', re.DOTALL)
_APPLYING = re.compile(r"\s[-–—]\s?+[^\W\d][\w.]*+[-(]|FUNC\s++[^\W\d][\w.\-]*+\s*+\(")
_COMPUTING = re.compile(
    rf"\s*+[$€£(]*+(?:[0-9][0-9.,]*+|{SYMBOL})[^\[\]=]*?(?:\s[-+*/x]\s|[+*×÷])[^\[\]=]*+"
    r"(?:=[^\[\]=]*+)?+"
)
_MENTIONED = re.compile(rf"(?<![^\W_]){SYMBOL}(?![^\W_])")
_LIKELY = re.compile(
    rf"(?<![\w\[])\[(?:[^\[\]\n]{{0,600}}[^\[\]\n=<>!])?(?:=|-+>|→)[ \t]*+{SYMBOL}[ \t]*+\\?\]"
    rf"|(?<![\w\[])\[[ \t]*+{SYMBOL}[ \t]*+=[ \t]*+[$(]*+[.0-9y][^\[\]\n\"']{{0,200}}\]"
    rf"|[\])][ \t]*+(?:=|-+>|→)[ \t]*+{SYMBOL}[ \t]*+\]"
    r"|(?<![\w\[])\[[ \t]*+FUNC[ \t]++[^\W\d][\w.\-]*+[ \t]*+\("
)
_HINT = "end the bracket with the symbol of its result: [20 + 35 = y1], [text -Tool-> y1]"


@dataclass(slots=True)
class _Open:
    """A bracket that has not closed.

    Attributes:
        part: the place of its `[` among the parts.
        size: characters of text before it.
        line: its own snippet, up to the bracket.
    """

    part: int
    size: int
    origin: Origin
    line: str


class AbstractionReader(Reading):
    """One reading of one text.

    Args:
        round: the round of the plan.
        earlier: ids of earlier rounds, by their symbol.
    """

    def __init__(self, *, round: int = 1, earlier: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = Names(round, earlier, "")
        self._parts: list[str | Mark] = []  # the whole text, with steps in the place of brackets
        self._size = 0
        self._open: list[_Open] = []
        self._steps: dict[str, tuple[str, dict[str, Value]]] = {}

    # -- text and brackets

    def _read(self) -> Generator[None, None, None]:
        cursor = self._cursor
        while cursor.left or (yield from cursor.more()):
            if run := cursor.take_run(_RUN):
                self._add(run)
                continue
            char = cursor.text[cursor.pos]
            if char == "[":
                self._begin()
            elif char == "]":
                cursor.take(cursor.pos + 1)
                self._end()
            else:
                self._line()
        while self._open:
            self._drop()

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)

    def _begin(self) -> None:
        """An opening bracket, which may show that the one before it never closed."""
        cursor = self._cursor
        self._give_up()
        if len(self._open) >= _OPEN:
            self._add(cursor.take_run(_DEEP))
            return
        self._open.append(_Open(len(self._parts), self._size, cursor.origin, cursor.snippet + "["))
        cursor.take(cursor.pos + 1)
        self._add("[")

    def _line(self) -> None:
        """The end of a line: no bracket goes on over an empty one, or over many."""
        cursor = self._cursor
        empty = cursor.column <= SNIPPET and not cursor.snippet.strip()
        self._give_up()
        while self._open and (empty or cursor.line - self._open[0].origin.line >= _LINES):
            self._drop()
        cursor.take(cursor.pos + 1)
        self._add("\n")

    def _give_up(self) -> None:
        """Drop the innermost bracket if its step is complete and only its end is missing."""
        if not self._open or self._size - self._open[-1].size > _SEEN:
            return
        content = self._content(self._open[-1])
        found = _ENDED.search(content)
        if found and not _inside(content, found.start()):
            self._drop()

    def _content(self, open: _Open) -> str:
        inner = self._parts[open.part + 1 :]
        return "".join(part if isinstance(part, str) else part.name for part in inner)

    def _end(self) -> None:
        """A closing bracket: of a step, or of text."""
        if not self._open:
            self._add("]")
            return
        open = self._open.pop()
        content = self._content(open)
        bracket = bracket_of(content.removesuffix("\\"), self._names.__contains__)
        if bracket is None:
            self._add("]")
            self._unnamed(open, content)
            if all(isinstance(part, str) for part in self._parts[open.part :]):
                self._parts[open.part :] = [f"[{content}]"]
            return
        before = self._parts[open.part - 1] if open.part else ""
        if content.endswith("\\") and isinstance(before, str):
            self._parts[open.part - 1] = before.removesuffix("\\")  # \[ … \] of LaTeX
        self._parts[open.part :] = [Mark(bracket.name, f"[{content}]")]
        self._accept(open, bracket, content)

    # -- steps

    def _place(self, open: _Open, content: str, name: str) -> Place:
        line = (open.line + content.partition("\n")[0])[:SNIPPET]
        return Place(name, self._names.id_of(name) if name else "", open.origin, line)

    def _accept(self, open: _Open, bracket: Bracket, content: str) -> None:
        """Emit the step that a bracket is, or the hole."""
        place = self._place(open, content + "]", bracket.name)
        try:
            tool, args = call_of(bracket, self._names, place)
        except Fault as fault:
            self._names.findings.clear()
            finding = place.finding(fault.code, fault.message, fault.hint or _HINT)
            self._lose(place, f"[{content}]", finding)
            return
        before = self._steps.get(bracket.name)
        if before is not None and before == (tool, args):
            self._names.findings.clear()
            self._emit(_again(place))
            return
        self._emit(Step(place.step, tool, args, origin=open.origin))
        if bracket.stated:
            message = f"{bracket.stated[:40]!r} was left out: {bracket.name} is computed"
            self._emit(place.finding("trailing-text", message, "leave results out"))
        self._emit(*self._names.findings)
        self._names.findings.clear()
        self._steps.setdefault(bracket.name, (tool, args))
        self._names.add(bracket.name)

    def _lose(self, place: Place, text: str, finding: Finding) -> None:
        """Emit the hole of a bracket that cannot be read, unless its symbol is a step already."""
        if place.name in self._names:
            self._emit(finding)
            return
        self._names.add(place.name)
        self._emit(Hole(place.step, text, (finding,), place.origin))

    # -- brackets that lack something

    def _drop(self) -> None:
        """The innermost bracket did not close: it is text, or a step that was cut off."""
        open = self._open.pop()
        content = self._content(open)
        seen = content[:_SEEN]
        ended = _ENDED.search(seen) if len(content) <= _SEEN else None
        ended = ended if ended and not _inside(content, ended.start()) else None
        begun = _BEGUN.match(seen)
        if not (ended or begun or _APPLYING.search(seen) or _computes(content)):
            return
        spelling = (ended or begun or {"name": None})["name"]
        name = symbol_id(spelling) if spelling else ""
        place = self._place(open, content, name)
        message = "the bracket never closes"
        finding = place.finding("unclosed-call", message, "close it on its line: [20 + 35 = y1]")
        if not name:
            self._emit(finding)
            return
        rest = ended["rest"] if ended else ""
        raw = f"[{content}"
        self._parts[open.part :] = [Mark(name, raw.removesuffix(rest)), rest]
        self._lose(place, raw, finding)

    def _unnamed(self, open: _Open, content: str) -> None:
        """Find what should have been a step: a bracket that computes, and names no result."""
        if len(content) > _SEEN:
            return
        begun = _BEGUN.match(content) or ("->" in content and _APPLYING.search(content))
        if not begun and not _computes(content):
            return
        named = content.rpartition("=")[2].strip().isalpha()  # by a word, which is no symbol
        used = any(symbol_id(word) in self._names for word in _MENTIONED.findall(content))
        meant = begun or named or used or _GIVES.search(content)
        message = "the bracket names no result, so it was left as text"
        place = self._place(open, content + "]", "")
        self._emit(place.finding("bad-call", message, _HINT, warning=not meant))

    def _finish(self) -> None:
        if self._steps or self._names.findings or self._parts:
            self.output = output_of(self._parts, self._names)
        self._names.close()
        self._emit(*self._names.findings)
        self._names.findings.clear()


def _inside(content: str, place: int) -> bool:
    """Whether a place is inside round brackets."""
    before = _QUOTED.sub("", content[:place])
    return before.count("(") > before.count(")")


def _computes(content: str) -> bool:
    return len(content) <= _SEEN and bool(_COMPUTING.fullmatch(content))


def _again(place: Place) -> Finding:
    message = f"{place.name} is computed a second time, in the same way"
    return place.finding("duplicate-id", message, "name the result alone", warning=True)


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> AbstractionReader:
    """Start a reading."""
    return AbstractionReader(round=round, earlier=earlier)


def likely(text: str) -> float:
    """How much a text looks like this dialect: whether a bracket ends in a symbol."""
    return 0.85 if _LIKELY.search(text) else 0.0
