"""A comparison on the screen while it lasts: a bar on a terminal, else a line for each run.

Everything goes to stderr, and the bar is taken away at the end.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Protocol

from heddle.cli.alongside import alongside
from heddle.cli.screen import clean, is_terminal, one_line, say, seconds
from heddle.comparison.figures import judge

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from heddle.comparison.campaign import Campaign
    from heddle.comparison.records import Key, RunRecord

__all__ = ["Progress", "progress_of", "remaining"]

_FRAME_S = 0.5
_WIDTH = 24


class Progress(Protocol):
    """What shows a comparison."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *_: object) -> None: ...

    def started(self, key: Key) -> None:
        """A run begins."""
        ...

    def finished(self, record: RunRecord) -> None:
        """A run has ended."""
        ...

    async def watch(self, work: Coroutine[Any, Any, None]) -> None:
        """Await the runs, and show them meanwhile."""
        ...


def progress_of(campaign: Campaign, tolerance: float, *, quiet: bool = False) -> Progress:
    """What suits stderr: nothing, a bar, or lines."""
    if quiet:
        return _Nothing()
    return _Bar(campaign) if is_terminal(sys.stderr) else _Lines(campaign, tolerance)


class _Nothing:
    """Shows nothing."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, key: Key) -> None:
        pass

    def finished(self, record: RunRecord) -> None:
        pass

    async def watch(self, work: Coroutine[Any, Any, None]) -> None:
        await work


class _Lines(_Nothing):
    """A line for each run that has ended."""

    def __init__(self, campaign: Campaign, tolerance: float) -> None:
        self._campaign = campaign
        self._tolerance = tolerance
        self._done = len(campaign.wanted) - len(campaign.left)

    def finished(self, record: RunRecord) -> None:
        self._done += 1
        question = self._campaign.questions[record.question]
        (run,) = judge([question], [record], self._tolerance)
        note = record.code or one_line(record.answer, 60)
        say(
            f" {self._done}/{len(self._campaign.wanted)} {record.way}  "
            f"{one_line(record.question, 32)}  {seconds(record.total_s)}  {note}",
            label=f"{run.verdict:<6}",
            fg={"right": "green", "failed": "red"}.get(run.verdict, "yellow"),
        )


class _Bar(_Nothing):
    """One line that is drawn again twice a second: how much is done, what runs, when it ends."""

    def __init__(self, campaign: Campaign) -> None:
        self._left = campaign.left
        self._total = len(campaign.wanted)
        self._before = self._total - len(self._left)
        self._took: dict[str, list[float]] = {}
        self._running: dict[Key, float] = {}
        self._finished: set[Key] = set()
        self._most = 1

    def __exit__(self, *_: object) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    def started(self, key: Key) -> None:
        self._running[key] = asyncio.get_running_loop().time()
        self._most = max(self._most, len(self._running))

    def finished(self, record: RunRecord) -> None:
        began = self._running.pop(record.key)
        took = asyncio.get_running_loop().time() - began
        self._took.setdefault(record.strategy, []).append(took)
        self._finished.add(record.key)
        self._draw()

    async def watch(self, work: Coroutine[Any, Any, None]) -> None:
        async with alongside(self._draw_on()):
            await work

    async def _draw_on(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(_FRAME_S)

    def _draw(self) -> None:
        done = self._before + len(self._finished)
        full = _WIDTH * done // self._total
        left = [key for key in self._left if key not in self._finished]
        eta = remaining(self._took, [strategy for _, strategy, _ in left], self._most)
        now = next(iter(self._running), None)
        what = f"  {now[1]}: {now[0]}" if now else ""
        text = f"[{'#' * full}{'.' * (_WIDTH - full)}] {done}/{self._total}  {_eta(eta)}{what}"
        sys.stderr.write(f"\r{one_line(clean(text), 78)}\x1b[K")
        sys.stderr.flush()


def remaining(took: dict[str, list[float]], left: list[str], at_once: int) -> float | None:
    """Seconds until the runs that are left have ended; None while nothing is known.

    Args:
        took: seconds of finished runs, by strategy.
        left: the strategy of each run that is left.
        at_once: runs in the air at a time.

    >>> remaining({"react": [4.0, 6.0]}, ["react", "rewoo"], 1)
    10.0
    """
    times = [seconds for known in took.values() for seconds in known]
    if not times:
        return None
    overall = sum(times) / len(times)
    means = {name: sum(known) / len(known) for name, known in took.items()}
    return sum(means.get(name, overall) for name in left) / at_once


def _eta(seconds_left: float | None) -> str:
    """When it ends, roughly.

    >>> _eta(None), _eta(42.4), _eta(600), _eta(8000)
    ('ETA ?', 'ETA 42 s', 'ETA 10 min', 'ETA 2.2 h')
    """
    if seconds_left is None:
        return "ETA ?"
    if seconds_left < 100:
        return f"ETA {seconds_left:.0f} s"
    minutes = seconds_left / 60
    return f"ETA {minutes:.0f} min" if minutes < 100 else f"ETA {minutes / 60:.1f} h"
