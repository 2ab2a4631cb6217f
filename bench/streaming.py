"""How soon a step starts once it is final: the model's text streams in at a steady pace.

The delay of a step is its start minus the later of: the moment its closing bracket was handed over,
and the end of its last input. The model falls silent for a while in the middle, so that a step
whose input ends meanwhile shows whether anything waits for text.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING, Any

from heddle.agent import Agent
from heddle.engine.events import StepEnded, StepStarted
from heddle.engine.log import EventLog
from heddle.models.protocol import Usage
from heddle.plan.dialects import parse
from heddle.plan.ir import dependencies
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.tools.function import Tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from heddle.models.protocol import Request

PLAN = """\
1. look("the first thing to look at")
2. look("a second and longer thing to look at")
3. look("refine $1 with some more words")
4. look("join $1 and $2 into one")
5. look("independent of everything else")
6. look("based on $3 and $5")
7. look("based on $4")
8. look("one more thing that is alone")
9. look("nearly the last: $6 and $7")
10. look("the last one: $8, $9")
11. join()
"""
SILENCE_AFTER = 'look("independent of everything else")\n'


class _Paced:
    """A planner that writes at a steady pace, and notes when it handed over which text."""

    name, provider = "paced", "bench"

    def __init__(self, token_s: float, silence_s: float) -> None:
        self.token_s = token_s
        self.silence_s = silence_s
        self.handed: list[tuple[float, int]] = []  # loop time, characters handed over by then

    async def stream(self, request: Request) -> AsyncIterator[str | Usage]:
        if request.role == "joiner":
            yield '{"action": "finish", "answer": "done", "reason": null}'
            yield Usage()
            return
        now = asyncio.get_running_loop().time
        silent = PLAN.index(SILENCE_AFTER) + len(SILENCE_AFTER)
        done = 0
        while done < len(PLAN):
            await asyncio.sleep(self.token_s + (self.silence_s if done >= silent else 0.0))
            silent = len(PLAN) + 1 if done >= silent else silent
            chunk = PLAN[done : done + 4]
            done += len(chunk)
            self.handed.append((now(), done))
            yield chunk
        yield Usage()

    async def aclose(self) -> None:
        pass


def _tool(seconds: float) -> Tool:
    async def invoke(args: dict[str, Any]) -> str:
        await asyncio.sleep(seconds)
        return "seen"

    schema = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}
    spec = ToolSpec("look", parameters=schema, result={"type": "string"}, effect="read")
    return Tool(spec, invoke, invoke, blocking=False)


async def _delays(tool_s: float, token_s: float, silence_s: float) -> list[float]:
    model = _Paced(token_s, silence_s)
    log = EventLog()
    offset = asyncio.get_running_loop().time() - log.now()
    agent = Agent(model, [_tool(tool_s)], limits=Limits(concurrency=64))
    await agent.run("bench", log=log)
    started = {event.step: event.at for event in log.events if type(event) is StepStarted}
    ended = {event.step: event.at for event in log.events if type(event) is StepEnded}
    delays: list[float] = []
    for step in parse(PLAN, "llmcompiler").steps:
        bracket = _closing_bracket(step.id)
        final = next(at for at, done in model.handed if done > bracket) - offset
        inputs = [ended[id] for id in dependencies(step)]
        delays.append(started[step.id] - max([final, *inputs]))
    return delays


def _closing_bracket(id: str) -> int:
    start = PLAN.index(f"{id}. ") if id == "1" else PLAN.index(f"\n{id}. ")
    return PLAN.index(")\n", start)


def delays_ms(runs: int = 12, token_s: float = 0.02) -> dict[str, float]:
    """Delays over several runs with short and long tools: median, 99th percentile and worst."""
    found: list[float] = []
    for run in range(runs):
        tool_s = (0.05, 0.3, 1.0)[run % 3]
        found += asyncio.run(_delays(tool_s, token_s, 0.5))
    found.sort()
    return {
        "median": statistics.median(found) * 1e3,
        "p99": found[min(len(found) - 1, round(0.99 * (len(found) - 1)))] * 1e3,
        "max": found[-1] * 1e3,
        "steps": len(found),
    }
