"""`heddle resume RUN`: go on with a run that was stopped, or that waits to be told of a write."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.journals import find, in_journal, named, place_option, say_go_on, standing
from heddle.cli.reading import writable
from heddle.cli.screen import say
from heddle.cli.shared_limits import allowances, shared
from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.engine.events import RunCreated
    from heddle.engine.journal.store import Store
    from heddle.engine.log import EventLog
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve
    from heddle.engine.slots import Slots
    from heddle.models.protocol import Model
    from heddle.tools.function import Tool
    from heddle.tools.probes import Resolution

__all__ = ["resolutions", "resume"]


@click.command
@click.argument("name", metavar="RUN")
@place_option
@options.tools
@click.option("--model", metavar="P:M", help="PROVIDER:MODEL; else those that the run had.")
@click.option("--planner-model", metavar="P:M", help="Another model to write plans.")
@click.option("--joiner-model", metavar="P:M", help="Another model to join the results.")
@click.option(
    "--resolve",
    "said",
    metavar="STEP=OUTCOME",
    multiple=True,
    help="What became of a write whose outcome nobody saw: done, done:JSON (what the tool would "
    "have returned), not-done (do it now) or failed (go on without). 3[7] is element 7 of the map "
    "3.",
)
@click.option("--allow-tool-change", is_flag=True, help="Go on although tools have changed since.")
@shared
@options.yes
@options.report_file
@options.quiet
@options.as_json
def resume(
    name: str,
    place: str | None,
    tool_specs: tuple[str, ...],
    model: str | None,
    planner_model: str | None,
    joiner_model: str | None,
    said: tuple[str, ...],
    allow_tool_change: bool,
    shared_limits: bool,
    yes: bool,
    report: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Go on with RUN (its id, the beginning of its id, or `last`). What is done is not done again.

    Tools and models are those that the run was begun with, unless others are given; limits that it
    shared with other processes it shares again. A run that is over is not run again: its result is
    printed.
    """
    from heddle.cli.faults import about
    from heddle.cli.outcome import give_result
    from heddle.cli.running import carry_out
    from heddle.engine.settings import limits_of
    from heddle.engine.workshop import specs_of

    writable(report)
    resolve = resolutions(said)
    created, status = in_journal(place, lambda store: _begun(store, name))
    with about(created.run_id):
        if status not in ("running", "stopped", "unresolved", "cancelled"):
            if not (quiet or as_json):
                say(f"run {created.run_id} is over, and is not run again: {status}")
            kept = in_journal(place, lambda store: _result_of(store, created.run_id, resolve))
            return give_result(kept, as_json=as_json, quiet=quiet, report=report)
        caller: dict[str, Any] = created.config.get("caller") or {}
        tools = options.toolset(tool_specs) if tool_specs else _tools_of(caller)
        asked = _models(caller, model, planner_model, joiner_model)
        limits = limits_of(created.limits)
        wanted = shared_limits or caller.get("shared_limits", False)

        async def work(log: EventLog, approve: Approve | None) -> RunResult:
            try:
                async with allowances(limits, wanted=wanted) as slots:
                    return await _go_on(
                        created, tools, asked, named(place), slots, approve=approve, log=log,
                        resolve=resolve, allow_tool_change=allow_tool_change,
                    )  # fmt: skip
            finally:
                for each in {id(each): each for each in asked.values()}.values():
                    await each.aclose()

        specs = specs_of({tool.spec.name: tool for tool in tools})
        yes = yes or caller.get("yes", False)
        result = carry_out(work, specs, limits, quiet=quiet or as_json, yes=yes)
    exit_status = give_result(result, as_json=as_json, quiet=quiet, report=report)
    say_go_on(result, place)
    return exit_status


async def _begun(store: Store, name: str) -> tuple[RunCreated, str]:
    """How a run began, and what has become of it, as `standing` says it.

    Raises:
        JournalError: there is no such run, or it is damaged.
    """
    from heddle.engine.events import RunCreated
    from heddle.engine.journal.reading import read
    from heddle.engine.record import event_of
    from heddle.errors import JournalError

    row = await find(store, name)
    async for page in read(store, row.run):
        first = event_of(page.entries[0])
        if isinstance(first, RunCreated):
            return first, standing(row)
    raise JournalError(
        f"of run {row.run} there is nothing but its name",
        code="run-empty",
        hint="nothing of it has happened: start it again",
    )


