"""Faults as messages and exit statuses: the one place where an exception ends.

a person pressed Ctrl-C     130        HeddleError      its own exit status
wrong usage (click)           2        anything else    70, ours: "please report"
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from heddle.cli.screen import give_json, say
from heddle.errors import HeddleError, InternalError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["INTERRUPTED", "about", "report", "say_error"]

INTERRUPTED = 130
_RUNS = ("ask", "run", "resume")


def report(error: BaseException, words: Sequence[str]) -> int:
    """Tell a person, or a program that asked for JSON, what went wrong; give the exit status.

    Args:
        error: what a command raised.
        words: the command line, which says whether JSON is wanted.
    """
    if os.environ.get("HEDDLE_DEBUG"):
        traceback.print_exception(error)
    code, message, hint, status = _told(error)
    if "--json" in words:
        fault = {"code": code, "message": message, "hint": hint}
        command = next((word for word in words if not word.startswith("-")), "")
        run = getattr(error, "run_id", "")
        give_json(_empty_run(run, fault, status) if command in _RUNS else {"error": fault})
    else:
        say_error(message, hint, label="" if status == INTERRUPTED else "error: ")
    return status


def say_error(message: str, hint: str, *, label: str = "error: ") -> None:
    """Write an error and its remedy to stderr."""
    say(message, label=label, fg="red")
    if hint:
        say(hint, label="hint: ", fg="cyan")


def _told(error: BaseException) -> tuple[str, str, str, int]:
    """Code, message, hint and exit status of whatever was raised."""
    if isinstance(error, HeddleError):
        return error.code, error.message, error.hint, error.exit_status
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted", "interrupted", "", INTERRUPTED
    if isinstance(error, click.ClickException):
        return "usage", error.format_message(), _usage_hint(error), 2
    ours = InternalError(_internal(error))
    return ours.code, ours.message, ours.hint, ours.exit_status


def _usage_hint(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    return f"try `{ctx.command_path if ctx else 'heddle'} --help`"


def _internal(error: BaseException) -> str:
    """What to report, short: the exception and the last place it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f", at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    what = f"{type(error).__name__}: {error}"[:500]
    python = ".".join(map(str, sys.version_info[:3]))
    return f"internal error: {what}{where} (Python {python}; HEDDLE_DEBUG=1 shows all)"


@contextlib.contextmanager
def about(run_id: str) -> Generator[None]:
    """Errors in here are about this run.

    Raises:
        HeddleError: what was raised, with the run's id.
    """
    try:
        yield
    except HeddleError as error:
        error.run_id = run_id
        raise


def _empty_run(run: str, fault: dict[str, str], status: int) -> dict[str, Any]:
    """The object of a run that never began, or was not gone on with."""
    from heddle.engine.result import RunError, RunResult, RunUsage, Timing

    kind = {3: "rejected", INTERRUPTED: "cancelled"}.get(status, "failed")
    error = RunError(fault["code"], fault["message"], fault["hint"], status)
    nothing = RunResult(run, kind, None, error, [], [], RunUsage(), Timing())  # type: ignore[arg-type]
    return nothing.to_json()
