"""Killing a process again and again until its run is done, and counting what that did.

A subject says how its run is begun and gone on with; the rest is the same for every runtime. Each
process dies in one of two ways, or gets to its end:

- at random: SIGKILL at an instant drawn over the time from its first effect to its last, or, one
  time in five, over the time before its first effect;
- directed: SIGKILL in the place of the world's answer to its nth effect, which is between the
  effect and its record.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from bench.reliability.world import PLACE, World

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bench.reliability.world import Effect

    Launch: TypeAlias = Callable[[list[str], Path, Mapping[str, str]], Awaitable["Process"]]

PATIENCE_S = 60.0
"""A process that takes longer hangs."""

STARTS = 40
"""Processes that a run may need beyond its kills before it counts as unfinished."""

EARLY = 0.2
"""Share of random kills that come before the first effect of a process."""

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        killed: "random", "directed", or "hung" for one that had to be ended because it would not;
            "" for one that came to its own end.
    """

    status: int
    out: str
    err: str
    killed: str


class Subject(Protocol):
    """A run of some runtime that can be killed and gone on with.

    Attributes:
        name: the runtime and its shape.
        labels: of the effects that the run must have had in the end, by their places in its plan.
        unknown: effects so far whose outcome the runtime asked somebody else for.
    """

    name: str
    labels: Mapping[str, str]
    unknown: int

    async def command(self, folder: Path, world: World, last: Ended | None) -> list[str]:
        """What to start next.

        Args:
            folder: the run's own; it survives.
            world: what has happened.
            last: how the process before ended; None for the first.
        """
        ...

    def finished(self, ended: Ended) -> bool:
        """Whether the run is over, and as it should be."""
        ...

    async def violations(self, folder: Path) -> list[str]:
        """What the runtime's own records say against it, once the run is over."""
        ...


@dataclass(slots=True)
class Tally:
    """What came of some runs.

    Attributes:
        runs: how many.
        kills: processes that were killed.
        directed: of these, those that provably died between an effect and its record.
        effects: effects that happened, repetitions included.
        lost: effects that a run asked for, that is over, and that never happened.
        repeated: writes that happened again.
        rekeyed: idempotent effects that were repeated under another key.
        unknown: effects whose outcome the runtime did not know and asked for.
        unfinished: runs that never came to their end.
        violations: findings of audits.
    """

    runs: int = 0
    kills: int = 0
    directed: int = 0
    effects: int = 0
    lost: int = 0
    repeated: int = 0
    rekeyed: int = 0
    unknown: int = 0
    unfinished: int = 0
    violations: int = 0

    def add(self, other: Tally) -> None:
        """Count another one in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def to_json(self) -> dict[str, int]:
        """As detail of a figure."""
        return asdict(self)


@dataclass(slots=True)
class Pace:
    """How long processes of one kind take, learned while they run.

    Attributes:
        start_s: from the start of a process to its first effect.
        each_s: from one effect to the next.
    """

    start_s: float = 0.4
    each_s: float = 0.02

    def learn(self, moments: Sequence[float]) -> None:
        """Take in when a process had its effects."""
        if moments:
            self.start_s += 0.2 * (moments[0] - self.start_s)
        if len(moments) > 2:
            each_s = (moments[-1] - moments[0]) / (len(moments) - 1)
            self.each_s += 0.2 * (each_s - self.each_s)


class Process(Protocol):
    """A process, as asyncio has it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def communicate(self) -> tuple[bytes, bytes]: ...


async def by_exec(command: list[str], folder: Path, environment: Mapping[str, str]) -> Process:
    """Start a program as a shell does."""
    return await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def environment_in(folder: Path) -> dict[str, str]:
    """The environment of a program that is to be killed."""
    return {
        **os.environ, PLACE: str(folder / "world"), "HOME": str(folder), "NO_COLOR": "1",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
    }  # fmt: skip


async def torment(
    subject: Subject, rng: random.Random, *, kills: int, pace: Pace, share: float = 0.4,
    launch: Launch = by_exec,
) -> Tally:  # fmt: skip
    """One run, killed up to so many times and then left in peace.

    Args:
        subject: the run.
        rng: where chance comes from.
        kills: kills at most.
        pace: of runs like this one.
        share: of kills that are directed.
        launch: starts a process.
    """
    tally = Tally(runs=1)
    world = World()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        async with world.listening(folder / "world"):
            over = await _to_the_end(subject, folder, world, rng, kills, pace, share, tally, launch)
        if over:
            found = await subject.violations(folder)
            tally.violations = len(found)
            _say(subject, found)
    _count(tally, subject, world, over=over)
    return tally


