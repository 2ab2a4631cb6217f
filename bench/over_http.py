"""A made-up world behind a simulated provider: real sockets, real streaming, the same replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heddle.models.protocol import Request, ToolCall
from heddle.testing.chat_reply import Reply
from heddle.testing.chat_request import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.testing.world import World

__all__ = ["replies_of"]


def replies_of(world: World) -> Callable[[dict[str, Any]], Reply]:
    """What the world's model says to the JSON of a request: `SimulatedProvider(replies_of(w))`."""

    def reply(asked: dict[str, Any]) -> Reply:
        said = world.reply(_request(world, asked))
        text = "".join(part for part in said if isinstance(part, str))
        return Reply(text, calls=tuple(part for part in said if isinstance(part, ToolCall)))

    return reply


def _request(world: World, asked: dict[str, Any]) -> Request:
    """A role does not travel: who reads no tools, in either form, is to join or to answer."""
    messages = Prompt.read(asked).messages
    offered = tuple(tool.spec for tool in world.tools) if asked.get("tools") else ()
    system = messages[0].content
    plans = offered or "Tools:\n" in system or "Functions:\n" in system
    schema = {} if "response_format" in asked else None
    return Request(messages, "planner" if plans else "joiner", schema=schema, tools=offered)
