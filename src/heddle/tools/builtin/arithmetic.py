"""Bounded arithmetic, shared by the calculator and by `compute`.

Integers are exact, however large, up to 1,000 digits. `/` gives an integer where it comes out
even (12 / 4 is 3), else a float; so a plan's value is that of exact arithmetic as long as all
comes out even. Nothing large is computed first and refused later.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

__all__ = ["MAX_DIGITS", "Number", "bounded", "divide", "raised", "rounded", "whole"]

Number: TypeAlias = "int | float"

MAX_DIGITS: Final = 1_000
_MAX_BITS = int(MAX_DIGITS * math.log2(10))


def bounded(value: Any) -> Number:
    """A number that is small enough to go on with.

    Raises:
        OverflowError: more than `MAX_DIGITS` digits.
        ArithmeticError: no real, finite number.
    """
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise OverflowError(f"the result has more than {MAX_DIGITS} digits")
    elif not isinstance(value, float) or not math.isfinite(value):
        raise ArithmeticError("it is no real, finite number")
    return value


def divide(left: Number, right: Number) -> Number:
    """The quotient: an integer where two integers divide evenly.

    Raises:
        ZeroDivisionError: the divisor is zero.
        OverflowError: the quotient is no float.
    """
    if isinstance(left, int) and isinstance(right, int) and right and not left % right:
        return left // right
    return left / right


def raised(base: Number, exponent: Number) -> Any:
    """The power; refused before it is computed, where it would be too large.

    Raises:
        OverflowError: it is too large.
        ZeroDivisionError: zero to a negative power.
    """
    integers = isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1
    if integers and exponent * int(base).bit_length() > 2 * _MAX_BITS:
        raise OverflowError("the result is too large")
    return base**exponent


def rounded(value: Number, digits: Number = 0) -> Number:
    """The nearest number with so many places; halves go to the even neighbour.

    Raises:
        ValueError: more than `MAX_DIGITS` places, or no whole number of them.
    """
    places = whole(digits)
    if abs(places) > MAX_DIGITS:
        raise ValueError(f"at most {MAX_DIGITS} places")
    return round(value, places) if places else round(value)


def whole(value: Number) -> int:
    """An integer, also where it is written as a float.

    Raises:
        ValueError: it is not whole.
        OverflowError: it is infinite.
    """
    if value != int(value):
        raise ValueError(f"a whole number is needed, not {value}")
    return int(value)
