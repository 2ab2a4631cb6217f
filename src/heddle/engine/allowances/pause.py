"""A refusal stops everybody; then one call tries; then a slope.

    open ── refused ──▶ paused ── time is up ──▶ probing ── the probe came back ──▶ ramp ──▶ open
                          ▲                         │ refused                        │ refused
                          └─────────────────────────┴────────────────────────────────┘

Without it, all that were refused ask again at the same moment, and are refused again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

__all__ = ["Pause"]

_FIRST_S, _LONGEST_S = 1.0, 10.0
"""Pauses where the provider does not say how long: they double."""

_JITTER, _MOST_JITTER_S = 0.2, 4.0
"""A provider's wish is a floor, and nobody else should come at just that moment. It is one call
that comes then, so a few seconds keep processes apart; a fifth of a minute would be lost to all."""

_LONGEST_WISH_S = 3_600.0
"""Nobody waits for longer than that without one call that tries, whatever a header says."""

_FIRST_CALLS, _DOUBLING_S, _RAMP_S = 4, 2.0, 20.0


class Pause:
    """Whether calls may begin now, and how many.

    Args:
        dice: for jitter.

    Attributes:
        until: when the pause ends; in the past where there is none.
        probing: whether the one call that tries is in flight.
    """

    __slots__ = ("_base", "_dice", "_paused", "_ramp_from", "_refusals", "probing", "until")

    def __init__(self, dice: random.Random) -> None:
        self.until = -math.inf
        self.probing = False
        self._paused = False  # until a probe has come back
        self._ramp_from = -math.inf
        self._base = 0
        self._refusals = 0
        self._dice = dice

    def free(self, now: float, in_flight: int) -> float:
        """How many calls may begin now; infinite where nothing holds them up."""
        if self._paused:
            return 0 if self.probing or now < self.until else 1
        since = now - self._ramp_from
        if since >= _RAMP_S:
            return math.inf
        return max(0, self._base + int(_FIRST_CALLS * 2 ** (since / _DOUBLING_S)) - in_flight)

    def opens_at(self, now: float, in_flight: int) -> float:
        """When another call may begin, by time alone; infinite if it depends on the probe."""
        if self._paused:
            return math.inf if self.probing else max(now, self.until)
        wanted = in_flight + 1 - self._base
        if now - self._ramp_from >= _RAMP_S or wanted <= _FIRST_CALLS:
            return now
        steep_s = _DOUBLING_S * math.log2(wanted / _FIRST_CALLS) + 1e-3
        return max(now, self._ramp_from + min(_RAMP_S, steep_s))

    @property
    def waits(self) -> bool:
        """Whether the next call that begins is the one that tries."""
        return self._paused

    def refused(self, now: float, retry_after_s: float | None, *, probe: bool) -> None:
        """The provider said no; its wish is a floor.

        Args:
            now: the time.
            retry_after_s: its wish.
            probe: whether it was the call that tried.
        """
        if probe:
            self.probing = False
        if probe or not self._paused:  # those that began before the pause say the same again
            self._refusals += 1
        if retry_after_s is None:
            least_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self._refusals - 1, 6))
        else:
            least_s = min(_LONGEST_WISH_S, retry_after_s)
        jitter_s = self._dice.random() * min(_JITTER * least_s, _MOST_JITTER_S)
        self.until = max(self.until, now + least_s + jitter_s)
        self._paused = True

    def came_back(self, now: float, in_flight: int, *, well: bool) -> None:
        """The call that tried is over; it was not refused."""
        self.probing = False
        if well:
            self._paused = False
            self._ramp_from, self._base = now, in_flight

    def calm(self, now: float) -> None:
        """A call came back well; once a ramp is over, the next pause is a short one again."""
        if not self._paused and now - self._ramp_from >= _RAMP_S:
            self._refusals = 0

    def state(self) -> list[Any]:
        """What has to be kept of it, as JSON."""
        finite = [None if math.isinf(at) else at for at in (self.until, self._ramp_from)]
        return [*finite, self.probing, self._paused, self._base, self._refusals]

    def restore(self, state: list[Any]) -> None:
        """Go on from a kept state."""
        until, ramp_from, self.probing, self._paused, self._base, self._refusals = state
        self.until = -math.inf if until is None else until
        self._ramp_from = -math.inf if ramp_from is None else ramp_from
