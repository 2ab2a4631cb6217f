"""A model that says what a test wrote down, in virtual time as well as in real time.

>>> from heddle.models.protocol import Message, Request
>>> from heddle.testing.clock import run_virtual
>>> async def hear(model):
...     return [piece async for piece in model.stream(Request((Message("user", "hi"),)))]
>>> run_virtual(hear(ScriptedModel([[(2.0, "hel"), (0.5, "lo")]])))
['hel', 'lo', Usage(input_tokens=1, cached_input_tokens=0, output_tokens=2, estimated=True)]
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from heddle.errors import ModelError
from heddle.models.protocol import Request, ToolCall, Usage, estimated_usage, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["STALL", "Piece", "Replies", "Script", "ScriptedModel"]


class _Stall:
    def __repr__(self) -> str:
        return "STALL"


STALL: Final = _Stall()
"""In a script: from here on, silence without end."""

Said: TypeAlias = str | ToolCall

Piece: TypeAlias = Said | tuple[float, Said] | Usage | Exception | _Stall
"""Text, or a call; one of them after a delay in seconds; the usage to report; an error to raise; or
STALL."""

Script: TypeAlias = str | list[Piece]
"""One reply."""

Replies: TypeAlias = (
    str
    | Sequence[Script]
    | Callable[[Request], Script]
    | Mapping[str | tuple[str, int], Script | tuple[Script, ...]]
)
"""One text for every request; replies in order; a function of the request; or by role or
(role, round), each one script for every such request or a tuple of scripts, one after the other."""


class ScriptedModel:
    """A model in memory that follows a script.

    Args:
        replies: see `Replies`; (role, round) comes before role.
        name: the model's name.
        provider: whose slots a call takes.

    Attributes:
        requests: every request, in the order in which streams were started.
        closed: how many times it was closed.
    """

    def __init__(
        self, replies: Replies, *, name: str = "scripted", provider: str = "scripted"
    ) -> None:
        self.name = name
        self.provider = provider
        self.requests: list[Request] = []
        self.closed = 0
        self._replies = replies
        self._given: Counter[str | tuple[str, int]] = Counter()

    async def stream(self, request: Request) -> AsyncGenerator[str | ToolCall | Usage]:
        """The next reply, piece by piece, then its usage.

        Raises:
            ModelError: `no-reply`: the script has none for this request.
            Exception: the one that the script holds at this point.
        """
        self.requests.append(request)
        script = self._script(request)
        characters, usage = 0, None
        for piece in [script] if isinstance(script, str) else script:
            if isinstance(piece, Usage):
                usage = piece
                continue
            said = await _spoken(piece)
            characters += size_of(said)
            yield said
        yield usage or estimated_usage(request, characters)

    async def aclose(self) -> None:
        """Count that it was closed."""
        self.closed += 1

    def _script(self, request: Request) -> Script:
        replies = self._replies
        if isinstance(replies, str):
            return replies
        if callable(replies):
            return replies(request)
        if not isinstance(replies, Mapping):
            return self._next("", tuple(replies), request)
        for key in ((request.role, request.round), request.role):
            if key in replies:
                found = replies[key]
                return self._next(key, found, request) if isinstance(found, tuple) else found
        raise self._no_reply(request)

    def _next(
        self, key: str | tuple[str, int], scripts: tuple[Script, ...], request: Request
    ) -> Script:
        place = self._given[key]
        if place >= len(scripts):
            raise self._no_reply(request)
        self._given[key] += 1
        return scripts[place]

    def _no_reply(self, request: Request) -> ModelError:
        return ModelError(
            f"the script has no reply for request {len(self.requests)}"
            f" (role={request.role!r}, round={request.round})",
            code="no-reply",
            provider=self.provider,
            hint="add one to ScriptedModel(replies)",
        )


async def _spoken(piece: Said | tuple[float, Said] | Exception | _Stall) -> Said:
    if isinstance(piece, Exception):
        raise piece
    if isinstance(piece, _Stall):
        return cast("str", await asyncio.get_running_loop().create_future())
    delay_s, said = piece if isinstance(piece, tuple) else (0.0, piece)
    await asyncio.sleep(delay_s)
    return said
