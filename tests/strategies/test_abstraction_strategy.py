"""The abstraction strategy: several chains, and the answer that most of them come to."""

from __future__ import annotations

import asyncio
from typing import Any

import heddle
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel


@heddle.tool(effect="read")
async def look(seconds: float, found: str) -> str:
    """What is found, after a while."""
    await asyncio.sleep(seconds)
    return found


def test_a_vote_waits_for_chains_whose_tools_end_after_those_of_the_first() -> None:
    chains = [
        f'[FUNC look({seconds}, "{found}") = y1]\nAnswer: y1\n'
        for seconds, found in ((1, "Rome"), (5, "Paris"), (9, "Paris"))
    ]

    async def main() -> Any:
        model = ScriptedModel(chains)
        return await heddle.Agent(model, [look], strategy="abstraction", chains=3).run("q")

    result = run_virtual(main())
    assert result.answer == "Paris"
    assert result.reasons == ("2 of 3 chains come to the answer of chain 2",)
