"""Slots: who may call a provider or a tool now.

`Slots` is a seam: allowances of one process live here; a store that several processes share is
another implementation of the same methods. A caller either takes a slot at once, or asks to be
woken when trying again may help; nobody polls. Each slot that becomes free wakes one caller, who
wakes the next by taking it; so a caller that does not want it any more has to say so.

A name is a provider's ("openai") or that of one of its models ("openai:gpt-5-mini"). A model that
has no bound of its own uses its provider's; where neither has one, what is learned from refusals
is learned for the model.
"""

from __future__ import annotations

import asyncio
import functools
import random
from typing import TYPE_CHECKING, Protocol

from heddle.engine.acquiring import acquired
from heddle.engine.alarm import Alarm
from heddle.engine.allowances.allowance import Allowance, Bounds
from heddle.engine.allowances.turns import Turns, Waiter
from heddle.engine.breaker import Breakers
from heddle.engine.costs import DROPPED, ONE, UNUSED, Cost, Outcome
from heddle.plan.limits import bound_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from heddle.engine.allowances.allowance import Hold
    from heddle.models.quota import Quota
    from heddle.plan.limits import Limits

__all__ = [
    "ONE",
    "UNUSED",
    "Cost",
    "Lease",
    "LocalSlots",
    "Outcome",
    "RunSlots",
    "Slots",
]

_SOON_S = 0.001
"""Who has just been refused a slot does not try again at once, whatever rounding says."""


class Lease(Protocol):
    """A slot that is held."""

    def release(self, outcome: Outcome | None = None) -> None:
        """Give the slot back, and say what came of the call; the second time does nothing.

        Args:
            outcome: None for a call of which nothing is known.
        """
        ...


class Slots(Protocol):
    """Allowances by provider name."""

    def try_acquire(self, provider: str, cost: Cost = ONE) -> Lease | None:
        """Take a slot now, or None where there is none."""
        ...

    def when_free(self, provider: str, wake: Callable[[], bool], cost: Cost = ONE) -> None:
        """Call `wake` once, soon after a slot of the provider may have become free.

        Args:
            provider: its name.
            wake: gives whether the caller will try; if not, the next caller is woken.
            cost: what it will ask for.
        """
        ...

    def pass_on(self, provider: str) -> None:
        """Somebody was woken, and does not try after all: wake the next."""
        ...

    async def acquire(self, provider: str, cost: Cost = ONE) -> Lease:
        """Take a slot, after waiting for one if there is none."""
        ...


class _Gate:
    """One allowance, and who waits for it."""

    __slots__ = ("alarm", "allowance", "turns")

    def __init__(self, slots: LocalSlots, allowance: Allowance) -> None:
        self.allowance = allowance
        self.turns = Turns()
        self.alarm = Alarm(functools.partial(slots.ring, self))


class _GateLease:
    __slots__ = ("_gate", "_hold", "_slots")

    def __init__(self, slots: LocalSlots, gate: _Gate, hold: Hold) -> None:
        self._slots = slots
        self._gate: _Gate | None = gate
        self._hold = hold

    def release(self, outcome: Outcome | None = None) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            now = asyncio.get_running_loop().time()
            gate.allowance.give_back(now, self._hold, outcome or DROPPED)
            self._slots.serve(gate, now)


