"""The direct strategy: one question, one answer, no tool."""

from __future__ import annotations

import heddle
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel


@heddle.tool(effect="read")
async def price(ticker: str) -> float:
    """Latest price in USD."""
    return 1.0


def test_it_asks_once_and_offers_no_tool() -> None:
    model = ScriptedModel("  Paris\n")

    async def main() -> object:
        agent = heddle.Agent(model, [price], strategy="direct")
        return await agent.run("What is the capital of France?")

    result = run_virtual(main())
    assert result.answer == "Paris"
    assert result.status == "succeeded"
    assert len(model.requests) == 1
    assert model.requests[0].tools == ()
    assert "price" not in model.requests[0].messages[0].content
