"""What a simulated provider is asked, and what that counts in tokens."""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from heddle.models.protocol import CHARACTERS_PER_TOKEN, Message, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.models.protocol import Request
    from heddle.plan.spec import ToolSpec

__all__ = ["Prompt", "PromptCache", "beginning", "four_characters"]


def four_characters(text: str) -> int:
    """Tokens of a text at four characters to one, rounded up.

    >>> four_characters("hello")
    2
    """
    return -(-len(text) // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request holds that a model would read.

    Attributes:
        parts: what is counted, in the order in which it is read, each after a word that says what
            it is and is not counted itself: offered tools first, then each message's content and
            calls. All texts together are as many characters as `Request.characters` says.
    """

    messages: tuple[Message, ...]
    parts: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, asked: Any) -> Prompt:
        """The prompt of a request's JSON.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is no chat request.
        """
        messages = tuple(_message(turn) for turn in asked["messages"])
        offered = [_described(tool["function"]) for tool in asked.get("tools") or ()]
        return cls(messages, _parts(offered, messages))

    @classmethod
    def of(cls, request: Request) -> Prompt:
        """The prompt of a request that took no way over JSON: the same parts in the same order."""
        offered = [_offered(tool) for tool in request.tools]
        return cls(request.messages, _parts(offered, request.messages))

    @property
    def text(self) -> str:
        """All that is counted."""
        return "".join(text for _, text in self.parts)


class PromptCache:
    """Earlier prompts, and how much of a new one they begin with.

    Args:
        count: tokens of a text.
        block: cached tokens come in whole blocks of so many, as providers have it; 1 for the
            exact length of the longest beginning that the prompt has in common with an earlier one.

    Cost: a look-up compares with O(log n) of n earlier prompts: where they are sorted, the nearest
        neighbours have the most in common.
    """

    def __init__(self, count: Callable[[str], int], block: int) -> None:
        self._count = count
        self._block = block
        self._sorted: list[tuple[tuple[str, str], ...]] = []

    def cached_tokens(self, prompt: Prompt) -> int:
        """How many tokens of the prompt were read before; from now on all of them were."""
        place = bisect_left(self._sorted, prompt.parts)
        neighbours = self._sorted[max(0, place - 1) : place + 1]
        shared = [_shared(prompt.parts, earlier) for earlier in neighbours]
        self._sorted.insert(place, prompt.parts)
        return self._count(max(shared, key=len, default="")) // self._block * self._block


def _shared(one: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...]) -> str:
    """The text that two prompts begin with."""
    shared: list[str] = []
    for (kind, text), (other_kind, other_text) in zip(one, other, strict=False):
        if kind != other_kind:
            break
        shared.append(beginning(text, other_text))
        if text != other_text:
            break
    return "".join(shared)


def beginning(one: str, other: str) -> str:
    """What two texts begin with, by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return one[:low]


def _parts(offered: list[str], messages: tuple[Message, ...]) -> tuple[tuple[str, str], ...]:
    parts = [("tool", text) for text in offered]
    for turn in messages:
        parts.append((turn.role, turn.content))
        parts += [("call", call.name + call.arguments) for call in turn.calls]
    return tuple(parts)


def _message(turn: Any) -> Message:
    calls = tuple(_call(call) for call in turn.get("tool_calls") or ())
    content = turn["content"]
    text = "" if content is None else str(content)
    return Message(cast("Any", str(turn["role"])), text, calls, turn.get("tool_call_id", ""))


def _call(call: Any) -> ToolCall:
    function = call["function"]
    return ToolCall(call["id"], function["name"], function["arguments"])


def _offered(tool: ToolSpec) -> str:
    return f"{tool.name}{tool.description}{json.dumps(tool.parameters, default=str)}"


def _described(function: Any) -> str:
    parameters = json.dumps(function.get("parameters", {}))
    return f"{function['name']}{function.get('description', '')}{parameters}"
