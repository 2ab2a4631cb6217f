"""What a call costs, and when the table of prices is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from heddle.models.prices import cost_usd
from heddle.models.protocol import Usage

WAITS_FOR_THE_TABLE = """
import asyncio, sys
import heddle

async def model(messages, **options):
    async with asyncio.timeout(5):
        while "genai_prices" not in sys.modules:
            await asyncio.sleep(0.001)
    yield "1. join()"

async def main():
    from heddle.models.python import PythonModel
    agent = heddle.Agent(PythonModel(model, name="waits"), [])
    assert "genai_prices" not in sys.modules
    await agent.plan("q")

asyncio.run(main())
"""


def test_a_known_model_has_a_price_and_another_has_none() -> None:
    pytest.importorskip("genai_prices")
    assert cost_usd("openai", "gpt-5-mini", Usage(1_000_000, 0, 0)) == pytest.approx(0.25)
    assert cost_usd("nobody", "no-such-model", Usage(1, 0, 1)) is None


def test_the_table_is_read_while_the_model_writes_so_that_no_step_waits_for_it() -> None:
    pytest.importorskip("genai_prices")
    command = [sys.executable, "-c", WAITS_FOR_THE_TABLE]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
