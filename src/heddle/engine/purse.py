"""The purse: what the run's own model calls may take of its budgets.

A planner, a repair or a joiner is asked only when its prompt and its reply are paid for. Where the
room is small the reply is bounded by what there is, rather than refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from heddle.engine.reckoning import Ask, Reckoner
from heddle.errors import BudgetExceeded

if TYPE_CHECKING:
    from heddle.engine.budget import Budget, Reservation
    from heddle.models.protocol import Model, Request, Usage
    from heddle.plan.limits import Limits

__all__ = ["Booking", "Purse"]

_LEAST = 128
"""Tokens of a reply that is worth asking for."""

_GROWTH = 2
"""How many times as long the next planner's prompt may be: it says what the last plan came to."""


class Booking:
    """One model call that is paid for.

    Attributes:
        request: with the bound on its reply.
    """

    def __init__(self, purse: Purse, reserved: Reservation, ask: Ask, request: Request) -> None:
        self.request = replace(request, max_output_tokens=ask.output_tokens)
        self._purse = purse
        self._reserved = reserved
        self._ask = ask

    def settle(self, usage: Usage, cost_usd: float | None) -> None:
        """The call is over, and took so much."""
        self._reserved.settle(self._purse.took(self._ask, self.request.role, usage, cost_usd))


class Purse:
    """Pays for the model calls of one run.

    Args:
        budget: the run's accounts.
        limits: where replies are cut.
    """

    def __init__(self, budget: Budget, limits: Limits) -> None:
        self._budget = budget
        self._reckoner = Reckoner(limits, budget.counted)
        self._planning: Ask | None = None  # the last call of a planner, as it came out

    @property
    def low(self) -> bool:
        """Whether another planner call after the last would use what is kept for joining."""
        if self._planning is None:
            return False
        return self._budget.run.verdict(self._reckoner.before(self._planning)) == "never"

    def prompt_room(self, model: Model) -> int | None:
        """Bytes that a joiner's prompt may have; None where nothing bounds it."""
        room, ask = self._budget.run.room, Ask(model, 0, self._reckoner.most_output_tokens)
        tokens = room("tokens", joining=True)
        reply = min(ask.output_tokens, max(_LEAST, tokens / 4))
        most = min(room("input_tokens", joining=True), tokens - reply)
        price = self._reckoner.before(Ask(model, 1000, 0)).get("cost_usd", 0.0) / 1000
        if price:
            most = min(most, 0.75 * room("cost_usd", joining=True) / price)
        return None if most == float("inf") else self._reckoner.prompt_bytes(model, most)

    async def pay(self, model: Model, request: Request, *, joining: bool) -> Booking:
        """Reserve for a call, after waiting for what other calls give back.

        Args:
            model: who is asked.
            request: what.
            joining: whether it may use what is kept for the join.

        Raises:
            BudgetExceeded: there is no room for it any more; code `over-budget`.
        """
        full = self._reckoner.ask(model, request)
        least = full._replace(output_tokens=min(full.output_tokens, _LEAST))
        while True:
            verdict = self._verdict(full, joining)
            ask = full
            if verdict == "never" and (verdict := self._verdict(least, joining)) == "now":
                ask = least._replace(output_tokens=self._room_for_reply(full, joining))
            if verdict == "never":
                raise _exceeded(request.role)
            if verdict == "now":
                reserved = self._budget.reserve(
                    self._reckoner.before(ask), request.role, joining=joining
                )
                assert reserved is not None  # nobody was asked in between
                return Booking(self, reserved, ask, request)
            await self._freed()

    def remember(self, model: Model, request: Request, usage: Usage) -> None:
        """A call was paid for before the run was resumed."""
        self.took(self._reckoner.ask(model, request), request.role, usage, None)

    def took(self, ask: Ask, role: str, usage: Usage, cost_usd: float | None) -> dict[str, float]:
        """What a call took, by its usage."""
        if role == "planner":
            least = max(_LEAST, usage.output_tokens)
            self._planning = ask._replace(tokens=_GROWTH * ask.tokens, output_tokens=least)
        return self._reckoner.after(ask, usage, cost_usd)

    def _verdict(self, ask: Ask, joining: bool) -> str:
        return self._budget.run.verdict(self._reckoner.before(ask), joining=joining)

    def _room_for_reply(self, ask: Ask, joining: bool) -> int:
        """The most tokens of a reply that fit, once its prompt is paid for."""
        nothing = self._reckoner.before(ask._replace(output_tokens=0))
        share = 1.0
        for kind, amount in self._reckoner.before(ask).items():
            room = self._budget.run.room(kind, joining=joining)
            if amount > room:
                share = min(share, (room - nothing[kind]) / (amount - nothing[kind]))
        return int(share * ask.output_tokens)

    async def _freed(self) -> None:
        """Return when something has come back."""
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def tell() -> None:
            if not free.done():
                free.set_result(None)

        self._budget.freed.append(tell)
        try:
            await free
        finally:
            self._budget.freed.remove(tell)


def _exceeded(role: str) -> BudgetExceeded:
    return BudgetExceeded(
        f"the run's budget has no room for the {role}'s call",
        code="over-budget",
        hint="raise the limit that begins with budget_ (--max-tokens, --max-cost), or ask for less",
    )
