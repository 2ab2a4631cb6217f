"""`heddle demo`: recorded model, real tools, measured figures."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heddle.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from heddle.cli.demo.brief import LaneRun
    from heddle.cli.demo.recordings import Pace
    from heddle.engine.result import RunResult

__all__ = ["demo"]

_FAST = 10.0


@click.command()
@click.option("--fast", is_flag=True, help="Calls and replies ten times as fast.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the cap 9 lane as an HTML page.",
)
def demo(fast: bool, as_json: bool, quiet: bool, report: Path | None) -> None:
    """Nine slow calls at three speeds, then a question in several hops; no key needed.

    The model's replies are recorded; the tools really run, and all figures are measured.
    """
    from heddle.cli.demo.recordings import Pace

    if report is not None:
        _refuse_unwritable(report)
    _stay_on_this_machine()
    pace = Pace().times(_FAST) if fast else Pace()
    show = _Show(pace, fast=fast, as_json=as_json, quiet=quiet)
    asyncio.run(show.run())
    if report is not None:
        show.report(report)


class _Show:
    """One showing of the demo."""

    def __init__(self, pace: Pace, *, fast: bool, as_json: bool, quiet: bool) -> None:
        self.pace = pace
        self.fast = fast
        self.as_json = as_json
        self.quiet = quiet
        self.lanes: list[LaneRun] = []

    async def run(self) -> None:
        """Both parts, each with its picture and its figures."""
        from heddle.cli.demo import summary

        self._say(summary.opening_text(self.pace, self.fast))
        self.lanes = await self._brief()
        self._say(summary.brief_text(self.lanes, self.pace))
        self._say(summary.multihop_heading())
        hops = await self._multihop()
        self._say(summary.multihop_text(hops))
        self._say(summary.closing_text())
        if self.as_json:
            click.echo(json.dumps(summary.to_json(self.lanes, hops, self.pace)))

    def report(self, path: Path) -> None:
        """Write the last lane as a page."""
        from heddle.web.report import write_report

        write_report(self.lanes[-1][1], path)
        if not self.quiet:
            click.echo(f"report: {path}", err=True)

    async def _brief(self) -> list[LaneRun]:
        from heddle.cli.demo import brief
        from heddle.cli.demo.screen import Pane, watching

        lanes = brief.lanes()
        async with watching([Pane(lane.name, lane.log) for lane in lanes], quiet=self.quiet):
            await brief.run_brief(lanes, self.pace)
        runs: list[LaneRun] = []
        for lane in lanes:
            result = _demanded(lane.result)
            figures = brief.measure(result, lane.cap, self.pace.call_s)
            runs.append(brief.LaneRun(lane, result, figures))
        return runs

    async def _multihop(self) -> RunResult:
        from heddle.cli.demo.multihop import run_multihop
        from heddle.cli.demo.screen import Pane, watching
        from heddle.engine.log import EventLog

        log = EventLog()
        async with watching([Pane("one question", log)], quiet=self.quiet):
            return _demanded(await run_multihop(log, self.pace))

    def _say(self, text: str) -> None:
        if not self.as_json:
            click.echo(text)


def _demanded(result: RunResult | None) -> RunResult:
    """A result that succeeded: what is recorded leaves no room for another outcome."""
    if result is not None and result.status == "succeeded":
        return result
    why = f": {result.error.message}" if result is not None and result.error else ""
    raise InternalError(f"the demo did not come to its end{why}")


def _refuse_unwritable(path: Path) -> None:
    """Say at once that a report cannot be written, not when all is over.

    Raises:
        ConfigError: there is no such folder, or it may not be written to.
    """
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(
            f"the report cannot be written to {path}",
            code="unwritable-report",
            hint="give a file in a folder that exists and is yours to write to",
        )


def _stay_on_this_machine() -> None:
    """Keep a proxy out of the way: all that the demo asks is on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
