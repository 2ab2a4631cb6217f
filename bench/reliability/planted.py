"""Planted bugs: each is put into the real code for a while, and the simulator has to find it."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from bench.reliability.figure import Figure
from heddle.testing.simulation.planted import PLANTED, hunt

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["figures", "found"]

MOST = 10_000
RARE = {"a process goes on that has lost its lease": 180, "what lies behind the head counts": 550}
"""Where the short hunt for a bug begins that is found late; the long one begins at 0 for all."""


def found(name: str, most: int = MOST, first: int = 0) -> tuple[str, int, str]:
    """A bug, the number of seeds until it was found (0: it was not), and the promise it breaks."""
    outcome = hunt(name, most, first)
    if outcome is None:
        return name, 0, ""
    return name, outcome.seed + 1 - first, str(outcome.violations[0])


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """All of them; short: no more than 100 seeds each, from where the rare ones are known to be."""
    first = [RARE.get(name, 0) if short else 0 for name in PLANTED]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(found, PLANTED, [100 if short else MOST] * len(PLANTED), first))
    detail = {name: {"seeds": seeds, "broken": broken} for name, seeds, broken in rows}
    yield Figure("bugs planted", len(rows), 10, at_least=True)
    yield Figure("bugs not found", sum(not seeds for _, seeds, _ in rows), 0, detail=detail)
    yield Figure("seeds until one was found, most", max(seeds for _, seeds, _ in rows), MOST)
