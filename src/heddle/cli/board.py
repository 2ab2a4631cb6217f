"""What is worth showing of a run, kept current event by event.

Pure: events in, rows and lines out. Who draws them, and how often, is not its business.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from heddle.cli.screen import one_line, seconds
from heddle.engine.events import (
    TERMINAL,
    HoleFilled,
    HoleOpened,
    StepAccepted,
    StepEnded,
    StepReady,
    StepStarted,
)
from heddle.engine.state import RunState
from heddle.plan.ir import dependencies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heddle.engine.events import Event
    from heddle.engine.state import StepState
    from heddle.plan.limits import Limits
    from heddle.plan.spec import ToolSpec

__all__ = ["Board", "Row", "note_of"]

_MOVES = (StepAccepted, HoleOpened, HoleFilled, StepReady, StepStarted, StepEnded)
_ORDER = ("done", "running", "ready", "waiting", "failed", "skipped", "cancelled", "denied")
_REMEMBERED = 100
_NOTE = 60


class Row(NamedTuple):
    """One step, as it is shown."""

    id: str
    tool: str
    status: str
    time: str
    note: str


class _Slot(NamedTuple):
    kind: str
    name: str
    bound: int


class Board:
    """The steps of a run by status, and what each of them waits for.

    Args:
        specs: the tools, for the slots that their calls use.
        limits: what there is of each slot.

    Cost: O(1) an event, whatever the size of the plan.
    """

    def __init__(self, specs: Mapping[str, ToolSpec], limits: Limits) -> None:
        self.state = RunState()
        self._specs = specs
        self._limits = limits
        self._statuses: dict[str, str] = {}
        self._by_status: dict[str, dict[str, None]] = {}
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)
        self._in_use: Counter[_Slot] = Counter()

    def take(self, event: Event) -> None:
        """Take in the next event."""
        self.state.apply(event)
        if isinstance(event, _MOVES):
            subject = event.hole if isinstance(event, HoleOpened) else event.step
            self._move(subject if isinstance(subject, str) else subject.id)

    def _move(self, id: str) -> None:
        status = self.state.steps[id].status
        before = self._statuses.get(id)
        if before is not None:
            self._by_status[before].pop(id, None)
        self._statuses[id] = status
        self._by_status.setdefault(status, {})[id] = None
        if status in TERMINAL:
            self._ended.append(id)
        change = (status == "running") - (before == "running")
        if change:
            for slot in self._slots_of(self.state.steps[id]):
                self._in_use[slot] += change

    def _slots_of(self, step: StepState) -> list[_Slot]:
        """The bounded slots that a call of this step takes: its tool's and its provider's."""
        spec = self._specs.get(step.step.tool) if step.step else None
        if spec is None:
            return []
        own = self._limits.per_tool.get(spec.name, spec.concurrency)
        shared = self._limits.slots_of(spec.provider)
        slots = (_Slot("tool", spec.name, own or 0), _Slot("provider", spec.provider, shared or 0))
        return [slot for slot in slots if slot.bound]

    # -- rows ------------------------------------------------------------------------------------

    def rows(self, most: int, now: float) -> list[Row]:
        """At most so many steps: all in plan order, or else those that matter now.

        Args:
            most: how many there is room for.
            now: seconds from the start of the run.
        """
        steps = self.state.steps
        chosen: Iterable[str] = steps
        if len(steps) > most:
            wanted = [*self._of("running", most), *self._of("ready", most // 4)]
            recent = list(self._ended)[-max(1, most // 3) :]
            chosen = [*recent, *wanted, *self._of("waiting", most)][:most]
        return [self._row(steps[id], now) for id in chosen]

    def _of(self, status: str, most: int) -> list[str]:
        found = self._by_status.get(status, {})
        return [id for id, _ in zip(found, range(most), strict=False)]

    def _row(self, step: StepState, now: float) -> Row:
        ran = step.ran_s if step.status in TERMINAL else None
        if step.status == "running" and step.started_s is not None:
            ran = now - step.started_s
        tool = step.step.tool if step.step else "?"
        note = note_of(step, _NOTE) if step.status in TERMINAL else self.waits_for(step)
        time = "" if ran is None or step.started_s is None else seconds(ran)
        return Row(one_line(step.id, 16), one_line(tool, 24), step.status, time, note)

    def waits_for(self, step: StepState) -> str:
        """What a step that has not ended waits for: steps, a slot, the plan; "" if nothing.

        Of a map that runs: how many of its elements are over.
        """
        if step.map is not None:
            return f"{step.map.ended_count:,} of {step.map.n:,} elements"
        if step.step is None:
            return "waits for a repair of its line"
        if step.status == "waiting":
            steps = self.state.steps
            ids = [
                id
                for id in dependencies(step.step)
                if id not in steps or steps[id].status not in TERMINAL
            ]
            more = f" and {len(ids) - 4} more" if len(ids) > 4 else ""
            return one_line(f"waits for {', '.join(ids[:4])}{more}", _NOTE)
        return one_line(self._gate(step), _NOTE) if step.status == "ready" else ""

    def _gate(self, step: StepState) -> str:
        spec = self._specs.get(step.step.tool) if step.step else None
        effectful = spec is not None and spec.effectful
        if effectful and not self._accepted(step.round):
            return "waits for the plan to close"
        for slot in self._slots_of(step):
            if self._in_use[slot] >= slot.bound:
                return f"waits for slot: {slot.name}"
        if spec is not None and self._limits.rated(spec.provider):
            return f"waits for slot: {spec.provider}, by its requests a minute"
        if self._in_flight() >= self._limits.concurrency:
            return "waits for slot: all are in use"
        return "waits for approval" if effectful else ""

    def _accepted(self, round: int) -> bool:
        return any(item.accepted for item in self.state.rounds if item.round == round)

    # -- lines -----------------------------------------------------------------------------------

    def asking(self, now: float) -> list[str]:
        """Which models are being asked now, and since when."""
        return [
            f"{call.role} {one_line(call.model, 40)} {seconds(now - call.at)}"
            for call in self.state.asking.values()
        ]

    def counts(self) -> str:
        """How many steps there are of each status."""
        found = {status: len(ids) for status, ids in self._by_status.items() if ids}
        known = [status for status in (*_ORDER, "unknown") if status in found]
        return " · ".join(f"{found[status]} {status}" for status in known)

    def slots(self) -> str:
        """The slots in use, of those that are bounded."""
        running = self._in_flight()
        named = [f"{slot.name} {used}/{slot.bound}" for slot, used in sorted(self._in_use.items())]
        return " · ".join([f"in flight {running}/{self._limits.concurrency}", *named])

    def _in_flight(self) -> int:
        """Calls that hold a slot; a step that expands a plan holds none. Cost: O(running steps)."""
        steps = (self.state.steps[id] for id in self._by_status.get("running", ()))
        own = (step for step in steps if not step.expanded)
        return sum(1 if step.map is None else len(step.map.running) for step in own)

    def tokens(self) -> str:
        """What models were asked up to now; "" if nothing."""
        calls = self.state.calls
        if not calls:
            return ""
        read = sum(call.usage.input_tokens for call in calls)
        wrote = sum(call.usage.output_tokens for call in calls)
        return f"{len(calls)} model calls · {read:,} tokens in · {wrote:,} out"


def note_of(step: StepState, width: int) -> str:
    """What came of a step that has ended: its value, or why there is none."""
    if step.status == "done":
        return one_line(step.value, width)
    said = step.message if step.message and step.message != step.code else ""
    return one_line(": ".join(filter(None, (step.code, said))), width)
