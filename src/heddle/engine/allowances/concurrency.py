"""Calls in flight: fewer when a provider is overloaded, slowly more again (AIMD).

Source: additive increase, multiplicative decrease, as Netflix's concurrency-limits recommends for
clients; its ratio of 0.9 and its least limit of 20 are made for servers' own queues, not for keys.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["Concurrency"]

_LESS = 0.7


class Concurrency:
    """How many calls may be in flight.

    Args:
        ceiling: the most; None for no bound until the provider is overloaded for the first time.

    Attributes:
        limit: calls that may be in flight now; infinite where there is no bound.
    """

    __slots__ = ("_ceiling", "_cut_at", "_done", "limit")

    def __init__(self, ceiling: int | None) -> None:
        self._ceiling = ceiling or math.inf
        self.limit: float = self._ceiling
        self._cut_at = -math.inf
        self._done = 0

    def overloaded(self, now: float, began: float, in_flight: int) -> None:
        """A call was refused, or failed as overloaded servers fail.

        Calls that began before the last cut say nothing new: one cut in a round trip.
        """
        if began >= self._cut_at:
            base = self.limit if self.limit < math.inf else in_flight
            self.limit = max(1, math.floor(_LESS * base))
            self._cut_at, self._done = now, 0

    def succeeded(self, calls: int, in_flight: int) -> None:
        """Calls came back well: one more for every `limit` of them, while they are in use."""
        if self.limit >= self._ceiling or in_flight * 2 < self.limit:
            return
        self._done += calls
        while self._done >= self.limit and self.limit < self._ceiling:
            self._done -= int(self.limit)
            self.limit += 1

    def state(self) -> list[Any]:
        """What has to be kept of it, as JSON."""
        limit = self.limit if self.limit < math.inf else None
        return [limit, self._cut_at if self._cut_at > -math.inf else None, self._done]

    def restore(self, state: list[Any]) -> None:
        """Go on from a kept state."""
        limit, cut_at, self._done = state
        self.limit = min(self._ceiling, math.inf if limit is None else limit)
        self._cut_at = -math.inf if cut_at is None else cut_at
