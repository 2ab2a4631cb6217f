"""The `expand` tool: a step that runs a plan which came out as a result.

    {"id": "2", "tool": "expand", "args": {"plan": {"$ref": "1"}, "dialect": "json"}}

The scheduler runs it, since a plan is no call: see `heddle.engine.expanding`. Here is what plans
and the verifier see of it.
"""

from __future__ import annotations

from heddle.plan.spec import ToolSpec

__all__ = ["EXPAND_SPEC"]

EXPAND_SPEC = ToolSpec(
    name="expand",
    description="Run a plan that an earlier step gave, and take its output.",
    parameters={
        "type": "object",
        "properties": {
            "plan": {"description": "the plan: its text, or its JSON form as it is."},
            "dialect": {
                "type": "string",
                "default": "json",
                "description": 'the dialect of the text; "auto" recognises it.',
            },
        },
        "required": ["plan"],
        "additionalProperties": False,
    },
    effect="pure",
    implicit=True,
)
"""The `expand` tool as a plan sees it."""
