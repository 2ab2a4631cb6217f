"""What came of an attempt, or of a step that needs none: is it over, and how.

    attempt ──▶ value | exception | given up ──▶ tried again, or over as done | failed | unknown …
    journal, equal call, person ──────────────▶ over, without an attempt

A step ends with `Steps`; an element of a map ends with its map. Here is the one place that knows
which of the two it is, that a write whose answer was lost is unknown, and what counts as paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from heddle.engine.admission import OVER_BUDGET
from heddle.engine.elements import INTERRUPTED
from heddle.engine.events import RESULT, LateResult, StepError, StepUnknown, UnknownResolved
from heddle.engine.faults import RESOLVED_FAILED, TIMED_OUT, Fault, fault_of, said_of
from heddle.engine.fill import fresh
from heddle.engine.lookup import NothingChosen
from heddle.engine.node import Ending
from heddle.errors import ModelError
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.events import Status
    from heddle.engine.log import EventLog
    from heddle.engine.map_run import Element
    from heddle.engine.maps import Maps
    from heddle.engine.node import Node
    from heddle.engine.past import Outcome
    from heddle.engine.queue import ReadyQueue
    from heddle.engine.retrying import Retrying
    from heddle.engine.sharing import Sharing
    from heddle.plan.spec import Ruling

__all__ = ["Outcomes", "Steps"]


class Steps(Protocol):
    """Who ends steps, and tells those that count on them: the scheduler."""

    def moment(self) -> float:
        """Read the clock, once for all events of what is happening now."""
        ...

    def end(self, node: Node, status: Status, code: str) -> None:
        """A step that was running is over."""
        ...

    def settle(self, ending: Ending) -> None:
        """A step is over without having run, or without having run to its end."""
        ...

    def broken(self, error: BaseException) -> None:
        """A worker itself failed: a bug of ours."""
        ...


class Outcomes:
    """Takes what came of attempts, and ends their steps and elements.

    Args:
        steps: ends steps.
        log: takes the events.
        queue: learns how long calls take.
        sharing: remembers failures for equal calls.
        retrying: says whether a step is tried again.
        pump: called when a step that waited has ended outside of its turn: others may go.

    Attributes:
        maps: ends elements; made after this, and set then.
    """

    maps: Maps

    def __init__(
        self,
        steps: Steps,
        log: EventLog,
        queue: ReadyQueue,
        sharing: Sharing,
        retrying: Retrying,
        pump: Callable[[], None],
    ) -> None:
        self._steps = steps
        self._log = log
        self._queue = queue
        self._sharing = sharing
        self._retrying = retrying
        self._pump = pump
        self._late: list[tuple[Node, Any]] = []
        self.broken = steps.broken

    # -- of attempts ---------------------------------------------------------------------------

    def succeeded(self, node: Node, value: Any, started: float) -> None:
        """The tool gave a value: the step is done."""
        if node.attempt > 1 or self._retrying.timed:
            self._retrying.forget(node)
        if node.element is not None:
            self.maps.succeeded(cast("Element", node), value, started)
            return
        now = self._steps.moment()
        usage = cost = None
        if type(value) is Metered:
            value, usage, cost = value
        node.value = value
        self._log.emit((RESULT, now, node.id, node.attempt, value, None, usage, cost, ""))
        self._queue.learn(node.step.tool, now - started)  # type: ignore[union-attr]
        self._steps.end(node, "done", "")

    def failed(self, node: Node, error: BaseException, began_s: float | None = None) -> None:
        """The tool, or filling its arguments, raised: the step is tried again, or has failed.

        Args:
            node: the step.
            error: what was raised.
            began_s: when the attempt began, if it did.
        """
        now = self._steps.moment()
        if isinstance(error, NothingChosen):
            self._steps.end(node, "skipped", error.code)
            return
        fault = fault_of(error)
        code, message = said_of(error)
        last = self._retrying.ends_as(node, fault, code, message, began_s)
        if last is not None:
            self._failed_for_good(node, fault, last, message)
        if isinstance(error, ModelError) and error.usage is not None:  # it was paid for
            self._log.emit(
                LateResult(
                    now, node.id, node.attempt, None, node.element, error.usage, error.cost_usd,
                    failed=True,
                )
            )  # fmt: skip

    def _failed_for_good(self, node: Node, fault: Fault, code: str, message: str) -> None:
        """No other attempt follows; a write whose answer was lost is unknown."""
        if fault.kind == "lost" and _is_write(node):
            self.given_up(node, "failed", code, message)
            return
        now = self._steps.moment()
        self._sharing.failed(node, code, message)
        if node.element is not None:
            self.maps.failed(cast("Element", node), code, message)
        else:
            self._log.emit(
                StepError(
                    now, node.id, node.attempt, code, message,
                    not_sent=fault.not_sent, retry_after_s=fault.retry_after_s,
                )
            )  # fmt: skip
            self._steps.end(node, "failed", code)

    def expired(self, node: Node, code: str, message: str, began_s: float) -> bool:
        """An attempt ran out of time; whether another follows once its tool has returned."""
        last = self._retrying.ends_as(node, TIMED_OUT, code, message, began_s, returned=False)
        return last is None

    def has_returned(self, node: Node) -> None:
        """The tool of an attempt that nobody waits for has returned."""
        self._retrying.has_returned(node)

    def given_up(self, node: Node, status: Status, code: str, message: str) -> None:
        """A running step was ended from outside; a write whose tool was called is unknown.

        Its tool's policy may say at once what it counts as.
        """
        now = self._steps.moment()
        if code == "timed-out":
            self._sharing.failed(node, code, message)
        if status != "skipped" and node.begun and _is_write(node):
            self._log.emit(StepUnknown(now, node.id, node.attempt, code, node.element))
            ruling: Ruling | None = node.spec.on_unknown  # type: ignore[union-attr]
            if ruling is not None and ruling.at_once and not _to_be_asked(status, code):
                self.rule(node, ruling)
                return
            status = "unknown"
        if node.element is not None:
            self.maps.given_up(cast("Element", node), status, code, message)
            return
        if status == "skipped":
            self._steps.settle(Ending(node, status, code, message))
            return
        self._log.emit(StepError(now, node.id, node.attempt, code, message))
        self._steps.end(node, status, code)

    def late(self, node: Node, value: Any) -> None:
        """A call that had been given up gave a value after all: a write is known to be done.

        Plans to come may use it; this one goes on as it has begun, however late the value is.
        """
        if _is_write(node):
            self._late.append((node, value))

    def learn_late(self) -> None:
        """Another plan begins: it may use what came too late for those before it."""
        for node, value in self._late:
            if node.element is not None:
                self.maps.late(cast("Element", node), value)
            elif node.status == "unknown":
                node.status, node.value = "done", value
        self._late.clear()

    # -- of steps and elements that make no call of their own, or no further one ---------------

    def known(self, node: Node, value: Any) -> None:
        """It is done, with this value."""
        now = self._steps.moment()
        if node.element is None:
            node.value = value
            self._steps.settle(Ending(node, "done", ""))
        else:
            self.maps.succeeded(cast("Element", node), value, now)

    def over(self, node: Node, outcome: Outcome) -> None:
        """Its last attempt has come out so, and only its end is not written down."""
        self._steps.moment()
        if node.element is None:
            node.value = outcome.value
            self._steps.end(node, outcome.status, outcome.code)
        else:
            self.maps.over(cast("Element", node), outcome)

    def rule(self, node: Node, ruling: Ruling) -> None:
        """Nobody says what came of a write that was begun: its tool's policy does."""
        now = self._log.now()
        self._log.emit(UnknownResolved(now, node.id, "policy", ruling.outcome, node.element))
        if ruling.outcome == "done":
            self.known(node, fresh(ruling.value))
        else:
            self.ruled_out(node, RESOLVED_FAILED, ruling.reason or "nobody saw what came of it")

    def ruled_out(self, node: Node, code: str, message: str) -> None:
        """It counts as failed."""
        self._steps.moment()
        if node.element is None:
            self._steps.settle(Ending(node, "failed", code, message))
        else:
            self.maps.failed(cast("Element", node), code, message)

    def left_out(self, node: Node, code: str, message: str) -> None:
        """It was ready, and does not begin."""
        self._steps.moment()
        if node.element is None:
            self._steps.settle(Ending(node, "skipped", code, message))
        else:
            self.maps.left_out(cast("Element", node), code, message)

    def over_budget(self, node: Node) -> None:
        """Nothing is left to pay its next attempt; one that has made none is skipped."""
        self._steps.moment()
        code, message = OVER_BUDGET
        if node.attempt:
            self._failed_for_good(node, Fault("final"), code, message)
        elif node.element is not None:
            self.maps.given_up(cast("Element", node), "skipped", code, message)
        else:
            self._steps.settle(Ending(node, "skipped", code, message))
        self._pump()

    def unserved(self, node: Node, status: Status, code: str, message: str) -> None:
        """It waits for slots in vain."""
        self._steps.moment()
        if node.element is None:
            self._steps.settle(Ending(node, status, code, message))
        elif status == "failed":
            self.maps.failed(cast("Element", node), code, message)
        else:
            self.maps.given_up(cast("Element", node), status, code, message)
        self._pump()


def _is_write(node: Node) -> bool:
    return node.spec is not None and node.spec.effect == "write"


def _to_be_asked(status: Status, code: str) -> bool:
    """Whether a write stays unknown: the run is gone on with, or somebody wants it to."""
    return status == "unknown" or code == INTERRUPTED
