"""The `llm` tool: a step that asks the worker model.

The model sees the instruction and the context that the plan gives it, and nothing else of the
run. Context is data: it stands as JSON in a block of its own in the user's message, never in the
system message, and with `<` escaped, so that nothing in it can end the block.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from heddle.errors import ModelError
from heddle.plan.spec import ToolSpec
from heddle.tools.function import Metered, Tool, assemble, check_name
from heddle.tools.signature import read_signature
from heddle.tools.values import binder, dumper

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.models.protocol import Message, Model, Request, ToolCall, Usage
    from heddle.models.quota import Quota

__all__ = ["LLM_SPEC", "llm_messages", "llm_tool"]

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

_FORMS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
"""What binds its arguments and what dumps its value, by name: read once, as every run has it."""


def llm_tool(
    model: Model,
    *,
    name: str = "llm",
    stall_timeout_s: float | None = None,
    max_output_tokens: int | None = None,
    heard: Callable[[str, Quota], None] | None = None,
) -> Tool:
    """A tool that asks a model: `llm(instruction, context=None)`, its text with what it cost.

    A call that fails raises the model's own `ModelError`, with the usage until then.

    Args:
        model: the one that is asked.
        name: the tool's.
        stall_timeout_s: seconds of silence after which a call fails; None for the model's own.
        max_output_tokens: where its text is cut; None for the provider's own bound.
        heard: told the name of the model's allowance and what its provider says of that.

    Raises:
        ConfigError: the name cannot be a tool's.
    """

    async def llm(instruction: str, context: Any = None) -> str:
        """Ask a language model.

        Args:
            instruction: what to do, complete in itself: the model sees nothing else.
            context: results of earlier steps, or other data, to work on.
        """
        request = _request(instruction, context, max_output_tokens)
        try:
            return cast("str", await _ask(model, request, stall_timeout_s))  # Metered
        finally:
            quota: Quota | None = getattr(model, "quota", None)
            if heard is not None and quota is not None:
                heard(spec.provider, quota)

    from heddle.models.protocol import allowance_of

    if name not in _FORMS:
        check_name(name)
        found = read_signature(llm, name)
        _FORMS[name] = binder(name, found.takes), dumper(name, found.gives)
    spec = replace(LLM_SPEC, name=name, provider=allowance_of(model))
    made = assemble(spec, llm, *_FORMS[name])
    made.asks = model, lambda args: _request(**args, max_output_tokens=max_output_tokens)
    return made


def _request(
    instruction: str, context: Any = None, max_output_tokens: int | None = None
) -> Request:
    from heddle.models.protocol import Request

    messages = llm_messages(instruction, context)
    return Request(messages, role="worker", round=1, max_output_tokens=max_output_tokens)


async def _ask(model: Model, request: Request, stall_s: float | None) -> Metered:
    heard = _Heard(model, request)
    try:
        await heard.listen(stall_s)
    except ModelError as error:
        error.usage, error.cost_usd = heard.spent()
        raise
    usage, cost_usd = heard.spent()
    return Metered("".join(heard.texts).strip(), usage, cost_usd)


class _Heard:
    """What has come of one reply."""

    def __init__(self, model: Model, request: Request) -> None:
        self.texts: list[str] = []
        self._model = model
        self._request = request
        self._usage: Usage | None = None

    async def listen(self, stall_s: float | None) -> None:
        """Take the whole reply, unless the model falls silent.

        Raises:
            ModelError: its own, or `stalled`.
        """
        now = asyncio.get_running_loop().time
        watch = asyncio.timeout(stall_s)
        try:
            async with watch:
                async for piece in self._model.stream(self._request):
                    self._take(piece)
                    if stall_s is not None:
                        watch.reschedule(now() + stall_s)
        except TimeoutError:
            if not watch.expired():
                raise  # the model's own
            raise ModelError(
                f"no text for {stall_s:g} s",
                code="stalled",
                provider=self._model.provider,
                hint="raise limits.stall_timeout_s, or look at the provider's status",
                retryable=True,
            ) from None

    def spent(self) -> tuple[Usage, float | None]:
        """Tokens and their price: as reported, else an estimate of what came, else nothing."""
        from heddle.models.prices import cost_usd
        from heddle.models.protocol import Usage, estimated_usage

        size = sum(map(len, self.texts))
        usage = self._usage or (estimated_usage(self._request, size) if size else Usage())
        return usage, cost_usd(self._model.provider, self._model.name, usage)

    def _take(self, piece: str | ToolCall | Usage) -> None:
        from heddle.models.protocol import Usage

        if isinstance(piece, str):
            self.texts.append(piece)
        elif isinstance(piece, Usage):
            self._usage = piece


def llm_messages(instruction: str, context: Any = None) -> tuple[Message, ...]:
    """What the model reads of a step: the instruction, and the context as data."""
    from heddle.models.protocol import Message

    return Message("system", _prompt()), Message("user", _question(instruction, context))


def _question(instruction: str, context: Any) -> str:
    if context is None:
        return instruction
    data = json.dumps(context, ensure_ascii=False, sort_keys=True, indent=1)
    data = data.replace("<", "\\u003c")
    return f"{instruction}\n\n<data>\n{data}\n</data>"


@cache
def _prompt() -> str:
    return Path(__file__).with_name("llm.md").read_text(encoding="utf-8").strip()
