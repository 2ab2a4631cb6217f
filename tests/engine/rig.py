"""The engine without the floors above it: a scheduler, its log, and tools of plain Python."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from heddle.engine.events import (
    ElementEnded,
    Event,
    StepAccepted,
    StepEnded,
    StepError,
    StepResult,
    StepStarted,
)
from heddle.engine.log import EventLog
from heddle.engine.parts import Terms
from heddle.engine.scheduler import Scheduler
from heddle.engine.state import RunState, fold
from heddle.plan.spec import ToolSpec

if TYPE_CHECKING:
    from heddle.plan.ir import Step

Call = Callable[..., Awaitable[Any]]


class Functions:
    """An executor that calls coroutine functions by their names."""

    def __init__(self, **functions: Call) -> None:
        self.functions = functions

    async def call(self, tool: str, args: dict[str, Any], attempt: int) -> Any:
        return await self.functions[tool](**args)


def origins(id: str) -> tuple[int, int, str]:
    """A place in a plan, where a test does not look at it."""
    return 1, 1, "00"


class Loom:
    """A scheduler of one run; use it as an asynchronous context manager.

    Args:
        specs: the tools; names alone are pure tools whose equal calls are not one.
        executor: calls them; coroutine functions by name may be given instead.
        released: whether effects may start from the beginning.
    """

    def __init__(
        self,
        executor: Any = None,
        *,
        specs: Iterable[ToolSpec] = (),
        released: bool = True,
        log: EventLog | None = None,
        functions: Mapping[str, Call] | None = None,
        **options: Any,
    ) -> None:
        executor = executor or Functions(**(functions or {}))
        known = {name: ToolSpec(name, effect="pure", fuse=False) for name in functions or {}}
        self.log = log or EventLog()
        self.specs = {**known, **{spec.name: spec for spec in specs}}
        self.scheduler = Scheduler(self.specs, executor, self.log, Terms(**options))
        self.added = 0
        if released:
            self.scheduler.release(origins)

    async def __aenter__(self) -> Loom:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.scheduler.close()

    def add(self, *steps: Step) -> None:
        """Accept steps as a round does: the log first, then the scheduler."""
        for step in steps:
            self.added += 1
            self.log.emit(StepAccepted(self.log.now(), 1, self.added, step))
            self.scheduler.add(step)

    async def run(self, *steps: Step) -> RunState:
        """Accept steps, and give the state when everything has ended."""
        self.add(*steps)
        await self.scheduler.wait()
        return self.state()

    def state(self) -> RunState:
        """The fold of the events so far."""
        return fold(self.log.events)

    def events(self, *kinds: type[Event]) -> list[Any]:
        """The events of these kinds, in order."""
        return [event for event in self.log.events if type(event) in kinds]

    def started(self) -> list[str]:
        """The ids of started steps, in the order of their starts."""
        return [event.step for event in self.events(StepStarted)]

    def statuses(self) -> dict[str, tuple[str, str]]:
        """Status and code of each step that has ended."""
        return {event.step: (event.status, event.code) for event in self.events(StepEnded)}


def peak(events: Iterable[Event], among: Callable[[str], bool] = lambda _: True) -> int:
    """How many steps and elements of maps were in flight at most, by the events."""
    running: set[tuple[str, int | None]] = set()
    most = 0
    for event in events:
        if isinstance(event, StepStarted) and among(event.step):
            running.add((event.step, event.element))
            most = max(most, len(running))
        elif isinstance(event, (StepResult, ElementEnded)) or (
            isinstance(event, StepError) and event.retryable
        ):
            running.discard((event.step, event.element))
        elif isinstance(event, StepEnded):
            running.discard((event.step, None))
    return most
