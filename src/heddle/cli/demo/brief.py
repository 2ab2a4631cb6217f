"""The daily portfolio brief: nine quotes, three ways at once, and what was measured of each."""

from __future__ import annotations

import asyncio
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from heddle.cli.demo.quotes import PROVIDER, price_tool, quote_service
from heddle.cli.demo.recordings import recorded_model
from heddle.engine.events import ModelCall
from heddle.engine.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.agent import Agent
    from heddle.cli.demo.recordings import Pace
    from heddle.engine.result import RunResult
    from heddle.models.protocol import Model
    from heddle.tools.function import Tool

__all__ = ["QUESTION", "Figures", "Lane", "LaneRun", "lanes", "measure", "run_brief"]

QUESTION = (
    "My daily brief: I hold 40 AAPL, 25 MSFT, 120 NVDA, 30 AMZN, 35 GOOGL, 12 META, 20 TSLA, "
    "50 JPM and 150 KO. They were worth $78,500 at the last close. What are they worth now, and "
    "how much is the change in percent?"
)


@dataclass(slots=True)
class Lane:
    """One way to run the brief: so many calls of the quote service at once.

    Attributes:
        result: None until the lane has ended.
    """

    name: str
    cap: int
    log: EventLog = field(default_factory=EventLog)
    result: RunResult | None = None


def lanes() -> list[Lane]:
    """The three ways: one call at a time, five, and all nine at once."""
    return [Lane("one at a time", 1), Lane("cap 5", 5), Lane("cap 9", 9)]


async def run_brief(lanes: Sequence[Lane], pace: Pace) -> None:
    """Run the brief in all lanes at once; each lane has its result when this returns."""
    import httpx2

    async with recorded_model("brief.jsonl", pace, readers=len(lanes)) as model:
        with quote_service(pace.call_s) as address:
            async with httpx2.AsyncClient(trust_env=False, timeout=pace.call_s + 30) as client:
                price = price_tool(address, client)
                agents = [_agent(lane, model, price) for lane in lanes]
                async with asyncio.TaskGroup() as group:
                    for lane, agent in zip(lanes, agents, strict=True):
                        group.create_task(_run(lane, agent))


def _agent(lane: Lane, model: Model, price: Tool) -> Agent:
    from heddle.agent import Agent
    from heddle.plan.limits import Limits
    from heddle.tools.builtin.calculator import calculate

    return Agent(model, [price, calculate], limits=Limits(per_provider={PROVIDER: lane.cap}))


async def _run(lane: Lane, agent: Agent) -> None:
    lane.result = await agent.run(QUESTION, log=lane.log)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a lane. Seconds are on the lane's own clock.

    Attributes:
        calls: how many calls of the quote service.
        peak: the most of them that were under way at one time.
        makespan_s: from the first call's start to the last one's end.
        floor_s: what no schedule can beat: the waves that the cap forces, times a call's seconds.
        one_by_one_s: the sum of the calls' own times.
        planning_s: while the planner wrote.
        first_call_s: from the beginning of planning to the first call's start.
        total_s: from question to answer.
    """

    calls: int
    peak: int
    makespan_s: float
    floor_s: float
    one_by_one_s: float
    planning_s: float
    first_call_s: float
    total_s: float

    @property
    def ahead_s(self) -> float:
        """How long before the end of planning the first call started."""
        return self.planning_s - self.first_call_s

    def to_json(self) -> dict[str, float]:
        """As `--json` prints it."""
        return {**asdict(self), "ahead_s": self.ahead_s}


class LaneRun(NamedTuple):
    """A lane that has ended, its result, and what was measured of it."""

    lane: Lane
    result: RunResult
    figures: Figures


def measure(result: RunResult, cap: int, call_s: float) -> Figures:
    """The figures of a lane that has ended, from its steps' times and its events.

    Args:
        result: of a run whose calls of `price` were all made.
        cap: how many of them were allowed at once.
        call_s: what the service takes for each.
    """
    spans = [
        (step.started_s, step.finished_s)
        for step in result.steps
        if step.tool == "price" and step.started_s is not None and step.finished_s is not None
    ]
    planner = next(
        event for event in result.events if isinstance(event, ModelCall) and event.role == "planner"
    )
    first = min(start for start, _ in spans)
    return Figures(
        calls=len(spans),
        peak=_peak(spans),
        makespan_s=max(end for _, end in spans) - first,
        floor_s=math.ceil(len(spans) / cap) * call_s,
        one_by_one_s=sum(end - start for start, end in spans),
        planning_s=planner.at - planner.started_at,
        first_call_s=first - planner.started_at,
        total_s=result.timing.total_s,
    )


def _peak(spans: Sequence[tuple[float, float]]) -> int:
    """The most spans that overlap; one that begins as another ends does not overlap it."""
    changes = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    peak = now = 0
    for _, change in changes:
        now += change
        peak = max(peak, now)
    return peak
