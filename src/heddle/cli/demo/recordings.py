"""The demo's data, and a model that speaks its recorded replies at the speed of a real one.

The replies go through the simulated provider and the OpenAI client: over HTTP, token by token.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from heddle.models.protocol import Model

__all__ = ["Pace", "data_text", "recorded_model"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the demo's outside world is.

    Attributes:
        call_s: seconds that the quote service takes for a call.
        first_token_s: seconds until a reply begins.
        tokens_per_second: of a reply that has begun; a token is about four characters.
    """

    call_s: float = 2.0
    first_token_s: float = 0.4
    tokens_per_second: float = 60.0

    def times(self, factor: float) -> Pace:
        """The same world, so many times as fast."""
        return Pace(
            self.call_s / factor, self.first_token_s / factor, self.tokens_per_second * factor
        )


def data_text(name: str) -> str:
    """One of the demo's data files."""
    return (files("heddle.cli.demo") / "data" / name).read_text("utf-8")


@asynccontextmanager
async def recorded_model(name: str, pace: Pace, *, readers: int = 1) -> AsyncGenerator[Model]:
    """A model that gives the recorded replies of a data file while the context lasts.

    Args:
        name: the data file, in the format of `replay:FILE`.
        pace: how fast the replies come.
        readers: how many runs will each ask for every reply once.
    """
    from heddle.models.openai import OpenAIModel
    from heddle.models.replay import row_from_json
    from heddle.testing.provider import SimulatedProvider, pieces_of

    rows = [row_from_json(json.loads(line)) for line in data_text(name).splitlines()]
    spoken = [replace(row, chunks=pieces_of(row.text)) for row in rows]
    async with SimulatedProvider(
        spoken * readers,
        time_to_first_token_s=pace.first_token_s,
        tokens_per_second=pace.tokens_per_second,
    ) as provider:
        model = OpenAIModel("recorded", provider="simulated", base_url=provider.base_url)
        try:
            yield model
        finally:
            await model.aclose()
