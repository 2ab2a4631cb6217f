"""Slots: who may call a provider or a tool now.

`Slots` is a seam: allowances of one process live here; a store that several processes share is
another implementation of the same four methods. A caller either takes a slot at once, or asks to
be woken when trying again may help; nobody polls. Each slot that becomes free wakes one caller, so
a caller that does not want it any more has to say so, for the next one to be woken.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ONE", "Cost", "Lease", "LocalSlots", "Outcome", "Slots"]


class Cost(NamedTuple):
    """What a call takes of a provider's allowance: reserved before it, corrected after it.

    Attributes:
        input_tokens: of the prompt, as far as they are known beforehand.
        output_tokens: the most that the reply may have.
    """

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0


ONE = Cost()


class Outcome(NamedTuple):
    """What came of a call, as its provider's allowance wants to know it.

    Attributes:
        kind: `throttled` is a 429 or 529; `failed` another fault of the provider or the line;
            `dropped` a call that was given up, which says nothing of the provider.
        used: what the call has really taken; None if nobody counted.
        retry_after_s: the provider's own wish, a floor.
    """

    kind: Literal["ok", "throttled", "failed", "dropped"] = "ok"
    used: Cost | None = None
    retry_after_s: float | None = None


class Lease(Protocol):
    """A slot that is held."""

    def release(self, outcome: Outcome | None = None) -> None:
        """Give the slot back, and say what came of the call; the second time does nothing."""
        ...


class Slots(Protocol):
    """Allowances by provider name."""

    def try_acquire(self, provider: str, cost: Cost = ONE) -> Lease | None:
        """Take a slot now, or None where there is none."""
        ...

    def when_free(self, provider: str, wake: Callable[[], bool]) -> None:
        """Call `wake` once, soon after a slot of the provider may have become free.

        Args:
            provider: its name.
            wake: gives whether the caller will try; if not, the next caller is woken.
        """
        ...

    def pass_on(self, provider: str) -> None:
        """Somebody was woken, and does not try after all: wake the next."""
        ...

    async def acquire(self, provider: str, cost: Cost = ONE) -> Lease:
        """Take a slot, after waiting for one if there is none."""
        ...


class _Gate:
    """One provider's slots and its requests per minute."""

    __slots__ = ("capacity", "loop", "period_s", "refills", "used", "waiting")

    def __init__(self, capacity: int | None, per_minute: float | None) -> None:
        self.capacity = capacity
        self.used = 0
        # A bucket of requests: each request's token comes back a minute later, so that no minute,
        # wherever it begins, sees more than the allowance. A rate below one stretches the period.
        burst = max(1, int(per_minute)) if per_minute is not None else 0
        self.period_s = 60.0 * burst / per_minute if per_minute else 0.0
        self.refills: deque[float] = deque([float("-inf")] * burst)
        self.loop: asyncio.AbstractEventLoop | None = None  # the one that will call back
        self.waiting: deque[Callable[[], bool]] = deque()

    @property
    def full(self) -> bool:
        return self.capacity is not None and self.used >= self.capacity


class _GateLease:
    __slots__ = ("_gate", "_slots")

    def __init__(self, slots: LocalSlots, gate: _Gate) -> None:
        self._slots = slots
        self._gate: _Gate | None = gate

    def release(self, outcome: Outcome | None = None) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.used -= 1
            self._slots.wake(gate)


class LocalSlots:
    """Allowances within this process; several runs may share one.

    Args:
        slots: calls in flight, by name; a name that is missing is not bounded.
        requests_per_minute: requests in any 60 seconds, by name.
    """

    def __init__(
        self,
        slots: Mapping[str, int] | None = None,
        requests_per_minute: Mapping[str, float] | None = None,
    ) -> None:
        rates = requests_per_minute or {}
        bounds = slots or {}
        self._gates = {name: _Gate(bounds.get(name), rates.get(name)) for name in {*bounds, *rates}}

    def bounds(self, provider: str) -> bool:
        """Whether there is any bound for that name."""
        return provider in self._gates

    def try_acquire(self, provider: str, cost: Cost = ONE) -> Lease | None:
        """Take a slot now, or None. A name without bounds always has one. Cost: O(1)."""
        gate = self._gates.get(provider)
        if gate is None:
            return _FREE
        if gate.full:
            return None
        if gate.period_s:
            now = asyncio.get_running_loop().time()
            if gate.refills[0] > now:
                return None
            gate.refills.popleft()
            gate.refills.append(now + gate.period_s)
        gate.used += 1
        return _GateLease(self, gate)

    def when_free(self, provider: str, wake: Callable[[], bool]) -> None:
        """Call `wake` once when a slot is given back, or the next request is allowed."""
        gate = self._gates[provider]
        gate.waiting.append(wake)
        if not gate.full:
            self._wait_for_refill(gate)

    def pass_on(self, provider: str) -> None:
        """Somebody was woken, and does not try after all: wake the next."""
        gate = self._gates.get(provider)
        if gate is not None and not gate.full:
            self.wake(gate)

    def wake(self, gate: _Gate) -> None:
        """Wake the longest-waiting caller that will try, now or when the bucket allows it."""
        while gate.waiting and not self._wait_for_refill(gate):
            if gate.waiting.popleft()():
                return

    def _wait_for_refill(self, gate: _Gate) -> bool:
        """Set the timer for the next request, if the bucket is empty."""
        loop = asyncio.get_running_loop()
        if not gate.period_s or gate.refills[0] <= loop.time():
            return False
        if gate.loop is not loop:
            gate.loop = loop
            loop.call_at(gate.refills[0], self._refilled, gate)
        return True

    def _refilled(self, gate: _Gate) -> None:
        gate.loop = None
        ready = len(gate.waiting)
        while ready and gate.waiting and not self._wait_for_refill(gate):
            ready -= 1
            if gate.full:
                return
            gate.waiting.popleft()()

    async def acquire(self, provider: str, cost: Cost = ONE) -> Lease:
        """Take a slot; first come, first served among callers of this method."""
        while (lease := self.try_acquire(provider, cost)) is None:
            free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.when_free(provider, functools.partial(_resolve, free))
            try:
                await free
            except asyncio.CancelledError:
                if free.done() and not free.cancelled():
                    self.pass_on(provider)
                raise
        return lease


def _resolve(future: asyncio.Future[None]) -> bool:
    if future.done():
        return False
    future.set_result(None)
    return True


class _Free:
    __slots__ = ()

    def release(self, outcome: Outcome | None = None) -> None:
        pass


_FREE = _Free()
