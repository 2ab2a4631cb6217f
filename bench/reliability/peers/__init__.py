"""The same kills for others: DBOS Transact and LangGraph, side by side with heddle.

    pip install 'heddle-run[bench]' && python -m bench.reliability --only peers

The same effects in the same world, the same ways to die, the same question at the end: what was
lost, what happened twice, what was never finished. Both others promise that a step happens at least
once, and say so; what is measured is what that means for a step that pays.
"""

from __future__ import annotations

import asyncio
import random
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bench.reliability import kills
from bench.reliability.figure import Figure
from bench.reliability.killing import Pace, Tally, torment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.reliability.killing import Ended, Subject
    from bench.reliability.world import World

WIDTH = 20
KILLS = 100
SHORT = 4
PER_RUN = 4
"""Kills that a run gets at most."""

NEEDS = {"DBOS": "dbos", "LangGraph": "langgraph.checkpoint.sqlite"}
"""The module that each of them needs."""


@dataclass
class Peer:
    """A run of another runtime: `python -m bench.reliability.peers.dbos_run chain …`."""

    runtime: str
    shape: str
    unknown: int = 0
    labels: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.runtime} {self.shape}"
        self.labels = {str(n): f"{self.shape}-{n}" for n in range(WIDTH)}

    async def command(self, folder: Path, world: World, last: Ended | None) -> list[str]:
        program = f"bench.reliability.peers.{self.runtime.lower()}_run"
        return [sys.executable, "-m", program, self.shape, *self.labels.values()]

    def finished(self, ended: Ended) -> bool:
        if not ended.killed and ended.status != 0:
            raise RuntimeError(f"{self.name}: exit status {ended.status}: {ended.err[-2000:]}")
        return not ended.killed

    async def violations(self, folder: Path) -> list[str]:
        return []


def subjects() -> dict[str, Callable[[], Subject]]:
    """Whoever is installed, in two shapes each."""
    found: dict[str, Callable[[], Subject]] = {
        "heddle chain": lambda: kills.chain("pay"),
        "heddle fan-out": lambda: kills.fan_out("pay"),
    }
    for runtime, module in NEEDS.items():
        if _installed(module):
            for shape in ("chain", "fan-out"):
                found[f"{runtime} {shape}"] = lambda a=runtime, b=shape: Peer(a, b)
    return found


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


async def compared(count: int, seed: int, share: float) -> dict[str, Tally]:
    """What came of so many kills for each.

    Args:
        count: kills of each subject.
        seed: where chance begins.
        share: of kills that are directed.
    """
    tallies: dict[str, Tally] = {}
    for name, make in subjects().items():
        tally, pace, rng = tallies.setdefault(name, Tally()), Pace(), random.Random(seed)
        while tally.kills < count:
            tally.add(await torment(make(), rng, kills=PER_RUN, pace=pace, share=share))
    return tallies


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """For each runtime: lost, repeated, unfinished; by random kills only, and by directed ones."""
    missing = [name for name, module in NEEDS.items() if not _installed(module)]
    if missing:
        print(f"not installed, so left out: {', '.join(missing)}", file=sys.stderr)
    count = SHORT if short else KILLS
    for how, share in (("random kills", 0.0), ("kills between effect and record", 1.0)):
        for name, tally in asyncio.run(compared(count, seed, share)).items():
            yield from _figures(f"{name}, {how}", tally)


def _figures(name: str, tally: Tally) -> Iterator[Figure]:
    ours: Any = 0 if name.startswith("heddle") else None
    detail = tally.to_json()
    yield Figure(f"{name}: lost", tally.lost, bar=ours, of=tally.kills, detail=detail)
    yield Figure(f"{name}: repeated", tally.repeated, bar=ours, of=tally.kills)
    yield Figure(f"{name}: unfinished runs", tally.unfinished, bar=ours, of=tally.runs)
