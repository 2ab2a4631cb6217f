"""Soak: 24 virtual hours of one process under ten kinds of load, and what is left of them.

A service runs plan after plan on shared allowances, as a server would: 1,440 minutes with their
load, outages and limits that change. Nothing may be left behind: no task, no slot, no memory.
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import heddle
from bench.reliability.figure import Figure
from heddle.engine.slots import LocalSlots
from heddle.errors import ModelError
from heddle.plan.ir import Item, Plan, Ref, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual
from heddle.testing.simulation.life import Life
from heddle.testing.simulation.store import SimulatedDisk
from heddle.tools.function import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PROFILES", "Profile", "figures", "soak"]

HOURS = 24
MINUTE_S = 60.0


def steady(minute: int) -> float:
    """The same load all day."""
    return 1.0


def diurnal(minute: int) -> float:
    """Little at night, much in the afternoon."""
    return 1.0 + 0.9 * math.sin(2 * math.pi * (minute / 1_440 - 0.25))


def bursts(minute: int) -> float:
    """Nothing, and then everything at once."""
    return 10.0 if minute % 10 == 0 else 0.0


def whole(minute: int) -> float:
    """All of it is there."""
    return 1.0


def outages(minute: int) -> float:
    """The provider is away three times a day, for twenty minutes."""
    return 0.0 if minute % 480 < 20 else 1.0


def halving(minute: int) -> float:
    """Every hour the provider grants half, or all again."""
    return 0.5 if minute // 60 % 2 else 1.0


@dataclass(frozen=True)
class Profile:
    """A kind of day.

    Attributes:
        load: how much of the mean load a minute has.
        grants: how much of its allowance the provider grants in a minute.
        shape: of the plans: "wide", "chain", "map", "effects".
        failing: the share of calls that fail.
        hanging: the share of calls that do not return until they are given up.
        cancelled: the share of runs that are cancelled.
        journaled: whether the runs are kept in a journal.
    """

    name: str
    load: Callable[[int], float] = steady
    grants: Callable[[int], float] = whole
    shape: str = "wide"
    failing: float = 0.0
    hanging: float = 0.0
    cancelled: float = 0.0
    journaled: bool = False


PROFILES = (
    Profile("steady"),
    Profile("diurnal", load=diurnal),
    Profile("bursts", load=bursts),
    Profile("outages", load=diurnal, grants=outages),
    Profile("limits that change", load=diurnal, grants=halving),
    Profile("failing tools", load=diurnal, failing=0.1),
    Profile("tools that hang", load=diurnal, hanging=0.01),
    Profile("cancelled runs", load=diurnal, cancelled=0.2),
    Profile("maps", load=diurnal, shape="map", failing=0.02),
    Profile("effects in a journal", load=diurnal, shape="effects", journaled=True),
)


@dataclass
class Day:
    """What a day was like.

    Attributes:
        steps: that ended, elements of maps included.
        runs: by their status.
        left: tasks that were there when all was over.
        held: slots that were taken when all was over.
        objects: what Python's collector knew of at two moments, hours apart, with no run going on.
        resident: kilobytes of memory at these moments.
        cpu_s: what it cost.
    """

    profile: str
    steps: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    left: int = 0
    held: int = 0
    objects: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def growth(self) -> float:
        """By which share the number of objects has grown in the later hours."""
        return self.objects[-1] / self.objects[0] - 1


def soak(profile: Profile, seed: int = 1, steps: int = 100_000) -> Day:
    """A day of at least so many steps."""
    began = time.process_time()
    day = run_virtual(_Service(profile, seed, steps).day())
    day.cpu_s = time.process_time() - began
    return day


class _Service:
    """A process that serves runs all day."""

    def __init__(self, profile: Profile, seed: int, steps: int) -> None:
        self.profile = profile
        self.random = Random(seed)
        self.width = 40
        self.a_minute = 1.05 * steps / (HOURS * 60) / self.width
        self.slots = LocalSlots({"p": 16}, {})
        self.limits = Limits(concurrency=8, step_timeout_s=30.0, run_timeout_s=1_800.0)
        self.tool = _tool(profile, self._call)
        self.plan = _plan(profile.shape, self.width)
        self.day_of = Day(profile.name)
        self.disk = SimulatedDisk(seed)
        self.tasks: set[asyncio.Task[None]] = set()
        self.minute = 0
        self.number = 0

    async def day(self) -> Day:
        """From midnight to midnight, and until the last run has ended."""
        owed = 0.0
        for self.minute in range(HOURS * 60):
            owed += self.a_minute * self.profile.load(self.minute)
            while owed >= 1:
                owed -= 1
                self._begin()
            await asyncio.sleep(MINUTE_S)
            if self.minute in (6 * 60, HOURS * 60 - 1):
                await self._look()
        day = self.day_of
        day.left = len(asyncio.all_tasks()) - 1
        leases = [self.slots.try_acquire("p") for _ in range(16)]
        day.held = sum(lease is None for lease in leases)
        return day

    def _begin(self) -> None:
        self.number += 1
        task = asyncio.get_running_loop().create_task(self._run(f"run-{self.number}"))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if self.random.random() < self.profile.cancelled:
            asyncio.get_running_loop().call_later(self.random.random() * 20, task.cancel)

    async def _run(self, name: str) -> None:
        more: dict[str, Any] = {}
        if self.profile.journaled:
            more = {"journal": self.disk.open(_Always()), "run_id": name}
        try:
            result = await heddle.execute(
                self.plan, [self.tool], limits=self.limits, slots=self.slots, **more
            )
        except asyncio.CancelledError:
            self.day_of.runs["cancelled"] += 1
            self.day_of.steps += self.width // 2
            return
        finally:
            self.disk.runs.pop(name, None)  # what is archived is not in memory
        self.day_of.runs[result.status] += 1
        self.day_of.steps += self.width

    async def _look(self) -> None:
        """Count what there is while no run goes on."""
        while self.tasks:
            await asyncio.wait(self.tasks)
        gc.collect()
        self.day_of.objects.append(len(gc.get_objects()))
        self.day_of.resident.append(_resident_kb())

    async def _call(self) -> str:
        random = self.random.random
        await asyncio.sleep(0.5 + random())
        if random() > self.profile.grants(self.minute):
            raise ModelError("too many requests", code="rate-limited", provider="p", retryable=True)
        if random() < self.profile.hanging:
            await asyncio.get_running_loop().create_future()
        if random() < self.profile.failing:
            raise ValueError("boom")
        return "done"


class _Always(Life):
    """The life of a process that does not die, on the loop that is running."""

    def __init__(self) -> None:
        self.dead = False
        self._loop = asyncio.get_running_loop()


def _tool(profile: Profile, call: Callable[[], Any]) -> Tool:
    async def invoke(args: dict[str, Any]) -> Any:
        return await call()

    schema = {"type": "object", "properties": {"n": {}, "of": {}}}
    effect = "write" if profile.shape == "effects" else "read"
    spec = ToolSpec("work", parameters=schema, effect=effect, provider="p")
    return Tool(spec, invoke, invoke, blocking=False)


def _plan(shape: str, width: int) -> Plan:
    """A plan of so many calls."""
    if shape == "map":
        return Plan([Step("1", "work", {"n": Item()}, over=list(range(width)))])
    rows = width // 4
    steps = []
    for n in range(width):
        args: dict[str, Any] = {"n": n}
        if n >= rows:
            args["of"] = Ref(str(n - rows))
        steps.append(Step(str(n), "work", args))
    return Plan(steps)


def _resident_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """Ten days; short: two of them, with fewer steps."""
    profiles = (PROFILES[1], PROFILES[9]) if short else PROFILES
    steps = 5_000 if short else 100_000
    began = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        days = list(pool.map(soak, profiles, [seed] * len(profiles), [steps] * len(profiles)))
    took = time.monotonic() - began
    kinds = {day.profile: {"runs": dict(day.runs), "cpu_s": round(day.cpu_s, 1)} for day in days}
    yield Figure("virtual hours", HOURS * len(days), detail=kinds)
    yield Figure("steps of a day, least", min(day.steps for day in days), steps, at_least=True)
    yield Figure("tasks left behind", sum(day.left for day in days), 0)
    yield Figure("slots left taken", sum(day.held for day in days), 0)
    worst = max(day.growth for day in days)
    rows = {day.profile: [day.objects, day.resident] for day in days}
    yield Figure("objects, growth from hour 6 to 24, worst", 100 * worst, 1, "%", detail=rows)
    yield Figure("time for all days", took / 60, 10, "min")
