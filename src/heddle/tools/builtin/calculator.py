"""Arithmetic, by an evaluator of its own: nothing that a model wrote is ever executed.

    + - * / // % ** ^      ^ is power; × · ÷ − – read as * * / - -, and x as * between numbers
    1,200   $1,200         a thousand and two hundred; inside a function's brackets a comma
                           separates its arguments instead
    20%                    0.2, unless a number, bracket, function or constant follows: 17 % 5
    4*3 rings              words after a number are units, and ignored; words that count or
                           calculate ("million", "percent", "minus") are refused
    pi e  abs ceil cos exp factorial floor gcd ln log max min round sin sqrt tan

Integers are exact, however large, up to 1,000 digits. `/` gives an integer where it comes out
even, else a float. `log(x)` is natural, `log(x, 10)` has base 10. Precedence is Python's.

>>> evaluate("$1,200 × 3 rings")
3600
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from heddle.errors import ToolFailed
from heddle.plan import quantities
from heddle.tools.builtin.arithmetic import (
    MAX_DIGITS,
    Number,
    bounded,
    divide,
    raised,
    rounded,
    whole,
)
from heddle.tools.function import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["calculate", "calculator", "evaluate"]

MAX_CHARACTERS: Final = 4_000
MAX_DEPTH: Final = 50
_MAX_FACTORIAL = 400  # 869 digits

_SAME = str.maketrans("×·⋅∗÷−–^", "****/--^")  # one for one, so that columns stay true
_TOKEN = re.compile(
    r"(?P<thousands>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9,.]))"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[xX](?![^\W\d_])|[^\W\d_]+)"
    r"|(?P<sign>\*\*|//|[-+*/%^(),$])"
)
_GAP = re.compile(r"\s*")


def _log(value: Number, base: Number = math.e) -> float:
    return math.log(value) if base == math.e else math.log(value, base)


def _factorial(value: Number) -> int:
    number = whole(value)
    if number > _MAX_FACTORIAL:
        raise ValueError(f"factorial of at most {_MAX_FACTORIAL}")
    return math.factorial(number)


def _gcd(*values: Number) -> int:
    return math.gcd(*map(whole, values))


CONSTANTS: Final[dict[str, float]] = {"pi": math.pi, "e": math.e}
FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], int, int]]] = {
    "abs": (abs, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "cos": (math.cos, 1, 1),
    "exp": (math.exp, 1, 1),
    "factorial": (_factorial, 1, 1),
    "floor": (math.floor, 1, 1),
    "gcd": (_gcd, 1, 100),
    "ln": (math.log, 1, 1),
    "log": (_log, 1, 2),
    "max": (max, 1, 100),
    "min": (min, 1, 100),
    "round": (rounded, 1, 2),
    "sin": (math.sin, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "tan": (math.tan, 1, 1),
}
"""Each function with the least and the largest number of its arguments."""

_NAMES = CONSTANTS.keys() | FUNCTIONS.keys()


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def _bad(column: int, what: str) -> ToolFailed:
    return ToolFailed(
        f"column {column}: {what}",
        code="bad-expression",
        hint="write numbers, + - * / // % **, brackets and functions such as sqrt or max",
    )


def _tokens(text: str) -> list[_Token]:
    """The expression's tokens, and an `end`.

    Raises:
        ToolFailed: a character that no token starts with.
    """
    found: list[_Token] = []
    calls: list[bool] = []  # for each open bracket: whether it is a function's
    place = _skip(text, 0)
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _bad(place + 1, f"{text[place]!r} has no meaning here")
        kind, token = str(match.lastgroup), match[0]
        if kind == "thousands" and calls and calls[-1]:
            kind, token = "number", token.partition(",")[0]
        if token == "(":
            calls.append(bool(found) and found[-1].text.lower() in FUNCTIONS)
        elif token == ")" and calls:
            calls.pop()
        found.append(_Token(kind, token, place + 1))
        place = _skip(text, place + len(token))
    return [*found, _Token("end", "the end", len(text) + 1)]


def _skip(text: str, place: int) -> int:
    match = _GAP.match(text, place)
    return match.end() if match else place


class _Parser:
    """Precedence climbing that computes as it reads. Every loop takes a token, so it is linear."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def whole(self) -> Number:
        value = self._sum()
        self._expect("end", "an operator")
        return value

    # -- tokens

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _after(self) -> _Token:
        return self._tokens[min(self._place + 1, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._tokens[self._place]
        self._place += token.kind != "end"
        return token

    def _at(self, *texts: str) -> bool:
        token = self._tokens[self._place]
        return token.kind in ("sign", "word") and token.text in texts

    def _expect(self, kind: str, wanted: str) -> None:
        token = self._take()
        if kind not in (token.kind, token.text):
            raise _bad(token.column, f"expected {wanted}, found {_named(token)}")

    # -- levels of precedence, loosest first

    def _sum(self) -> Number:
        value = self._product()
        while self._at("+", "-"):
            sign = self._take()
            value = _apply(sign, value, self._product())
        return value

    def _product(self) -> Number:
        value = self._signed()
        while self._at("*", "/", "//", "%", "x", "X"):
            sign = self._take()
            if sign.kind == "word" and self._at("+", "-") and not self._signed_amount(sign):
                raise _bad(sign.column, f"{sign.text!r} is no number")
            value = _apply(sign, value, self._signed())
        return value

    def _signed_amount(self, before: _Token) -> bool:
        """Whether a negative number comes next, as in `2 x -3` but not in `2x - 3`."""
        sign, after = self._next, self._after()
        apart = sign.column > before.column + len(before.text)
        return sign.text == "-" and apart and after.column == sign.column + 1

    def _signed(self) -> Number:
        negative = False
        while self._at("+", "-"):
            negative ^= self._take().text == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Number:
        base = self._operand()
        if not self._at("**", "^"):
            return base
        before, sign = self._tokens[self._place - 1], self._take()
        if before.kind == "word" and before.text.lower() not in CONSTANTS:
            raise _bad(sign.column, "a unit stands before a power")
        self._deeper(sign)
        exponent = self._signed()
        self._depth -= 1
        return _apply(sign, base, exponent)

    def _operand(self) -> Number:
        value = self._atom()
        self._units()
        while self._at("%") and not self._is_remainder():
            value = _apply(self._take()._replace(text="/"), value, 100)
            self._units()
        return value

    def _is_remainder(self) -> bool:
        """Whether an operand follows `%`, as in `17 % 5`.

        Raises:
            ToolFailed: it follows a percentage: `10% 50`.
        """
        before, sign, after = self._tokens[self._place - 1], self._next, self._after()
        if not _starts_operand(after):
            return False
        if before.column + len(before.text) == sign.column and after.column > sign.column + 1:
            raise _bad(after.column, "no operator stands after a percentage")
        return True

    def _atom(self) -> Number:
        token = self._take()
        if token.text == "$":
            return self._money()
        if token.kind in ("number", "thousands"):
            return _number(token)
        if token.text == "(":
            self._deeper(token)
            value = self._sum()
            self._expect(")", "a closing bracket")
            self._depth -= 1
            return value
        name = token.text.lower()
        if token.kind == "word" and name in CONSTANTS:
            return CONSTANTS[name]
        if token.kind == "word" and name in FUNCTIONS:
            return self._call(token)
        raise _bad(token.column, f"expected a number, found {_named(token)}")

    def _money(self) -> Number:
        negative = self._at("-") and bool(self._take())
        token = self._take()
        if token.kind not in ("number", "thousands"):
            raise _bad(token.column, f"expected an amount after $, found {_named(token)}")
        return -_number(token) if negative else _number(token)

    def _call(self, token: _Token) -> Number:
        self._expect("(", f"a bracket after {token.text}")
        self._deeper(token)
        values = [self._sum()]
        while self._at(","):
            self._take()
            values.append(self._sum())
        self._expect(")", "a comma or a closing bracket")
        self._depth -= 1
        return _called(token, values)

    def _deeper(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _bad(token.column, f"it nests deeper than {MAX_DEPTH}")

    # -- words after a number

    def _units(self) -> None:
        while self._next.kind == "word" and not _means_something(self._next.text):
            per = self._take().text.lower() == "per"
            if per and self._at("cent"):
                raise _bad(self._next.column, "'per cent' counts: write 20%")


def _starts_operand(token: _Token) -> bool:
    if token.kind == "word":
        return token.text.lower() in _NAMES
    return token.kind in ("number", "thousands") or token.text in ("$", "(")


def _means_something(word: str) -> bool:
    return quantities.counts(word) or word.lower().removeprefix("x") in _NAMES


def _named(token: _Token) -> str:
    return token.text if token.kind == "end" else repr(token.text[:40])


def _number(token: _Token) -> Number:
    text = token.text.replace(",", "")
    if len(text) > MAX_DIGITS:
        raise _bad(token.column, f"a number of more than {MAX_DIGITS} digits")
    value = int(text) if text.isdigit() else float(text)
    return _bounded(token, value)


def _bounded(token: _Token, value: Any) -> Number:
    """A number that is small enough to go on with."""
    try:
        return bounded(value)
    except ArithmeticError as error:
        raise _bad(token.column, str(error)) from None


def _apply(sign: _Token, left: Number, right: Number) -> Number:
    try:
        return _bounded(sign, _OPERATORS[sign.text](left, right))
    except ZeroDivisionError:
        raise _bad(sign.column, "division by zero") from None
    except OverflowError:
        raise _bad(sign.column, "the result is too large") from None


def _called(token: _Token, values: list[Number]) -> Number:
    function, least, most = FUNCTIONS[token.text.lower()]
    if not least <= len(values) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        raise _bad(token.column, f"{token.text} takes {count} arguments, got {len(values)}")
    try:
        return _bounded(token, function(*values))
    except (ValueError, ZeroDivisionError) as error:
        raise _bad(token.column, f"{token.text}: {error}") from None
    except OverflowError:
        raise _bad(token.column, f"{token.text}: the result is too large") from None


_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "x": lambda left, right: left * right,
    "X": lambda left, right: left * right,
    "/": divide,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
    "**": raised,
    "^": raised,
}


def evaluate(expression: str) -> Number:
    """The value of an arithmetic expression.

    Cost: linear in the expression, which is bounded, as is every number in it.

    Raises:
        ToolFailed: code `bad-expression`, with the column and what was expected there.
    """
    if len(expression) > MAX_CHARACTERS:
        raise _bad(MAX_CHARACTERS + 1, f"longer than {MAX_CHARACTERS} characters")
    tokens = _tokens(expression.translate(_SAME))
    if units := quantities.mixed([token.text for token in tokens]):
        raise _bad(1, f"{units[0]} and {units[1]} are added: convert one of them first")
    return _Parser(tokens).whole()


def calculator(name: str = "calculate") -> Tool:
    """The calculator under a name of your choice."""

    @tool(effect="pure", name=name)
    async def calculate(expression: str) -> float:
        """Evaluate an arithmetic expression such as `(12 + 3.5) * 20%` or `sqrt(16) / 3`.

        Args:
            expression: numbers, + - * / // % **, brackets, and functions such as round or max.
        """
        return evaluate(expression)

    return calculate


calculate = calculator()
