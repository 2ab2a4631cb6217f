"""What a simulated provider grants, and a model in memory that it grants to.

The limits change when a test says so, as a provider's do in the midst of a day. By `ProviderLimits`
`SimulatedProvider` refuses over real sockets, and `LimitedModel` in virtual time.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from heddle.errors import ModelError
from heddle.models.protocol import estimated_usage
from heddle.models.quota import quota

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from heddle.models.protocol import Request, ToolCall, Usage
    from heddle.models.quota import Quota

__all__ = ["LimitedModel", "Manner", "ProviderLimits"]

Manner: TypeAlias = Literal["bucket", "window"]
"""How a provider counts: a bucket that refills evenly and holds a minute's worth, or all that was
granted in the last minute."""

_MINUTE_S = 60.0


@dataclass(slots=True)
class _Count:
    """One limit: requests, or tokens."""

    per_minute: float
    manner: Manner
    taken: deque[tuple[float, float]] = field(default_factory=deque[tuple[float, float]])
    level: float = field(init=False)
    at: float = 0.0
    total: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.per_minute

    def left(self, now: float) -> float:
        if self.manner == "bucket":
            refilled = self.level + (now - self.at) * self.per_minute / _MINUTE_S
            self.level, self.at = min(self.per_minute, refilled), now
            return self.level
        while self.taken and self.taken[0][0] <= now - _MINUTE_S:
            self.total -= self.taken.popleft()[1]
        return self.per_minute - self.total

    def take(self, now: float, amount: float) -> None:
        if self.manner == "bucket":
            self.left(now)
            self.level -= amount
        else:
            self.taken.append((now, amount))
            self.total += amount

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until so much is there."""
        missing = min(amount, self.per_minute) - self.left(now)
        if missing <= 0:
            return 0.0
        if self.manner == "bucket":
            return missing * _MINUTE_S / self.per_minute
        for at, taken in self.taken:
            missing -= taken
            if missing <= 0:
                return at + _MINUTE_S - now
        return _MINUTE_S

    def reset_s(self, now: float) -> float:
        """Seconds until all of it is there."""
        return self.wait_s(now, self.per_minute)


class ProviderLimits:
    """What a provider grants a minute; it may change at any time.

    Args:
        requests: a minute.
        tokens: a minute, of prompts and replies together; None for any.
        manner: how it counts.
        says: what it tells: "retry-after" with a refusal, and "headers" with every answer.

    Attributes:
        granted: when each request was granted.
        refused: when each was refused.
    """

    def __init__(
        self,
        requests: float,
        tokens: float | None = None,
        *,
        manner: Manner = "bucket",
        says: tuple[Literal["retry-after", "headers"], ...] = ("retry-after",),
    ) -> None:
        self._counts = {"requests": _Count(requests, manner)}
        if tokens is not None:
            self._counts["tokens"] = _Count(tokens, manner)
        self._says = says
        self.granted: list[float] = []
        self.refused: list[float] = []

    def change(self, now: float, *, requests: float, tokens: float | None = None) -> None:
        """From now on it grants so much."""
        for kind, rate in (("requests", requests), ("tokens", tokens)):
            if rate is not None and kind in self._counts:
                count = self._counts[kind]
                count.left(now)
                count.per_minute, count.level = rate, min(count.level, rate)

    def ask(self, now: float, tokens: float = 0.0) -> float:
        """Grant a request: 0; or the seconds until it would be granted."""
        amounts = {"requests": 1.0, "tokens": tokens}
        wait_s = max(c.wait_s(now, amounts[kind]) for kind, c in self._counts.items())
        if wait_s > 0:
            self.refused.append(now)
            return wait_s
        self.granted.append(now)
        for kind, count in self._counts.items():
            count.take(now, amounts[kind])
        return 0.0

    def headers(self, now: float, wait_s: float = 0.0) -> dict[str, str]:
        """What an answer says of the limits."""
        said: dict[str, str] = {}
        if wait_s and "retry-after" in self._says:
            said["retry-after-ms"] = str(math.ceil(wait_s * 1000))
        if "headers" in self._says:
            for kind, count in self._counts.items():
                said[f"x-ratelimit-limit-{kind}"] = str(int(count.per_minute))
                said[f"x-ratelimit-remaining-{kind}"] = str(max(0, int(count.left(now))))
                said[f"x-ratelimit-reset-{kind}"] = f"{count.reset_s(now):.3f}s"
        return said


class LimitedModel:
    """A model in memory whose provider grants only so much, for virtual time.

    Args:
        limits: the provider's.
        latency_s: the least and the most that a reply takes.
        refusal_s: how long a refusal takes.
        text: every reply.
        seed: of the latencies.

    Attributes:
        in_flight: replies that are on their way.
        quota: what the provider said last of its limits.
    """

    provider = "limited"

    def __init__(
        self,
        limits: ProviderLimits,
        *,
        latency_s: tuple[float, float] = (0.5, 2.0),
        refusal_s: float = 0.05,
        text: str = "ok",
        seed: int = 0,
    ) -> None:
        self.name = "simulated"
        self.limits = limits
        self.in_flight = 0
        self.quota: Quota | None = None
        self._latency_s = latency_s
        self._refusal_s = refusal_s
        self._text = text
        self._dice = random.Random(seed)

    async def stream(self, request: Request) -> AsyncGenerator[str | ToolCall | Usage]:
        """The reply, in one piece, or a refusal.

        Raises:
            ModelError: `rate-limited`.
        """
        now = asyncio.get_running_loop().time
        usage = estimated_usage(request, len(self._text))
        wait_s = self.limits.ask(now(), usage.input_tokens + usage.output_tokens)
        headers = self.limits.headers(now(), wait_s)
        self.in_flight += 1
        try:
            await asyncio.sleep(self._refusal_s if wait_s else self._dice.uniform(*self._latency_s))
        finally:
            self.in_flight -= 1
        self.quota = quota(headers)
        if wait_s:
            said_ms = headers.get("retry-after-ms")
            raise ModelError(
                "status 429", code="rate-limited", provider=self.provider, retryable=True,
                retry_after_s=float(said_ms) / 1000 if said_ms else None,
            )  # fmt: skip
        yield self._text
        yield usage

    async def aclose(self) -> None:
        """Nothing is open."""
