"""`heddle run`: run a plan; no planner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heddle.cli import journals, options
from heddle.cli.findings import say_findings
from heddle.cli.reading import read_plan, writable
from heddle.cli.screen import say
from heddle.cli.shared_limits import allowances, shared

if TYPE_CHECKING:
    from heddle.engine.log import EventLog
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve

__all__ = ["run"]


@click.command
@click.argument("plan_file", metavar="PLAN")
@options.tools
@options.inputs
@click.option("--model", metavar="P:M", help="What llm steps ask: PROVIDER:MODEL.")
@click.option("--dialect", default="auto", show_default=True, help="The plan's dialect.")
@options.run_limits
@shared
@journals.keeping
@options.yes
@options.report_file
@options.quiet
@options.as_json
def run(
    plan_file: str,
    tool_specs: tuple[str, ...],
    input_specs: tuple[str, ...],
    model: str | None,
    dialect: str,
    concurrency: int | None,
    timeout: float | None,
    per_provider: tuple[tuple[str, int], ...],
    rpm: tuple[tuple[str, float], ...],
    place: str | None,
    no_journal: bool,
    max_calls: int | None,
    max_tokens: int | None,
    max_cost: float | None,
    max_deaths: int | None,
    shared_limits: bool,
    yes: bool,
    report: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run PLAN (a file, or - for stdin). A plan with an error finding is rejected: nothing runs.

    The run is kept in a journal, so that `heddle resume` can go on with it.
    """
    from heddle.cli.outcome import give_result
    from heddle.cli.running import carry_out
    from heddle.engine.execution import execute
    from heddle.engine.workshop import specs_of

    writable(report)
    kept_at = journals.kept_at(place, no_journal=no_journal)
    plan = read_plan(plan_file, dialect)
    tools = options.toolset(tool_specs)
    inputs = options.input_values(input_specs)
    limits = options.limits(
        concurrency,
        timeout,
        per_provider,
        rpm,
        max_calls,
        max_tokens,
        max_cost,
        max_deaths,
    )
    asked = options.models(model).get("")

    async def work(log: EventLog, approve: Approve | None) -> RunResult:
        try:
            async with allowances(limits, wanted=shared_limits) as slots:
                return await execute(
                    plan, tools, inputs=inputs, model=asked, limits=limits, slots=slots, log=log,
                    approve=approve, journal=kept_at,
                    caller=journals.caller_of(
                        tool_specs, yes=yes, shared_limits=shared_limits, model=model
                    ),
                )  # fmt: skip
        finally:
            if asked is not None:
                await asked.aclose()

    specs = specs_of({tool.spec.name: tool for tool in tools})
    with journals.or_without():
        result = carry_out(work, specs, limits, quiet=quiet or as_json, yes=yes)
    if not as_json:
        say_findings(result.findings, plan.text, plan_file)
        if result.status == "rejected" and not tool_specs:
            say("no --tools: the plan can call no tool of yours", label="note: ")
    status = give_result(result, as_json=as_json, quiet=quiet, report=report)
    if kept_at is not None:
        journals.say_go_on(result, place)
    return status
