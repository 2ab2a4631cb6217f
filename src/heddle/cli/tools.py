"""`heddle tools`: tools as plans see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.screen import give_json, one_line, say

if TYPE_CHECKING:
    from heddle.plan.spec import ToolSpec

__all__ = ["tools"]

_MEANING = {
    "pure": "a function of its arguments",
    "read": "looks at the world; may start while the plan is still being written",
    "idempotent": "changes the world; waits for a closed, clean plan; may be repeated with one key",
    "write": "changes the world; waits for a closed, clean plan; at most once per step",
}


@click.command
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@options.as_json
def tools(specs: tuple[str, ...], as_json: bool) -> int:
    """Show the tools of each SPEC (a Python file or module) as plans see them."""
    found = [tool.spec for tool in options.toolset(specs)]
    if as_json:
        give_json({"tools": [_to_json(spec) for spec in found]})
        return 0
    for place, spec in enumerate(found):
        if place:
            say(stdout=True)
        _say_tool(spec)
    return 0


def _say_tool(spec: ToolSpec) -> None:
    from heddle.plan.signature import signature

    say(label=signature(spec), fg="bold", stdout=True)
    if spec.description:
        say(f"  {one_line(spec.description, 200)}", stdout=True)
    assumed = "" if spec.effect_declared else " (assumed: none is declared)"
    say(f"  effect    {spec.effect}{assumed}: {_MEANING[spec.effect]}", stdout=True)
    if not spec.effect_declared:
        say(f"            declare it: {_declaration(spec)}", stdout=True)
    for name, value in _settings(spec).items():
        say(f"  {name:<9} {value}", stdout=True)


def _declaration(spec: ToolSpec) -> str:
    """The one line that says what a tool does to the world."""
    return f'write @heddle.tool(effect="read") above `def {spec.name}`, if it only reads'


def _settings(spec: ToolSpec) -> dict[str, str]:
    timeout = "the run's own" if spec.timeout_s is None else f"{spec.timeout_s:g} s an attempt"
    settings = {
        "provider": spec.provider or "none: no slots of its own",
        "timeout": timeout,
        "at once": "" if spec.concurrency is None else f"at most {spec.concurrency}",
        "selectors": ", ".join(spec.selectors),
        "unknown": _on_unknown(spec),
        "batch": _batch(spec),
    }
    return {name: value for name, value in settings.items() if value}


def _on_unknown(spec: ToolSpec) -> str:
    """What a call counts as whose outcome nobody knows, in words; "" where that is left open."""
    said = spec.on_unknown
    if said is None:
        return ""
    if said.outcome == "done":
        return f"counts as done, with {one_line(json.dumps(said.value), 60)}"
    return "counts as failed" + (f": {one_line(said.reason, 100)}" if said.reason else "")


def _batch(spec: ToolSpec) -> str:
    """How many calls are made as one, in words; "" for a tool without a batch form."""
    if spec.max_batch < 2:
        return ""
    wait = f", after waiting {spec.batch_wait_s:g} s for more" if spec.batch_wait_s else ""
    return f"up to {spec.max_batch} calls as one{wait}"


def _to_json(spec: ToolSpec) -> dict[str, Any]:
    from heddle.plan.signature import signature

    return {
        "name": spec.name,
        "signature": signature(spec),
        "description": spec.description,
        "effect": spec.effect,
        "effect_declared": spec.effect_declared,
        "provider": spec.provider,
        "selectors": list(spec.selectors),
        "concurrency": spec.concurrency,
        "timeout_s": spec.timeout_s,
        "fuse": spec.fuse,
        "on_unknown": _ruling(spec),
        "max_batch": spec.max_batch,
        "batch_wait_s": spec.batch_wait_s,
        "parameters": dict(spec.parameters),
        "result": None if spec.result is None else dict(spec.result),
    }


def _ruling(spec: ToolSpec) -> dict[str, Any] | None:
    said = spec.on_unknown
    if said is None:
        return None
    more = {"value": said.value} if said.outcome == "done" else {"reason": said.reason}
    return {"outcome": said.outcome, **more}