async def _to_the_end(
    subject: Subject, folder: Path, world: World, rng: random.Random, kills: int, pace: Pace,
    share: float, tally: Tally, launch: Launch,
) -> bool:  # fmt: skip
    last: Ended | None = None
    for _ in range(kills + STARTS):
        how = "" if tally.kills >= kills else "directed" if rng.random() < share else "random"
        command = await subject.command(folder, world, last)
        left = len(set(subject.labels.values()) - {effect.label for effect in world.effects})
        process = await launch(command, folder, environment_in(folder))
        last = await _ended(process, world, _Death(process, how, rng, pace, left))
        if last.killed == "hung":
            break
        tally.kills += last.killed != ""
        tally.directed += last.killed == "directed"
        if subject.finished(last):
            return True
    _say(subject, [f"it never came to its end: {last}"])
    return False


async def _ended(process: Process, world: World, death: _Death) -> Ended:
    """See a process to its end, whatever that is."""
    world.on_effect = death.on_effect
    out, err = await process.communicate()
    death.over()
    killed = death.way if process.returncode == -signal.SIGKILL else ""
    return Ended(process.returncode or 0, out.decode(), err.decode(), killed)


class _Death:
    """When and how one process is killed.

    Args:
        process: the one.
        how: "random", "directed", or "" for not at all.
        rng: where chance comes from.
        pace: of such processes; it learns from this one.
        left: effects that it has before it.

    Attributes:
        way: how it was killed; "" while it was not.
    """

    def __init__(
        self, process: Process, how: str, rng: random.Random, pace: Pace, left: int
    ) -> None:
        self.way = ""
        self._process, self._how, self._pace = process, how, pace
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._moments: list[float] = []  # of its effects
        self._countdown = rng.randint(1, 6)
        self._after_s = rng.uniform(0, pace.each_s * left)
        self._timers = [self._loop.call_later(PATIENCE_S, self._kill, "hung")]
        if how == "random" and rng.random() < EARLY:
            self._after_s = PATIENCE_S
            self._kill_in(rng.uniform(0, pace.start_s))

    def on_effect(self, _: Effect) -> bool:
        """An effect was counted; whether there is nobody left to tell."""
        self._moments.append(self._loop.time() - self._began)
        self._countdown -= 1
        if self._how == "random" and len(self._moments) == 1:
            self._kill_in(self._after_s)
        if self._how == "directed" and not self._countdown:
            self._kill("directed")
        return self.way != ""

    def over(self) -> None:
        """The process has ended."""
        for timer in self._timers:
            timer.cancel()
        self._pace.learn(self._moments)

    def _kill_in(self, seconds: float) -> None:
        self._timers.append(self._loop.call_later(seconds, self._kill, "random"))

    def _kill(self, way: str) -> None:
        if self._process.returncode is None and not self.way:
            self.way = way
            with suppress(ProcessLookupError):  # asyncio's own `kill` may lose an exit status
                os.kill(self._process.pid, signal.SIGKILL)


def _count(tally: Tally, subject: Subject, world: World, *, over: bool) -> None:
    """Hold what happened against what was asked for."""
    keys: dict[str, set[str]] = {}
    times: dict[str, int] = {}
    for effect in world.effects:
        if effect.kind == "idempotent":
            keys.setdefault(effect.label, set()).add(effect.key)
        else:
            times[effect.label] = times.get(effect.label, 0) + 1
    tally.effects = len(world.effects)
    tally.unfinished = int(not over)
    tally.lost = len(set(subject.labels.values()) - times.keys() - keys.keys()) if over else 0
    tally.repeated = sum(count - 1 for count in times.values())
    tally.rekeyed = sum(len(found) - 1 for found in keys.values())
    tally.unknown = subject.unknown
    stray = (times.keys() | keys.keys()) - set(subject.labels.values())
    assert not stray, f"effects that nobody asked for: {stray}"


def _say(subject: Subject, remarks: Sequence[str]) -> None:
    for remark in remarks:
        print(f"{subject.name}: {remark}", file=sys.stderr, flush=True)
