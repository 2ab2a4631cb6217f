"""How many calls to one provider may be made again.

Source: Google SRE book, chapter 22.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from typing import Final

from heddle.engine.tally import Tally

__all__ = ["RetryBudget"]

WINDOW_S: Final = 60
FREE_RETRIES: Final = 10
RETRIES_PER: Final = 10
"""Requests that earn one more retry."""


class RetryBudget:
    """How many calls to one provider may be made again, so that trouble is not made larger.

    Retries are at most a tenth of the requests of the last minute, and ten. One too many waits
    until there is room for it. Calls that were throttled are none of them: nothing was done for
    them, and the allowance says when they may come back.
    """

    __slots__ = ("_planned", "_requests")

    def __init__(self) -> None:
        self._requests = Tally(WINDOW_S)
        self._planned: list[float] = []  # retries, in order

    def requested(self, now: float) -> None:
        """A request was made."""
        self._requests.add(now)

    def book(self, now: float, wait_s: float, until: float = math.inf) -> float | None:
        """When a retry may begin that would wait so long by itself.

        None where that is not before `until`; nothing is booked then.

        Invariant: no minute sees more retries than were allowed when the last of them was booked.
        """
        planned = self._planned
        del planned[: bisect_right(planned, now - WINDOW_S)]
        allowed = FREE_RETRIES + self._requests.counts(now)[0] // RETRIES_PER
        at = now + wait_s
        around = bisect_left(planned, at + WINDOW_S) - bisect_right(planned, at - WINDOW_S)
        if around >= allowed:
            at = max(at, planned[-allowed] + WINDOW_S + wait_s)  # each at its own moment
        if at >= until:
            return None
        insort(planned, at)
        return at

    def give_back(self, at: float) -> None:
        """A retry that was booked for then is not made after all."""
        place = bisect_left(self._planned, at)
        if place < len(self._planned) and self._planned[place] == at:
            del self._planned[place]
