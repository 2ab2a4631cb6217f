"""`heddle demo`: recorded replies, real tools, measured figures."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.reading import writable
from heddle.cli.screen import give, give_json, say
from heddle.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.cli.demo.brief import LaneRun
    from heddle.cli.demo.recordings import Pace
    from heddle.engine.result import RunResult

__all__ = ["demo"]

_FAST = 10.0


@click.command
@click.option("--fast", is_flag=True, help="Calls and replies ten times as fast.")
@options.report_file
@options.as_json
@options.quiet
def demo(fast: bool, report: str | None, as_json: bool, quiet: bool) -> int:
    """Nine slow calls at three speeds, then a question in several steps. Needs no key.

    The model's replies are recorded; the tools really run, and all figures are measured.
    A report shows the fastest lane.
    """
    from heddle.cli.demo.recordings import Pace

    writable(report)
    _stay_on_this_machine()
    pace = Pace().times(_FAST) if fast else Pace()
    tell = _tell_nobody if as_json else give
    lanes, found = asyncio.run(_show(pace, fast, tell, quiet=quiet))
    if report is not None:
        from heddle.web.report import write_report

        write_report(lanes[-1].result, report)
        if not quiet:
            say(f"report: {report}")
    if as_json:
        from heddle.cli.demo.summary import to_json

        give_json(to_json(lanes, found, pace))
    return 0


async def _show(
    pace: Pace, fast: bool, tell: Callable[[str], Any], *, quiet: bool
) -> tuple[list[LaneRun], RunResult]:
    """Both parts, each with its picture and then its figures."""
    from heddle.cli.demo import summary

    tell(summary.opening_text(pace, fast))
    lanes = await _brief(pace, quiet=quiet)
    tell(summary.brief_text(lanes, pace))
    tell(summary.multihop_heading())
    found = await _multihop(pace, quiet=quiet)
    tell(summary.multihop_text(found))
    tell(summary.closing_text())
    return lanes, found


async def _brief(pace: Pace, *, quiet: bool) -> list[LaneRun]:
    from heddle.cli.demo.brief import LaneRun, lanes, measure, run_brief
    from heddle.cli.demo.picture import Pane, watching

    shown = lanes()
    async with watching([Pane(lane.name, lane.log) for lane in shown], quiet=quiet):
        await run_brief(shown, pace)
    runs: list[LaneRun] = []
    for lane in shown:
        result = _succeeded(lane.result)
        runs.append(LaneRun(lane, result, measure(result, lane.cap, pace.call_s)))
    return runs


async def _multihop(pace: Pace, *, quiet: bool) -> RunResult:
    from heddle.cli.demo.multihop import run_multihop
    from heddle.cli.demo.picture import Pane, watching
    from heddle.engine.log import EventLog

    log = EventLog()
    async with watching([Pane("one question", log)], quiet=quiet):
        return _succeeded(await run_multihop(log, pace))


def _succeeded(result: RunResult | None) -> RunResult:
    """The result, if it is the one that the recording leaves room for.

    Raises:
        InternalError: it is not.
    """
    if result is not None and result.status == "succeeded":
        return result
    why = f": {result.error.message}" if result is not None and result.error else ""
    raise InternalError(f"the demo did not come to its end{why}")


def _tell_nobody(_: str) -> None:
    """Stdout belongs to the JSON object."""


def _stay_on_this_machine() -> None:
    """Keep a proxy out of the way: all that the demo asks is on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
