"""Record what a model says, in the form that `replay:FILE` gives back."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from heddle.errors import ConfigError
from heddle.models.protocol import Usage
from heddle.models.replay import Row, row_to_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from heddle.models.protocol import Model, Request, ToolCall

__all__ = ["Recorder"]

MAX_CONTAINS: Final = 200


class Recorder:
    """A model that passes everything on, and appends a row to a file for each whole reply.

    A row asks for the request's role and round, and for the beginning of its last message. Replies
    that fail or are given up are not recorded.

    Args:
        model: the one that answers.
        path: a JSONL file; made when the first reply is whole.
    """

    def __init__(self, model: Model, path: Path) -> None:
        self.name = model.name
        self.provider = model.provider
        self._model = model
        self._path = path

    async def stream(self, request: Request) -> AsyncGenerator[str | ToolCall | Usage]:
        """The model's own stream.

        Raises:
            ModelError: the model's own.
            ConfigError: `no-file`: the row cannot be written.
        """
        chunks: list[str | ToolCall] = []
        usage: Usage | None = None
        async with AsyncExitStack() as stack:
            pieces = self._model.stream(request)
            if close := getattr(pieces, "aclose", None):
                stack.push_async_callback(close)
            async for piece in pieces:
                if isinstance(piece, Usage):
                    usage = piece
                else:
                    chunks.append(piece)
                yield piece
        self._append(_row(request, chunks, usage))

    async def aclose(self) -> None:
        """Close the model."""
        await self._model.aclose()

    def _append(self, row: Row) -> None:
        line = json.dumps(row_to_json(row)) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise ConfigError(
                f"cannot write the recording {str(self._path)!r}: {error.strerror}",
                code="no-file",
                hint="choose a file in a directory that exists and may be written to",
            ) from None


def _row(request: Request, chunks: list[str | ToolCall], usage: Usage | None) -> Row:
    asked = request.messages[-1].content[:MAX_CONTAINS] if request.messages else None
    return Row(tuple(chunks), request.role, request.round, asked, usage)
