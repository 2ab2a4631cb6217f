"""Doubts: writes that were begun, and whose outcome nobody saw.

    in doubt ──a person, the tool's probe──▶ done | not done: tried again | failed
        └────────nobody knows──────────────▶ unknown

None is ever repeated because it is in doubt. A call that may be repeated (`pure`, `read`, and
`idempotent` with its key) is no doubt: it is simply made again, as the next attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from heddle.engine.events import StepUnknown, UnknownResolved
from heddle.tools.probes import Done, Failed, NotDone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.engine.events import Status
    from heddle.engine.log import EventLog
    from heddle.engine.node import Node
    from heddle.engine.past import Outcome, Past, Place
    from heddle.tools.probes import Resolution

__all__ = ["CUT_OFF", "Doubts", "Owner"]

CUT_OFF = "cut-off"
"""Code of a write that was under way when its process died."""


class Owner(Protocol):
    """Who ends steps, and elements of maps: the scheduler."""

    def known(self, node: Node, value: Any) -> None:
        """It is done, with this value."""
        ...

    def ruled_out(self, node: Node, code: str, message: str) -> None:
        """It counts as failed."""
        ...

    def over(self, node: Node, outcome: Outcome) -> None:
        """Its last attempt has come out so, and only its end is not written down."""
        ...

    def given_up(self, node: Node, status: Status, code: str, message: str) -> None:
        """Nobody knows."""
        ...


class Doubts:
    """The writes in doubt of a run that is gone on with.

    Args:
        past: what its journal remembers.
        log: takes the events.
        owner: ends the steps.
        resolved: what a person says, by place.
    """

    def __init__(
        self, past: Past, log: EventLog, owner: Owner, resolved: Mapping[Place, Resolution]
    ) -> None:
        self._past = past
        self._log = log
        self._owner = owner
        self._resolved = resolved

    def take(self, node: Node) -> bool:
        """Whether a step that is ready must not simply begin; it is then taken care of."""
        place = node.id, node.element
        node.attempt = self._past.attempts.get(place, node.attempt)
        ending = self._past.ending.pop(place, None)
        if ending is not None:
            self._owner.over(node, ending)
            return True
        intent = self._past.doubtful.pop(place, None)
        if intent is None or intent.effect != "write":
            return False
        node.begun = True
        resolution = self._resolved.get(place)
        if resolution is None:
            self._owner.given_up(node, "unknown", CUT_OFF, "nobody saw what came of it")
            return True
        self._log.emit(StepUnknown(self._log.now(), node.id, node.attempt, CUT_OFF, node.element))
        return self._resolve(node, resolution, "human")

    def _resolve(self, node: Node, resolution: Resolution, by: str) -> bool:
        """Whether that ends the step."""
        outcome = _OUTCOMES[type(resolution)]
        self._log.emit(UnknownResolved(self._log.now(), node.id, by, outcome, node.element))
        if isinstance(resolution, Done):
            self._owner.known(node, resolution.value)
        elif isinstance(resolution, Failed):
            message = resolution.reason or "it was said to have failed"
            self._owner.ruled_out(node, "resolved-failed", message)
        return not isinstance(resolution, NotDone)


_OUTCOMES: dict[type[Any], str] = {Done: "done", NotDone: "not-done", Failed: "failed"}
