"""The arguments of a native call written as Python: literals, and sums of numbers.

`p=1/6` is folded, exactly and once: the fraction is computed without rounding and then given as
the nearest number. Nothing else is computed, and no name is looked up.
"""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from typing import TYPE_CHECKING

from heddle.plan.dialects.reading.calltext import Arguments
from heddle.plan.dialects.reading.literal import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.plan.ir import Value

    _Binary = Callable[[Fraction, Fraction], Fraction]

__all__ = ["Literals", "folded"]

_SUM = re.compile(r"[0-9.(+-][0-9.eE_+\-*/%()\s]*+")
_LABEL = re.compile(r"[0-9]++(?:-[0-9]++)++|[0-9]++/[0-9]++/[0-9]++")  # 2024-12-25, 555-0199
_ESCAPED = re.compile(r"([^\W\d]\w*+\\_(?:\w|\\_)*+)\s*+=(?!=)\s*+")
_MARKDOWN = re.compile(r"(\\\\)|\\(?=_)")
_LONGEST = 200
_LARGEST = 1024  # bits, as a double has them
_HINT = "quote it if it is a text; give one number if it is one"


class Literals(Arguments):
    """Reads the text between the brackets of a call in which everything is data: `$1` is text."""

    def _keyword(self, start: int, end: int) -> tuple[str | None, int]:
        found = _ESCAPED.match(self._text, start, end)
        if found and found.end() < end:
            return found[1].replace("\\_", "_"), found.end()
        return super()._keyword(start, end)

    def _template(self, raw: str, read: Callable[[str], str]) -> Value:
        return read(_MARKDOWN.sub(lambda found: found[1] or "", raw))

    def _bare(self, start: int, end: int, depth: int) -> Value:
        text = self._text[start:end]
        if text.startswith("$"):
            self.unquoted.append((start, text))
            return text
        try:
            value = folded(text)
        except Fault as fault:
            fault.offset = start
            raise
        return super()._bare(start, end, depth) if value is None else value


def folded(text: str) -> int | float | None:
    """The number that a sum of numbers comes to; None for a lone number, a date, and other texts.

    >>> folded("1/6"), folded("500*500"), folded("0.1+0.2"), folded("3"), folded("2024-12-25")
    (0.16666666666666666, 250000, 0.3, None, None)

    Raises:
        Fault: it has no value, or one that is too large.
    """
    if len(text) > _LONGEST or not _SUM.fullmatch(text) or _LABEL.fullmatch(text):
        return None
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    if _is_number(tree) or (isinstance(tree, ast.UnaryOp) and _is_number(tree.operand)):
        return None
    try:
        value = _value(tree)
        return int(value) if value.denominator == 1 else float(value)
    except ArithmeticError:
        raise Fault("bad-number", f"{text[:40]} has no finite value", _HINT) from None


def _is_number(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant)


def _value(tree: ast.expr) -> Fraction:
    """The exact value of a tree of numbers.

    Raises:
        ArithmeticError: it has none, or one that is too large.
        Fault: something in it is no arithmetic.
    """
    if isinstance(tree, ast.Constant):
        if str(tree.value) == "inf":
            raise OverflowError
        return Fraction(str(tree.value))
    if isinstance(tree, ast.UnaryOp) and type(tree.op) in _SIGNS:
        return _SIGNS[type(tree.op)] * _value(tree.operand)
    if not isinstance(tree, ast.BinOp) or type(tree.op) not in _OPERATORS:
        raise Fault("bad-arguments", "an argument is computed, but is no sum of numbers", _HINT)
    left, right = _value(tree.left), _value(tree.right)
    value = _OPERATORS[type(tree.op)](left, right)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _LARGEST:
        raise OverflowError
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1:
        raise Fault("bad-arguments", f"a root ({exponent}) has no exact value", _HINT)
    if bits * abs(exponent) > _LARGEST:
        raise OverflowError
    return Fraction(base**exponent)


_SIGNS: dict[type[ast.unaryop], int] = {ast.UAdd: 1, ast.USub: -1}
_OPERATORS: dict[type[ast.operator], _Binary] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: Fraction(left // right),
    ast.Mod: lambda left, right: left % right,
    ast.Pow: _power,
}
