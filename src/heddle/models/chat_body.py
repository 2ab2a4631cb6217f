"""A request in the words of OpenAI's chat completions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.models.protocol import Message, Request
    from heddle.plan.spec import ToolSpec

__all__ = ["body_of", "sent_names"]

NAME_LENGTH: Final = 64
NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


def body_of(
    request: Request, model: str, names: Mapping[str, str], *, say_parallel: bool = True
) -> bytes:
    """The JSON of a streamed request.

    Args:
        request: what is asked.
        model: the server's name for the model.
        names: see `sent_names`.
        say_parallel: send `parallel_tool_calls`, with offered tools.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_turn(message, names) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": request.schema},
        }
    if request.max_output_tokens is not None:
        body["max_completion_tokens"] = request.max_output_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [_offer(tool, names[tool.name]) for tool in request.tools]
        body["tool_choice"] = "auto"
        if say_parallel:
            body["parallel_tool_calls"] = True
    # lone surrogates, which UTF-8 cannot hold, travel as escapes
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()


def sent_names(tools: Sequence[ToolSpec]) -> dict[str, str]:
    """Under which name each tool is offered: the API takes letters, digits, `_`, `-`, up to 64.

    >>> from heddle.plan.spec import ToolSpec
    >>> sent_names([ToolSpec("quotes.price"), ToolSpec("quotes_price")])
    {'quotes.price': 'quotes_price_2', 'quotes_price': 'quotes_price'}
    """
    names = {tool.name: tool.name for tool in tools if _sendable(tool.name) == tool.name}
    taken = set(names)
    for tool in tools:
        if tool.name not in names:
            names[tool.name] = _unlike(taken, _sendable(tool.name))
            taken.add(names[tool.name])
    return {tool.name: names[tool.name] for tool in tools}


def _sendable(name: str) -> str:
    return NOT_IN_A_NAME.sub("_", name)[:NAME_LENGTH]


def _unlike(taken: set[str], name: str) -> str:
    """The name, with the lowest number that makes it another than those that are taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name[: NAME_LENGTH - len(str(number)) - 1]}_{number}"
    return free


def _offer(tool: ToolSpec, name: str) -> dict[str, Any]:
    # not `strict`: that would ask every property to be required, and schemas to be of a subset
    function = {"name": name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _turn(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        turn["content"] = message.content or None
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": names.get(call.name) or _sendable(call.name),
                    "arguments": call.arguments,
                },
            }
            for call in message.calls
        ]
    if message.role == "tool":
        turn["tool_call_id"] = message.call_id
    return turn
