"""Breakers: a provider that keeps failing is left in peace for a while, then tried with one call.

    closed ──5 failures in a row, or half of at least 20 calls in 30 s──▶ open
    open ──5 s, twice as long each time, up to 60 s──▶ half open: one call, the probe
    half open ──the probe gets an answer──▶ closing           ──it fails──▶ open
    closing ──20 s, in which more and more calls may begin──▶ closed

One breaker stands before each name that slots are taken of: a tool's provider, or one model of a
provider. Who shares slots shares the breakers before them. Refusals for the sake of an allowance
are answers: the pause after them is the allowance's own affair. So is whatever says nothing of the
provider: a tool's own exception, a call that was given up.

While a breaker is open, its slots are not to be had; who wants one is woken when it may try. Nobody
polls. Whether waiting is of any use, the caller knows: see `BreakerSlots.opens_at`.

pybreaker and purgatory were considered: they wrap calls that fail at once while open; here a step
waits, in a queue, for a slot that it does not get yet.

Source: M. Nygard, Release It!, 2nd edition, chapter 5.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import log2
from typing import TYPE_CHECKING, Any, Final

from heddle.engine.acquiring import acquired
from heddle.engine.alarm import Alarm
from heddle.engine.costs import DROPPED, ONE
from heddle.engine.retry_budget import RetryBudget
from heddle.engine.tally import Tally
from heddle.errors import HeddleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.costs import Cost, Outcome
    from heddle.engine.slots import Lease, Slots

__all__ = ["Breaker", "BreakerSlots", "Breakers"]

IN_A_ROW: Final = 5
WINDOW_S: Final = 30
LEAST_CALLS: Final = 20
FIRST_S: Final = 5.0
LONGEST_S: Final = 60.0
RAMP_S: Final = 20.0
FIRST_CALLS: Final = 4
DOUBLING_S: Final = 2.0
"""On the ramp so many calls may begin, and twice as many each time that passes."""


class Breaker:
    """The state of one breaker, over a clock that the caller reads.

    Attributes:
        opens_at: when the next call may begin; None while it is closed.
        probing: whether a probe is under way.
    """

    __slots__ = ("_begun", "_calls", "_in_a_row", "_period_s", "_ramp_from", "opens_at", "probing")

    def __init__(self) -> None:
        self.opens_at: float | None = None
        self.probing = False
        self._calls = Tally(WINDOW_S)
        self._in_a_row = 0
        self._period_s = FIRST_S
        self._ramp_from: float | None = None
        self._begun = 0  # on the ramp

    def admits(self, now: float) -> bool:
        """Whether a call may begin."""
        return self.opens_at is None or (not self.probing and now >= self.opens_at)

    def begin(self, now: float) -> bool:
        """A call begins that was admitted; whether it is the probe."""
        if self._ramp_from is not None:
            self._climb(now, self._ramp_from)
        elif self.opens_at is not None:
            self.probing = True
        return self.probing

    def _climb(self, now: float, since: float) -> None:
        """Who waited is let in by and by, or all would come back at once."""
        self._begun += 1
        if now - since >= RAMP_S:
            self.opens_at, self._ramp_from, self._period_s = None, None, FIRST_S
        else:
            self.opens_at = since + DOUBLING_S * max(0.0, log2((self._begun + 1) / FIRST_CALLS))

    def ended(self, now: float, kind: str, *, probe: bool) -> None:
        """A call has ended; what other calls than the probe say while it is open is old news."""
        if probe:
            self.probing = False
        answered = kind in ("ok", "throttled")
        if not answered and kind != "failed":
            return
        if probe and answered:
            self.opens_at = self._ramp_from = now
            self._begun = 0
        elif probe:
            self._open_again(now)
        elif self.opens_at is None or self._ramp_from is not None:
            self._count(now, answered=answered)

    def _open_again(self, now: float) -> None:
        self._period_s = min(LONGEST_S, 2 * self._period_s)
        self._open(now)

    def _open(self, now: float) -> None:
        self.opens_at, self._ramp_from = now + self._period_s, None
        self._in_a_row = 0
        self._calls.clear()

    def _count(self, now: float, *, answered: bool) -> None:
        self._in_a_row = 0 if answered else self._in_a_row + 1
        self._calls.add(now, faulty=not answered)
        if answered:
            return
        calls, failures = self._calls.counts(now)
        if self._in_a_row >= IN_A_ROW or (calls >= LEAST_CALLS and 2 * failures >= calls):
            (self._open if self._ramp_from is None else self._open_again)(now)


class _Line:
    """The way to one provider: its breaker, its retry budget, and who waits."""

    __slots__ = ("_alarm", "_waiting", "breaker", "budget")

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.budget = RetryBudget()
        self._waiting: deque[Callable[[], bool]] = deque()
        self._alarm = Alarm(self._ring)

    def ended(self, outcome: Outcome, *, probe: bool) -> None:
        """A call has returned its slot."""
        now = asyncio.get_running_loop().time()
        if outcome.kind != "unused":
            self.budget.requested(now)
        self.breaker.ended(now, outcome.kind, probe=probe)
        if self._waiting:
            self.wake(now)

    def wait(self, wake: Callable[[], bool]) -> None:
        """Call `wake` when the breaker may admit a call."""
        self._waiting.append(wake)
        self.wake(asyncio.get_running_loop().time())

    def wake(self, now: float) -> None:
        """Wake all once it is closed; before that one who will try, and soon the next."""
        while self._waiting and self.breaker.admits(now):
            if self._waiting.popleft()() and self.breaker.opens_at is not None:
                break
        at = self.breaker.opens_at
        if self._waiting and at is not None and not self.breaker.probing:
            self._alarm.at(at)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        self.wake(max(now, self.breaker.opens_at or now))  # timers may ring early by a rounding


class Breakers:
    """The breakers before the names of some slots, and the retry budgets of these names."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def line(self, name: str) -> _Line:
        """What stands before a name."""
        found = self._lines.get(name)
        if found is None:
            found = self._lines[name] = _Line()
        return found


