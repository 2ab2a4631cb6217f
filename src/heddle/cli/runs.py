"""`heddle runs`: the runs that a journal keeps, the latest first."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.journals import go_on, in_journal, named, place_option, standing
from heddle.cli.screen import give_json, one_line, say, say_parts, table
from heddle.errors import JournalError

if TYPE_CHECKING:
    from heddle.engine.journal.store import RunRow, Store

__all__ = ["COLOURS", "ago", "runs"]

COLOURS = {
    "running": "cyan", "stopped": "yellow", "unresolved": "magenta", "succeeded": "green",
    "failed": "red",
}  # fmt: skip
"""The colour of each status of a run that has one."""


@click.command
@place_option
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N",
    help="Runs at most.",
)  # fmt: skip
@options.as_json
def runs(place: str | None, limit: int, as_json: bool) -> int:
    """List runs: when, what became of them, how far they are, and how to go on."""
    from heddle.engine.addresses import shown

    async def work(store: Store) -> list[dict[str, Any]]:
        return [_run(row, place) for row in await store.runs(limit)]

    try:
        found = in_journal(place, work)
    except JournalError as error:
        if error.code != "run-unknown":
            raise
        found = []
    if as_json:
        give_json({"journal": shown(named(place)), "runs": found})
    elif found:
        _say(found)
    else:
        say(f"no runs are kept at {shown(named(place))}")
    return 0


def _run(row: RunRow, place: str | None) -> dict[str, Any]:
    """What is shown of a run, by its row.

    Its journal is not read: `show`, `resume` and `audit` find out whether that is whole.
    """
    from heddle.engine.journal.progress import said

    status, progress = standing(row), said(row.progress)
    unknown = progress.unknown if progress is not None else []
    return {
        "run_id": row.run,
        "status": status,
        "title": row.title,
        "created": _iso(row.created),
        "updated": _iso(row.updated),
        "steps": {"done": progress.done, "total": progress.total} if progress else None,
        "unknown": unknown,
        "next": go_on(row.run, status, unknown, place),
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _say(found: list[dict[str, Any]]) -> None:
    now = time.time()
    rows = [
        (
            run["run_id"],
            f"{ago(now - datetime.fromisoformat(run['created']).timestamp())} ago",
            run["status"],
            f"{run['steps']['done']}/{run['steps']['total']}" if run["steps"] else "-",
            one_line(run["title"], 50),
        )
        for run in found
    ]
    for run, row, line in zip(found, rows, table(rows, right=(1, 3)), strict=True):
        before, status, rest = line.partition(row[2])
        say_parts([(before, ""), (status, COLOURS.get(status, "")), (rest, "")])
        if run["next"]:
            say_parts([(f"    {run['next']}", "dim")])


_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def ago(seconds: float) -> str:
    """How long ago something was, for people.

    >>> ago(3.2), ago(75), ago(7300), ago(200_000)
    ('3 s', '1 min', '2 h', '2 d')
    """
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
