"""What every model is to heddle: messages in, text and calls as they come, then a token count."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from heddle.plan.spec import ToolSpec

__all__ = [
    "Message",
    "Model",
    "Request",
    "ToolCall",
    "Usage",
    "allowance_of",
    "estimated_usage",
    "size_of",
]

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for in its provider's own form (native tool calling).

    Attributes:
        id: the provider's name for it, which the result must carry.
        name: the tool.
        arguments: an object as JSON text, just as the model wrote it.
    """

    id: str
    name: str
    arguments: str

    @property
    def characters(self) -> int:
        """Its size, as an estimate of tokens counts it: the name and the arguments."""
        return len(self.name) + len(self.arguments)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        calls: what an assistant asked for in this turn.
        call_id: the call that this is the result of, in a turn of the role `tool`.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""

    @property
    def characters(self) -> int:
        """The size of the turn: its text, and the names and arguments of its calls."""
        return len(self.content) + sum(call.characters for call in self.calls)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, or the sum of several.

    Attributes:
        input_tokens: all tokens of the prompt, the cached ones included.
        cached_input_tokens: those that the provider had read before.
        output_tokens: tokens of the reply.
        estimated: True when any part of it was not reported but counted from characters.

    >>> Usage(10, 4, 2) + Usage(1, 0, 1, estimated=True)
    Usage(input_tokens=11, cached_input_tokens=4, output_tokens=3, estimated=True)
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.output_tokens + other.output_tokens,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    Attributes:
        role: what the reply is for: planner, joiner, worker or repair.
        round: the round of the plan that it is about.
        schema: JSON schema of the wanted reply; None for free text.
        max_output_tokens: where the reply is cut; None for the provider's own bound.
        stop: texts before which the reply ends.
        tools: offered in the provider's own form, to be called in it; none for plain text.
    """

    messages: tuple[Message, ...]
    role: str = "worker"
    round: int = 1
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()

    @property
    def characters(self) -> int:
        """The size of the prompt: its messages, and the tools as they are described."""
        offered = sum(
            len(tool.name) + len(tool.description) + len(json.dumps(tool.parameters, default=str))
            for tool in self.tools
        )
        return offered + sum(message.characters for message in self.messages)


class Model(Protocol):
    """Something that answers requests.

    Attributes:
        name: the provider's own name for it, as in "gpt-5-mini".
        provider: whose slots and prices hold, as in "openai".

    A model that hears of its provider's limits keeps the last that it heard in `quota`, a
    `heddle.models.quota.Quota`; the attribute may be missing.
    """

    name: str
    provider: str

    def stream(self, request: Request) -> AsyncIterator[str | ToolCall | Usage]:
        """The reply's text as it arrives, each call as it is complete, then one `Usage`, always.

        Where the provider does not count, the usage is an estimate and says so.

        Raises:
            ModelError: the model did not answer, or broke off; nothing is retried here.
        """
        ...

    async def aclose(self) -> None:
        """Give up connections; a later `stream` opens them again."""
        ...


def allowance_of(model: Model) -> str:
    """The name under which a model's calls are bounded: see `heddle.engine.slots`."""
    return f"{model.provider}:{model.name}"


def size_of(piece: str | ToolCall) -> int:
    """The characters of a piece of a reply, as an estimate of its tokens counts them."""
    return len(piece) if isinstance(piece, str) else piece.characters


def estimated_usage(request: Request, output_characters: int) -> Usage:
    """Tokens counted from characters, four to one, rounded up.

    >>> estimated_usage(Request((Message("user", "hello"),)), 3)
    Usage(input_tokens=2, cached_input_tokens=0, output_tokens=1, estimated=True)
    """
    return Usage(
        -(-request.characters // CHARACTERS_PER_TOKEN),
        0,
        -(-output_characters // CHARACTERS_PER_TOKEN),
        estimated=True,
    )
