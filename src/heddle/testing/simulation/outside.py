"""What is outside of the program: tools that do what tools do, and a record of what has happened.

The record is kept by the outside, not by the engine, and outlives every life of the program. What
the engine says of itself is held against it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import heddle
from heddle.errors import ModelError, ToolFailed
from heddle.testing.simulation.faults import NoFaults
from heddle.tools.function import Metered, Tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heddle.testing.simulation.life import Life

__all__ = ["Call", "Outside", "made_tool", "value_of"]

HUGE_CHARACTERS = 40_000
"""More than stands in a frame."""

_DEAF_S = 30.0


@dataclass(slots=True)
class Call:
    """One call of a tool, as the outside saw it.

    Attributes:
        life: in which life of the program, from 0.
        text: the arguments as JSON with sorted keys.
        place: (run, step, element) as `current_call` says it; None for calls that change nothing.
        key: the idempotency key, as `current_call` says it.
        began_at: seconds of that life's clock.
        happened: whether the effect has happened.
        gave: whether a value was returned.
        value: that value.
    """

    life: int
    tool: str
    effect: str
    text: str
    place: tuple[str, str, int | None] | None
    key: str
    began_at: float
    happened: bool = False
    gave: bool = False
    value: Any = None


@dataclass
class Outside:
    """The world around the lives of a program.

    Args:
        seed: chooses how long calls take.
        most_s: the longest that a call takes which is not slow.

    Attributes:
        calls: all calls, in the order in which they began.
        lives: lives of the program so far.
        peaks: the most calls that were in flight at once in one life: of all (""), of a tool
            ("tool …") and of a provider ("provider …").
        resolved: what a person said that calls gave whose answers were lost.
    """

    seed: int = 0
    most_s: float = 1.0
    calls: list[Call] = field(default_factory=list[Call])
    lives: int = 0
    peaks: dict[str, int] = field(default_factory=dict[str, int])
    resolved: list[Call] = field(default_factory=list["Call"])

    def __post_init__(self) -> None:
        self._random = Random(self.seed ^ 0x0075)

    def tools(
        self, tools: Iterable[Tool], life: Life, faults: NoFaults | None = None
    ) -> list[Tool]:
        """The same tools as one life of the program sees them: recorded, slow and faulty."""
        self.lives += 1
        return [self._tool(tool, _Line(self, life, faults or NoFaults())) for tool in tools]

    def _tool(self, tool: Tool, line: _Line) -> Tool:
        async def invoke(args: dict[str, Any]) -> Any:
            return await line.call(tool, args)

        made = Tool(tool.spec, tool.__wrapped__, invoke, blocking=False)
        for name in ("probe",):  # what else a tool may have is not called here
            if hasattr(tool, name):
                setattr(made, name, getattr(tool, name))
        return made

    def seconds(self) -> float:
        """How long the next call takes."""
        return self._random.choice((0.0, 0.0, 0.5, self._random.random())) * self.most_s

    def given(self) -> dict[tuple[str, str], set[str]]:
        """The values that tools gave, as JSON, by tool and arguments."""
        found: dict[tuple[str, str], set[str]] = {}
        for call in [*self.calls, *self.resolved]:
            if call.gave:
                text = json.dumps(call.value, sort_keys=True)
                found.setdefault((call.tool, call.text), set()).add(text)
        return found

    def happened(self, step: str, element: int | None) -> Call | None:
        """The effect of a step, if it has happened."""
        for call in self.calls:
            if call.happened and call.place is not None and call.place[1:] == (step, element):
                return call
        return None


class _Line:
    """The line between one life of a program and its tools."""

    def __init__(self, outside: Outside, life: Life, faults: NoFaults) -> None:
        self._outside = outside
        self._number = outside.lives - 1
        self._life = life
        self._fires = faults.fires
        self._in_flight: Counter[str] = Counter()

    async def call(self, tool: Tool, args: dict[str, Any]) -> Any:
        """One call, counted among those that are in flight."""
        await self._life.alive()
        names = ("", "tool " + tool.spec.name, "provider " + tool.spec.provider)
        peaks = self._outside.peaks
        for name in names:
            self._in_flight[name] += 1
            peaks[name] = max(peaks.get(name, 0), self._in_flight[name])
        try:
            return await self._serve(tool, args)
        finally:
            self._in_flight.subtract(names)

    async def _serve(self, tool: Tool, args: dict[str, Any]) -> Any:
        """One call, with whatever goes wrong with it."""
        call = self._record(tool, args)
        self._dies_at("kill-before-call")
        await self._life.pause(self._seconds())
        self._refuse()
        value: Any = await self._act(tool, args)
        call.happened = True
        self._dies_at("kill-after-call")
        await self._life.alive()
        await self._answer()
        if isinstance(_bare(value), dict) and self._fires("tool-huge"):
            value = {**_bare(value), "huge": "x" * HUGE_CHARACTERS}
        call.gave, call.value = True, _bare(value)
        return value

    async def _act(self, tool: Tool, args: dict[str, Any]) -> Any:
        return tool.invoke(args) if tool.blocking else await tool.invoke(args)

    def _record(self, tool: Tool, args: dict[str, Any]) -> Call:
        spec = tool.spec
        place, key = None, ""
        if spec.effectful:
            current = heddle.current_call()
            place, key = (current.run_id, current.step, current.element), current.key
        text = json.dumps(args, sort_keys=True)
        call = Call(self._number, spec.name, spec.effect, text, place, key, self._life.time())
        self._outside.calls.append(call)
        return call

    def _dies_at(self, kind: str) -> None:
        if self._fires(kind):
            self._life.die()

    def _seconds(self) -> float:
        seconds = self._outside.seconds()
        return seconds + 8.0 if self._fires("tool-slow") else seconds

    def _refuse(self) -> None:
        """Raise what keeps the call from having an effect."""
        fires = self._fires
        if fires("throttled"):
            raise _throttled(None)
        if fires("throttled-until"):
            raise _throttled(self._outside.most_s * 3)
        if fires("not-sent"):
            raise heddle.NotSent("the line was busy")
        if fires("lost-before"):
            raise ConnectionResetError("reset by peer")
        if fires("tool-error"):
            raise ValueError("boom")
        if fires("tool-refusal"):
            raise ToolFailed("no", code="refused")
        if fires("tool-base-exception"):
            raise BaseException("boom")  # what a tool may do
        if fires("tool-exit"):
            raise SystemExit(3)
        if fires("tool-cancelled"):
            raise asyncio.CancelledError

    async def _answer(self) -> None:
        """Raise, or wait, where the effect has happened and its answer is lost or late."""
        if self._fires("lost-after"):
            raise ConnectionResetError("reset by peer")
        if self._fires("tool-hang"):
            await asyncio.get_running_loop().create_future()
        if self._fires("tool-deaf"):
            await self._be_deaf()

    async def _be_deaf(self) -> None:
        """Go on for a while, whoever wants it to stop."""
        until = self._life.time() + _DEAF_S
        while self._life.time() < until - 1e-6 and not self._life.dead:
            try:
                await asyncio.sleep(until - self._life.time())
            except asyncio.CancelledError:
                continue


def _bare(value: Any) -> Any:
    return value.value if type(value) is Metered else value


def _throttled(seconds: float | None) -> ModelError:
    return ModelError(
        "too many requests",
        code="rate-limited",
        provider="p",
        retryable=True,
        retry_after_s=seconds,
    )


def value_of(args: dict[str, Any]) -> Any:
    """A value that depends on every argument, and has parts for paths and guards to find."""
    digest = hashlib.blake2b(json.dumps(args, sort_keys=True).encode(), digest_size=8).hexdigest()
    if digest[0] == "0":
        return [True, digest[:8], None][int(digest[1], 16) % 3]
    return {"id": digest[:6], "yes": True, "no": False, "list": [digest[6:9], "$1"]}


def made_tool(spec: Any) -> Tool:
    """A tool that gives `value_of` its arguments."""

    async def invoke(args: dict[str, Any]) -> Any:
        return value_of(args)

    return Tool(spec, invoke, invoke, blocking=False)
