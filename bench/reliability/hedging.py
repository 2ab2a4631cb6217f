"""Hedging: how long a fan-out waits for the slowest of a hundred calls, with copies and without.

A heavy tail as servers have it: most calls take about 10 ms, one in 150 takes 40 to 120 times as
long, because its machine was busy with something else; a copy is drawn anew. Virtual time.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.reliability.figure import Figure
from heddle.engine.estimates import Estimates
from heddle.engine.events import HedgeStarted, StepStarted
from heddle.engine.log import EventLog
from heddle.engine.parts import Terms
from heddle.engine.scheduler import Scheduler
from heddle.plan.ir import Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 100
_SLOW = 1 / 150
_WARM_UP = 20  # fan-outs in which durations are learned


class Tail(NamedTuple):
    """What came of many fan-outs.

    Attributes:
        seconds: how long each took, warm-up excluded, from the shortest to the longest.
        calls: that the plans asked for.
        copies: that were made besides.
    """

    seconds: list[float]
    calls: int
    copies: int

    def quantile(self, share: float) -> float:
        """The seconds within which that share of the fan-outs were over."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


class _Servers:
    """An executor whose calls take as long as chance says."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    async def call(self, tool: str, args: dict[str, Any], attempt: int) -> int:
        seconds = self._dice.lognormvariate(-4.6, 0.15)
        if self._dice.random() < _SLOW:
            seconds *= self._dice.uniform(40.0, 120.0)
        await asyncio.sleep(seconds)
        return 1


def hedging(seed: int, fan_outs: int = 5_000, *, copies: bool = True) -> Tail:
    """So many fan-outs of a hundred reads, one after the other, as runs of one agent."""

    async def main() -> Tail:
        servers, estimates, tails = _Servers(seed), Estimates(), Tail([], 0, 0)
        for number in range(fan_outs + _WARM_UP):
            tail = await _fan_out(servers, estimates, copies=copies)
            if number >= _WARM_UP:
                tails.seconds.extend(tail.seconds)
                tails = Tail(tails.seconds, tails.calls + tail.calls, tails.copies + tail.copies)
        tails.seconds.sort()
        return tails

    return run_virtual(main())


async def _fan_out(servers: _Servers, estimates: Estimates, *, copies: bool) -> Tail:
    log = EventLog()
    limits = Limits(hedging=copies, concurrency=2 * _WIDTH)
    spec = ToolSpec("read", effect="read", fuse=False)
    scheduler = Scheduler({"read": spec}, servers, log, Terms(limits=limits, estimates=estimates))
    began = log.now()
    for number in range(_WIDTH):
        scheduler.add(Step(str(number), "read"))
    await scheduler.wait()
    took_s = log.now() - began
    await scheduler.close()
    kinds = [type(event) for event in log.events]
    return Tail([took_s], kinds.count(StepStarted), kinds.count(HedgeStarted))


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """The 99.9th percentile with copies and without, and what the copies cost."""
    fan_outs = 2_000 if short else 5_000
    without = hedging(seed, fan_outs, copies=False)
    with_copies = hedging(seed, fan_outs)
    was_s, is_s = without.quantile(0.999), with_copies.quantile(0.999)
    shown = {"without_ms": 1e3 * was_s, "with_ms": 1e3 * is_s, "fan_outs": fan_outs}
    name = "times that p99.9 of a 100-way fan-out is lower with copies"
    yield Figure(name, was_s / is_s, bar=5.0, at_least=True, detail=shown)
    more = 100 * with_copies.copies / with_copies.calls
    yield Figure("calls more", more, bar=2.0, unit="%", detail={"copies": with_copies.copies})
