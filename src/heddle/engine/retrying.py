"""Retrying: further attempts of steps whose fault may pass.

Policy. A transient fault (`faults`) is tried again, up to `limits.max_attempts`; an exception of
the tool's own, or an attempt that ran out of time, only where the step (`retry`) or its tool
(`@tool(retry=…)`) asks for it, whose number holds for every fault then. A write is tried again only
where the fault proves that nothing was sent. An own exception that says the same for the third time
is `poisoned`: it would say so for ever.

Between attempts a step holds no slot; its wake-up lies in the run's heap of deadlines. The next
attempt never begins before the last one has really returned, so that there is one at a time.
What cannot begin before the deadline of the step or of the run fails at once, as itself.

    attempt ──fault──▶ waiting ──time, and the provider's retry budget──▶ ready ──slot──▶ attempt

Waits are random from the whole of an exponential range ("full jitter"), counted from the provider's
own wish where it has one. Calls of a batch wait each for itself.

stamina and tenacity were considered: both wrap a function, and sleep and decide inside of it. Here
an attempt is an event, and a wait has neither a slot nor a task, on the clock of the run.

Source: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import asyncio
import math
import random
from typing import TYPE_CHECKING, Final

from heddle.engine.events import StepError
from heddle.engine.faults import TIMED_OUT, Fault
from heddle.tools.builtin.expand import EXPAND_SPEC

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.deadlines import Deadlines
    from heddle.engine.log import EventLog
    from heddle.engine.node import Node
    from heddle.engine.retry_budget import RetryBudget
    from heddle.plan.limits import Limits

__all__ = ["Retrying", "Waits"]

BASE_S: Final = 0.5
THROTTLED_BASE_S: Final = 1.0
"""Who is throttled is so together with others: the first waits are further apart."""

LONGEST_S: Final = 30.0
WISH_SPREAD: Final = 0.2
"""Share of a provider's own wish over which the waits after it are spread, at least."""

POISONED: Final = "poisoned"
"""Code of a step that is not tried again because the same would come of it."""

POISON: Final = 3
"""Failures of its own, all the same, after which a step is not tried again."""


