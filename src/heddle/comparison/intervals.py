"""What so few runs can say: 95 % intervals that stay honest where there is little data.

The unit is the question, not the run: repeats of one question are averaged first, because they
are not independent of each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Interval", "difference", "mean", "median_interval", "percentile", "wilson"]

Z = 1.959964  # the normal distribution's 97.5 % point


class Interval(NamedTuple):
    """A figure and where its true value may be, at 95 %."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the data shows a direction."""
        return self.low > 0 or self.high < 0


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def wilson(share: float, n: int) -> Interval:
    """The interval of a share, from n independent observations; it is never of width 0.

    Source: Wilson 1927; Newcombe 1998, "Two-sided confidence intervals for the single
        proportion", method 3.

    >>> [round(part, 3) for part in wilson(1.0, 3)]
    [1.0, 0.439, 1.0]
    """
    if n <= 0:
        return Interval(share, 0.0, 1.0)
    square = Z * Z / n
    centre = (share + square / 2) / (1 + square)
    reach = Z * math.sqrt(share * (1 - share) / n + square / (4 * n)) / (1 + square)
    return Interval(share, max(min(centre - reach, share), 0.0), min(max(centre + reach, share), 1))


def difference(first: Sequence[float], second: Sequence[float]) -> Interval:
    """The change from first to second, of shares measured on the same questions, in the same order.

    Where the two rise and fall together, the interval is narrower than that of two samples.

    Source: Newcombe 1998, "Improved confidence intervals for the difference between binomial
        proportions based on paired data", method 10; its phi is a correlation, which serves for
        means of repeats too.

    >>> [round(part, 2) for part in difference([1, 1, 0], [1, 1, 0])]
    [0.0, -0.47, 0.47]
    """
    n = len(first)
    one, two = wilson(mean(first), n), wilson(mean(second), n)
    phi = _phi(first, second)
    down, up = two.value - two.low, two.high - two.value
    below, above = one.value - one.low, one.high - one.value
    low = math.sqrt(max(down**2 - 2 * phi * down * above + above**2, 0.0))
    high = math.sqrt(max(up**2 - 2 * phi * up * below + below**2, 0.0))
    change = two.value - one.value
    return Interval(change, max(change - low, -1.0), min(change + high, 1.0))


def _phi(first: Sequence[float], second: Sequence[float]) -> float:
    """The correlation, with Newcombe's correction for continuity; 0 where it is not defined."""
    n = len(first)
    if not n:
        return 0.0
    one, two = mean(first), mean(second)
    both = mean([(a - one) * (b - two) for a, b in zip(first, second, strict=True)])
    spread = mean([(a - one) ** 2 for a in first]) * mean([(b - two) ** 2 for b in second])
    if spread <= 0:
        return 0.0
    shared = max(both - 1 / (2 * n), 0.0) if both > 0 else both
    return shared / math.sqrt(spread)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that this share of them does not exceed; None of nothing.

    >>> percentile([4, 1, 3, 2], 0.5), percentile([4, 1, 3, 2], 0.95), percentile([], 0.5)
    (2, 4, None)
    """
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else None


def median_interval(values: Sequence[float]) -> Interval | None:
    """The median and its interval, between two of the values; None of fewer than 6.

    No such interval of 95 % exists for fewer, whatever the values.

    Source: the sign test's inversion, as in Conover, Practical Nonparametric Statistics, 3.2.

    >>> median_interval([1, 2, 3, 4, 5]), median_interval([1, 2, 3, 4, 5, 6])
    (None, Interval(value=3.5, low=1, high=6))
    """
    ordered, n = sorted(values), len(values)
    outside = _outside(n)
    if outside < 0:
        return None
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return Interval(middle, ordered[outside], ordered[n - 1 - outside])


def _outside(n: int) -> int:
    """The largest k with P(Binomial(n, 1/2) <= k) at most 2.5 %; -1 where there is none."""
    total, ways, k = 0, 1, -1
    while (total + ways) * 40 <= 2**n and k < n:
        total += ways
        k += 1
        ways = ways * (n - k) // (k + 1)
    return k
