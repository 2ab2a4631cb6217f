"""Doubts: writes that were begun, and whose outcome nobody saw.

    in doubt ──a person, the tool's probe──▶ done | not done: tried again | failed
        └────────nobody knows──────────────▶ what the tool's policy says, else unknown

None is ever repeated because it is in doubt. A call that may be repeated (`pure`, `read`, and
`idempotent` with its key) is no doubt: it is simply made again, as the next attempt. But where one
process after the other dies with it, it is poison, and has failed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from heddle.engine.calls import CurrentCall, calling
from heddle.engine.events import StepUnknown, UnknownResolved
from heddle.engine.faults import RESOLVED_FAILED
from heddle.engine.retrying import POISONED
from heddle.plan.canonical import sound
from heddle.tools.probes import Done, Failed, NotDone, Unsure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from heddle.engine.attempts import Attempts
    from heddle.engine.events import StepIntent
    from heddle.engine.log import EventLog
    from heddle.engine.node import Node
    from heddle.engine.outcomes import Outcomes
    from heddle.engine.past import Past, Place
    from heddle.tools.probes import Resolution

__all__ = ["CUT_OFF", "Doubts", "Probe"]

CUT_OFF = "cut-off"
"""Code of a write that was under way when its process died."""


Probe: TypeAlias = "Callable[[str, dict[str, Any]], Awaitable[Any] | None]"
"""Given a tool and its arguments: what became of the call; None where it cannot say."""


class Doubts:
    """The writes in doubt of a run that is gone on with.

    Args:
        past: what its journal remembers.
        log: takes the events.
        outcomes: ends the steps.
        begin: a step has not happened: it stands in the queue again.
        attempts: knows how long a call may take.
        probe: asks a tool what became of a call, if it can say; see `LocalExecutor.probe`.
        args: filled arguments of a step, or of an element.
        resolved: what a person says, by place.
        max_deaths: processes that may die with a call one after the other.
    """

    def __init__(
        self,
        past: Past,
        log: EventLog,
        outcomes: Outcomes,
        begin: Callable[[Node], None],
        attempts: Attempts,
        probe: Probe,
        args: Callable[[Node], dict[str, Any]],
        resolved: Mapping[Place, Resolution],
        max_deaths: int,
    ) -> None:
        self._past = past
        self._log = log
        self._outcomes = outcomes
        self._begin = begin
        self._attempts = attempts
        self._probe = probe
        self._args = args
        self._resolved = dict(resolved)
        self._max_deaths = max_deaths
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, node: Node) -> bool:
        """Whether a step that is ready must not simply begin; it is then taken care of."""
        place = node.id, node.element
        node.attempt = self._past.attempts.get(place, node.attempt)
        ending = self._past.ending.pop(place, None)
        if ending is not None:
            self._outcomes.over(node, ending)
            return True
        intent = self._past.doubtful.pop(place, None)
        if intent is None or intent.effect != "write":
            return self._poisoned(node, place)
        node.status, node.begun = "running", True
        resolution = self._resolved.pop(place, None)
        if resolution is not None:
            self._resolve(node, resolution, "human")
        else:
            self._ask(node, intent)
        return True

    def _poisoned(self, node: Node, place: Place) -> bool:
        """Whether a call is not made again: too many processes have died with it."""
        deaths = self._past.deaths.by_place.get(place, 0)
        if deaths < self._max_deaths:
            return False
        message = f"{deaths} processes in a row died with it, and none brought the run further"
        self._outcomes.ruled_out(node, POISONED, message)
        return True

    def about(self, id: str, element: int | None = None) -> bool:
        """Whether a step, or an element, is in doubt and has not been taken care of."""
        intent = self._past.doubtful.get((id, element))
        return intent is not None and intent.effect == "write"

    def _ask(self, node: Node, intent: StepIntent) -> None:
        """Ask the tool, if it can say."""
        step = node.step
        assert step is not None
        call = CurrentCall(intent.key, intent.origin.run, node.id, node.element, node.attempt, None)
        calling.set(call)
        asked = self._probe(step.tool, self._args(node))
        calling.set(None)
        if asked is None:
            self._give_up(node, "nobody saw what came of it")
            return
        node.task = asyncio.get_running_loop().create_task(self._hear(node, asked, call))
        self._tasks.add(node.task)
        node.task.add_done_callback(self._tasks.discard)

    async def _hear(self, node: Node, asked: Awaitable[Any], call: CurrentCall) -> None:
        calling.set(call)
        try:
            async with asyncio.timeout(self._attempts.seconds(node.step)):  # type: ignore[arg-type]
                said = await asked
        except Exception as error:  # whatever a probe raises, it does not say
            said, why = Unsure(), f"its probe failed: {type(error).__name__}"
        else:
            why = "its probe cannot say what came of it"
        if node.status == "running":
            node.task = None
            if isinstance(said, (Done, NotDone, Failed)):
                self._resolve(node, said, "probe")
            else:
                self._give_up(node, why)
        self._attempts.pump_soon()

    def _give_up(self, node: Node, why: str) -> None:
        ruling = node.spec.on_unknown  # type: ignore[union-attr]  # only steps become ready
        if ruling is None:
            self._stay_unknown(node, why)
            return
        self._log.emit(StepUnknown(self._log.now(), node.id, node.attempt, CUT_OFF, node.element))
        self._outcomes.rule(node, ruling)

    def _stay_unknown(self, node: Node, why: str) -> None:
        self._outcomes.given_up(node, "unknown", CUT_OFF, why)

    def _resolve(self, node: Node, resolution: Resolution, by: str) -> None:
        if isinstance(resolution, Unsure):
            self._stay_unknown(node, "nobody can say what came of it")
            return
        now, element = self._log.now(), node.element
        self._log.emit(StepUnknown(now, node.id, node.attempt, CUT_OFF, element))
        outcome = _OUTCOMES[type(resolution)]
        self._log.emit(UnknownResolved(now, node.id, by, outcome, element))
        if isinstance(resolution, Done):
            self._outcomes.known(node, resolution.value)
        elif isinstance(resolution, Failed):
            message = sound(str(resolution.reason)) or "it was said to have failed"
            self._outcomes.ruled_out(node, RESOLVED_FAILED, message)
        else:
            node.status, node.begun = "ready", False
            self._begin(node)

    async def close(self) -> None:
        """Wait for probes that were given up; they stop at once."""
        if self._tasks:
            await asyncio.wait(self._tasks)


_OUTCOMES: dict[type[Any], str] = {Done: "done", NotDone: "not-done", Failed: "failed"}
