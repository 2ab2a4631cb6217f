"""`heddle plan`: print the plan for a question and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.ask import refuse_without_planner
from heddle.cli.findings import has_errors, say_findings
from heddle.cli.loop import results_only, run_loop
from heddle.cli.reading import question_of
from heddle.cli.screen import give, give_json

if TYPE_CHECKING:
    from heddle.agent import Agent
    from heddle.plan.ir import Plan

__all__ = ["plan"]


@click.command
@click.argument("question")
@options.planning
@options.quiet
@options.as_json
def plan(
    question: str,
    tool_specs: tuple[str, ...],
    input_specs: tuple[str, ...],
    model: str | None,
    planner_model: str | None,
    joiner_model: str | None,
    strategy: str,
    quiet: bool,
    as_json: bool,
) -> int:
    """Print the plan for QUESTION (- for stdin) and stop; its findings go to stderr.

    Exit status 3 if the plan has an error finding.
    """
    from heddle.agent import Agent

    question = question_of(question)
    inputs = options.input_values(input_specs)
    refuse_without_planner(model, planner_model)
    tools = options.toolset(tool_specs)
    agent = Agent(options.models(model, planner_model, joiner_model), tools, strategy=strategy)
    with results_only():
        found = run_loop(_plan(agent, question, inputs))
    if as_json:
        give_json(_to_json(found))
    else:
        if has_errors(found.findings) or not quiet:
            say_findings(found.findings, found.text, "plan")
        give(_text(found))
    return 3 if has_errors(found.findings) else 0


async def _plan(agent: Agent, question: str, inputs: dict[str, Any]) -> Plan:
    try:
        return await agent.plan(question, inputs=inputs)
    finally:
        await agent.aclose()


def _text(plan: Plan) -> str:
    """The plan in its dialect, or the planner's own words where that cannot say it."""
    from heddle.plan.dialects import dialect_named

    if plan.holes or not plan.entries:
        return plan.text
    try:
        return dialect_named(plan.dialect).write(plan)
    except ValueError:
        return plan.text


def _to_json(plan: Plan) -> dict[str, Any]:
    from heddle.engine.result import finding_to_json
    from heddle.plan.canonical import plan_to_json

    return {
        "plan": None if plan.holes else plan_to_json(plan),
        "findings": [finding_to_json(finding) for finding in plan.findings],
        "text": _text(plan),
    }
