"""How long a tool is expected to take: the mean of what was seen, and how it spreads."""

from __future__ import annotations

from math import floor, log
from typing import Final

__all__ = ["Estimates"]

STEP: Final = 1.1
"""Durations within so much of each other are counted as one."""

LEAST_SEEN: Final = 100
MOST_SEEN: Final = 10_000
"""With more, all counts are halved: what is long ago fades."""


class _Spread:
    """Durations of one tool's calls, counted by size."""

    __slots__ = ("_counts", "_known", "_known_at", "_seen")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._seen = 0
        self._known: tuple[float, float] | None = None  # (share, seconds) as asked last
        self._known_at = 0

    def add(self, seconds: float) -> None:
        size = floor(log(max(seconds, 1e-6), STEP))
        self._counts[size] = self._counts.get(size, 0) + 1
        self._seen += 1
        if self._seen > MOST_SEEN:
            self._counts = {size: count // 2 for size, count in self._counts.items() if count > 1}
            self._seen = sum(self._counts.values())
            self._known = None

    def quantile(self, share: float) -> float | None:
        if self._seen < LEAST_SEEN:
            return None
        known = self._known
        if known is None or known[0] != share or self._seen > 1.05 * self._known_at:
            known = self._known = share, self._measured(share)
            self._known_at = self._seen
        return known[1]

    def _measured(self, share: float) -> float:
        beyond = (1.0 - share) * self._seen
        sizes = sorted(self._counts, reverse=True)
        for size in sizes:
            beyond -= self._counts[size]
            if beyond < 0:
                return STEP ** (size + 1)
        return STEP ** (sizes[-1] + 1)


class Estimates:
    """Durations by tool, in seconds; shared by runs that should learn from each other.

    A tool that was never seen is expected to take as long as the mean of all calls, or 1 second.

    Attributes:
        earned: second copies that calls have earned and that were not made yet; see `hedging`.
    """

    __slots__ = ("_seen", "_spreads", "earned")

    def __init__(self) -> None:
        self.earned = 0.0
        self._seen: dict[str, list[float]] = {}  # calls and seconds, by tool
        self._spreads: dict[str, _Spread] = {}

    def mean(self, tool: str) -> float:
        """The expected seconds of one call. Cost: O(1), O(tools) for one that was never seen."""
        seen = self._seen.get(tool)
        if seen is None:
            calls = sum(calls for calls, _ in self._seen.values())
            return sum(seconds for _, seconds in self._seen.values()) / calls if calls else 1.0
        return seen[1] / seen[0]

    def learn(self, tool: str, seconds: float) -> float:
        """Take one call into the mean, and give the new mean."""
        seen = self._seen.get(tool)
        if seen is None:
            seen = self._seen[tool] = [0, 0.0]
        seen[0] += 1
        seen[1] += seconds
        return seen[1] / seen[0]

    def spread(self, tool: str, seconds: float) -> None:
        """Take one call into what is known of how a tool's calls differ. Cost: O(1)."""
        found = self._spreads.get(tool)
        if found is None:
            found = self._spreads[tool] = _Spread()
        found.add(seconds)

    def quantile(self, tool: str, share: float) -> float | None:
        """The seconds within which that share of a tool's calls are over, to within a tenth.

        None until a hundred were seen. Cost: O(1) amortised.
        """
        found = self._spreads.get(tool)
        return None if found is None else found.quantile(share)
