"""Words beside numbers: which are units that can be left out, and which change the amount.

`4 pens` is 4, but `4 dozen` is not, and `2 hours + 30 minutes` is neither 32 of the one nor of the
other. To leave such a word out would be to give a wrong answer, so whoever reads arithmetic with
words in it asks here first.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["counts", "mixed"]

_WORDS = (
    # multiples
    "k hundred hundreds thousand thousands thsd grand million millions mil mill mln mio mn "
    "billion billions bil bln bn trillion trillions tn trn lakh lakhs lac crore crores dozen "
    "dozens doz gross score double doubled twice thrice triple tripled quadruple quadrupled "
    "halved squared cubed percent percentage "
    # parts
    "half halves halfs third thirds fourth fourths quarter quarters fifth fifths sixth sixths "
    "seventh sevenths eighth eighths ninth ninths tenth tenths eleventh elevenths twelfth "
    "twelfths hundredth hundredths thousandth thousandths "
    # numbers
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy "
    "eighty ninety "
    # signs
    "and below by divided equals fewer is less minus mod modulo more multiplied negative not of "
    "or out over plus remainder times to without x"
)
_COUNTING: Final = frozenset(_WORDS.split())
_LARGE: Final = frozenset({"M", "B", "T", "MM", "G"})
"""Million, billion, trillion; in small letters they are metres and the like."""

_SCALES: Final[dict[str, tuple[str, str]]] = {
    name: (kind, units.split()[0])
    for kind, scales in {
        "time": (
            "second seconds sec secs s",
            "minute minutes min mins",
            "hour hours hr hrs h",
            "day days",
            "week weeks wk wks",
            "month months",
            "year years yr yrs",
        ),
        "length": (
            "inch inches in",
            "foot feet ft",
            "yard yards yd yds",
            "mile miles mi",
            "millimeter millimeters mm",
            "centimeter centimeters cm",
            "meter meters metre metres m",
            "kilometer kilometers km",
        ),
        "weight": (
            "gram grams g",
            "kilogram kilograms kg kgs",
            "ounce ounces oz",
            "pound pounds lb lbs",
            "ton tons",
        ),
        "volume": (
            "milliliter milliliters ml",
            "liter liters litre litres l",
            "cup cups",
            "pint pints",
            "quart quarts",
            "gallon gallons gal",
        ),
        "money": ("cent cents", "dollar dollars $ US$"),
    }.items()
    for units in scales
    for name in units.split()
}
"""Each unit's kind, and the name that all of its spellings have in common."""


class _Amount(NamedTuple):
    """An amount with its unit: the places of its first token and of the one after its last."""

    start: int
    end: int
    unit: str


def counts(word: str) -> bool:
    """Whether a word beside a number counts or calculates, so that it is no unit.

    Anything that does not begin with a letter is no unit either: `½`, `²`.
    """
    return word.lower() in _COUNTING or word in _LARGE or not word[:1].isalpha()


def mixed(tokens: Sequence[str]) -> tuple[str, str] | None:
    """The units of two amounts that are added or taken away though they differ; None for none.

    Args:
        tokens: the numbers, words and signs of an expression.

    Cost: linear.
    """
    for one, other in pairwise(_amounts(tokens)):
        added = other.start == one.end + 1 and tokens[one.end] in ("+", "-")
        product = (*tokens[max(0, one.start - 1) : one.start], *tokens[other.end : other.end + 1])
        if not added or any(sign in ("*", "/", "x", "X", "per") for sign in product):
            continue
        (kind, name), (other_kind, other_name) = _SCALES[one.unit], _SCALES[other.unit]
        if kind == other_kind and name != other_name:
            return one.unit, other.unit
    return None


def _amounts(tokens: Sequence[str]) -> Iterator[_Amount]:
    """The amounts that have a unit of a known scale after them, or a currency before them."""
    for place, token in enumerate(tokens):
        if token != ")" and not (token[:1].isdecimal() or token[-1:].isdecimal()):
            continue  # no number, no symbol such as y1, and no end of a sum
        after = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
        if after in _SCALES:
            yield _Amount(place, place + 2, after)
        elif place and tokens[place - 1] in ("$", "US$"):
            yield _Amount(place - 1, place + 1, "$")
