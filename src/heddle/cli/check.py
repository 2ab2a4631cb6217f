"""`heddle check`: verify a plan; run nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heddle.cli import options
from heddle.cli.findings import has_errors, say_findings
from heddle.cli.reading import read_plan
from heddle.cli.screen import give_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.plan.bounds import Bounds
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Plan
    from heddle.plan.spec import ToolSpec
    from heddle.tools.function import Tool

__all__ = ["check", "known_to"]


@click.command
@click.argument("plan_file", metavar="PLAN")
@options.tools
@click.option("--dialect", default="auto", show_default=True, help="The plan's dialect.")
@options.quiet
@options.as_json
def check(
    plan_file: str, tool_specs: tuple[str, ...], dialect: str, quiet: bool, as_json: bool
) -> int:
    """Verify PLAN (a file, or - for stdin); run nothing. Says how much it may ask for.

    Without --tools only what needs no tools is checked. Exit status 3 with an error finding, 0
    with warnings only.
    """
    from heddle.plan import verify
    from heddle.plan.bounds import bounds_of

    tools = options.toolset(tool_specs) if tool_specs else None
    plan = read_plan(plan_file, dialect)
    known = known_to(plan, tools)
    findings = verify.check(plan, known)
    bounds = bounds_of(plan, known)
    if as_json:
        give_json(_to_json(plan, findings, bounds, tools_checked=tools is not None))
    else:
        if tools is None and not quiet:
            say("no --tools: names, arguments and types of tools are not checked", label="note: ")
        say_findings(findings, plan.text, plan_file, stdout=True)
        if not findings:
            say("no findings", stdout=True)
        if plan.steps and not has_errors(findings):
            say(bounds.said, stdout=True)
    return 3 if has_errors(findings) else 0


def known_to(plan: Plan, tools: Sequence[Tool] | None) -> dict[str, ToolSpec]:
    """What a plan may call: these tools, or whatever it names where none were given."""
    from heddle.engine.workshop import specs_of

    return _any_tools(plan) if tools is None else specs_of({tool.spec.name: tool for tool in tools})


def _any_tools(plan: Plan) -> dict[str, ToolSpec]:
    """For each tool that a plan names, one that takes whatever the plan gives it.

    Tools that plans always have are what they are.
    """
    from heddle.engine.workshop import specs_of
    from heddle.plan.spec import ToolSpec

    taken: dict[str, dict[str, object]] = {}
    for step in plan.steps:
        taken.setdefault(step.tool, {}).update({name: {} for name in step.args})
    always = specs_of({})
    return {
        name: always.get(name)
        or ToolSpec(name, parameters={"properties": properties, "additionalProperties": True})
        for name, properties in taken.items()
    }


def _to_json(
    plan: Plan, findings: list[Finding], bounds: Bounds, *, tools_checked: bool
) -> dict[str, object]:
    from heddle.engine.result import finding_to_json

    return {
        "dialect": plan.dialect,
        "steps": len(plan.entries),
        "tools_checked": tools_checked,
        "bounds": bounds.to_json(),
        "findings": [finding_to_json(finding) for finding in findings],
    }
