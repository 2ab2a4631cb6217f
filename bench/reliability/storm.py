"""A storm of refusals: many steps wait for a provider that halves what it grants and says so late.

Whole plans through the whole engine (queue, slots, attempts, retries, breakers), in virtual time,
against a provider in memory that counts as providers do: by a bucket or by a window, telling its
limits in headers, or only how long to wait, or nothing at all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import heddle
from bench.reliability.figure import Figure
from heddle.plan.ir import Plan, Step
from heddle.testing.clock import run_virtual
from heddle.testing.limited import LimitedModel, ProviderLimits

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from heddle.models.protocol import Request

BEFORE, AFTER = 600, 300
"""Requests a minute, before and after the provider halves them."""

HALVED_S, END_S = 180.0, 480.0
SETTLED_S = 60.0
"""From so long after the change its allowance must be used again."""

WAITERS = 200
TOGETHER_S = 0.05

MANNERS: dict[str, dict[str, Any]] = {
    "headers": {"says": ("retry-after", "headers")},
    "Retry-After": {},
    "nothing said": {"says": ()},
    "by the window": {"manner": "window", "says": ("retry-after", "headers")},
    "by the window, Retry-After": {"manner": "window"},
}


class Storm(NamedTuple):
    """What came of one storm.

    Attributes:
        wasted: share of all requests that were refused.
        used: share of the allowance that was granted after it had settled.
        together: the most retries within 50 ms, as a share of the waiters.
        failed: steps that failed.
    """

    wasted: float
    used: float
    together: float
    failed: int
    requests: int


class _Asked(LimitedModel):
    """Remembers when each prompt was asked again."""

    def __init__(self, limits: ProviderLimits, seed: int) -> None:
        super().__init__(limits, seed=seed)
        self._seen: set[str] = set()
        self.again: list[float] = []

    async def stream(self, request: Request) -> AsyncGenerator[Any]:
        prompt = request.messages[-1].content
        if prompt in self._seen:
            self.again.append(asyncio.get_running_loop().time())
        self._seen.add(prompt)
        async for piece in super().stream(request):
            yield piece


def storm(manner: str, configured: float | None, seed: int) -> Storm:
    """One storm.

    Args:
        manner: of the provider, a key of MANNERS.
        configured: what the user has said of requests a minute, which is true only before.
        seed: of latencies and waits.
    """
    return run_virtual(_storm(manner, configured, seed))


async def _storm(manner: str, configured: float | None, seed: int) -> Storm:
    limits = ProviderLimits(BEFORE, **MANNERS[manner])
    model = _Asked(limits, seed)
    steps = (HALVED_S * BEFORE + (END_S - HALVED_S) * AFTER) / 60 + BEFORE
    plan = Plan([Step(str(n), "llm", {"instruction": f"question {n}"}) for n in range(int(steps))])
    bounds = heddle.Limits(
        concurrency=WAITERS,
        requests_per_minute={} if configured is None else {"limited": configured},
        run_timeout_s=None, step_timeout_s=None,
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    loop.call_at(HALVED_S, lambda: limits.change(loop.time(), requests=AFTER))
    running = asyncio.create_task(heddle.execute(plan, model=model, limits=bounds, seed=seed))
    done, _ = await asyncio.wait([running], timeout=END_S)
    failed = sum(step.status == "failed" for step in running.result().steps) if done else 0
    running.cancel()
    await asyncio.wait([running])
    return _measured(limits, model.again, failed)


def _measured(limits: ProviderLimits, again: list[float], failed: int) -> Storm:
    requests = len(limits.granted) + len(limits.refused)
    begin = HALVED_S + SETTLED_S
    granted = sum(begin <= at < END_S for at in limits.granted)
    return Storm(
        len(limits.refused) / requests,
        granted / ((END_S - begin) / 60 * AFTER),
        _most_within(again, TOGETHER_S) / WAITERS,
        failed,
        requests,
    )


def _most_within(times: list[float], span_s: float) -> int:
    """The most of some sorted times that lie within one span."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - span_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """Storms by all manners of providers."""
    seeds = range(seed, seed + (1 if short else 5))
    worst: Counter[str] = Counter()
    for manner in MANNERS:
        for configured in (None, float(BEFORE)):
            found = [storm(manner, configured, each) for each in seeds]
            worst["failed"] += sum(each.failed for each in found)
            name = f"{manner}, {'limit not known' if configured is None else 'limit said too high'}"
            detail = [each._asdict() for each in found]
            yield Figure(
                f"wasted calls: {name}", 100 * max(each.wasted for each in found), 5, "%",
                detail=detail,
            )  # fmt: skip
            yield Figure(
                f"allowance used from 60 s after it halved: {name}",
                100 * min(each.used for each in found), 90, "%", at_least=True,
            )  # fmt: skip
            yield Figure(
                f"retries of waiters within the same 50 ms: {name}",
                100 * max(each.together for each in found), 5, "%",
            )  # fmt: skip
    yield Figure("steps that failed in a storm", worst["failed"], 0)
