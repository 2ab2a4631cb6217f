"""`heddle ask`: plan a question, run the plan, answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heddle.cli import journals, options
from heddle.cli.findings import say_findings
from heddle.cli.reading import question_of, writable
from heddle.cli.shared_limits import allowances, shared
from heddle.errors import ConfigError

if TYPE_CHECKING:
    from heddle.agent import Agent
    from heddle.engine.log import EventLog
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve
    from heddle.plan.findings import Finding

__all__ = ["ask", "refuse_without_planner"]


@click.command
@click.argument("question")
@options.planning
@options.run_limits
@shared
@click.option(
    "--join",
    default="best-effort",
    show_default=True,
    metavar="POLICY",
    help="Results to wait for: best-effort, all, any, quorum:K.",
)
@click.option(
    "--chains",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Plan the question so many times, where the strategy takes a vote.",
)
@journals.keeping
@options.yes
@options.report_file
@options.quiet
@options.as_json
def ask(
    question: str,
    tool_specs: tuple[str, ...],
    input_specs: tuple[str, ...],
    model: str | None,
    planner_model: str | None,
    joiner_model: str | None,
    strategy: str,
    concurrency: int | None,
    timeout: float | None,
    per_provider: tuple[tuple[str, int], ...],
    rpm: tuple[tuple[str, float], ...],
    max_calls: int | None,
    max_tokens: int | None,
    max_cost: float | None,
    max_deaths: int | None,
    shared_limits: bool,
    join: str,
    chains: int,
    place: str | None,
    no_journal: bool,
    yes: bool,
    report: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Answer QUESTION (- for stdin): plan, run the plan while it is written, join the results.

    The run is kept in a journal, so that `heddle resume` can go on with it.
    """
    from heddle.agent import Agent
    from heddle.cli.outcome import give_result
    from heddle.cli.running import carry_out
    from heddle.engine.workshop import specs_of

    question = question_of(question)
    writable(report)
    kept_at = journals.kept_at(place, no_journal=no_journal)
    inputs = options.input_values(input_specs)
    refuse_without_planner(model, planner_model)
    tools = options.toolset(tool_specs)
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
    asked = options.models(model, planner_model, joiner_model)

    caller = journals.caller_of(
        tool_specs, yes=yes, shared_limits=shared_limits, model=model,
        planner_model=planner_model, joiner_model=joiner_model,
    )  # fmt: skip

    async def work(log: EventLog, approve: Approve | None) -> RunResult:
        agent = Agent(
            asked, tools, strategy=strategy, limits=limits, approve=approve, join=join,
            chains=chains, journal=kept_at,
        )  # fmt: skip
        async with allowances(limits, wanted=shared_limits) as slots:
            agent.slots = slots or agent.slots
            return await _answer(agent, question, inputs, log, caller)

    specs = specs_of({tool.spec.name: tool for tool in tools})
    with journals.or_without():
        result = carry_out(work, specs, limits, quiet=quiet or as_json, yes=yes)
    if not as_json:
        for plan in result.plans:
            findings = [item for item in plan.findings if not _is_the_error(item, result)]
            say_findings(findings, plan.text, f"plan of round {plan.round}")
    status = give_result(result, as_json=as_json, quiet=quiet, report=report)
    if kept_at is not None:
        journals.say_go_on(result, place)
    return status


def _is_the_error(finding: Finding, result: RunResult) -> bool:
    """Whether the run's error, which comes last, says all of a finding that has no place."""
    error = result.error
    return error is not None and not finding.line and finding.message.endswith(error.message)


async def _answer(
    agent: Agent, question: str, inputs: dict[str, Any], log: EventLog, caller: dict[str, Any]
) -> RunResult:
    try:
        return await agent.run(question, inputs=inputs, log=log, caller=caller)
    finally:
        await agent.aclose()


def refuse_without_planner(model: str | None, planner_model: str | None) -> None:
    """Refuse to plan when there is nobody to plan.

    Raises:
        ConfigError: no model was named.
    """
    if not (model or planner_model):
        raise ConfigError(
            "no model was given",
            code="no-model",
            hint="pass --model PROVIDER:NAME, as in openai:gpt-5-mini, ollama:llama3.2 or "
            "replay:FILE",
        )
