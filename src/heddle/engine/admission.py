"""Admission: which ready steps the run's budgets can still pay for.

A step is asked for when its turn has come, before it takes any slot. What fits is reserved as it
starts. What would fit if calls in flight took less than was reserved for them waits here, the best
first. What cannot fit any more ends skipped, or failed where an attempt was made: `over-budget`.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.engine.lookup import NothingChosen
from heddle.engine.reckoning import Ask, Reckoner
from heddle.errors import ModelError, ToolFailed
from heddle.models.protocol import Usage
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heddle.engine.budget import Account, Budget, Reservation
    from heddle.engine.gate import Gate
    from heddle.engine.lookup import Lookup
    from heddle.engine.map_run import Element, MapRun
    from heddle.engine.node import Node
    from heddle.models.protocol import Model, Request
    from heddle.plan.ir import Step
    from heddle.plan.limits import Limits

__all__ = ["OVER_BUDGET", "Admission", "Asks"]

Asks: TypeAlias = "Mapping[str, tuple[Model, Callable[[dict[str, Any]], Request]]]"
"""By tool, the model that it asks, and its request for some arguments."""

OVER_BUDGET = "over-budget", "the run's budget has no room for it"
"""Code and words."""


class Admission:
    """The steps of one run, as its budget sees them.

    Args:
        budget: the run's accounts.
        limits: the shares of maps and nested plans.
        lookup: fills the arguments of steps that ask a model, to reckon their prompts.
        asks: of tools that ask models, which model and what.
        refused: called with a step that cannot be paid for any more.
        put_back: called with a step that has waited and may be paid for now.
    """

    def __init__(
        self,
        budget: Budget,
        limits: Limits,
        lookup: Lookup,
        asks: Asks,
        refused: Callable[[Node], None],
        put_back: Callable[[Node], None],
    ) -> None:
        self._budget = budget
        self._limits = limits
        self._lookup = lookup
        self._asks = asks
        self._tell_refused = refused
        self._put_back = put_back
        self._reckoner = Reckoner(limits, budget.counted)
        self._accounts: dict[Gate | MapRun, Account] = {}
        self._needs: dict[Node, tuple[dict[str, float], Ask | None]] = {}
        self._reserved: dict[Node, tuple[Reservation, Ask | None]] = {}
        self._waiting: list[tuple[float, int, Node]] = []
        self._refused: list[Node] = []
        budget.freed.append(self.free)

    # -- before a call -------------------------------------------------------------------------

    def admits(self, node: Node) -> bool:
        """Whether a ready step can be paid for now; if not, it waits or ends here."""
        needs, _ = self._need(node)
        verdict = self._account(node).verdict(needs)
        if verdict == "later":
            heappush(self._waiting, (-node.rank, node.n, node))
        elif verdict == "never":
            self._refuse(node)
        return verdict == "now"

    def take(self, node: Node) -> bool:
        """Reserve for a step that starts; whether it could be."""
        reserved = self.reserve(node)
        if reserved is None:
            return False
        self.settle(node)  # of an attempt that was given up
        self._reserved[node] = reserved, self._needs.pop(node)[1]
        self.free()  # there may be room for one more
        return True

    def reserve(self, node: Node) -> Reservation | None:
        """Reserve for a call of this step, the caller settles; None if there is no room now."""
        needs, _ = self._need(node)
        return self._budget.reserve(needs, node.id, self._account(node))

    def hand_over(self, node: Node, reservation: Reservation) -> None:
        """A call that was begun for nobody is now the attempt of a step."""
        self._reserved[node] = reservation, None

    def _need(self, node: Node) -> tuple[dict[str, float], Ask | None]:
        """What a call of this step takes at most."""
        if node not in self._needs:
            self._needs[node] = self._reckon(node)
        needs, ask = self._needs[node]
        if ask is None:
            return needs, ask
        told = self._reckoner.before(ask)  # anew: more may be known of its model by now
        return {kind: told.get(kind, amount) for kind, amount in needs.items()}, ask

    def _reckon(self, node: Node) -> tuple[dict[str, float], Ask | None]:
        tool = node.step.tool  # type: ignore[union-attr]  # only steps become ready
        cost = node.spec.cost_usd  # type: ignore[union-attr]  # only steps become ready
        needs: dict[str, float] = {"calls": 1.0, "calls:" + tool: 1.0}
        ask = self._asked(node) if tool in self._asks else None
        if ask is not None:
            needs |= self._reckoner.before(ask)
        if cost is not None:
            needs["cost_usd"] = cost
        bounds = self._budget.run.bounds
        return {kind: amount for kind, amount in needs.items() if kind in bounds}, ask

    def _asked(self, node: Node) -> Ask | None:
        """The model call of a step; None where its arguments are bad, as it will say itself."""
        step = node.step
        model, request = self._asks[step.tool]  # type: ignore[union-attr]
        try:
            args = self._args(node, step)  # type: ignore[arg-type]
            return self._reckoner.ask(model, request(args))
        except (ToolFailed, NothingChosen, KeyError, TypeError):
            return None

    def _args(self, node: Node, step: Step) -> dict[str, Any]:
        if node.element is None:
            return self._lookup.fill(step)
        return self._lookup.fill_element(step, cast("Element", node).item)

    def _account(self, node: Node) -> Account:
        """On which account a step's calls are booked."""
        around = self._accounts.get(node.gate, self._budget.run)
        run, share = node.map, self._limits.budget_map_share
        if run is None or share >= 1:
            return around
        if run not in self._accounts:
            self._accounts[run] = self._budget.within(around, f"map:{node.id}", share)
        return self._accounts[run]

    def nest(self, id: str, outer: Gate, gate: Gate) -> None:
        """A step expands a plan: it may use up a share of what is left."""
        around = self._accounts.get(outer, self._budget.run)
        share = self._limits.budget_expansion_share
        if share < 1:
            around = self._budget.within(around, f"plan:{id}", share)
        self._accounts[gate] = around

    # -- after a call --------------------------------------------------------------------------

    def settle(self, node: Node, came: Any = None, *, called: bool = True) -> None:
        """A step's call is over.

        Args:
            node: the step.
            came: its value, or the error that it raised; usage in it is what it took.
            called: whether its tool was called.
        """
        if node not in self._reserved:
            return
        reservation, ask = self._reserved.pop(node)
        if not (called and node.begun):
            reservation.drop()
        else:
            reservation.settle(self._took(ask, came))

    def reserved_for(self, node: Node) -> Reservation | None:
        """What is reserved for the call that a step makes now."""
        return self._reserved[node][0] if node in self._reserved else None

    def _took(self, ask: Ask | None, came: Any) -> dict[str, float]:
        usage: Usage | None = None
        cost: float | None = None
        if type(came) is Metered:
            _, usage, cost = came
        elif isinstance(came, ModelError):
            usage, cost = came.usage or Usage(), came.cost_usd
        if usage is None:
            return {}
        if ask is not None:
            return self._reckoner.after(ask, usage, cost)
        took: dict[str, float] = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "tokens": usage.input_tokens + usage.output_tokens,
        }
        return took if cost is None else {**took, "cost_usd": cost}

    # -- those that wait -----------------------------------------------------------------------

    def free(self) -> None:
        """Something came back, or a step has gone: the best of those that wait may try."""
        while self._waiting:
            node = self._waiting[0][2]
            verdict = "never"
            if node.status == "ready":
                verdict = self._account(node).verdict(self._need(node)[0])
                if verdict == "later":
                    return
            heappop(self._waiting)
            if verdict == "now":
                self._put_back(node)
                return
            if node.status == "ready":
                self._refuse(node)

    def _refuse(self, node: Node) -> None:
        """End a step, but not at once: whoever asks is in the midst of taking slots."""
        if not self._refused:
            asyncio.get_running_loop().call_soon(self._end_refused)
        self._refused.append(node)

    def _end_refused(self) -> None:
        refused, self._refused = self._refused, []
        for node in refused:
            self._needs.pop(node, None)
            if node.status == "ready":
                self._tell_refused(node)
