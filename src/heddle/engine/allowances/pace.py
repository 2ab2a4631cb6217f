"""Requests a second, as learned from refusals.

A provider that refuses is one whose rate we do not know. While calls wait, what it grants *is* its
rate, pauses included; so a refusal takes 15 % off the pace, but goes no lower than what was granted
of late. A refusal after next to nothing was granted says that "of late" was long ago, and takes off
as much whatever that was. From there the pace grows with the calls that come back, slowly near the
rate that is known and faster far above it, so that about one call in fifty finds out whether there
is more.

Calls in flight cannot do this alone: with replies of 0.1 s, one call at a time is 600 a minute.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

__all__ = ["Pace"]

_LESS = 0.85
_MARGIN = 0.98
_GROWTH = 1.2e-5
"""Of the square of the calls since the last refusal: 3 % after fifty, double after 290."""

_BURST_S = 0.5
"""Requests of so many seconds may begin at once."""

_LEAST_S, _LEAST_CALLS, _MINUTE_S = 5.0, 16, 60.0
"""What was granted of late is measured over so long, and so many calls; and over a minute, for
providers that count by the minute and are asked in bursts."""

_NEXT_TO_NOTHING = 8


class Pace:
    """A rate that has no bound until a provider has refused something.

    Attributes:
        known: requests a second that it granted when it refused the last time; None before.
    """

    __slots__ = ("_calls", "_cut_at", "_granted", "_next_at", "known")

    def __init__(self) -> None:
        self.known: float | None = None
        self._calls = 0  # that came back well since the last refusal
        self._cut_at = -math.inf
        self._next_at = -math.inf
        self._granted: deque[list[float]] = deque()  # [second, calls]

    @property
    def rate(self) -> float:
        """Requests a second; infinite while nothing is known."""
        if self.known is None:
            return math.inf
        return self.known * (1 + _GROWTH * self._calls**2)

    def free(self, now: float) -> float:
        """Requests that may begin now."""
        if self.known is None:
            return math.inf
        rate = self.rate
        return max(0, math.floor((now - self._next_at) * rate + max(1.0, _BURST_S * rate) + 1e-6))

    def opens_at(self, now: float) -> float:
        """When the next request may begin."""
        if self.known is None:
            return now
        rate = self.rate
        return max(now, self._next_at + (1 - max(1.0, _BURST_S * rate)) / rate)

    def took(self, now: float, calls: int) -> None:
        """So many requests begin now."""
        if self.known is not None:
            self._next_at = max(self._next_at, now) + calls / self.rate

    def gave_back(self, calls: int) -> None:
        """So many did not begin after all."""
        if self.known is not None:
            self._next_at -= calls / self.rate

    def granted(self, now: float, calls: int) -> None:
        """So many came back well."""
        self._calls += calls
        second = float(math.floor(now))
        if self._granted and self._granted[-1][0] == second:
            self._granted[-1][1] += calls
        else:
            self._granted.append([second, calls])
            while self._granted[0][0] < now - _MINUTE_S:
                self._granted.popleft()

    def refused(self, now: float, began: float) -> None:
        """A request was refused; those that began before the last refusal say nothing new."""
        if began < self._cut_at:
            return
        stale = self.known is not None and self._calls < _NEXT_TO_NOTHING
        lately = 0.0 if stale else self._lately(now)
        less = 0.0 if self.known is None else _LESS * self.rate
        if max(less, lately) > 0:
            self.known = _MARGIN * max(less, lately)
            self._calls, self._cut_at, self._next_at = 0, now, now

    def _lately(self, now: float) -> float:
        """Calls a second that came back well of late."""
        calls, since = 0.0, now
        for second, number in reversed(self._granted):
            if calls >= _LEAST_CALLS and now - since >= _LEAST_S:
                break
            calls, since = calls + number, second
        in_a_minute = sum(number for second, number in self._granted if second >= now - _MINUTE_S)
        return max(calls / max(1.0, now - since), in_a_minute / _MINUTE_S)

    def state(self) -> list[Any]:
        """What has to be kept of it, as JSON."""
        finite = [None if math.isinf(at) else at for at in (self._cut_at, self._next_at)]
        return [self.known, self._calls, *finite, [list(entry) for entry in self._granted]]

    def restore(self, state: list[Any]) -> None:
        """Go on from a kept state."""
        self.known, self._calls, cut_at, next_at, granted = state
        self._cut_at = -math.inf if cut_at is None else cut_at
        self._next_at = -math.inf if next_at is None else next_at
        self._granted = deque(list(entry) for entry in granted)