class LocalSlots:
    """Allowances within this process; several runs may share one.

    Args:
        slots: calls in flight, by name.
        requests_per_minute: requests in any 60 seconds, by name.
        input_tokens_per_minute: tokens of prompts in any 60 seconds, by name.
        output_tokens_per_minute: tokens of replies in any 60 seconds, by name.
        adaptive: listen to refusals and to what providers say of their limits, for names without
            any bound as well.
        seed: of the jitter after a pause; None for one that no other process has.

    Attributes:
        breakers: before the same names, for those who share these slots.
    """

    def __init__(
        self,
        slots: Mapping[str, int] | None = None,
        requests_per_minute: Mapping[str, float] | None = None,
        input_tokens_per_minute: Mapping[str, float] | None = None,
        output_tokens_per_minute: Mapping[str, float] | None = None,
        *,
        adaptive: bool = False,
        seed: int | None = None,
    ) -> None:
        self._bounds = (
            slots or {},
            requests_per_minute or {},
            input_tokens_per_minute or {},
            output_tokens_per_minute or {},
        )
        self._adaptive = adaptive
        self._dice = random.Random(seed)
        self.breakers = Breakers()
        self._gates: dict[str, _Gate] = {}
        self._by_name: dict[str, _Gate | None] = {}

    @classmethod
    def of(cls, limits: Limits, seed: int | None = None) -> LocalSlots:
        """The allowances that limits speak of."""
        return cls(
            limits.per_provider,
            limits.requests_per_minute,
            limits.input_tokens_per_minute,
            limits.output_tokens_per_minute,
            adaptive=limits.adaptive,
            seed=seed,
        )

    def for_run(self, weight: float = 1.0) -> RunSlots:
        """These slots as one run sees them: it takes turns with others by its weight."""
        return RunSlots(self, weight)

    def bounds(self, provider: str) -> bool:
        """Whether there is any bound for that name, now or to be learned."""
        return self._gate(provider) is not None

    def _gate(self, name: str) -> _Gate | None:
        if name not in self._by_name:
            self._by_name[name] = self._new_gate(name)
        return self._by_name[name]

    def _new_gate(self, name: str) -> _Gate | None:
        bound = bound_name(name, *self._bounds)
        if bound is None and not self._adaptive:
            return None
        key = bound or name
        if key not in self._gates:
            given = Bounds(*(values.get(key) for values in self._bounds), self._adaptive)  # type: ignore[arg-type]
            self._gates[key] = _Gate(self, Allowance(given, self._dice))
        return self._gates[key]

    def allowance(self, provider: str) -> Allowance | None:
        """What is known of a provider's allowance; None where nothing bounds it."""
        gate = self._gate(provider)
        return gate and gate.allowance

    def heard(self, provider: str, quota: Quota) -> None:
        """A provider has said what its limits are."""
        if self._adaptive and (gate := self._gate(provider)) is not None:
            gate.allowance.heard(asyncio.get_running_loop().time(), quota)

    # -- taking ---------------------------------------------------------------------------------

    def try_acquire(
        self, provider: str, cost: Cost = ONE, run: Hashable = None, weight: float = 1.0
    ) -> Lease | None:
        """Take a slot now, or None. A name without bounds always has one.

        Cost: O(1), and O(log runs) where several runs wait.
        """
        gate = self._gate(provider)
        if gate is None:
            return _FREE
        now = asyncio.get_running_loop().time()
        if not gate.turns.answer(run) and gate.turns.called >= gate.allowance.calls_free(now):
            return None  # it is for those who were called
        if gate.turns and gate.allowance.windows and self._first_waits(gate, now):
            return None  # or what is small would keep out what is large for ever
        hold = gate.allowance.take(now, cost)
        if hold is None:
            return None
        gate.turns.went(run, weight)
        if gate.turns:  # there may be room for one more
            self.serve(gate, now)
        return _GateLease(self, gate, hold)

    def _first_waits(self, gate: _Gate, now: float) -> bool:
        return gate.allowance.opens_at(now, gate.turns.peek().cost) > now

    async def acquire(
        self, provider: str, cost: Cost = ONE, run: Hashable = None, weight: float = 1.0
    ) -> Lease:
        """Take a slot; first come, first served among callers of this method."""
        return await acquired(
            lambda: self.try_acquire(provider, cost, run, weight),
            lambda wake: self.when_free(provider, wake, cost, run),
            lambda: self.pass_on(provider, run),
        )

    # -- waiting --------------------------------------------------------------------------------

    def when_free(
        self, provider: str, wake: Callable[[], bool], cost: Cost = ONE, run: Hashable = None
    ) -> None:
        """Call `wake` once when a slot is given back, or the allowance has room again."""
        gate = self._gate(provider)
        if gate is None:  # free all the time; what was shut stood before it
            asyncio.get_running_loop().call_soon(wake)
            return
        gate.turns.add(run, Waiter(wake, cost))
        now = asyncio.get_running_loop().time()
        self._arm(gate, max(gate.allowance.opens_at(now, gate.turns.peek().cost), now + _SOON_S))

    def pass_on(self, provider: str, run: Hashable = None) -> None:
        """Somebody was woken, and does not try after all: wake the next."""
        gate = self._gate(provider)
        if gate is not None:
            gate.turns.answer(run)
            self.serve(gate, asyncio.get_running_loop().time())

    def serve(self, gate: _Gate, now: float) -> None:
        """Wake the caller whose turn it is and who will try, now or when there is room."""
        free = gate.allowance.calls_free
        while gate.turns:
            at = gate.allowance.opens_at(now, gate.turns.peek().cost)
            if at > now:
                self._arm(gate, at)
                return
            called = gate.turns.called
            if called and gate.allowance.in_flight and free(now) <= called:
                return  # those who were woken before will take it
            if gate.turns.call():
                return

    def _arm(self, gate: _Gate, at: float) -> None:
        """Look again then, unless that will be done before."""
        if at < float("inf"):
            gate.alarm.at(at)

    def ring(self, gate: _Gate) -> None:
        """It is time to look again who may go."""
        gate.turns.forget_called()
        self.serve(gate, asyncio.get_running_loop().time())


