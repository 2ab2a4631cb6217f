"""What stands between two brackets of an abstract chain: a step, or nothing but text.

    [expression = y1]   [y1 = expression]      compute
    [text -Tool-> y1]   [text -Tool(own parameter)-> y1]
    [FUNC tool(3, "text", name=y1) = y2]       any other call; `FUNC` may be missing

A symbol is a few letters and a number: `y1`, also written `Y1`, `y_1` or `y_{1}`. `y10` is not
`y1`. In texts a symbol is a reference where it stands as a word; `{y1.price[0]}` is a part of a
result, and `$input.name` is the caller's data.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from heddle.plan.dialects.abstraction.maths import THOUSANDS, plain
from heddle.plan.dialects.reading.calltext import Arguments, call_text
from heddle.plan.dialects.reading.cursor import Cursor
from heddle.plan.dialects.reading.literal import QUOTES, Extent, Fault
from heddle.plan.dialects.reading.names import INPUT, PATH, path_of, text_of
from heddle.plan.expression import FUNCTIONS, ExpressionError, lower, parse
from heddle.plan.ir import Input, Origin, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from heddle.plan.dialects.reading.names import Names, Place
    from heddle.plan.expression import Look
    from heddle.plan.ir import Value

    Result = TypeVar("Result")

__all__ = ["SYMBOL", "Bracket", "bracket_of", "call_of", "mentions", "prose_pieces", "symbol_id"]

SYMBOL = r"[A-Za-z]{1,8}(?:_\{[0-9]{1,4}\}|_?[0-9]{1,4})"
"""A symbol as a text spells it, as a pattern."""

_MENTION = re.compile(
    rf"""\\(?:u[0-9a-fA-F]{{4}}|.)
    |\$(?:input\.(?P<i>{INPUT})(?P<j>{PATH})|\{{input\.(?P<k>{INPUT})(?P<l>{PATH})\}})
    |\{{(?P<b>{SYMBOL})(?P<p>{PATH})\}}
    |(?<![^\W_])(?<!\w_)(?P<n>{SYMBOL})(?![^\W_]|_\w)""",
    re.VERBOSE | re.DOTALL,
)
"""A reference in a text, or an escaped character, which is none."""

_NAME = r"[^\W\d](?:[\w.\-]|\\_)*+"
_PLAIN_NAME = r"[^\W\d][\w.]*+"
_RESULT = re.compile(rf"(?P<sign>-+>|=>|→|⟶|⇒|(?<![=<>!])=)\s*+(?P<name>{SYMBOL})\s*+$")
_STATED = re.compile(r"(?<![=<>!])=\s*+[$€£]?+\s*+-?[0-9][0-9.,]*+[^=\[\]()+*/×÷-]{0,40}$")
_REVERSED = re.compile(rf"\s*+(?P<name>{SYMBOL})\s*+(?:=(?!=)|:=)")
_FUNCTION = re.compile(rf"\s*+(?P<func>FUNC\b[\s:]*+)?+(?P<tool>{_NAME})(?P<gap>\s*+)\(", re.I)
_OPERATORS = (
    re.compile(rf"(?:^|(?<=\s))[-–—]++\s*+(?P<tool>{_NAME})\s*+$"),
    re.compile(rf"[-–—]++\s*+(?P<tool>{_PLAIN_NAME})\s*+$"),
)
_APPLIED = re.compile(rf"(?:^|(?<=\s))[-–—]++\s*+(?P<tool>{_NAME})\s*+\(")
_BARE = re.compile(rf"(?:(?P<n>{SYMBOL})(?P<p>{PATH})|\{{(?P<m>{SYMBOL})(?P<q>{PATH})\}})")
_FIELD = re.compile(rf"(?<![\w.])({SYMBOL})\.([^\W\d]\w*+)(?![\w(])")
_ENUMERATED = re.compile(r"^[^<>=!'\"]*\b(?:and|or)\b[^<>=!'\"]*$")  # 10 and 3: a sum, or a truth?
_PERCENT = re.compile(r"(?<=[\w)])%(?=\s)")  # 10% 50 is no remainder, as 17 % 5 is
_SECOND = re.compile(rf"[\w)\]\"'][ ]?(?:-+>|→)\s*+{SYMBOL}(?!\w)")
_LONGEST = 80  # characters of an operator's name and the dashes before it
_SURROGATE = re.compile("[\ud800-\udfff]")
_CALL_HINT = "write [FUNC tool(argument, name=y1) = y2]"
_MATHS_HINT = "write [expression = y1] with numbers, symbols, + - * / and brackets"


@dataclass(frozen=True, slots=True)
class Bracket:
    """A bracket that is a step.

    Attributes:
        name: the result's symbol.
        kind: "maths", "operator" or "function".
        body: the expression, the operator's input, or the text after the function's `(`.
        tool: "" for maths.
        own: the operator's own parameter; None for none.
        stated: the result that the text claims (`= 55`); "" for none.
    """

    name: str
    kind: str
    body: str
    tool: str = ""
    own: str | None = None
    stated: str = ""


def symbol_id(text: str) -> str:
    """The id that a spelling of a symbol means.

    >>> symbol_id("Y_{10}")
    'y10'
    """
    return text.replace("_", "").replace("{", "").replace("}", "").lower()


# -- what kind of bracket it is --------------------------------------------------------------------


def bracket_of(content: str, known: Callable[[str], bool]) -> Bracket | None:
    """The step that a bracket is, or None where it is text.

    Args:
        content: what stands between the brackets.
        known: whether an id is a step so far; it says which side of `[y1 = y2]` is new.

    Cost: linear in the content.
    """
    claimed = _STATED.search(content)
    if claimed and _RESULT.search(content[: claimed.start()]):
        content, stated = content[: claimed.start()], claimed[0]
    else:
        stated = ""
    result, turned = _RESULT.search(content), _REVERSED.match(content)
    if turned and (result is None or _is_alias(turned["name"], result["name"], known)):
        name, arrow, body = turned["name"], False, content[turned.end() :]
    elif result:
        name, arrow, body = result["name"], result["sign"] != "=", content[: result.start()]
    else:
        return None
    if not arrow and (claimed := _STATED.search(body)):
        body, stated = body[: claimed.start()], claimed[0]
    kind, tool, body, own = _shaped(body, arrow)
    return Bracket(symbol_id(name), kind, body, tool.replace("\\_", "_"), own, stated)


def _is_alias(left: str, right: str, known: Callable[[str], bool]) -> bool:
    """Whether `[left = … right]` gives its left side a value, though it ends in a symbol."""
    return not known(symbol_id(left)) and known(symbol_id(right))


def _shaped(body: str, arrow: bool) -> tuple[str, str, str, str | None]:
    """Kind, tool, body and own parameter of what gives a result."""
    found = _FUNCTION.match(body)
    if found and found["func"]:
        return "function", found["tool"], body[found.end() :], None
    if arrow and (operator := _operator(body.rstrip())):
        return operator
    if found and not arrow and not found["gap"] and found["tool"] not in FUNCTIONS:
        return "function", found["tool"], body[found.end() :], None
    return "maths", "", body, None


def _operator(body: str) -> tuple[str, str, str, str | None] | None:
    """The operator before an arrow: `text -Tool`, or `text -Tool(own parameter)`."""
    if not body.endswith(")"):
        found, start = _named(body)
        return ("operator", found["tool"], body[:start], None) if found else None
    opening = _opening(body)
    found, start = _named(body[:opening])
    if found:
        return "operator", found["tool"], body[:start], body[opening + 1 : -1]
    if found := _APPLIED.search(body):
        return "operator", found["tool"], body[: found.start()], body[found.end() : -1]
    return None


def _named(head: str) -> tuple[re.Match[str] | None, int]:
    """The tool's name that a text ends with, and where its dashes begin."""
    head = head.rstrip()
    cut = max(0, len(head) - _LONGEST)
    for pattern in _OPERATORS:
        if found := pattern.search(head[cut:]):
            return found, cut + found.start()
    return None, 0


