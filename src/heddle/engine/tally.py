"""Counts of the last so many seconds, by the second."""

from __future__ import annotations

from collections import deque

__all__ = ["Tally"]


class Tally:
    """How many things happened lately, and how many of them were faults.

    Seconds are whole ones of the clock, the one that has begun included: what is counted lies
    within `seconds`, and at least within one less. Cost: O(1) amortised, memory O(seconds).

    >>> tally = Tally(30)
    >>> tally.add(0.5)
    >>> tally.add(1.5, faulty=True)
    >>> tally.counts(10.0), tally.counts(30.2), tally.counts(31.9)
    ((2, 1), (1, 1), (0, 0))
    """

    __slots__ = ("_all", "_by_second", "_faulty", "_seconds")

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._by_second: deque[list[int]] = deque()  # second, all, faulty
        self._all = self._faulty = 0

    def add(self, now: float, *, faulty: bool = False) -> None:
        """Something has happened."""
        second = int(now)
        if not self._by_second or self._by_second[-1][0] != second:
            self._forget(second)  # nobody may ask for long
            self._by_second.append([second, 0, 0])
        self._by_second[-1][1] += 1
        self._by_second[-1][2] += faulty
        self._all += 1
        self._faulty += faulty

    def counts(self, now: float) -> tuple[int, int]:
        """All, and the faults among them."""
        self._forget(int(now))
        return self._all, self._faulty

    def _forget(self, second: int) -> None:
        """Leave out what is too long ago in that second."""
        oldest = second - self._seconds + 1
        while self._by_second and self._by_second[0][0] < oldest:
            _, count, faulty = self._by_second.popleft()
            self._all -= count
            self._faulty -= faulty

    def clear(self) -> None:
        """Nothing has happened."""
        self._by_second.clear()
        self._all = self._faulty = 0
