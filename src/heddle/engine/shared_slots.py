"""Slots that all processes share which use one store.

The same methods as `LocalSlots`. What a process may do until its next exchange is in memory, so
taking a slot costs no transaction; see `heddle.engine.allowances.sharing`. Only while a call waits,
or permits are held, is there an exchange every half second, and sooner where something is missing.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from heddle.engine.acquiring import acquired
from heddle.engine.alarm import Alarm
from heddle.engine.allowances.allowance import Bounds
from heddle.engine.allowances.sharing import PERMIT_S, Permits, Refusal, Report, exchange
from heddle.engine.allowances.turns import Turns, Waiter
from heddle.engine.breaker import Breakers
from heddle.engine.costs import DROPPED, ONE, Cost, Outcome
from heddle.engine.journal.owners import dead, this_process
from heddle.engine.slots import RunSlots
from heddle.errors import ConfigError
from heddle.plan.limits import bound_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from heddle.engine.allowances.store import AllowanceStore
    from heddle.engine.slots import Lease
    from heddle.models.quota import Quota
    from heddle.plan.limits import Limits

__all__ = ["SharedSlots"]

_NOTHING = Permits(0, 0, Cost(0), False, 0.0)
_RENEW_S = 5.0
_PATIENCE_S = 60.0
"""For so long a store may be busy with others before that is an error."""

_numbers = itertools.count()


class SharedSlots:
    """Allowances that processes share.

    Close it when the last run is over, or its part is free only when the process has ended.

    Args:
        store: where they are kept; the same for all.
        limits: its bounds by provider; those who share should say the same.

    Attributes:
        breakers: before the same names; each process has its own.
    """

    def __init__(self, store: AllowanceStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self.breakers = Breakers()
        self._member = f"{this_process()}|{next(_numbers)}"
        self._parts: dict[str, _Part] = {}
        self._by_name: dict[str, _Part] = {}

    def for_run(self, weight: float = 1.0) -> RunSlots:
        """These slots as one run sees them."""
        return RunSlots(self, weight)

    def try_acquire(
        self, provider: str, cost: Cost = ONE, run: Hashable = None, weight: float = 1.0
    ) -> Lease | None:
        """Take a slot now, or None.

        Raises:
            ConfigError: the store cannot be used.
        """
        return self._part(provider).take(cost, run, weight)

    def when_free(
        self, provider: str, wake: Callable[[], bool], cost: Cost = ONE, run: Hashable = None
    ) -> None:
        """Call `wake` once when there may be a slot."""
        self._part(provider).wait(Waiter(wake, cost), run)

    def pass_on(self, provider: str, run: Hashable = None) -> None:
        """Somebody was woken, and does not try after all: wake the next."""
        self._part(provider).passed_on(run)

    async def acquire(
        self, provider: str, cost: Cost = ONE, run: Hashable = None, weight: float = 1.0
    ) -> Lease:
        """Take a slot, after waiting for one if there is none.

        Raises:
            ConfigError: the store cannot be used.
        """
        return await acquired(
            lambda: self.try_acquire(provider, cost, run, weight),
            lambda wake: self.when_free(provider, wake, cost, run),
            lambda: self.pass_on(provider, run),
        )

    def heard(self, provider: str, quota: Quota) -> None:
        """A provider has said what its limits are; the others learn it with the next exchange."""
        self._part(provider).heard(quota)

    async def aclose(self) -> None:
        """Give everything back, and let go of the store.

        Where nothing can be given back, the others find out by themselves that we are gone.
        """
        try:
            for part in self._parts.values():
                with suppress(ConfigError):
                    await part.leave()
        finally:
            await self._store.aclose()

    def _part(self, name: str) -> _Part:
        part = self._by_name.get(name)
        if part is None:
            limits = self._limits
            maps = (
                limits.per_provider, limits.requests_per_minute, limits.input_tokens_per_minute,
                limits.output_tokens_per_minute,
            )  # fmt: skip
            key = bound_name(name, *maps) or name
            bounds = Bounds(*(values.get(key) for values in maps), limits.adaptive)  # type: ignore[arg-type]
            if key not in self._parts:
                self._parts[key] = _Part(self._store, key, bounds, self._member)
            part = self._by_name[name] = self._parts[key]
        return part


class _SharedLease:
    __slots__ = ("_part", "began", "cost", "probe")

    def __init__(self, part: _Part, began: float, cost: Cost, probe: bool) -> None:
        self._part: _Part | None = part
        self.began = began
        self.cost = cost
        self.probe = probe

    def release(self, outcome: Outcome | None = None) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.give_back(self, outcome or DROPPED)


class _Part:
    """This process's part of one allowance."""

    def __init__(self, store: AllowanceStore, name: str, bounds: Bounds, member: str) -> None:
        self._store = store
        self._name = name
        self._bounds = bounds
        self._member = member
        self._turns = Turns()
        self._permits = _NOTHING
        self._until = -math.inf  # when the permits end
        self._begun = 0  # of the permits
        self._busy = 0
        self._usual = Cost(1)  # what a call took that did not say
        self._lately: deque[Cost] = deque(maxlen=32)
        self._report = Report(member)  # of what has happened since the last one
        self._held = 0
        self._alarm = Alarm(self._begin)
        self._exchanging: asyncio.Task[None] | None = None
        self._starving_since: float | None = None
        self._error: Exception | None = None

    # -- taking and giving back ------------------------------------------------------------------

    def take(self, cost: Cost, run: Hashable, weight: float) -> Lease | None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        now, turns = asyncio.get_running_loop().time(), self._turns
        if not turns.answer(run) and turns.called >= self._left:
            return None  # it is for those who were called
        if not self._may_begin(now, cost):
            return None
        each, permits = self._permits.each, self._permits
        self._begun += 1
        self._busy += 1
        self._held += each.output_tokens
        self._lately.append(self._said(cost))
        self._use(Cost(1, each.input_tokens, 0))
        self._turns.went(run, weight)
        self._soon(PERMIT_S)
        if self._turns:
            self._serve(now)
        return _SharedLease(self, now, each, permits.probe)

    def _may_begin(self, now: float, cost: Cost) -> bool:
        permits, said = self._permits, self._said(cost)
        return (
            now < self._until
            and self._begun < permits.calls
            and self._busy < permits.slots
            and (not permits.each.input_tokens or said.input_tokens <= permits.each.input_tokens)
            and (not permits.each.output_tokens or said.output_tokens <= permits.each.output_tokens)
        )

    def _said(self, cost: Cost) -> Cost:
        return Cost(
            1, cost.input_tokens or self._usual.input_tokens,
            cost.output_tokens or self._usual.output_tokens,
        )  # fmt: skip

    def _use(self, used: Cost) -> None:
        was = self._report.used
        self._report = self._report._replace(
            used=Cost(*(a + b for a, b in zip(was, used, strict=True)))
        )

    def give_back(self, lease: _SharedLease, outcome: Outcome) -> None:
        now = asyncio.get_running_loop().time()
        self._busy -= 1
        self._held -= lease.cost.output_tokens
        taken = outcome.used or lease.cost
        if outcome.kind == "unused":
            self._use(Cost(-1, -lease.cost.input_tokens, 0))
            self._begun -= 1
        else:
            more = taken.input_tokens - lease.cost.input_tokens if lease.cost.input_tokens else 0
            self._use(Cost(0, max(0, more), taken.output_tokens))
            if more < 0:
                unneeded = (*self._report.unneeded, (lease.began, -more))
                self._report = self._report._replace(unneeded=unneeded)
        if outcome.used is not None:
            self._usual = outcome.used
        urgent = self._note(now, lease, outcome)
        self._serve(now)
        self._soon(0.0 if urgent else PERMIT_S)

    def heard(self, quota: Quota) -> None:
        self._report = self._report._replace(quota=quota)

    def _note(self, now: float, lease: _SharedLease, outcome: Outcome) -> bool:
        """Remember what a call's end says; whether the others should know at once."""
        report = self._report
        if outcome.quota is not None:
            report = report._replace(quota=outcome.quota)
        throttled = outcome.kind == "throttled" or outcome.retry_after_s is not None
        refused = throttled or outcome.kind == "failed"
        if refused:
            refusal = Refusal(lease.began, throttled, outcome.retry_after_s, lease.probe)
            report = report._replace(refusals=(*report.refusals, refusal))
            self._permits = _NOTHING
        elif outcome.kind == "ok":
            report = report._replace(done=report.done + 1)
        if lease.probe and not throttled:
            report = report._replace(probed="well" if outcome.kind == "ok" else "badly")
        self._report = report
        return refused or lease.probe

    # -- waiting ---------------------------------------------------------------------------------

    def wait(self, waiter: Waiter, run: Hashable) -> None:
        self._turns.add(run, waiter)
        self._soon(0.0 if self._starving_since is None else self._permits.again_s)

    @property
    def _left(self) -> float:
        """Calls that may begin with the permits that there are."""
        return min(self._permits.calls - self._begun, self._permits.slots - self._busy)

    def passed_on(self, run: Hashable) -> None:
        self._turns.answer(run)
        self._serve(asyncio.get_running_loop().time())

    def _serve(self, now: float) -> None:
        """Wake the caller whose turn it is and who will try, if there is a permit for it."""
        while self._turns and (self._error or self._may_begin(now, self._turns.peek().cost)):
            if self._turns.called and self._busy and self._left <= self._turns.called:
                return
            if self._turns.call() and self._error is None:
                return

    # -- exchanges -------------------------------------------------------------------------------

    def _soon(self, delay_s: float) -> None:
        """An exchange in so many seconds, unless there is one before."""
        if self._exchanging is not None:
            return  # when it is over, it looks for itself
        self._alarm.at(asyncio.get_running_loop().time() + delay_s)

    def _begin(self) -> None:
        task = asyncio.get_running_loop().create_task(self._exchange())
        self._exchanging = task
        task.add_done_callback(self._exchanged)

    def _exchanged(self, task: asyncio.Task[None]) -> None:
        self._exchanging = None
        now = asyncio.get_running_loop().time()
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, Exception):
                return
            self._error = error
        self._turns.forget_called()
        self._serve(now)
        self._plan()

    def _plan(self) -> None:
        """When the next exchange is due: soon while somebody waits, never while nothing is held."""
        if self._report.refusals or self._report.probed:
            self._soon(0.0)
        elif self._turns:
            self._soon(max(self._permits.again_s, 0.01))
        elif self._permits.calls or self._report.used != Cost(0):
            self._soon(PERMIT_S)
        elif self._busy:
            self._soon(_RENEW_S)

    async def _exchange(self, *, leaving: bool = False) -> None:
        loop = asyncio.get_running_loop()
        report = self._full_report(loop.time(), leaving=leaving)
        kept, self._report = self._report, Report(self._member)
        self._permits = _NOTHING  # until the exchange is over nobody begins
        self._begun = 0
        began = loop.time()
        try:
            permits = await self._store.change(self._name, functools.partial(self._change, report))
        except asyncio.CancelledError:
            self._report = _merged(kept, self._report)
            raise
        except TimeoutError:
            self._report = _merged(kept, self._report)
            self._starving_since = self._starving_since or began
            if loop.time() - self._starving_since > _PATIENCE_S:
                raise
            self._permits = _NOTHING._replace(again_s=0.2)
            return
        self._permits, self._until = permits, began + PERMIT_S
        self._starving_since = began if self._turns and not permits.calls else None

    def _full_report(self, now: float, *, leaving: bool) -> Report:
        wish = Cost(
            1,
            max((cost.input_tokens for cost in self._wishes()), default=0),
            max((cost.output_tokens for cost in self._wishes()), default=0),
        )
        report = self._report
        unused_probe = self._permits.probe and not self._begun and not report.probed
        lately = report.used.requests
        return report._replace(
            busy=self._busy,
            held=self._held,
            calls=0 if leaving else len(self._turns) + (lately if self._turns or self._busy else 0),
            each=wish,
            refusals=tuple(r._replace(age_s=now - r.age_s) for r in report.refusals),
            unneeded=tuple((now - began, tokens) for began, tokens in report.unneeded),
            probed="badly" if unused_probe else report.probed,
            leaving=leaving,
        )

    def _wishes(self) -> list[Cost]:
        return [*self._lately, *(self._said(cost) for cost in self._turns.costs())]

    def _change(self, report: Report, kept: Any, now: float) -> tuple[Any, Permits]:
        return exchange(self._bounds, kept, now, report, _dead)

    async def leave(self) -> None:
        """Give everything back."""
        if self._exchanging is not None:
            await asyncio.wait([self._exchanging])
        self._alarm.stop()
        await self._exchange(leaving=True)


def _merged(lost: Report, since: Report) -> Report:
    """A report that did not get through, with what has happened since."""
    return since._replace(
        used=_sum(lost.used, since.used),
        unneeded=lost.unneeded + since.unneeded,
        done=lost.done + since.done,
        refusals=lost.refusals + since.refusals,
        probed=since.probed or lost.probed,
        quota=since.quota or lost.quota,
    )


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(*(a + b for a, b in zip(one, other, strict=True)))


def _dead(member: str) -> bool:
    return dead(member.partition("|")[0])
