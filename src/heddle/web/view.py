"""What the page shows of a run, read once from its result and its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from heddle.engine.events import (
    TERMINAL,
    HoleOpened,
    JoinResult,
    MapExpanded,
    StepEnded,
    StepError,
    StepResult,
    StepStarted,
)
from heddle.engine.result import StepOutcome
from heddle.engine.state import fold
from heddle.plan.ir import Hole, Step, dependencies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heddle.engine.events import Event, ModelCall
    from heddle.engine.result import RunResult
    from heddle.engine.state import RunState

__all__ = ["ICONS", "RunView", "Span", "StepView", "view_of"]

Span: TypeAlias = tuple[float, float]

ICONS = {
    "waiting": "·",
    "ready": "○",
    "running": "▸",
    "done": "✓",
    "failed": "✕",
    "skipped": "»",
    "cancelled": "⊘",
    "denied": "⊖",
    "unknown": "?",
    "hole": "□",
}
"""A mark for each status, so that none is told by colour alone."""


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of the run, or an entry of a plan that was not run.

    Attributes:
        place: its position on the page, over all rounds, from 0.
        step: None for a hole.
        text: the bad line, of a hole.
        before: places of the steps it depends on; all of them are smaller than its own.
        spans: (start, end) of each attempt, in seconds; overlapping ones are one.
        width: elements of its map; None for no map, or for one whose list never came.
    """

    place: int
    outcome: StepOutcome
    step: Step | None
    text: str
    before: tuple[int, ...]
    spans: tuple[Span, ...]
    width: int | None
    critical: bool

    @property
    def id(self) -> str:
        """The plan's own id."""
        return self.outcome.id

    @property
    def tool(self) -> str:
        """The tool's name; of a hole, what it is."""
        return self.step.tool if self.step else self.outcome.tool or "a bad line"

    @property
    def status(self) -> str:
        """The status; an unfilled hole that nothing has ended is a hole."""
        status = self.outcome.status
        if self.step is None and status not in TERMINAL:
            return "hole"
        return status if status in ICONS else "unknown"

    @property
    def icon(self) -> str:
        """The mark of the status."""
        return ICONS[self.status]

    @property
    def code(self) -> str:
        """The finer cause of a status other than done; "" for none."""
        return self.outcome.error.code if self.outcome.error else ""

    @property
    def ran_s(self) -> float | None:
        """Seconds of the last attempt; None if there was none or it has not ended."""
        if self.outcome.started_s is None or self.outcome.finished_s is None:
            return None
        return self.outcome.finished_s - self.outcome.started_s

    @property
    def begins_s(self) -> float | None:
        """When anything of it can first be seen on the clock."""
        times = (self.outcome.ready_s, self.outcome.started_s, self.outcome.finished_s)
        return min((time for time in times if time is not None), default=None)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the page shows it.

    Attributes:
        steps: in plan order, rounds one after the other.
        calls: what models were asked, except by steps, in order of their start.
        joins: decisions of the joiner, in order.
        end_s: the last moment on the clock.
    """

    result: RunResult
    state: RunState
    steps: list[StepView]
    calls: list[ModelCall]
    joins: list[JoinResult]
    end_s: float


def view_of(result: RunResult) -> RunView:
    """Read a run. Cost: linear in its events and steps."""
    state = fold(result.events)
    steps = _steps(result, state)
    calls = sorted(state.calls, key=lambda call: call.started_at)
    ends = [span[1] for step in steps for span in step.spans]
    return RunView(
        result=result,
        state=state,
        steps=steps,
        calls=calls,
        joins=[event for event in result.events if isinstance(event, JoinResult)],
        end_s=max([result.timing.total_s, state.last_s, *ends, *(call.at for call in calls)]),
    )


def _steps(result: RunResult, state: RunState) -> list[StepView]:
    holes = {event.hole.id: event.hole for event in result.events if isinstance(event, HoleOpened)}
    widths = {event.step: event.n for event in result.events if isinstance(event, MapExpanded)}
    spans = _spans(result.events, state.last_s)
    critical = set(state.critical_path()) if result.timing.critical_path_s > 0 else set[str]()
    places: dict[str, int] = {}
    views: list[StepView] = []
    for outcome, entry in _entries(result, state, holes):
        step = entry if isinstance(entry, Step) else None
        known = dependencies(step) if step else ()
        views.append(
            StepView(
                place=len(views),
                outcome=outcome,
                step=step,
                text=entry.text if isinstance(entry, Hole) else "",
                before=tuple(places[id] for id in known if id in places),
                spans=_own_spans(outcome, spans),
                width=widths.get(outcome.id),
                critical=outcome.id in critical and outcome.started_s is not None,
            )
        )
        places.setdefault(outcome.id, len(views) - 1)
    return views


def _entries(
    result: RunResult, state: RunState, holes: dict[str, Hole]
) -> Iterator[tuple[StepOutcome, Step | Hole | None]]:
    """The steps that the run knows, then those of plans that were rejected before they ran."""
    planned: dict[str, Step | Hole] = {}
    for plan in result.plans:
        for entry in plan.entries:
            planned.setdefault(entry.id, entry)
    known = {outcome.id for outcome in result.steps}
    for outcome in result.steps:
        found = state.steps.get(outcome.id)
        accepted = found.step if found else planned.get(outcome.id)
        yield outcome, accepted or holes.get(outcome.id)
    for plan in result.plans:
        for entry in plan.entries:
            if entry.id not in known:
                tool = entry.tool if isinstance(entry, Step) else ""
                yield StepOutcome(entry.id, tool, "waiting", None, None, 0, None, None, None), entry


def _own_spans(outcome: StepOutcome, spans: dict[str, list[Span]]) -> tuple[Span, ...]:
    found = spans.get(outcome.id)
    if found is not None:
        return tuple(_merged(sorted(found)))
    if outcome.started_s is None:
        return ()
    ended = outcome.started_s if outcome.finished_s is None else outcome.finished_s
    return ((outcome.started_s, ended),)


def _spans(events: Iterable[Event], last_s: float) -> dict[str, list[Span]]:
    """When attempts of each step began and ended."""
    spans: dict[str, list[Span]] = {}
    open: dict[str, dict[int | None, float]] = {}
    for event in events:
        if isinstance(event, StepStarted):
            open.setdefault(event.step, {})[event.element] = event.at
        elif isinstance(event, (StepResult, StepError)):
            started = open.get(event.step, {}).pop(event.element, None)
            if started is not None:
                spans.setdefault(event.step, []).append((started, event.at))
        elif isinstance(event, StepEnded):
            left = open.pop(event.step, {})
            spans.setdefault(event.step, []).extend((at, event.at) for at in left.values())
    for step, left in open.items():
        spans.setdefault(step, []).extend((at, last_s) for at in left.values())
    return spans


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Sorted spans with those that overlap made one; spans that only touch stay apart."""
    last: Span | None = None
    for span in spans:
        if last is not None and span[0] < last[1]:
            last = (last[0], max(last[1], span[1]))
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last
