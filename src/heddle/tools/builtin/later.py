"""The `later` tool: a place in a plan where the next call cannot be planned yet.

A planner writes it where whether a call is needed, or which one, depends on a result that it has
not seen. It does nothing; whoever joins the results sees what is to be decided, and asks for
another round if the answer needs it.
"""

from __future__ import annotations

from typing import Any

from heddle.plan.spec import ToolSpec
from heddle.tools.function import Tool

__all__ = ["LATER_SPEC", "later"]

LATER_SPEC = ToolSpec(
    name="later",
    description="Mark what can only be decided when a result is known.",
    parameters={
        "type": "object",
        "properties": {
            "what": {"type": "string", "description": "what is to be decided then."},
            "given": {"default": None, "description": "the result that it depends on."},
        },
        "required": ["what"],
        "additionalProperties": False,
    },
    result={"type": "null"},
    effect="pure",
    implicit=True,
)
"""The `later` tool as a plan sees it."""


async def _nothing(args: dict[str, Any]) -> None:
    """Nothing happens: what is to be decided is in the plan."""


later = Tool(LATER_SPEC, _nothing, _nothing, blocking=False)