def _opening(text: str) -> int:
    """Where the bracket opens that the text's last character closes; its end for nowhere."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return len(text) - 1


# -- what it means ---------------------------------------------------------------------------------


def call_of(bracket: Bracket, names: Names, place: Place) -> tuple[str, dict[str, Value]]:
    """The tool and the arguments of the step that a bracket is.

    Cost: linear in its text.

    Raises:
        Fault: it cannot be read.
    """
    if bracket.kind == "maths":
        return "compute", _maths(bracket.body, names, place)
    if bracket.kind == "function":
        return bracket.tool, _function(bracket.body, names, place)
    if _SECOND.search(bracket.body):
        raise Fault("bad-call", "two steps stand in one bracket", "give each its own brackets")
    given = [] if bracket.own is None else [bracket.own]
    texts = [*given, bracket.body]
    values = [mentions(_unquoted(text), names, place) for text in texts if text.strip()]
    return bracket.tool, {str(number): value for number, value in enumerate(values)}


def _maths(body: str, names: Names, place: Place) -> dict[str, Value]:
    """The arguments of a `compute` step: as the language has it, or else as people write it."""

    def look(name: str) -> Ref | None:
        if not re.fullmatch(SYMBOL, name):
            return None
        id = symbol_id(name)
        return Ref(_found(id, names, place) or names.id_of(id))

    if not any(sign.search(body) for sign in (THOUSANDS, _ENUMERATED, _PERCENT)):
        try:
            return _lowered(_FIELD.sub(r"\1['\2']", body), look)
        except ExpressionError:
            pass  # it may still be arithmetic with units and signs
    cleaned = plain(body, lambda word: bool(re.fullmatch(SYMBOL, word)))
    if not cleaned:
        raise Fault("bad-arguments", "there is nothing to compute", _MATHS_HINT)
    try:
        return _lowered(cleaned.replace("{", "").replace("}", ""), look)
    except ExpressionError as error:
        raise Fault("bad-arguments", error.message, error.hint or _MATHS_HINT) from None


def _lowered(text: str, look: Look) -> dict[str, Value]:
    """The arguments of a `compute` step.

    Raises:
        ExpressionError: it is not in the language, or is several values: 1,20 + 3.
    """
    tree = parse(text)
    if isinstance(tree, ast.Tuple):
        raise ExpressionError("a comma separates two values", "write a number without commas")
    if any(isinstance(each, ast.BinOp) and _groups(each) for each in ast.walk(tree)):
        raise ExpressionError("square brackets make a list", "group with round brackets")
    return lower(tree, look)


def _groups(node: ast.BinOp) -> bool:
    """Whether square brackets stand where people mean round ones: 5*[3 + 2]."""
    sides = (node.left, node.right)
    return any(isinstance(each, ast.List) and len(each.elts) == 1 for each in sides)


def _function(body: str, names: Names, place: Place) -> dict[str, Value]:
    """The arguments of a call: what stands before its closing bracket."""
    cursor, extent = Cursor(), Extent()
    cursor.feed(body)
    cursor.end()
    if not _result(call_text(cursor, extent, bool)):
        raise Fault("unclosed-call", "the call's closing bracket or quote never came", _CALL_HINT)
    if cursor.text[cursor.pos :].strip():
        raise Fault("continued-call", "something follows the closed call", _CALL_HINT)
    arguments = _Arguments(extent, names, place)
    args = arguments.read()
    for _, words in arguments.split:
        message, hint = f"{words} was read as two numbers", "write one number without a comma"
        names.findings.append(place.finding("split-number", message, hint, warning=True))
    for _, words in arguments.unquoted:
        hint = "quote texts"
        finding = place.finding("unquoted-text", f"{words[:40]!r} was read as text", hint)
        names.findings.append(finding)
    return args


def _result(running: Generator[None, None, Result]) -> Result:
    """Run a reading whose text is all there."""
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value


class _Arguments(Arguments):
    """The argument list of a function, where symbols are references and `$` is money."""

    def _template(self, raw: str, read: Callable[[str], str]) -> Value:
        return mentions(raw, self._names, self._place, read)

    def _bare(self, start: int, end: int, depth: int) -> Value:
        text = self._text[start:end]
        if found := _BARE.fullmatch(text):
            id = symbol_id(found["n"] or found["m"])
            step = _found(id, self._names, self._place) or self._names.id_of(id)
            return Ref(step, path_of(found["p"] or found["q"] or ""))
        if text.startswith("$") and not text.startswith(("$input.", "${input.")):
            return self._unquoted(text, start, end)
        return super()._bare(start, end, depth)


def _as_is(text: str) -> str:
    if _SURROGATE.search(text):
        raise Fault("bad-text", "half of a surrogate pair is no character")
    return text


def _unquoted(text: str) -> str:
    """A text without the quotes around the whole of it."""
    text = text.strip()
    closing = {"“": "”", "‘": "’"}.get(text[:1], text[:1])
    quoted = len(text) > 1 and text[0] in QUOTES and text.endswith(closing)
    if quoted and closing not in text[1:-1] and text[0] not in text[1:-1]:
        return text[1:-1]
    return text


def mentions(text: str, names: Names, place: Place, read: Callable[[str], str] = _as_is) -> Value:
    """A text with the references in it: a text, a lone reference or a template.

    Args:
        text: as it was written.
        names: what symbols may mean.
        place: the step that the text belongs to.
        read: reads the escapes of what is text.

    Cost: linear in the text.

    Raises:
        Fault: a character that is no valid Unicode.
    """
    return text_of(_pieces(text, names, lambda _: place, read))


def prose_pieces(text: str, names: Names, place: Place) -> list[str | Ref | Input]:
    """A stretch of prose as texts and references in turn.

    Args:
        text: as it was written.
        names: what symbols may mean.
        place: where it begins.

    Cost: linear in the text.

    Raises:
        Fault: a character that is no valid Unicode.
    """
    return _pieces(text, names, lambda offset: _moved(place, offset), _as_is)


def _pieces(
    text: str, names: Names, at: Callable[[int], Place], read: Callable[[str], str]
) -> list[str | Ref | Input]:
    parts: list[str | Ref | Input] = []
    done = 0
    for found in _MENTION.finditer(text):
        node = _mentioned(found, names, at(found.start()))
        if node is not None:
            parts += [read(text[done : found.start()]), node]
            done = found.end()
    return [*parts, read(text[done:])]


def _found(id: str, names: Names, place: Place) -> str | None:
    """The step that a symbol means, or None.

    Raises:
        Fault: the step refers to its own result.
    """
    if id == place.name and id not in names:
        raise Fault("cyclic-reference", f"{id} is made from itself", "use another symbol")
    return names.find(id, place)


def _moved(place: Place, offset: int) -> Place:
    return replace(place, origin=Origin(place.origin.line, place.origin.column + offset))


def _mentioned(found: re.Match[str], names: Names, place: Place) -> Ref | Input | None:
    if source := found["i"] or found["k"]:
        return Input(source, path_of(found["j"] or found["l"] or ""))
    spelling = found["n"] or found["b"]
    if spelling is None:
        return None
    id = symbol_id(spelling)
    step = _found(id, names, place)
    if step is None:
        names.unknown(id, place, certain=id[0] == "y" and id[1:].isdecimal())
        return None
    return Ref(step, path_of(found["p"] or ""))
