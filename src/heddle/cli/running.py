"""A run from the command line: shown while it lasts, stopped by Ctrl-C, read from its log."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

from heddle.cli.approval import approver
from heddle.cli.faults import INTERRUPTED
from heddle.cli.live import view_of
from heddle.cli.loop import results_only, run_loop
from heddle.cli.screen import say
from heddle.engine.events import CallAbandoned, LeaseTaken
from heddle.engine.log import EventLog
from heddle.engine.result import RunError, RunResult, batched, result_of
from heddle.engine.state import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from heddle.engine.round import Approve
    from heddle.plan.limits import Limits
    from heddle.plan.spec import ToolSpec

    Work: TypeAlias = Callable[[EventLog, Approve | None], Coroutine[Any, Any, RunResult]]

__all__ = ["carry_out"]


def carry_out(
    work: Work,
    specs: Mapping[str, ToolSpec],
    limits: Limits,
    *,
    quiet: bool = False,
    yes: bool = False,
) -> RunResult:
    """Run something to its end, or to Ctrl-C.

    Args:
        work: starts the run, with the log that it is to fill and whom it asks before effects.
        specs: the tools of the run.
        limits: its bounds.
        quiet: show nothing.
        yes: approve effects without asking.

    Raises:
        HeddleError: what the run raised before it began.
    """
    view = view_of(specs, limits, quiet=quiet)
    log = EventLog(*view.sinks)
    try:
        with results_only(), view:
            approve = approver(view, specs, yes=yes)
            return run_loop(view.watch(log, work(log, approve)))
    except KeyboardInterrupt:
        return _interrupted(log, specs, limits)
    finally:
        _say_left_behind(log)


def _say_left_behind(log: EventLog) -> None:
    """The tools whose calls still go on: they end with the process, as others have before."""
    here = takewhile(lambda event: not isinstance(event, LeaseTaken), reversed(log.events))
    left = [event for event in here if isinstance(event, CallAbandoned)][::-1]
    if left:
        calls = ", ".join(f"{event.tool} (step {event.step})" for event in left[:8])
        more = f" and {len(left) - 8} more" if len(left) > 8 else ""
        say(
            f"left behind: {calls}{more}; isolate=True makes a tool's calls stoppable",
            label="warning: ",
        )


def _interrupted(log: EventLog, specs: Mapping[str, ToolSpec], limits: Limits) -> RunResult:
    """What there is of a run that was stopped."""
    state = fold(log.events)
    unseen = [step.id for step in state.steps.values() if step.status == "unknown"]
    hint = (
        f"nobody saw the outcome of step {', '.join(unseen)}: resume asks its probe, or you"
        if unseen
        else ""
    )
    return result_of(
        state,
        [],
        log.events,
        slots=(limits.concurrency, {}),
        together=batched(specs),
        answer=None,
        error=RunError("interrupted", "interrupted", hint, INTERRUPTED),
        findings=[finding for round in state.rounds for finding in round.findings],
    )
