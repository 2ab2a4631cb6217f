r"""Arithmetic as people write it between brackets, rewritten in the language of `compute`.

    × · ÷ − ^   \times \cdot \div \frac{a}{b}    their plain signs; x as * between two amounts
    $1,200                                       1200
    20%                                          20 / 100, unless an amount follows: 17 % 5
    4 pens * $2/pen                              units after an amount, or before one, are left out
    y1 of 20, 3 times 4, 9 divided by 3          * and /

A word that counts or calculates ("half", "million") is refused: to leave it out would give a wrong
answer. The rules are those of the calculator (heddle.tools.builtin.calculator).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from heddle.plan import quantities
from heddle.plan.dialects.reading.literal import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["THOUSANDS", "plain"]

THOUSANDS = re.compile(r"(?<![\w.,])[0-9]{1,3}(?:,[0-9]{3})++(?![\w,])")
"""An amount such as 50,000."""

_LATEX = (
    (
        re.compile(r"\\[dt]?frac\s*+\{([^{}\\]{1,200})\}\s*+\{([^{}\\]{1,200})\}"),
        r"((\1) / (\2))",
    ),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*+\{([^{}\\]{0,200})\}"), r" \1 "),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), " * "),
    (re.compile(r"\\div(?![a-zA-Z])"), " / "),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\[,;:! ]|~"), " "),
    (re.compile(r"\\([$%*_])"), r"\1"),
    (re.compile(r"\^\s*+\{([^{}]{1,200})\}"), r" ** (\1)"),
)
_SIGNS = str.maketrans("×·⋅∙∗÷−–—", "*****/---")
_RAISED = re.compile("(?<=[0-9)])[⁰¹²³⁴⁵⁶⁷⁸⁹]++")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_TOKEN = re.compile(
    r"\s*+(?:"
    r"(?P<number>[0-9]{1,3}(?:,[0-9]{3})++(?![0-9,])(?:\.[0-9]++)?+"
    r"|[0-9]++(?:\.[0-9]*+)?+(?:[eE][+-]?[0-9]++)?+|\.[0-9]++)"
    r"|(?P<word>[^\W\d_][^\W_]*+(?:['’](?=[^\W\d_])[^\W\d_]++)*+(?:_\{?[0-9]{1,4}\}?)?+)"
    r"|(?P<currency>[$€£¥₹#]|US\$)"
    r"|(?P<sign>\*\*|//|[-+*/%^(),])"
    r")"
)
_TIMES = re.compile(r"\s*+(?P<sign>[xX])(?=[0-9.$(])")
_WORD_SIGNS: Final = {
    **dict.fromkeys(("x", "X", "times", "of"), "*"),
    "plus": "+",
    "minus": "-",
}
_HINT = "write numbers, symbols such as y1, + - * / and brackets"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def plain(text: str, is_symbol: Callable[[str], bool]) -> str:
    """An expression without units, currency and typography.

    Args:
        text: what stands between the brackets, without the result's symbol.
        is_symbol: whether a word is the symbol of a result.

    Cost: linear in the text.

    Raises:
        Fault: a word or sign that may change the value and has no plain form.
    """
    for pattern, new in _LATEX:
        text = pattern.sub(new, text)
    text = re.sub(r"\b(?:divided\s++by|over)\b", "/", text)
    text = re.sub(r"\bmultiplied\s++by\b", "*", text).translate(_SIGNS)
    tokens = _tokens(_RAISED.sub(_power, text))
    if units := quantities.mixed([token.text for token in tokens]):
        message = f"{units[0]} and {units[1]} are added"
        raise Fault("bad-arguments", message, "convert one of them first")
    return _Cleaning(tokens, text, is_symbol).run()


def _power(found: re.Match[str]) -> str:
    """Small raised digits as a power."""
    return f" ** {found[0].translate(_DIGITS)}"


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        times = found and (found[-1].kind == "number" or found[-1].text == ")")
        if times and (match := _TIMES.match(text, place)):
            found.append(_Token("sign", "*", match.start("sign"), match.end()))
            place = match.end()
            continue
        match = _TOKEN.match(text, place)
        if match is None:
            char = text[place:].lstrip()[:1]
            raise Fault("bad-arguments", f"{char!r} has no meaning in arithmetic", _HINT)
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind), match.end()))
        place = match.end()
    return found


class _Cleaning:
    """One pass over the tokens, with what was kept so far.

    Attributes:
        out: the kept tokens.
        amount: where in `out` the amount that was just closed begins; -1 for none.
    """

    def __init__(self, tokens: list[_Token], text: str, is_symbol: Callable[[str], bool]) -> None:
        self.out: list[str] = []
        self.amount = -1
        self._tokens = tokens
        self._text = text
        self._is_symbol = is_symbol
        self._open: list[tuple[int, bool]] = []  # where a bracket is, and if it is a function's
        self._place = 0

    def run(self) -> str:
        """The plain expression.

        Raises:
            Fault: it has none.
        """
        while self._place < len(self._tokens):
            token = self._tokens[self._place]
            self._place += 1
            if token.kind == "number":
                self._number(token)
            elif token.kind == "word":
                self._word(token)
            elif token.kind == "sign":
                self._sign(token)
        return " ".join(self.out)

    def _next(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _amount_follows(self) -> bool:
        """Whether an amount comes next: none does in `2x + 3`, and one does in `2 x -3`."""
        before, after = self._tokens[self._place - 1], self._next()
        if after is None or after.kind != "sign" or after.text == "(":
            return after is not None
        last = self._place + 1 == len(self._tokens)
        tight = not last and self._tokens[self._place + 1].start == after.end
        return after.text == "-" and tight and after.start > before.end

    def _keep_amount(self, text: str) -> None:
        if self.amount >= 0:
            raise Fault("bad-arguments", f"no sign stands before {text[:40]!r}", _HINT)
        self.amount = len(self.out)
        self.out.append(text)

    def _keep_sign(self, sign: str) -> None:
        self.amount = -1
        self.out.append(sign)

    def _number(self, token: _Token) -> None:
        text = token.text
        if "," in text and self._open and self._open[-1][1]:
            raise Fault("bad-arguments", f"{text} may be one number or several", "write no comma")
        whole, dot, rest = text.replace(",", "").partition(".")
        self._keep_amount((whole.lstrip("0") or "0") + dot + rest if whole else text)

    # -- words

    def _word(self, token: _Token) -> None:
        text, after = token.text, self._next()
        if after and after.text == "(" and after.start == token.end and self.amount < 0:
            self.out.append(text)
        elif self._is_symbol(text):
            self._keep_amount(text)
        elif text in _WORD_SIGNS and self.amount >= 0 and self._amount_follows():
            self._keep_sign(_WORD_SIGNS[text])
        elif text.lower() == "per" and self.amount >= 0:
            self._per(after)
        else:
            self._unit(text, after)

    def _unit(self, text: str, after: _Token | None) -> None:
        """Leave a unit out: a word beside an amount that neither counts nor calculates."""
        if quantities.counts(text):
            raise Fault("bad-arguments", f"{text!r} counts or calculates", "write it with signs")
        beside = after is not None and after.kind in ("number", "currency")
        if self.amount < 0 and not beside:
            raise Fault("bad-arguments", f"{text[:40]!r} is no number and no symbol", _HINT)

    def _per(self, after: _Token | None) -> None:
        if after is not None and (after.kind == "number" or self._is_symbol(after.text)):
            self._keep_sign("/")
        elif after is not None and after.text == "cent":
            raise Fault("bad-arguments", "'per cent' counts", "write 20%")

    # -- signs

    def _sign(self, token: _Token) -> None:
        if token.text == "(":
            self._begin()
        elif token.text == ")":
            self._end()
        elif token.text == "%":
            self._percent()
        elif token.text == "/" and self._of_units(token):
            pass  # dollars/hour: the unit that follows is left out as well
        elif token.text in ("^", "**") and self._after_unit():
            raise Fault("bad-arguments", "a unit stands before a power", "leave units out")
        else:
            self._keep_sign({"^": "**"}.get(token.text, token.text))

    def _of_units(self, token: _Token) -> bool:
        after = self._next()
        if after is None or after.kind != "word" or self.amount < 0:
            return False
        return after.start == token.end and not self._is_symbol(after.text)

    def _after_unit(self) -> bool:
        before = self._tokens[self._place - 2] if self._place > 1 else None
        return before is not None and before.kind == "word" and not self._is_symbol(before.text)

    def _begin(self) -> None:
        called = bool(self.out) and self.out[-1][-1].isalnum() and self.amount < 0
        if self.amount >= 0:
            if self._tokens[self._place - 2].end != self._tokens[self._place - 1].start:
                raise Fault("bad-arguments", "no sign stands before a bracket", _HINT)
            self._keep_sign("*")
        self._open.append((len(self.out) - called, called))
        self.out.append("(")

    def _end(self) -> None:
        if not self._open:
            raise Fault("bad-arguments", "a bracket closes that was never opened", _HINT)
        self.amount = self._open.pop()[0]
        self.out.append(")")

    def _percent(self) -> None:
        """A percentage of the amount before it, or the remainder where an amount follows."""
        if self.amount < 0:
            raise Fault("bad-arguments", "no amount stands before %", _HINT)
        after = self._next()
        if after and (after.kind == "number" or after.text == "(" or self._is_symbol(after.text)):
            before, sign = self._tokens[self._place - 2], self._tokens[self._place - 1]
            if before.end == sign.start and sign.end < after.start:
                raise Fault("bad-arguments", "no sign stands after a percentage", _HINT)
            self._keep_sign("%")
        else:
            self.out[self.amount :] = ["(", *self.out[self.amount :], "/ 100)"]
