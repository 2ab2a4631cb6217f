"""`heddle convert`: a plan as text of another dialect; run nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.check import known_to
from heddle.cli.findings import has_errors, say_findings
from heddle.cli.reading import read_plan
from heddle.cli.screen import give, give_json, one_line, say
from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heddle.plan.convert import Converted
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Plan
    from heddle.plan.spec import ToolSpec

__all__ = ["convert"]

_WIDTH = 200


@click.command(
    epilog="""\b
Examples:
  heddle convert plan.txt --to python
  heddle convert - --to json --json < plan.txt"""
)
@click.argument("plan_file", metavar="PLAN")
@click.option("--to", "target", required=True, metavar="DIALECT", help="The dialect to write.")
@options.tools
@click.option("--dialect", default="auto", show_default=True, help="The plan's own dialect.")
@options.quiet
@options.as_json
def convert(
    plan_file: str,
    target: str,
    tool_specs: tuple[str, ...],
    dialect: str,
    quiet: bool,
    as_json: bool,
) -> int:
    """Write PLAN (a file, or - for stdin) in another dialect; run nothing.

    Step ids stay where the dialect can carry them; else all steps are renamed, and stderr says
    how. The text is read back before it is given: it is the same plan. With --tools the plan is
    checked against them, and positional arguments are named where the dialect needs names.

    Exit status 3 for a plan with an error finding, 2 for one that the dialect cannot express.
    """
    from heddle.plan import verify
    from heddle.plan.dialects import dialect_named

    dialect_named(target)
    tools = options.toolset(tool_specs) if tool_specs else None
    plan = read_plan(plan_file, dialect)
    known = known_to(plan, tools)
    findings = verify.check(plan, known)
    if not as_json and (has_errors(findings) or not quiet):
        say_findings(findings, plan.text, plan_file)
    if has_errors(findings):
        if as_json:
            give_json(_to_json(plan, target, None, findings))
        return 3
    converted = _converted(plan, target, known if tools is not None else None)
    if as_json:
        give_json(_to_json(plan, target, converted, findings))
        return 0
    if not quiet:
        for line in _remarks(plan, converted):
            say(one_line(line, _WIDTH), label="note: ")
    give(converted.text)
    return 0


def _converted(plan: Plan, target: str, tools: dict[str, ToolSpec] | None) -> Converted:
    """The plan in that dialect.

    Raises:
        ConfigError: the dialect cannot express it; the hint names those that can.
    """
    from heddle.plan.convert import able, convert

    try:
        return convert(plan, target, tools)
    except ValueError as error:
        others = able(plan, tools)
        raise ConfigError(
            f"the plan cannot be written as {target}: {error}",
            code="inexpressible-plan",
            hint=f"dialects that can express it: {', '.join(others)}"
            if others
            else "no dialect can express it",
        ) from None


def _remarks(plan: Plan, converted: Converted) -> Iterator[str]:
    """What is not as it was, though it is the same plan."""
    from heddle.plan.canonical import canonical_text
    from heddle.plan.dialects import parse

    if converted.renamed:
        pairs = (f"{old} → {new}" for old, new in converted.renamed.items() if old != new)
        yield f"steps renamed: {', '.join(pairs)}"
    if converted.named:
        yield f"positional arguments named: those of steps {', '.join(converted.named)}"
    before, after = (sum(bool(s.note) for s in each.steps) for each in (plan, converted.plan))
    if after < before:
        yield f"{converted.dialect} has no place for notes: {before - after} left out"
    auto = parse(converted.text)
    if auto.holes or canonical_text(auto) != canonical_text(converted.plan):
        yield f"recognised as another dialect: read it with --dialect {converted.dialect}"


def _to_json(
    plan: Plan, target: str, converted: Converted | None, findings: list[Finding]
) -> dict[str, Any]:
    from heddle.engine.result import finding_to_json
    from heddle.plan.canonical import plan_to_json

    return {
        "from": plan.dialect,
        "to": target,
        "text": converted.text if converted else None,
        "renamed": converted.renamed if converted else {},
        "named": list(converted.named) if converted else [],
        "plan": plan_to_json(converted.plan) if converted else None,
        "remarks": list(_remarks(plan, converted)) if converted else [],
        "findings": [finding_to_json(finding) for finding in findings],
    }
