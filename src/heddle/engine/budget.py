"""Budgets: what a run may use up in all, and what of it is left.

Policy. Whoever is about to call reserves the most that the call may take, and settles when the call
is over: what it took stays booked, the rest comes back. Nothing is begun that might go above a
bound, so calls are never above it, and tokens and money only by what one reservation was too small.

    reserve ──▶ now: booked, and the rest of it comes back when the call is over
            ├─▶ later: it would fit if what is in flight took less than was reserved
            └─▶ never: over budget

Accounts stand one inside the other (the run, a nested plan in it, a map in that); what is booked on
one is booked on all around it. A share of the run's tokens and money is kept for the join, so that
what there is can be joined when the rest is used up.

State. Every change is a `BudgetDelta`: their sum is the state, also of a run that goes on later.
Kinds: "calls", "calls:TOOL", "input_tokens", "output_tokens", "tokens" (both), "cost_usd".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from heddle.engine.events import BudgetDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heddle.engine.events import Event
    from heddle.engine.log import EventLog
    from heddle.plan.limits import Limits

__all__ = ["Account", "Amounts", "Budget", "Reservation", "Verdict", "budget_of"]

Amounts: TypeAlias = "Mapping[str, float]"
"""How much of each kind."""

Verdict: TypeAlias = Literal["now", "later", "never"]

_KEPT = ("input_tokens", "output_tokens", "tokens", "cost_usd")
"""Kinds of which a share is kept for the join, which makes no call of a tool."""

_ROUNDING = 1e-9
"""Sums of money are floats; a bound of 0.3 takes three calls of 0.1."""


class Account:
    """What may be booked on one level, and what is.

    Attributes:
        scope: its name in the log; "" for the run.
        bounds: by kind; a kind that is missing is bounded by the accounts around it alone.
        booked: by kind, what was used and what is reserved.
        held: by kind, that part of it which may come back.
        kept: by kind, what only the join may use.
    """

    __slots__ = ("booked", "bounds", "held", "kept", "parent", "scope")

    def __init__(self, bounds: Amounts, parent: Account | None = None, scope: str = "") -> None:
        self.scope = scope
        self.parent = parent
        self.bounds = dict(bounds)
        self.booked = dict.fromkeys(bounds, 0.0)
        self.held = dict.fromkeys(bounds, 0.0)
        self.kept: dict[str, float] = {}

    def room(self, kind: str, *, joining: bool = False) -> float:
        """How much more may be booked, here and on all accounts around; infinite without bound."""
        bound = self.bounds.get(kind, math.inf)
        kept = 0.0 if joining else self.kept.get(kind, 0.0)
        own = bound - kept - self.booked.get(kind, 0.0)
        return own if self.parent is None else min(own, self.parent.room(kind, joining=joining))

    def verdict(self, amounts: Amounts, *, joining: bool = False) -> Verdict:
        """Whether so much may be booked."""
        found: Verdict = "now"
        for kind, amount in amounts.items():
            if amount <= self.room(kind, joining=joining) + _ROUNDING:
                continue
            if amount > self._room_at_best(kind, joining=joining) + _ROUNDING:
                return "never"
            found = "later"
        return found

    def _room_at_best(self, kind: str, *, joining: bool) -> float:
        """The room that there were if all came back that may."""
        account: Account | None = self
        least = math.inf
        while account is not None:
            kept = 0.0 if joining else account.kept.get(kind, 0.0)
            taken = account.booked.get(kind, 0.0) - account.held.get(kind, 0.0)
            least = min(least, account.bounds.get(kind, math.inf) - kept - taken)
            account = account.parent
        return least

    def book(self, amounts: Amounts) -> None:
        """Book here and on all accounts around; negative amounts come back."""
        account: Account | None = self
        while account is not None:
            for kind in account.bounds.keys() & amounts.keys():
                account.booked[kind] += amounts[kind]
            account = account.parent

    def hold(self, amounts: Amounts, sign: int) -> None:
        """Remember that so much of what is booked may come back, or (-1) that it may not any more.

        Calls do not: they are made.
        """
        account: Account | None = self
        while account is not None:
            for kind in account.bounds.keys() & amounts.keys():
                if not kind.startswith("calls"):
                    account.held[kind] += sign * amounts[kind]
            account = account.parent


class Reservation:
    """What is reserved for one call.

    Attributes:
        amounts: by kind.
    """

    __slots__ = ("_account", "_budget", "_held", "_open", "_reason", "amounts")

    def __init__(self, budget: Budget, account: Account, amounts: Amounts, reason: str) -> None:
        self.amounts = amounts
        self._budget = budget
        self._account = account
        self._reason = reason
        self._open = True
        self._held: Amounts | None = amounts  # which others may wait for

    def settle(self, took: Amounts | None = None) -> None:
        """The call is over; the second time does nothing.

        Args:
            took: what it took; kinds that are missing took what was reserved. None for all of it.
        """
        if self._open:
            self._open = False
            self._let_go()
            self._budget.settle(self._account, self.amounts, took or {}, self._reason)

    def write_off(self) -> None:
        """Nobody waits for the call any longer, nor for what comes back of it when it is over."""
        if self._open:
            self._let_go()
            self._budget.tell_freed()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._account.hold(held, -1)

    def drop(self) -> None:
        """The call was never made: all of it comes back."""
        self.settle(dict.fromkeys(self.amounts, 0.0))


class Budget:
    """The accounts of one run.

    Args:
        bounds: of the run, by kind.
        log: takes BudgetDelta.

    Attributes:
        run: the run's account.
        freed: called when something has come back.
        counted: what its models count for a prompt; see `Reckoner`.
    """

    def __init__(self, bounds: Amounts, log: EventLog) -> None:
        self.run = Account(bounds)
        self.freed: list[Callable[[], None]] = []
        self.counted: dict[str, float] = {}
        self._log = log
        self._past: dict[str, dict[str, float]] = {}

    def recall(self, events: Iterable[Event]) -> None:
        """Take in what this run has booked before it was cut off.

        Reservations that were not settled count in full: nobody knows what became of those calls.
        """
        for event in events:
            if isinstance(event, BudgetDelta):
                past = self._past.setdefault(event.scope, {})
                for kind, amount in event.amounts.items():
                    past[kind] = past.get(kind, 0.0) + amount
                self.run.book(event.amounts)

    def keep_for_join(self, share: float) -> None:
        """From now on, only the join may use this share of the run's tokens and money."""
        bounds = self.run.bounds
        self.run.kept = {kind: bounds[kind] * share for kind in _KEPT if kind in bounds}

    def within(self, parent: Account, scope: str, share: float) -> Account:
        """An account of its own for a part of the run: a share of what is left around it."""
        past = self._past.get(scope, {})
        left = {kind: parent.room(kind) + past.get(kind, 0.0) for kind in self.run.bounds}
        account = Account(
            {kind: _share(kind, room, share) for kind, room in left.items()}, parent, scope
        )
        for kind in account.bounds.keys() & past.keys():
            account.booked[kind] = past[kind]
        return account

    def reserve(
        self,
        amounts: Amounts,
        reason: str,
        account: Account | None = None,
        *,
        joining: bool = False,
    ) -> Reservation | None:
        """Book what a call may take at most; None where that is not possible now.

        Args:
            amounts: by kind; kinds that nothing bounds are left out.
            reason: who calls, for the log.
            account: on which it is booked; the run's own by default.
            joining: whether it may use what is kept for the join.
        """
        account = account or self.run
        known = {kind: amount for kind, amount in amounts.items() if kind in self.run.bounds}
        if account.verdict(known, joining=joining) != "now":
            return None
        account.book(known)
        account.hold(known, 1)
        self._say(account, known, reason)
        return Reservation(self, account, known, reason)

    def settle(self, account: Account, reserved: Amounts, took: Amounts, reason: str) -> None:
        """See `Reservation.settle`."""
        change = {
            kind: amount - reserved.get(kind, 0.0)
            for kind, amount in took.items()
            if kind in self.run.bounds and amount != reserved.get(kind, 0.0)
        }
        if change:
            account.book(change)
            self._say(account, change, reason)
        self.tell_freed()

    def tell_freed(self) -> None:
        """There may be room, or none to wait for any more."""
        for freed in tuple(self.freed):
            freed()

    def _say(self, account: Account, amounts: Amounts, reason: str) -> None:
        self._log.emit(BudgetDelta(self._log.now(), account.scope, amounts, reason))


def _share(kind: str, room: float, share: float) -> float:
    """A share of what is left; of calls, at least one and whole ones."""
    return max(1.0, math.floor(room * share)) if kind.startswith("calls") else room * share


def budget_of(limits: Limits, log: EventLog) -> Budget | None:
    """The budget of a run; None where nothing bounds what it may use up."""
    given = {
        "calls": limits.budget_calls,
        "input_tokens": limits.budget_input_tokens,
        "output_tokens": limits.budget_output_tokens,
        "tokens": limits.budget_tokens,
        "cost_usd": limits.budget_usd,
    }
    bounds = {kind: float(bound) for kind, bound in given.items() if bound is not None}
    bounds |= {f"calls:{tool}": float(n) for tool, n in limits.budget_calls_by_tool.items()}
    return Budget(bounds, log) if bounds else None