class _LineLease:
    __slots__ = ("_lease", "_line", "_probe")

    def __init__(self, line: _Line, lease: Lease, *, probe: bool) -> None:
        self._line: _Line | None = line
        self._lease = lease
        self._probe = probe

    def release(self, outcome: Outcome | None = None) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._lease.release(outcome)
            line.ended(outcome or DROPPED, probe=self._probe)


class BreakerSlots:
    """Slots with a breaker before each name; see `Slots`.

    Args:
        slots: what a call needs besides.
        breakers: shared with others who share the slots.

    Attributes:
        failed: told, in a later turn of the loop, that there will be no slots any more.
    """

    def __init__(self, slots: Slots, breakers: Breakers) -> None:
        self.failed: Callable[[HeddleError], None] | None = None
        self._failure: HeddleError | None = None
        self._slots = slots
        self._breakers = breakers

    @classmethod
    def before(cls, slots: Any) -> BreakerSlots:
        """Slots behind the breakers that they bring with them, or behind new ones."""
        if isinstance(slots, BreakerSlots):
            return slots
        return cls(slots, getattr(slots, "breakers", None) or Breakers())

    def opens_at(self, provider: str) -> float:
        """The loop time at which a call may begin, as far as the breaker goes; 0 for any time."""
        return self._breakers.line(provider).breaker.opens_at or 0.0

    def budget(self, provider: str) -> RetryBudget:
        """How many calls to a provider may be made again."""
        return self._breakers.line(provider).budget

    def try_acquire(self, provider: str, cost: Cost = ONE) -> Lease | None:
        """Take a slot now, or None where there is none, or the breaker admits no call."""
        line, now = self._breakers.line(provider), asyncio.get_running_loop().time()
        if not line.breaker.admits(now):
            self._slots.pass_on(provider)  # it may have been its turn there
            return None
        try:
            lease = self._slots.try_acquire(provider, cost)
        except HeddleError as error:
            self._fail(error)
            return None
        return lease and _LineLease(line, lease, probe=line.breaker.begin(now))

    def _fail(self, error: HeddleError) -> None:
        """No allowance can be had; not at once, for whoever asks may be in the midst of others."""
        self._failure = self._failure or error
        if self.failed is not None:
            asyncio.get_running_loop().call_soon(self.failed, error)

    def when_free(self, provider: str, wake: Callable[[], bool], cost: Cost = ONE) -> None:
        """Call `wake` once, when trying again may help."""
        line = self._breakers.line(provider)
        if line.breaker.admits(asyncio.get_running_loop().time()):
            self._slots.when_free(provider, wake, cost)
        else:
            line.wait(wake)

    def pass_on(self, provider: str) -> None:
        """Somebody was woken, and does not try after all: wake the next."""
        self._breakers.line(provider).wake(asyncio.get_running_loop().time())
        self._slots.pass_on(provider)

    async def acquire(self, provider: str, cost: Cost = ONE) -> Lease:
        """Take a slot, after waiting for one if there is none.

        Raises:
            HeddleError: there are none any more.
        """

        def take() -> Lease | None:
            lease = self.try_acquire(provider, cost)
            if lease is None and self._failure is not None:
                raise self._failure
            return lease

        return await acquired(
            take,
            lambda wake: self.when_free(provider, wake, cost),
            lambda: self.pass_on(provider),
        )
