"""So much in any minute: requests, or tokens.

A bucket that refills evenly and holds a minute's worth would grant up to twice the rate in the
minute that begins with it full. Here each amount comes back one period after it was taken, so that
no period, wherever it begins, sees more than the allowance. What was taken at once comes back on a
slope: if the provider grants less by then, the first refusals stop the rest.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

__all__ = ["TRAVEL_S", "Window"]

TRAVEL_S = 0.5
"""A request may be so much longer on its way to the provider than a later one: it counts longer."""

_MINUTE_S = 60.0

_SLOPE = 0.1
"""The share of a period over which a whole amount comes back that was taken at once."""


class Window:
    """An amount that may be taken within any period.

    Args:
        per_minute: the rate; below one a minute the period is stretched to hold one.
        tick_s: amounts that come back within one tick come back together, at its end; 0 for each
            in its own time.

    Attributes:
        amount: what may be taken in `period_s`.
        held: reserved for calls in flight; it does not come back by itself.

    Invariant: in any `period_s`, what was spent is at most `amount`, as long as nothing is spent
        that was not free or held before.
    """

    __slots__ = ("_each_s", "_ends", "_slope_at", "_spent", "amount", "held", "period_s", "tick_s")

    def __init__(self, per_minute: float, tick_s: float = 0.0) -> None:
        self.tick_s = tick_s
        self.held = 0
        self._ends: deque[tuple[float, int]] = deque()  # when it comes back, how much
        self._spent = 0
        self._slope_at = -math.inf  # when what is spent next comes back at the soonest
        self.allow(per_minute)

    def allow(self, per_minute: float) -> None:
        """The rate is another one from now on."""
        self.amount = max(1, int(per_minute))
        self.period_s = _MINUTE_S * self.amount / per_minute
        self._each_s = _SLOPE * self.period_s / self.amount

    def free(self, now: float) -> int:
        """What may be taken now; never negative. Cost: O(1) amortised."""
        ends = self._ends
        while ends and ends[0][0] <= now:
            self._spent -= ends.popleft()[1]
        return max(0, self.amount - self._spent - self.held)

    def fits_at(self, now: float, wanted: int) -> float:
        """When so much will be free if nothing else is taken; infinite if it depends on `held`."""
        missing = min(wanted, self.amount) - self.free(now)
        if missing <= 0:
            return now
        missing += max(0, self._spent + self.held - self.amount)
        for end, amount in self._ends:
            missing -= amount
            if missing <= 0:
                return end
        return math.inf

    def spend(self, now: float, amount: int) -> None:
        """Taken now; it comes back a period later, after what was spent before it.

        Cost: O(1), and O(ticks of a slope) for what several calls took.
        """
        part = math.ceil(self.tick_s / self._each_s) or amount
        self._slope_at = max(self._slope_at, now + self.period_s + TRAVEL_S)
        while amount > 0:
            part = min(part, amount)
            self._add(self._end(self._slope_at), part)
            self._slope_at += part * self._each_s
            amount -= part

    def hold(self, amount: int) -> None:
        """Reserved for a call whose true amount is known later."""
        self.held += amount

    def settle(self, now: float, held: int, used: int) -> None:
        """A reservation ends: what was used is spent now, the rest is free."""
        self.held -= held
        self.spend(now, used)

    def refund(self, amount: int, since: float = -math.inf) -> None:
        """Less was used than was spent.

        What came back no later than the call's own part is given up, the latest first; only where
        there is no such, what comes back next: no period sees more than was really used.

        Args:
            amount: how much less.
            since: when the call began, or before; what comes back first is given up by default.

        Cost: O(entries since then, and those that are given up).
        """
        self._slope_at -= min(max(0, amount), self._spent) * self._each_s
        ends, later = self._ends, list[tuple[float, int]]()
        while ends and ends[-1][0] > since + self.period_s + TRAVEL_S:
            later.append(ends.pop())
        for entries in (ends, later):  # both from the right
            while amount > 0 and entries:
                end, there = entries.pop()
                given_up = min(there, amount)
                self._spent -= given_up
                amount -= given_up
                if given_up < there:
                    entries.append((end, there - given_up))
        ends.extend(reversed(later))

    def heard(self, now: float, remaining: int, reset_s: float) -> None:
        """The provider says what is left: if others have taken some as well, it is spent here too.

        Args:
            now: the time.
            remaining: what it still grants.
            reset_s: until all of it has come back.
        """
        by_others = self.free(now) - max(0, remaining)
        if by_others > 0:
            self._add(self._end(now + min(max(reset_s, 0.0), self.period_s)), by_others)

    def _end(self, end: float) -> float:
        return math.ceil(end / self.tick_s) * self.tick_s if self.tick_s else end

    def _add(self, end: float, amount: int) -> None:
        ends = self._ends
        self._spent += amount
        later: list[tuple[float, int]] = []
        while ends and ends[-1][0] > end:  # only what a provider said may end before others
            later.append(ends.pop())
        if ends and ends[-1][0] == end:
            amount += ends.pop()[1]
        ends.append((end, amount))
        ends.extend(reversed(later))

    def state(self) -> list[Any]:
        """What has to be kept of it, as JSON."""
        slope_at = None if math.isinf(self._slope_at) else self._slope_at
        return [self.held, slope_at, [list(entry) for entry in self._ends]]

    def restore(self, state: list[Any]) -> None:
        """Go on from a kept state."""
        self.held, slope_at, ends = state
        self._slope_at = -math.inf if slope_at is None else slope_at
        self._ends = deque((end, amount) for end, amount in ends)
        self._spent = sum(amount for _, amount in self._ends)
