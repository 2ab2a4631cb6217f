"""heddle: a compiler and a runtime for LLM plans.

    agent  = heddle.Agent(model="openai:gpt-5-mini", tools=[price])
    result = await agent.run("Which of these nine tickers …?")

    plan     = heddle.parse(text)                    # no model needed from here on
    findings = heddle.check(plan, tools=[price])     # [] when clean
    result   = await heddle.execute(plan, tools=[price])

Names are loaded when they are first used, so that importing heddle costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heddle.agent import Agent
    from heddle.engine.calls import CurrentCall, current_call
    from heddle.engine.conversion import convert
    from heddle.engine.execution import check, execute, execute_sync
    from heddle.engine.result import RunResult
    from heddle.engine.resuming import resume
    from heddle.errors import (
        BudgetExceeded,
        ConfigError,
        HeddleError,
        InternalError,
        JournalError,
        ModelError,
        NotSent,
        PlanRejected,
        ToolFailed,
    )
    from heddle.plan.dialects import parse
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Choose, Input, Item, Plan, Ref, Step, Template
    from heddle.plan.limits import Limits
    from heddle.tools.function import Tool, tool
    from heddle.tools.probes import Done, Failed, NotDone, Unsure

__all__ = [
    "Agent",
    "BudgetExceeded",
    "Choose",
    "ConfigError",
    "CurrentCall",
    "Done",
    "Failed",
    "Finding",
    "HeddleError",
    "Input",
    "InternalError",
    "Item",
    "JournalError",
    "Limits",
    "ModelError",
    "NotDone",
    "NotSent",
    "Plan",
    "PlanRejected",
    "Ref",
    "RunResult",
    "Step",
    "Template",
    "Tool",
    "ToolFailed",
    "Unsure",
    "check",
    "convert",
    "current_call",
    "execute",
    "execute_sync",
    "parse",
    "resume",
    "tool",
]

_HOMES = {
    "heddle.agent": ["Agent"],
    "heddle.engine.calls": ["CurrentCall", "current_call"],
    "heddle.engine.conversion": ["convert"],
    "heddle.engine.execution": ["check", "execute", "execute_sync"],
    "heddle.engine.result": ["RunResult"],
    "heddle.engine.resuming": ["resume"],
    "heddle.errors": [
        "BudgetExceeded",
        "ConfigError",
        "HeddleError",
        "InternalError",
        "JournalError",
        "ModelError",
        "NotSent",
        "PlanRejected",
        "ToolFailed",
    ],
    "heddle.plan.dialects": ["parse"],
    "heddle.plan.findings": ["Finding"],
    "heddle.plan.ir": ["Choose", "Input", "Item", "Plan", "Ref", "Step", "Template"],
    "heddle.plan.limits": ["Limits"],
    "heddle.tools.function": ["Tool", "tool"],
    "heddle.tools.probes": ["Done", "Failed", "NotDone", "Unsure"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("heddle-run")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'heddle' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
