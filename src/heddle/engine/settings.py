"""What a run was asked for, as its journal has it: what it takes to go on with it.

    RunCreated.config = {"kind": "plan", "plan": canonical JSON, "dialect", "text", "findings",
                         "asks", "inputs", "tools", "caller"}
                      | {"kind": "agent", "question", "strategy", "join", "chains", "asks",
                         "inputs", "tools", "caller"}

`asks` says whether somebody was to be asked before effects; `tools` has a hash for each tool.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from heddle.engine.given import plain
from heddle.engine.wire import (
    finding_from_wire,
    finding_to_wire,
    step_from_wire,
    step_to_wire,
)
from heddle.plan.canonical import FORMAT, decode, encode, hash_of, sound
from heddle.plan.ir import Plan
from heddle.plan.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.spec import ToolSpec

__all__ = ["asked_for", "handed_over", "limits_of", "plan_in", "title_of", "tool_hashes"]


def handed_over(
    plan: Plan, *, asks: bool = False, caller: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of a run that was handed a complete plan, but for what the workshop knows."""
    return {
        "kind": "plan",
        "plan": _written(plan),
        "dialect": plan.dialect,
        "text": sound(plan.text),
        "findings": [finding_to_wire(finding) for finding in plan.findings],
        "asks": asks,
        "caller": _plain_caller(caller),
    }


def _written(plan: Plan) -> dict[str, Any] | None:
    """A plan as canonical JSON with notes and places; None for one that no text could hold.

    A program can build such a plan. It is rejected, so nobody will go on with it.
    """
    try:
        steps = [step_to_wire(step) for step in plan.steps]
        output = encode(plan.output)
    except (ValueError, TypeError, RecursionError):
        return None
    return {"heddle": FORMAT, "round": plan.round, "steps": steps, "output": output}


def asked_for(
    question: str,
    *,
    strategy: str,
    join: str,
    chains: int,
    asks: bool = False,
    caller: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The settings of a run that answers a question, but for what the workshop knows."""
    return {
        "kind": "agent",
        "question": question,
        "strategy": strategy,
        "join": join,
        "chains": chains,
        "asks": asks,
        "caller": _plain_caller(caller),
    }


def _plain_caller(caller: Mapping[str, Any] | None) -> Any:
    return plain("what the caller wants to find again", dict(caller or {}), "bad-caller")


def plan_in(config: Mapping[str, Any]) -> Plan:
    """The plan that `handed_over` wrote; it is closed."""
    kept = config["plan"]
    plan = Plan(round=kept["round"], text=config["text"], dialect=config["dialect"])
    for step in kept["steps"]:
        plan.add(step_from_wire(step, sound=True))
    plan.output = decode(kept["output"])
    plan.findings = [finding_from_wire(finding) for finding in config["findings"]]
    plan.close()
    return plan


def title_of(plan: Plan) -> str:
    """What a list of runs calls a plan: its tools, in the order in which they come."""
    tools = dict.fromkeys(step.tool for step in plan.steps)
    return f"{len(plan)} steps: {', '.join(tools)}" if len(plan) != 1 else next(iter(tools), "")


def limits_of(kept: Mapping[str, Any]) -> Limits:
    """The limits that a run began with."""
    known = {field.name for field in fields(Limits)}
    return Limits(**{name: value for name, value in kept.items() if name in known})


def tool_hashes(specs: Mapping[str, ToolSpec]) -> dict[str, str]:
    """By tool, a hash of what a run that is gone on with relies on."""
    return {
        name: hash_of([spec.description, dict(spec.parameters), spec.effect, *_ruling(spec)])
        for name, spec in specs.items()
    }


def _ruling(spec: ToolSpec) -> list[Any]:
    """What a tool's policy says; nothing where it has none."""
    said = spec.on_unknown
    return [] if said is None else [said.outcome, said.value, said.reason]
