"""The `llm` tool: a step that asks the worker model.

The model sees the instruction and the context that the plan gives it, and nothing else of the
run. Context is data: it stands as JSON in a block of its own in the user's message, never in the
system message, and with `<` escaped, so that nothing in it can end the block.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.spec import ToolSpec
from heddle.tools.function import Metered, Tool, tool

if TYPE_CHECKING:
    from heddle.models.protocol import Model

__all__ = ["LLM_SPEC", "llm_tool"]

LLM_SPEC = ToolSpec(
    name="llm",
    description="Ask a language model to carry out one instruction on the given context.",
    parameters={
        "type": "object",
        "properties": {
            "instruction": {
                "type": "string",
                "description": "what to do, complete in itself: the model sees nothing else.",
            },
            "context": {
                "default": None,
                "description": "results of earlier steps, or other data, to work on.",
            },
        },
        "required": ["instruction"],
        "additionalProperties": False,
    },
    result={"type": "string"},
    effect="read",
    asks_model=True,
)
"""The `llm` tool as a plan sees it, also where no model is given: written out, so that checking a
plan needs no pydantic."""


def llm_tool(model: Model, *, name: str = "llm") -> Tool:
    """A tool that asks a model: `llm(instruction, context=None)`, its text with what it cost.

    Raises:
        ConfigError: the name cannot be a tool's.
    """

    @tool(name=name, effect="read", description=LLM_SPEC.description)
    async def llm(instruction: str, context: Any = None) -> str:
        """Ask a language model.

        Args:
            instruction: what to do, complete in itself: the model sees nothing else.
            context: results of earlier steps, or other data, to work on.
        """
        return cast("str", await _ask(model, instruction, context))  # a Metered one

    spec = replace(LLM_SPEC, name=name, provider=model.provider)
    return Tool(spec, llm.__wrapped__, llm.invoke, blocking=False)


async def _ask(model: Model, instruction: str, context: Any) -> Metered:
    from heddle.models.prices import cost_usd
    from heddle.models.protocol import Message, Request, Usage

    messages = (Message("system", _prompt()), Message("user", _question(instruction, context)))
    pieces: list[str] = []
    usage = Usage()
    async for piece in model.stream(Request(messages=messages, role="worker", round=1)):
        if isinstance(piece, str):
            pieces.append(piece)
        elif isinstance(piece, Usage):
            usage = piece
    cost = cost_usd(model.provider, model.name, usage)
    return Metered("".join(pieces).strip(), usage, cost)


def _question(instruction: str, context: Any) -> str:
    if context is None:
        return instruction
    data = json.dumps(context, ensure_ascii=False, sort_keys=True, indent=1)
    data = data.replace("<", "\\u003c")
    return f"{instruction}\n\n<data>\n{data}\n</data>"


@cache
def _prompt() -> str:
    return Path(__file__).with_name("llm.md").read_text(encoding="utf-8").strip()
