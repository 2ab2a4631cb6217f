"""The parts of a scheduler, made in the order in which they need each other.

    queue ──▶ attempts ──▶ outcomes ──▶ retrying ──▶ beginnings ──▶ queue
                              └──▶ maps ────────────────▲

A step may go round more than once, so somewhere a part must know one that is not made yet. What
leads back is all here: calls back to earlier parts are methods of `Parts`; `outcomes.maps` and
`attempts.hedging` are set as soon as they are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from heddle.engine.admission import Admission
from heddle.engine.attempts import Attempts
from heddle.engine.beginnings import Beginnings
from heddle.engine.breaker import BreakerSlots
from heddle.engine.deadlines import Deadlines
from heddle.engine.doubts import Doubts
from heddle.engine.estimates import Estimates
from heddle.engine.expansions import Expansions
from heddle.engine.hedging import Hedging
from heddle.engine.lookup import Lookup
from heddle.engine.maps import MapOwner, Maps
from heddle.engine.outcomes import Outcomes, Steps
from heddle.engine.queue import ReadyQueue
from heddle.engine.repeats import Repeats
from heddle.engine.retrying import Retrying
from heddle.engine.sharing import Sharing
from heddle.engine.slots import LocalSlots
from heddle.engine.speculation import Speculation
from heddle.engine.unserved import Unserved
from heddle.plan.limits import Limits
from heddle.tools.builtin.expand import EXPAND_SPEC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.engine.admission import Asks
    from heddle.engine.budget import Budget
    from heddle.engine.executor import Executor
    from heddle.engine.log import EventLog
    from heddle.engine.node import Node
    from heddle.engine.past import Past, Place
    from heddle.engine.slots import Slots
    from heddle.plan.spec import ToolSpec
    from heddle.tools.probes import Resolution

__all__ = ["Owner", "Parts", "Terms"]


_STUCK = 2
"""Processes in a row that got nowhere; the next one makes one call at a time to see which kills."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what terms the steps of a run are run.

    Attributes:
        limits: bounds on concurrency and time.
        slots: allowances by provider, shared with other runs; the run's own by default.
        inputs: the caller's data, by name.
        estimates: learned durations by tool, shared with other runs; the run's own by default.
        run_id: the run's id, for the origin of effects.
        seed: of the waits before further attempts.
        past: what the journal remembers, if the run is gone on with.
        resolved: what a person says of writes whose outcome nobody saw.
        budget: what the run may use up; None for no bound.
        asks: of tools that ask models, which one and what, so that the budget can reckon it.
    """

    limits: Limits = field(default_factory=Limits)
    slots: Slots | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    estimates: Estimates | None = None
    run_id: str = ""
    seed: int = 0
    past: Past | None = None
    resolved: Mapping[Place, Resolution] = field(default_factory=dict["Place", "Resolution"])
    budget: Budget | None = None
    asks: Asks = field(default_factory=dict[str, Any])


class Owner(Steps, MapOwner, Protocol):
    """Who makes whole steps ready and ends them: the scheduler."""

    def begin_again(self, node: Node) -> None:
        """A write in doubt has not happened."""
        ...


class Parts:
    """What a scheduler is made of.

    Args:
        owner: the scheduler.
        nodes: its nodes by id, in the order of acceptance.
        specs: the tools that steps may name.
        executor: calls them.
        log: takes the events.
        terms: all else.
    """

    def __init__(
        self,
        owner: Owner,
        nodes: dict[str, Node],
        specs: Mapping[str, ToolSpec],
        executor: Executor,
        log: EventLog,
        terms: Terms,
    ) -> None:
        limits, estimates = terms.limits, terms.estimates or Estimates()
        slots = BreakerSlots.before(terms.slots or LocalSlots.of(limits, terms.seed))
        deadlines = Deadlines(log.now)
        expand = specs.get(EXPAND_SPEC.name)
        self.lookup = lookup = Lookup(nodes, terms.inputs)
        self.sharing = sharing = Sharing(lookup)
        self.admission = None if terms.budget is None else Admission(
            terms.budget, limits, lookup, terms.asks, self._over_budget, self._put_back
        )  # fmt: skip
        self.queue = queue = ReadyQueue(
            nodes, specs, limits, slots, estimates, sharing.followers,
            self._wake, self._hopeless, self.admission,
        )  # fmt: skip
        self.retrying = retrying = Retrying(
            limits, log, deadlines, terms.seed, self._go_on, slots.budget
        )
        self.outcomes = outcomes = Outcomes(owner, log, queue, sharing, retrying, self._pump)
        self.unserved = unserved = Unserved(
            log, deadlines, limits.queue_timeout_s, retrying.latest_s, outcomes.unserved
        )
        self.attempts = attempts = Attempts(
            specs, executor, log, limits, queue, lookup, sharing, outcomes,
            deadlines, retrying.left_s, self.admission, terms.run_id,
        )  # fmt: skip
        if terms.past is not None and terms.past.deaths.stuck >= _STUCK:
            attempts.go_warily()
        if limits.hedging:
            attempts.hedging = Hedging(
                log, limits, queue, lookup, attempts, estimates, executor, outcomes.succeeded
            )
        self.speculation = Speculation(
            nodes, executor, log, limits, queue, lookup, sharing, attempts, outcomes, terms.run_id
        )
        self.expansions = Expansions(outcomes, log, lookup, attempts)
        self.doubts = None if terms.past is None else Doubts(
            terms.past, log, outcomes, owner.begin_again, attempts,
            getattr(executor, "probe", _no_probe), lookup.args_of, terms.resolved,
            limits.max_deaths,
        )  # fmt: skip
        self.beginnings = Beginnings(
            log, queue, sharing, outcomes, Repeats(nodes, log, lookup), expand,
            self.expansions, self.speculation, attempts, unserved, self.doubts,
        )  # fmt: skip
        self.maps = outcomes.maps = Maps(
            nodes, log, lookup, queue, attempts, limits.concurrency, self.beginnings, owner,
            terms.past,
        )  # fmt: skip

    # -- the ways back -------------------------------------------------------------------------

    def _wake(self) -> None:
        self.attempts.pump_soon()

    def _pump(self) -> None:
        self.attempts.pump()

    def _go_on(self, node: Node) -> None:
        self.beginnings.go_on(node)

    def _hopeless(self, node: Node, opens_at: float) -> bool:
        return self.unserved.hopeless(node, opens_at)

    def _over_budget(self, node: Node) -> None:
        self.outcomes.over_budget(node)

    def _put_back(self, node: Node) -> None:
        self.queue.push(node)
        self._wake()


def _no_probe(tool: str, args: dict[str, Any]) -> None:
    """An executor that cannot ask its tools."""
