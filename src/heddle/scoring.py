"""Scoring: how near an answer comes to the gold answer.

    exact    the same words, in HotpotQA's normal form: lower case, no articles, no punctuation
    f1       how much the words overlap, from 0 to 1
    number   where the gold answer is a number: whether the last number of the answer is near it
    right    exact or number: what accuracy counts

>>> score("The answer is $1,200.", ["1200"], tolerance=0.01).right
True
>>> score("the Badr Hari!", ["Badr Hari"]).exact
True
"""

from __future__ import annotations

import json
import math
import re
import string
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Score",
    "exact_match",
    "f1",
    "last_number",
    "near",
    "normalised",
    "number_of",
    "score",
    "text_of",
]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_FIXED = frozenset(("yes", "no", "noanswer"))
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})++(?![0-9])|[0-9]++)(?:\.[0-9]++)?|\.[0-9]++"
_MARK = r"(?:[-−]?[$€£¥]?|[$€£¥][-−])"
_NUMBER = re.compile(rf"(?<![A-Za-z0-9_.]){_MARK}(?:{_DIGITS})(?:[eE][-+]?[0-9]++)?")
_PLAIN_NUMBER = re.compile(rf"{_NUMBER.pattern}\s?%?")
_SPELLING = str.maketrans("−", "-", ",$€£¥")


@dataclass(frozen=True, slots=True)
class Score:
    """How one answer was judged.

    Attributes:
        f1: from 0 to 1.
        number: None where the gold answer is not a number.
    """

    exact: bool
    f1: float
    number: bool | None

    @property
    def right(self) -> bool:
        """Whether accuracy counts the answer."""
        return self.exact or bool(self.number)


def score(answer: Any, golds: Sequence[str], tolerance: float = 0.01) -> Score:
    """Judge an answer; of several gold answers the one that it meets best counts.

    Args:
        answer: text, or any JSON value; None for no answer, which is never right.
        golds: accepted answers, at least one.
        tolerance: how far a number may be off, as a share of the gold one (of 1 where that is 0).
    """
    if answer is None:
        known = any(number_of(gold) is not None for gold in golds)
        return Score(False, 0.0, False if known else None)
    text = text_of(answer)
    numbers = [hit for hit in (near(text, gold, tolerance) for gold in golds) if hit is not None]
    return Score(
        exact=any(exact_match(text, gold) for gold in golds),
        f1=max(f1(text, gold) for gold in golds),
        number=any(numbers) if numbers else None,
    )


def text_of(answer: Any) -> str:
    """An answer as text: itself, or its JSON.

    >>> text_of("5"), text_of(5.0), text_of(["a"]), text_of(None)
    ('5', '5.0', '["a"]', '')
    """
    if answer is None:
        return ""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


# -- words ---------------------------------------------------------------------------------------


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces.

    Source: hotpotqa/hotpot, `hotpot_evaluate_v1.py`, after SQuAD's evaluation.

    >>> normalised("The  U.S. and an Apple")
    'us and apple'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> bool:
    """Whether both have the same normal form."""
    return normalised(answer) == normalised(gold)


def f1(answer: str, gold: str) -> float:
    """The harmonic mean of precision and recall over words; 0 where yes or no is not matched.

    Source: hotpotqa/hotpot, `hotpot_evaluate_v1.py`.

    >>> round(f1("the answer is Badr Hari", "Badr Hari"), 2), f1("yes, it is", "yes")
    (0.67, 0.0)
    """
    said, wanted = normalised(answer), normalised(gold)
    if said != wanted and not _FIXED.isdisjoint((said, wanted)):
        return 0.0
    words, gold_words = said.split(), wanted.split()
    if not words or not gold_words:
        return float(words == gold_words)
    common = (Counter(words) & Counter(gold_words)).total()
    return 2 * common / (len(words) + len(gold_words))


# -- numbers -------------------------------------------------------------------------------------


def last_number(text: str) -> float | None:
    """The last number in a text; None if there is none, or it is too large for one.

    >>> last_number("from $1,200 to 3,4 or -0.5 km2"), last_number("room B12")
    (-0.5, None)
    """
    hits = _NUMBER.findall(text)
    return _value(hits[-1]) if hits else None


def number_of(text: str) -> float | None:
    """The number that a text is, with a currency before or a percent sign after it.

    >>> number_of("-$1,200.50"), number_of("17%"), number_of("10 January 1920")
    (-1200.5, 17.0, None)
    """
    stripped = text.strip()
    return last_number(stripped) if _PLAIN_NUMBER.fullmatch(stripped) else None


def near(answer: str, gold: str, tolerance: float) -> bool | None:
    """Whether the answer's last number is near the gold one; None where that is no number."""
    wanted = number_of(gold)
    if wanted is None:
        return None
    found = last_number(answer)
    if found is None:
        return False
    room = tolerance * (abs(wanted) or 1.0)
    return abs(found - wanted) <= room + 1e-9 * abs(wanted)


def _value(digits: str) -> float | None:
    value = float(digits.translate(_SPELLING))
    return value if math.isfinite(value) else None