async def _result_of(store: Store, run: str, resolve: Mapping[str, Resolution]) -> RunResult:
    """What came of a run that is over.

    Raises:
        JournalError: it is damaged; `not-unknown`, if something of it is to be resolved.
    """
    from heddle.engine.given import places_of
    from heddle.engine.reopening import refuse_known
    from heddle.engine.resuming import left_by, remember
    from heddle.engine.retold import retold

    if not resolve and (left := await left_by(store, run)) is not None:
        return left
    past, _ = await remember(store, run)
    refuse_known(past, places_of(resolve))
    return retold(past.events, past.state)


def _tools_of(caller: Mapping[str, Any]) -> list[Tool]:
    """The tools that the run was begun with, from where they were then.

    Raises:
        ConfigError: they are not there any more.
    """
    try:
        return options.toolset(tuple(caller.get("tools", ())))
    except ConfigError as error:
        hint = "the run was begun with it; --tools says where it is now"
        raise ConfigError(error.message, code=error.code, hint=hint) from error


def _models(
    caller: Mapping[str, Any], model: str | None, planner: str | None, joiner: str | None
) -> dict[str, Model]:
    """The models of the run, each of them unless another one is given for it."""
    return options.models(
        model or caller.get("model"),
        planner or (None if model else caller.get("planner_model")),
        joiner or (None if model else caller.get("joiner_model")),
    )


async def _go_on(
    created: RunCreated,
    tools: Sequence[Tool],
    models: Mapping[str, Model],
    place: str,
    slots: Slots | None,
    *,
    approve: Approve | None,
    **options: Any,
) -> RunResult:
    if created.config.get("kind") == "plan":
        from heddle.engine.resuming import resume

        return await resume(
            created.run_id, tools, journal=place, model=models.get(""), slots=slots,
            approve=approve, **options,
        )  # fmt: skip
    from heddle.agent import Agent
    from heddle.engine.settings import limits_of

    limits = limits_of(created.limits)
    agent = Agent(models, tools, limits=limits, approve=approve, journal=place)
    agent.slots = slots or agent.slots
    return await agent.resume(created.run_id, **options)


# -- what a person says of a write ---------------------------------------------------------------

_SAID = re.compile(r"(?P<place>[^=]+)=(?P<outcome>done|not-done|failed)(?::(?P<more>.*))?", re.S)


def resolutions(said: Sequence[str]) -> dict[str, Resolution]:
    """What became of writes, by their places.

    >>> resolutions(["3=done:[1, 2]", "4[0]=not-done", "5=failed:bounced"])
    {'3': Done(value=[1, 2]), '4[0]': NotDone(), '5': Failed(reason='bounced')}

    Raises:
        ConfigError: `bad-resolution`.
    """
    found: dict[str, Resolution] = {}
    for text in said:
        place, resolution = _resolution(text)
        if place in found:
            raise _bad(f"--resolve {place} is given twice")
        found[place] = resolution
    return found


def _resolution(text: str) -> tuple[str, Resolution]:
    from heddle.tools.probes import Done, Failed, NotDone

    match = _SAID.fullmatch(text)
    if match is None:
        raise _bad(f"--resolve {text!r:.60} does not say what became of a step")
    place, outcome, more = match["place"], match["outcome"], match["more"]
    if outcome == "failed":
        return place, Failed(more or "")
    if outcome == "not-done":
        if more is not None:
            raise _bad(f"--resolve {text!r:.60}: what has not happened has no value")
        return place, NotDone()
    try:
        return place, Done(None if more is None else json.loads(more))
    except (ValueError, RecursionError):
        raise _bad(f"--resolve {text!r:.60}: the value is not JSON") from None


def _bad(message: str) -> ConfigError:
    return ConfigError(
        message,
        code="bad-resolution",
        hint="write STEP=done, STEP=done:JSON (what the tool would have returned), STEP=not-done "
        "or STEP=failed",
    )
