"""One question of HotpotQA: each step needs what the one before has found."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from heddle.cli.demo.recordings import data_text, recorded_model

if TYPE_CHECKING:
    from heddle.cli.demo.recordings import Pace
    from heddle.engine.log import EventLog
    from heddle.engine.result import RunResult

__all__ = ["GOLD", "QUESTION", "SOURCE", "run_multihop"]

QUESTION = "In what state is the manufacturer of Bisquick headquartered?"
GOLD = "Minnesota"
SOURCE = "HotpotQA, development set, 5adeb78a554299728e26c77a, level hard (CC BY-SA 4.0)"


async def run_multihop(log: EventLog, pace: Pace) -> RunResult:
    """Ask the question over the paragraphs of three HotpotQA questions, indexed in memory."""
    from heddle.agent import Agent
    from heddle.tools.builtin.search import build_index, search_tool

    paragraphs = [json.loads(line) for line in data_text("hotpotqa.jsonl").splitlines()]
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        build_index(connection, paragraphs)
        async with recorded_model("multihop.jsonl", pace) as model:
            agent = Agent(model, [search_tool(connection)])
            return await agent.run(QUESTION, log=log)
