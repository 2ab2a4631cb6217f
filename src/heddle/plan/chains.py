"""Annotated answers as abstract chains, as Chain-of-Abstraction makes its training data.

An annotation `<<48/2=24>>` becomes the bracket `[48 / 2 = y1]`; an operand that equals an earlier
result becomes that result's symbol (the latest, where several are equal), and a derivation that is
spelled out before the annotation, or its result after it, is left out. The tools compute the chain
anew, and only a chain whose answer comes out is worth keeping: `judged` says why another is not.

Source: Chain-of-Abstraction (arXiv 2401.17464), section 3.2; GSM8K (arXiv 2110.14168) has the
annotations.

>>> chain = chain_of("She has 16-3=<<16-3=13>>13 eggs and sells them for 13*2=$<<13*2=26>>26.")
>>> chain.text
'She has [16 - 3 = y1] eggs and sells them for $[y1 * 2 = y2].'
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from heddle.plan.dialects.abstraction.maths import plain
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.expression import ExpressionError, lower, parse
from heddle.plan.ir import Ref

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REASONS", "Annotation", "Chain", "ChainError", "amount", "chain_of", "judged"]

REASONS: Final[dict[str, str]] = {
    "no-annotation": "the answer has no annotation",
    "unreadable-annotation": "an annotation is no `expression=value`",
    "no-gold": "there is no final answer to compare with",
    "gold-not-annotated": "no annotation gives the final answer",
    "unreadable-chain": "the chain reads back as something else",
    "step-failed": "a step of the chain failed",
    "annotation-not-reproduced": "the tools compute another value than an annotation claims",
    "gold-not-reproduced": "the tools compute another final answer",
}
"""Why an answer gives no chain, and what that means."""

_ANNOTATION = re.compile(r"<<([^<>]{0,1000})>>")
_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})++(?:\.[0-9]++)?+|[0-9]++(?:\.[0-9]++)?+|\.[0-9]++)%?+"
_AMOUNT = rf"[$€£]?+\s?+{_NUMBER}"
_STATED = re.compile(rf"\s*(-?\s?{_AMOUNT})(?:\s*/\s*([0-9]+))?\s*")
_OPERAND = re.compile(rf"(?<![\w.,]){_NUMBER}(?![\w.]|\s*%|,[0-9])")
_UNITS = r"(?:\s{0,2}+(?!x\b)[^\W\d_]{1,20}+(?:/[^\W\d_]{1,20}+)?+|/[^\W\d_]{1,20}+){0,4}+"
_TERM = rf"[($€£\s]{{0,4}}+{_NUMBER}{_UNITS}[)\s]{{0,4}}+"
_DERIVATION = re.compile(
    rf"(?<![\w.$])(?:{_TERM}[-+*/x×÷]){{1,12}}+{_TERM}=\s{{0,3}}+(?P<sign>[$€£]?+)\s{{0,3}}+$"
)
_REPEATED = (re.compile(rf"{_AMOUNT}/[0-9]++"), re.compile(_AMOUNT))
_LONGEST = 100  # characters of an amount
_SEEN = 160  # characters before an annotation that may spell its derivation out
_FINAL = re.compile(r"\n?^(?:####|A:)[ \t]*(?P<gold>[^\n]*)\s*\Z", re.MULTILINE)


class ChainError(Exception):
    """An answer that gives no chain.

    Attributes:
        reason: a key of `REASONS`.
        message: what is wrong with this answer.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or REASONS[reason])
        self.reason = reason
        self.message = message or REASONS[reason]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation of an answer.

    Attributes:
        symbol: the symbol of its result in the chain.
        expression: what it computes, with symbols for earlier results.
        stated: the value that it claims.
        decimals: digits after the point that it claims.
    """

    symbol: str
    expression: str
    stated: Fraction
    decimals: int

    def gives(self, value: Any) -> bool:
        """Whether a computed value is the stated one, rounded or cut to its digits."""
        found = _exact(value)
        return found is not None and _agree(found, self.stated, self.decimals)


@dataclass(frozen=True, slots=True)
class Chain:
    """An answer as an abstract chain.

    Attributes:
        text: the chain, in the `abstraction` dialect.
        annotations: what its brackets compute, in their order.
        gold: the final answer as the text gives it; "" where it gives none.
    """

    text: str
    annotations: tuple[Annotation, ...]
    gold: str


def amount(text: str) -> Fraction | None:
    """The number that a text says, or None.

    >>> amount("$1,200"), amount("3/4"), amount("20%"), amount("many")
    (Fraction(1200, 1), Fraction(3, 4), Fraction(1, 5), None)
    """
    found = _STATED.fullmatch(text.strip().removesuffix(".")) if len(text) <= _LONGEST else None
    if found is None or (found[2] and not int(found[2])):
        return None
    digits = re.sub(r"[^0-9.-]", "", found[1])
    value = Fraction(digits) / int(found[2] or 1)
    return value / 100 if found[1].endswith("%") else value


def chain_of(answer: str) -> Chain:
    """The abstract chain of an annotated answer.

    Args:
        answer: prose with `<<expression=value>>` in it, and perhaps `#### value` at its end.

    Cost: linear in the text.

    Raises:
        ChainError: it has no annotation, or one that cannot be read.
    """
    final = _FINAL.search(answer)
    body = answer[: final.start()] if final else answer
    annotations: list[Annotation] = []
    symbols: dict[Fraction, str] = {}
    out: list[str] = []
    done = 0
    for found in _ANNOTATION.finditer(body):
        annotation = _annotation(found[1], f"y{len(annotations) + 1}", symbols)
        annotations.append(annotation)
        symbols[annotation.stated] = annotation.symbol
        out.append(_without_derivation(body[done : found.start()]))
        out.append(f"[{annotation.expression} = {annotation.symbol}]")
        done = _after_result(body, found.end(), annotation.stated)
        if body[done : done + 1].isalnum():
            out.append(" ")
    if not annotations:
        raise ChainError("no-annotation")
    text = "".join([*out, body[done:]]).strip()
    return Chain(text, tuple(annotations), final["gold"].strip() if final else "")


def _annotation(text: str, symbol: str, symbols: Mapping[Fraction, str]) -> Annotation:
    """An annotation, with symbols for operands that equal earlier results."""
    expression, equals, value = text.partition("=")
    stated = amount(value)
    if not equals or stated is None:
        raise ChainError("unreadable-annotation", f"<<{text[:60]}>> claims no value")
    known = set(symbols.values())
    expression = _OPERAND.sub(lambda found: _symbol(found[0], symbols), expression)
    try:
        tree = parse(plain(expression, known.__contains__))
        lower(tree, lambda name: Ref(name) if name in known else None)
    except (Fault, ExpressionError) as error:
        raise ChainError("unreadable-annotation", f"<<{text[:60]}>>: {error.message}") from None
    if isinstance(tree, (ast.Tuple, ast.List)):
        raise ChainError("unreadable-annotation", f"<<{text[:60]}>> computes no number")
    decimals = len(re.sub(r"[^0-9.]", "", value).partition(".")[2])
    return Annotation(symbol, ast.unparse(tree), stated, decimals)


def _symbol(operand: str, symbols: Mapping[Fraction, str]) -> str:
    value = None if operand.endswith("%") else amount(operand)
    return operand if value is None else symbols.get(value, operand)


def _without_derivation(text: str) -> str:
    """The prose before an annotation, without the derivation that it ends with."""
    found = _DERIVATION.search(text, max(0, len(text) - _SEEN))
    if found is None:
        return text
    blank = len(found[0]) - len(found[0].lstrip())
    return text[: found.start() + blank] + found["sign"]


def _after_result(body: str, place: int, stated: Fraction) -> int:
    """Where the prose goes on after an annotation: behind its result, if that is repeated."""
    for pattern in _REPEATED:
        found = pattern.match(body, place)
        if found and amount(found[0]) == stated:
            return found.end()
    return place


# -- judging ---------------------------------------------------------------------------------------


def judged(chain: Chain, values: Mapping[str, Any], gold: str) -> tuple[str, str]:
    """The chain with a last sentence that names the final answer, and that answer's symbol.

    Args:
        chain: from `chain_of`.
        values: what the tools computed, by symbol; a step that failed is missing.
        gold: the final answer.

    Raises:
        ChainError: the chain does not reproduce the final answer; the reason is the first thing
            that went wrong.
    """
    wanted = amount(gold)
    if wanted is None:
        raise ChainError("no-gold", f"{gold[:40]!r} is no number" if gold.strip() else "")
    decimals = len(gold.partition(".")[2].strip("% "))
    symbol = next((a.symbol for a in reversed(chain.annotations) if a.stated == wanted), "")
    found = _exact(values.get(symbol))
    if found is not None and _agree(found, wanted, decimals):
        return f"{chain.text}\nThe answer is {symbol}.", symbol
    _refuse_wrong(chain, values)
    if not symbol:
        raise ChainError("gold-not-annotated")
    raise ChainError("gold-not-reproduced", f"the tools compute {values[symbol]}, not {gold[:40]}")


def _refuse_wrong(chain: Chain, values: Mapping[str, Any]) -> None:
    """Refuse a chain of which a step failed, or gives another value than the annotation."""
    for annotation in chain.annotations:
        if annotation.symbol not in values:
            raise ChainError("step-failed", f"{annotation.expression} has no value")
        value = values[annotation.symbol]
        if not annotation.gives(value):
            claimed = float(annotation.stated)
            message = f"{annotation.expression} is {str(value)[:40]}, not {claimed:g}"
            raise ChainError("annotation-not-reproduced", message)


def _exact(value: Any) -> Fraction | None:
    """A computed number, exactly."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return Fraction(value)
    except (ValueError, OverflowError):
        return None


def _agree(found: Fraction, stated: Fraction, decimals: int) -> bool:
    """Whether a value is a stated one within float error, or rounds or cuts off to it."""
    distance = abs(found - stated)
    return distance <= abs(stated) / 10**9 or (
        decimals > 0 and distance < Fraction(1, 10**decimals)
    )
