"""Unserved: ready steps that do not get their slots in time.

A step that has waited for `limits.queue_timeout_s` before its first attempt is skipped, `expired`.
One whose provider's breaker stays open beyond the step's or the run's deadline fails at once,
`breaker-open`: waiting would be of no use.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.deadlines import Deadlines
    from heddle.engine.events import Status
    from heddle.engine.log import EventLog
    from heddle.engine.node import Node

__all__ = ["Unserved"]


class Unserved:
    """Who ends ready steps of one run that wait in vain.

    Args:
        log: gives the run's clock.
        deadlines: the run's.
        patience_s: how long a step may be ready before its first attempt; None for any time.
        latest_s: when a step must have begun its next attempt, on the run's clock.
        end: ends a ready step.
    """

    def __init__(
        self,
        log: EventLog,
        deadlines: Deadlines,
        patience_s: float | None,
        latest_s: Callable[[Node], float],
        end: Callable[[Node, Status, str, str], None],
    ) -> None:
        self.patience_s = patience_s
        self._log = log
        self._deadlines = deadlines
        self._latest_s = latest_s
        self._end = end

    def lined_up(self, node: Node, patience_s: float) -> None:
        """A step is ready for its first attempt, and will not be for longer than that."""
        self._deadlines.add(self._log.now() + patience_s, self._expire, node)

    def _expire(self, node: Node) -> None:
        if node.status == "ready" and not node.attempt:
            self._end(node, "skipped", "expired", f"no slot within {self.patience_s:g} s")

    def hopeless(self, node: Node, opens_at: float) -> bool:
        """Whether a step that waits for a breaker waits in vain; it is then about to end.

        Args:
            node: a ready step.
            opens_at: when the breaker opens, on the loop's clock.
        """
        loop = asyncio.get_running_loop()
        if self._log.now() + opens_at - loop.time() < self._latest_s(node):
            return False
        loop.call_soon(self._fail, node)  # not at once: somebody is looking for slots
        return True

    def _fail(self, node: Node) -> None:
        if node.status == "ready":
            provider = node.spec.provider if node.spec is not None else ""
            why = "keeps failing, and is not asked again before the time is up"
            self._end(node, "failed", "breaker-open", f"{provider} {why}")
