"""A figure of a campaign: what was measured, against which bar, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: what was counted or measured, without the campaign's name.
        value: what came out.
        bar: what it must not exceed; a floor where `at_least`. None where it is only reported.
        unit: "" for a count.
        of: out of how many it was counted; with a value of 0, the rule of three gives a bound.
        detail: anything that helps to understand it; JSON.
    """

    name: str
    value: float
    bar: float | None = None
    unit: str = ""
    at_least: bool = False
    of: int | None = None
    detail: Any = None

    @property
    def met(self) -> bool:
        """Whether it is within its bar; one without a bar always is."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    @property
    def bound(self) -> float | None:
        """The 95 % upper bound of the rate where nothing was seen: 3/N. None elsewhere.

        Source: the rule of three, J. A. Hanley and A. Lippman-Hand, JAMA 249 (1983), 1743-1745.
        """
        return 3 / self.of if self.of and self.value == 0 else None


def line(figure: Figure) -> str:
    """A figure as a line of the table.

    >>> line(Figure("lost effects", 0, bar=0, of=2_000))
    'met              0       bar <= 0  lost effects, of 2,000 (95 % bound 0.15 %)'
    >>> line(Figure("kills", 60))
    '                60                 kills'
    """
    mark = "" if figure.bar is None else "met" if figure.met else "MISSED"
    sign = ">=" if figure.at_least else "<="
    bar = "" if figure.bar is None else f"bar {sign} {figure.bar:,g}"
    of = "" if figure.of is None else f", of {figure.of:,}"
    bound = "" if figure.bound is None else f" (95 % bound {100 * figure.bound:.2g} %)"
    value = f"{_number(figure.value)} {figure.unit}".rstrip()
    return f"{mark:<6}  {value:>10}  {bar:>13}  {figure.name}{of}{bound}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
