"""What a simulated provider says, in the words of OpenAI's chat completions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heddle.models.protocol import ToolCall, Usage

__all__ = ["Body", "Reply", "Turn", "pieces_of"]

Body: TypeAlias = dict[str, Any]

PIECE = re.compile(r"\n|[^\S\n]*\S{1,4}|[^\S\n]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the provider says, and how fast.

    Attributes:
        pieces: the text as it is cut; None for word pieces.
        usage: what is reported; None for what the provider counts.
        finish_reason: "" for `tool_calls` where there are calls, else `stop`.
        time_to_first_token_s: None for the provider's own.
        tokens_per_second: None for the provider's own.
        calls: native tool calls, after the text; their arguments come in word pieces.
    """

    text: str = ""
    pieces: tuple[str, ...] | None = None
    usage: Usage | None = None
    finish_reason: str = ""
    time_to_first_token_s: float | None = None
    tokens_per_second: float | None = None
    calls: tuple[ToolCall, ...] = ()

    @property
    def said(self) -> str:
        """All that is counted: the text, and the names and arguments of the calls."""
        return self.text + "".join(call.name + call.arguments for call in self.calls)


def pieces_of(text: str) -> tuple[str, ...]:
    r"""Text cut into word pieces of about a token; a line end is a piece of its own.

    >>> pieces_of("1. search(x)\n")
    ('1.', ' sear', 'ch(x', ')', '\n')
    """
    return tuple(match[0] for match in PIECE.finditer(text))


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply to one request, as the API words it."""

    model: str
    reply: Reply
    usage: Usage

    def deltas(self) -> list[Body]:
        """The reply as it is streamed: each piece of text, then each call's head and its pieces."""
        text, pieces = self.reply.text, self.reply.pieces
        said = pieces_of(text) if pieces is None else pieces
        deltas: list[Body] = [{"content": piece} for piece in said]
        for index, call in enumerate(self.reply.calls):
            deltas += [{"tool_calls": [{"index": index, **part}]} for part in _parts(call)]
        return deltas

    def event(self, delta: Body) -> Body:
        """One piece."""
        return self._event([{"index": 0, "delta": delta, "finish_reason": None}])

    def end(self) -> Body:
        """The last choice, with the reason for the end."""
        return self._event([{"index": 0, "delta": {}, "finish_reason": self._finish_reason}])

    def count(self) -> Body:
        """The usage."""
        return {**self._event([]), "usage": self._usage()}

    def whole(self) -> Body:
        """The reply without streaming."""
        message: Body = {"role": "assistant", "content": self.reply.text}
        if self.reply.calls:
            message["content"] = self.reply.text or None
            message["tool_calls"] = [
                _head(call, arguments=call.arguments) for call in self.reply.calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason}
        return {**self._event([choice], "chat.completion"), "usage": self._usage()}

    @property
    def _finish_reason(self) -> str:
        return self.reply.finish_reason or ("tool_calls" if self.reply.calls else "stop")

    def _event(self, choices: list[Body], kind: str = "chat.completion.chunk") -> Body:
        return {
            "id": "chatcmpl-1",
            "object": kind,
            "created": 0,
            "model": self.model,
            "choices": choices,
        }

    def _usage(self) -> Body:
        return {
            "prompt_tokens": self.usage.input_tokens,
            "completion_tokens": self.usage.output_tokens,
            "total_tokens": self.usage.input_tokens + self.usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.usage.cached_input_tokens},
        }


def _parts(call: ToolCall) -> Iterator[Body]:
    """A call as its deltas: a head with empty arguments, then the arguments in word pieces."""
    yield _head(call, arguments="")
    for piece in pieces_of(call.arguments):
        yield {"function": {"arguments": piece}}


def _head(call: ToolCall, *, arguments: str) -> Body:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}
