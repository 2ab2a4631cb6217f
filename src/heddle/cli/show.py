"""`heddle show RUN`: what became of a run, by its journal: plans, steps, findings and answer."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from heddle.cli import options
from heddle.cli.calls import call_text
from heddle.cli.journals import (
    OUTCOMES,
    find,
    go_on,
    in_journal,
    load,
    place_option,
    standing,
)
from heddle.cli.reading import writable
from heddle.cli.runs import COLOURS, ago
from heddle.cli.screen import give_json, one_line, say, say_parts
from heddle.plan.ir import Hole

if TYPE_CHECKING:
    from heddle.cli.journals import KeptRun
    from heddle.engine.journal.store import RunRow, Store
    from heddle.engine.result import RunResult
    from heddle.plan.ir import Plan

__all__ = ["show"]


@click.command
@click.argument("name", metavar="RUN")
@place_option
@options.report_file
@options.as_json
def show(name: str, place: str | None, report: str | None, as_json: bool) -> int:
    """Show RUN (its id, the beginning of its id, or `last`), whether it is over or not."""
    writable(report)
    row, result, unknown = in_journal(place, lambda store: _looked_up(store, name))
    status = standing(row)
    if report is not None:
        from heddle.web.report import write_report

        write_report(result, report)
    if as_json:
        give_json({**result.to_json(), "status": status, "run_id": row.run})
    else:
        _say(row, result, unknown, status, place)
    return 0


async def _looked_up(store: Store, name: str) -> tuple[RunRow, RunResult, list[str]]:
    """A run, what there is of its result, and which of its writes are in doubt.

    Raises:
        JournalError: there is no such run, or it is damaged.
    """
    from heddle.engine.journal.progress import unknown_places
    from heddle.engine.resuming import left_by
    from heddle.engine.retold import retold
    from heddle.engine.state import fold

    row = await find(store, name)
    if (left := await left_by(store, row.run)) is not None:
        return row, left, []
    kept = await load(store, row)
    state = fold(kept.events)
    return row, _begun(retold(kept.events, state), kept), unknown_places(state)


def _say(
    row: RunRow, result: RunResult, unknown: list[str], status: str, place: str | None
) -> None:
    from heddle.cli.findings import say_findings
    from heddle.cli.outcome import give_answer, say_outcome

    when = f"begun {ago(time.time() - row.created)} ago"
    say_parts([(f"run {row.run}  ", "bold"), (status, COLOURS.get(status, "")), (f"  {when}", "")])
    if row.title:
        say(one_line(row.title, 200), stdout=True)
    for plan in result.plans:
        _say_plan(plan)
        say_findings(plan.findings, plan.text, f"plan of round {plan.round}")
    say_outcome(result if status == "running" else _cut_off(result))
    following = go_on(row.run, status, unknown, place)
    if following:
        say(f"to go on: {following}", stdout=True)
        if "OUTCOME" in following:
            say(OUTCOMES, stdout=True)
    give_answer(result)


def _begun(result: RunResult, kept: KeptRun) -> RunResult:
    """A result in which an effect whose intent is on the disk is under way, begun or not."""
    from heddle.engine.past import Past

    intents = {id for id, _ in Past(kept.events).doubtful}
    steps = [
        replace(step, status="running")
        if step.id in intents and step.status in ("waiting", "ready")
        else step
        for step in result.steps
    ]
    return replace(result, steps=steps)


def _cut_off(result: RunResult) -> RunResult:
    """A result whose steps nobody runs any more: nothing of them is under way."""
    steps = [
        replace(step, status="cut-off") if step.status == "running" else step
        for step in result.steps
    ]
    return replace(result, steps=steps)


def _say_plan(plan: Plan) -> None:
    """A plan's lines, in a form that every plan has."""
    written = f", written in {plan.dialect}" if plan.dialect else ""
    say(f"plan of round {plan.round}{written}", stdout=True)
    for entry in plan.entries:
        line = entry.text if isinstance(entry, Hole) else call_text(entry)
        say(f"  {one_line(entry.id, 16)}  {one_line(line, 100)}", stdout=True)