class Shareable(Slots, Protocol):
    """Slots that tell runs apart; without a run, all callers are one.

    Attributes:
        breakers: before the same names, for those who share these slots.
    """

    breakers: Breakers

    def try_acquire(
        self, provider: str, cost: Cost = ONE, run: Hashable = None, weight: float = 1.0
    ) -> Lease | None:
        """Take a slot now, or None where there is none."""
        ...

    def when_free(
        self, provider: str, wake: Callable[[], bool], cost: Cost = ONE, run: Hashable = None
    ) -> None:
        """Call `wake` once when it is this run's turn."""
        ...

    def pass_on(self, provider: str, run: Hashable = None) -> None:
        """One of this run was woken, and does not try after all: wake the next."""
        ...

    async def acquire(
        self, provider: str, cost: Cost = ONE, run: Hashable = None, weight: float = 1.0
    ) -> Lease:
        """Take a slot, after waiting for one if there is none."""
        ...


class RunSlots:
    """Slots that a run shares with others, by its weight.

    Args:
        slots: the shared ones.
        weight: a run of weight 2 gets twice what one of weight 1 gets, while both wait.
    """

    def __init__(self, slots: Shareable, weight: float = 1.0) -> None:
        self.breakers = slots.breakers
        self._slots = slots
        self._weight = weight

    def try_acquire(self, provider: str, cost: Cost = ONE) -> Lease | None:
        """Take a slot now, or None where there is none."""
        return self._slots.try_acquire(provider, cost, self, self._weight)

    def when_free(self, provider: str, wake: Callable[[], bool], cost: Cost = ONE) -> None:
        """Call `wake` once when it is this run's turn."""
        self._slots.when_free(provider, wake, cost, self)

    def pass_on(self, provider: str) -> None:
        """Somebody was woken, and does not try after all: wake the next."""
        self._slots.pass_on(provider, self)

    async def acquire(self, provider: str, cost: Cost = ONE) -> Lease:
        """Take a slot, after waiting for one if there is none."""
        return await self._slots.acquire(provider, cost, self, self._weight)


class _Free:
    __slots__ = ()

    def release(self, outcome: Outcome | None = None) -> None:
        pass


_FREE = _Free()