class Waits:
    """How long to wait before further attempts; of one seed, always the same.

    >>> waits = Waits(seed=7)
    >>> all(0 <= waits.seconds(Fault("lost"), failures=2) <= 2 for _ in range(100))
    True
    """

    __slots__ = ("_random", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random: random.Random | None = None  # made when it is first needed: most runs never

    def seconds(self, fault: Fault, failures: int) -> float:
        """A wait after so many failures, drawn from the whole range.

        The range is [0, min(30, 0.5 · 2ⁿ)]; for who is throttled, twice that. After a provider's
        own wish it is at least a fifth of the wish: short wishes bring many back at once, so there
        the exponential range holds.
        """
        base_s = THROTTLED_BASE_S if fault.kind == "throttled" else BASE_S
        most_s = min(LONGEST_S, base_s * 2 ** min(failures, 10))
        if fault.retry_after_s is None:
            return self.within(most_s)
        floor_s = fault.retry_after_s
        return floor_s + self.within(min(LONGEST_S, max(most_s, WISH_SPREAD * floor_s)))

    def within(self, most_s: float) -> float:
        """Some time up to so many seconds."""
        if self._random is None:
            self._random = random.Random(self._seed)
        return self._random.uniform(0.0, most_s)


class _Story:
    """What the failed attempts of one step have in common; of the last of them, what it said."""

    __slots__ = ("alike", "began_s", "booked", "code", "message", "wakes_s")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s  # the first attempt
        self.booked: tuple[RetryBudget, float] | None = None  # for the next one
        self.alike = 0  # how many have said the same, one after the other
        self.code = self.message = ""
        self.wakes_s = 0.0

    def take(self, code: str, message: str) -> None:
        """Another attempt has failed."""
        same = (code, message) == (self.code, self.message)
        self.alike = self.alike + 1 if same else 1
        self.code, self.message = code, message


class Retrying:
    """The further attempts of one run.

    Args:
        limits: how many attempts, and how long a step may take with all of them.
        log: takes StepError.
        deadlines: the run's; wake-ups lie among them.
        seed: of the waits.
        go_on: called with a step whose time has come.
        budget: of a provider, by its name.

    Attributes:
        until_s: the run's own deadline, on its clock.
        timed: whether a step has a time for all of its attempts.

    Cost: nothing for a step that does not fail.
    """

    def __init__(
        self,
        limits: Limits,
        log: EventLog,
        deadlines: Deadlines,
        seed: int,
        go_on: Callable[[Node], None],
        budget: Callable[[str], RetryBudget],
    ) -> None:
        self.until_s = math.inf
        self.timed = limits.step_total_s is not None
        self._limits = limits
        self._log = log
        self._deadlines = deadlines
        self._waits = Waits(seed)
        self._go_on = go_on
        self._budget = budget
        self._stories: dict[Node, _Story] = {}
        self._held: set[Node] = set()  # whose last attempt has not returned

    def ends_as(
        self,
        node: Node,
        fault: Fault,
        code: str,
        message: str,
        began_s: float | None = None,
        *,
        returned: bool = True,
    ) -> str | None:
        """The code that a failed attempt ends the step with; None if another attempt follows.

        Args:
            node: a running step, or element.
            fault: what its exception says.
            code: of the failure.
            message: of the failure.
            began_s: when the attempt began, on the run's clock; None if it did not.
            returned: whether the tool has; if not, `has_returned` will be called.
        """
        now = self._log.now()
        story = self._stories.get(node) or _Story(now if began_s is None else began_s)
        story.take(code, message)
        if fault.kind == "own" and fault is not TIMED_OUT and story.alike >= POISON:
            return self._for_good(node, POISONED)
        if node.attempt >= self._attempts(node, fault) or not self._repeatable(node, fault):
            return self._for_good(node, code)
        wakes_s = self._wakes_s(node, fault, story)
        if wakes_s is None:
            return self._for_good(node, code)
        self._stories[node] = story
        story.wakes_s = wakes_s
        self._log.emit(
            StepError(
                now, node.id, node.attempt, code, message, node.element,
                retryable=True, not_sent=fault.not_sent, retry_after_s=fault.retry_after_s,
            )
        )  # fmt: skip
        node.status = "waiting"
        if returned:
            self._set_out(node, wakes_s)
        else:
            self._held.add(node)
        return None

    def _wakes_s(self, node: Node, fault: Fault, story: _Story) -> float | None:
        """When the next attempt may begin, on the run's clock; None where that is too late."""
        now, bound_s = self._log.now(), self._bound_s(story)
        wait_s = self._waits.seconds(fault, node.attempt)
        provider = node.spec.provider if node.spec is not None else ""
        if provider and fault.kind != "throttled":
            budget, loop_s = self._budget(provider), asyncio.get_running_loop().time()
            at = budget.book(loop_s, wait_s, loop_s + bound_s - now)
            if at is None:
                return None
            story.booked = budget, at
            wait_s = at - loop_s
        return now + wait_s if now + wait_s < bound_s else None

    def has_returned(self, node: Node) -> None:
        """The tool of an attempt that nobody waits for has returned."""
        if node in self._held:
            self._held.discard(node)
            if node.status == "waiting":
                self._set_out(node, self._stories[node].wakes_s)

    def forget(self, node: Node) -> None:
        """A step has a value after all."""
        self._stories.pop(node, None)

    def close(self) -> None:
        """Nothing is tried again: what was booked for it is free for others."""
        for story in self._stories.values():
            if story.booked is not None:
                story.booked[0].give_back(story.booked[1])
        self._stories.clear()

    def left_s(self, node: Node, now: float) -> float:
        """Seconds that are left of the time which a step has, when an attempt of it begins."""
        most_s = self._limits.step_total_s
        if most_s is None:
            return math.inf
        story = self._stories.setdefault(node, _Story(now))
        return max(0.0, story.began_s + most_s - now)

    def _for_good(self, node: Node, code: str) -> str:
        self._stories.pop(node, None)
        return code

    def _attempts(self, node: Node, fault: Fault) -> int:
        """How many attempts a step has in all, as far as this fault goes."""
        if node.spec is EXPAND_SPEC or node.step is None or node.spec is None:
            return 1  # the steps of a nested plan have attempts of their own
        asked = node.spec.retry if node.step.retry is None else node.step.retry
        if asked is not None:
            return 1 + asked
        return self._limits.max_attempts if fault.transient else 1

    def _repeatable(self, node: Node, fault: Fault) -> bool:
        return node.spec is not None and fault.repeatable(node.spec.effect)

    def latest_s(self, node: Node) -> float:
        """The time on the run's clock at which a step must have begun its next attempt."""
        story = self._stories.get(node)
        return self.until_s if story is None else self._bound_s(story)

    def _bound_s(self, story: _Story) -> float:
        most_s = self._limits.step_total_s
        return self.until_s if most_s is None else min(self.until_s, story.began_s + most_s)

    def _set_out(self, node: Node, wakes_s: float) -> None:
        node.begun = False
        node.deadline = self._deadlines.add(wakes_s, self._wake, node)

    def _wake(self, node: Node) -> None:
        node.deadline = None
        if node.status == "waiting":
            self._stories[node].booked = None
            node.status = "ready"
            self._go_on(node)
