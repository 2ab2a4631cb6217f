"""Beginnings: a ready step stands in the queue, unless something else is in the place of its call.

In this order: what the journal remembers of it, an effect of an earlier round, the plan that it
expands to, an equal call of this run, a call that was begun on suspicion. What is batched gathers
with others before the queue; who will not wait for long is watched there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.engine.events import TERMINAL, EffectReused
from heddle.engine.faults import RESOLVED_FAILED
from heddle.engine.fill import fresh
from heddle.engine.repeats import REPEATS_UNKNOWN

if TYPE_CHECKING:
    from heddle.engine.attempts import Attempts
    from heddle.engine.doubts import Doubts
    from heddle.engine.expansions import Expansions
    from heddle.engine.log import EventLog
    from heddle.engine.node import Node
    from heddle.engine.outcomes import Outcomes
    from heddle.engine.queue import ReadyQueue
    from heddle.engine.repeats import Repeats
    from heddle.engine.sharing import Sharing
    from heddle.engine.speculation import Speculation
    from heddle.engine.unserved import Unserved
    from heddle.plan.spec import ToolSpec

__all__ = ["Beginnings"]


class Beginnings:
    """Lets ready steps, and elements of maps, begin.

    Args:
        log: takes the events.
        queue: holds them until there are slots.
        sharing: finds equal calls.
        outcomes: ends what needs no call.
        repeats: finds effects of earlier rounds.
        expand: the spec of the tool that expands plans, if plans may call it.
        expansions: runs plans that came out as results.
        speculation: holds calls that were begun on suspicion.
        attempts: makes the calls, and batches.
        unserved: watches those who wait for slots.
        doubts: what the journal remembers; None for a new run.
    """

    def __init__(
        self,
        log: EventLog,
        queue: ReadyQueue,
        sharing: Sharing,
        outcomes: Outcomes,
        repeats: Repeats,
        expand: ToolSpec | None,
        expansions: Expansions,
        speculation: Speculation,
        attempts: Attempts,
        unserved: Unserved,
        doubts: Doubts | None,
    ) -> None:
        self._log = log
        self._queue = queue
        self._sharing = sharing
        self._outcomes = outcomes
        self._repeats = repeats
        self._expand = expand
        self._expansions = expansions
        self._speculation = speculation
        self._guesses = speculation.guesses
        self._attempts = attempts
        self._unserved = unserved
        self._doubts = doubts

    def begin(self, node: Node) -> None:
        """A ready step, or an element, makes its call as soon as it may."""
        if self._doubts is not None and self._doubts.take(node):
            return
        spec: ToolSpec = node.spec  # type: ignore[assignment]  # only steps become ready
        if node.gate.replan and spec.effectful and self._stood_in(node):
            return
        if spec is self._expand:
            self._expansions.begin(node)
        elif spec.fuses and (leader := self._sharing.find(node)) is not None:
            self._share(node, leader)
        elif self._guesses and node in self._guesses and self._speculation.adopt(node):
            return
        elif spec.max_batch > 1 or self._unserved.patience_s is not None:
            self._line_up(node)
        else:
            self._queue.push(node)

    def go_on(self, node: Node) -> None:
        """The time has come for a further attempt of a step."""
        self._line_up(node)
        self._attempts.pump()

    def _line_up(self, node: Node) -> None:
        if self._unserved.patience_s is not None and not node.attempt:
            self._unserved.lined_up(node, self._unserved.patience_s)
        if node.spec.max_batch > 1:  # type: ignore[union-attr]  # only steps become ready
            self._attempts.batches.gather(node)
        else:
            self._queue.push(node)

    def _stood_in(self, node: Node) -> bool:
        """Whether an effect of an earlier round stands in for this one."""
        found = self._repeats.find(node)
        if found is None:
            return False
        if found.known:
            now = self._log.now()
            self._log.emit(EffectReused(now, node.id, node.element, found.step, found.element))
            self._outcomes.known(node, found.value)
            return True
        does = f"step {found.step}, which was to do the same,"
        if found.failed:
            self._outcomes.ruled_out(node, RESOLVED_FAILED, f"{does} may have done it")
        else:
            self._outcomes.left_out(node, REPEATS_UNKNOWN, f"{does} is unknown")
        return True

    def _share(self, node: Node, leader: Node) -> None:
        """A step makes no call of its own: it has the outcome of an equal one, or waits for it."""
        if leader.status not in TERMINAL:
            self._sharing.follow(leader, node)
            self._queue.lift(leader, node.rank)
        elif leader.status != "done":
            self._outcomes.ruled_out(node, *self._sharing.failure(leader))
        else:
            self._outcomes.known(node, fresh(leader.value))

    def tell_followers(self, leader: Node) -> None:
        """A call has ended: its followers have its outcome, or the next of them makes the call."""
        for node in self._sharing.followers.pop(leader, ()):
            if node.status != "ready":
                continue
            if self._sharing.has_outcome(leader):
                self._share(node, leader)
            else:
                self.begin(node)
