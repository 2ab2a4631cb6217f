"""`kill -9` of the real program, at random and between effect and record, until its runs are done.

    python -m bench.reliability --only kills

What is killed is `heddle run` and `heddle ask`; what goes on is `heddle resume`, which may be
killed too. In half of the runs the tools have a probe that asks the world what became of a write.
In the other half the world's answer is passed on by hand, `heddle resume --resolve 3=done`: every
other time at once, else when the run has ended unresolved and says what it wants to be told.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.reliability.figure import Figure
from bench.reliability.kill_models import EACH
from bench.reliability.killing import Pace, Tally, by_exec, environment_in, torment
from bench.reliability.nursery import nursery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bench.reliability.killing import Ended, Process
    from bench.reliability.nursery import Nursery
    from bench.reliability.world import World
    from heddle.engine.audit import Audit

KILLS = 2_000
SHORT = 60
PER_RUN = 6
"""Kills that a run gets at most."""

AT_ONCE = 2
"""Runs at one time."""

EXEC = 0.1
"""Share of runs whose processes are started from nothing; those of the others are forked."""

UNRESOLVED = 7
"""Exit status of a run that waits to be told of a write."""

HERE = Path(__file__).parent
PROGRAM = [sys.executable, "-m", "heddle.cli"]
PLACE = ["--journal", "runs.db", "--json"]
NO_POISON = ["--max-deaths", "1000"]
"""We kill at the same step again and again, and it is not its fault."""

TOOLS = ["--tools", str(HERE / "kill_tools.py")]


@dataclass
class Run:
    """A run of heddle that is to be killed.

    Attributes:
        labels: of the effects that its plan asks for, by where a person would say it: `3`, `3[7]`.
        begin: the words of the command that begins it, without the program.
        probed: whether its tools can ask the world what became of a write.
    """

    name: str
    labels: dict[str, str]
    begin: list[str]
    files: dict[str, str]
    probed: bool
    unknown: int = 0
    resumed: int = 0

    async def command(self, folder: Path, world: World, last: Ended | None) -> list[str]:
        """Begin, go on, or go on with what a person says of writes that nobody saw."""
        for name, text in self.files.items():
            (folder / name).write_text(text)
        if last is None or _never_began(last):
            return [*PROGRAM, *self.begin, *PLACE, *NO_POISON]
        self.resumed += 1
        tells = not self.probed and (self.resumed % 2 == 0 or last.status == UNRESOLVED)
        places = await _in_doubt(folder) if tells else []
        self.unknown += len(places)
        said = [word for it in places for word in ("--resolve", f"{it}={self._said(it, world)}")]
        return [*PROGRAM, "resume", "last", *PLACE, *said]

    def _said(self, place: str, world: World) -> str:
        label = self.labels[place]
        return f"done:{json.dumps(f'paid {label}')}" if world.done(label) else "not-done"

    def finished(self, ended: Ended) -> bool:
        """Whether it succeeded; it may be killed, or unresolved, and nothing else."""
        if ended.killed or ended.status == UNRESOLVED or _never_began(ended):
            return False
        if ended.status != 0:
            raise RuntimeError(f"{self.name}: exit status {ended.status}: {ended.out}{ended.err}")
        return True

    async def violations(self, folder: Path) -> list[str]:
        """What the audit finds, and runs that are not as they should be."""
        status, found = await _audited(folder)
        self.unknown += sum(found.resolved.values()) if self.probed else 0
        odd = [] if status == "succeeded" else [f"the journal says {status}"]
        odd += [f"{place} is unresolved" for place in found.unresolved]
        return [*odd, *(f"{item.rule}: {item.message}" for item in found.violations)]


def _never_began(ended: Ended) -> bool:
    """Whether the process before died so early that there is nothing to go on with."""
    return ended.status == 2 and re.search('"run-(unknown|empty)"', ended.out) is not None


async def _in_doubt(folder: Path) -> list[str]:
    """The writes whose outcome nobody saw, as a person would name them."""
    if not (folder / "runs.db").exists():
        return []
    _, found = await _audited(folder)
    return [step if item is None else f"{step}[{item}]" for step, item in found.unresolved]


async def _audited(folder: Path) -> tuple[str, Audit]:
    """The status of the last run that is kept in a folder, and what its audit finds."""
    from heddle.engine.audit import audit
    from heddle.engine.journal.places import open_store
    from heddle.engine.journal.reading import read
    from heddle.engine.record import event_of

    store = open_store(folder / "runs.db")
    try:
        if not (rows := await store.runs(1)):
            return "", audit([])
        pages = [page async for page in read(store, rows[0].run)]
    finally:
        await store.aclose()
    return rows[0].status, audit(event_of(entry) for page in pages for entry in page.entries)


# -- shapes --------------------------------------------------------------------------------------


def _plan(name: str, steps: list[dict[str, Any]], labels: dict[str, str], *more: str) -> Run:
    text = json.dumps({"heddle": 1, "steps": steps})
    begin = ["run", "plan.json", *TOOLS, *more]
    return Run(name, labels, begin, {"plan.json": text}, probed=False)


def chain(pay: str) -> Run:
    """Twenty effects, one after the other; every fourth may be repeated."""
    steps: list[dict[str, Any]] = []
    for n in range(20):
        before = {"before": {"$ref": str(n)}} if n else {}
        tool = "put" if n % 4 == 3 else pay
        steps.append({"id": str(n + 1), "tool": tool, "args": {"label": f"chain-{n}", **before}})
    return _plan("chain", steps, {str(n + 1): f"chain-{n}" for n in range(20)})


def fan_out(pay: str) -> Run:
    """Twenty independent effects, two at a time."""
    steps = [{"id": str(n + 1), "tool": pay, "args": {"label": f"fan-{n}"}} for n in range(20)]
    labels = {str(n + 1): f"fan-{n}" for n in range(20)}
    return _plan("fan-out of 20, 2 at once", steps, labels, "--concurrency", "2")


def maps(pay: str) -> Run:
    """A map of writes, and a map of idempotent effects that follows it element by element."""
    steps = [
        {"id": "1", "tool": "labels", "args": {"kind": "map", "count": 10}},
        {"id": "2", "tool": pay, "over": {"$ref": "1"}, "args": {"label": {"$item": []}}},
        {"id": "3", "tool": "put", "over": {"$ref": "2"},
         "args": {"label": {"$item": []}, "before": "x"}},
    ]  # fmt: skip
    labels = {f"2[{n}]": f"map-{n}" for n in range(10)}
    labels |= {f"3[{n}]": f"paid map-{n}" for n in range(10)}
    return _plan("maps", steps, labels, "--concurrency", "3")


def replan(pay: str) -> Run:
    """A question that takes two rounds of plans."""
    labels = {
        name if round == 1 else f"{round}.{name}": f"round{round}-{n}"
        for round in (1, 2)
        for n in range(EACH)
        for name in [str(n + 1)]
    }
    begin = [
        "ask", "pay all", *TOOLS, "--strategy", "llmcompiler", "--concurrency", "3",
        "--model", f"python:bench.reliability.kill_models:{pay}",
    ]  # fmt: skip
    return Run("replan", labels, begin, {}, probed=False)


SHAPES: tuple[Callable[[str], Run], ...] = (chain, fan_out, maps, replan)


# -- the campaign --------------------------------------------------------------------------------


async def campaign(kills: int, seed: int) -> dict[str, Tally]:
    """Runs of all shapes until there were so many kills; what came of each shape."""
    rng = random.Random(seed)
    tallies = {shape.__name__: Tally() for shape in SHAPES}
    paces = {shape.__name__: Pace() for shape in SHAPES}
    number = 0

    async def work(home: Nursery) -> None:
        nonlocal number
        while sum(tally.kills for tally in tallies.values()) < kills:
            shape, probed = SHAPES[number % len(SHAPES)], number // len(SHAPES) % 2 == 0
            number += 1
            own, name = random.Random(rng.random()), shape.__name__
            run = shape("pay_known" if probed else "pay")
            run.probed = probed
            launch = by_exec if own.random() < EXEC else partial(_forked, home)
            tallies[name].add(
                await torment(run, own, kills=PER_RUN, pace=paces[name], launch=launch)
            )

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            home = await stack.enter_async_context(nursery(environment_in(Path.home())))
            group.create_task(work(home))
    return tallies


async def _forked(
    home: Nursery, command: list[str], folder: Path, environment: Mapping[str, str]
) -> Process:
    return await home.start(command[len(PROGRAM) :], folder, environment)


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """Kills, and what was lost, repeated, left unfinished, unknown."""
    kills = SHORT if short else KILLS
    tallies = asyncio.run(campaign(kills, seed))
    every = Tally()
    for tally in tallies.values():
        every.add(tally)
    detail = {name: tally.to_json() for name, tally in tallies.items()}
    yield from figures_of(every, kills, detail)


def figures_of(every: Tally, kills: int, detail: Any) -> Iterator[Figure]:
    """A tally as figures against their bars."""
    directed = 300 * kills // KILLS
    yield Figure("runs", every.runs, detail=detail)
    yield Figure("effects", every.effects)
    yield Figure("kills", every.kills, bar=kills, at_least=True)
    yield Figure(
        "of these surely between effect and record", every.directed, bar=directed, at_least=True
    )
    yield Figure("lost effects", every.lost, bar=0, of=every.kills)
    yield Figure("repeated writes", every.repeated, bar=0, of=every.kills)
    yield Figure("idempotent effects repeated under another key", every.rekeyed, bar=0)
    yield Figure("runs left unfinished", every.unfinished, bar=0, of=every.runs)
    yield Figure("violations found by the audit", every.violations, bar=0, of=every.runs)
    share = every.unknown / every.kills if every.kills else 0.0
    yield Figure("unknown outcomes for a kill, all resolved", share, detail=every.unknown)
