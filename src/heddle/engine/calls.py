"""The call that is being made: what a tool with an effect may ask about itself.

    @heddle.tool(effect="idempotent")
    async def charge(card: str, cents: int) -> str:
        call = heddle.current_call()
        return await bank.charge(card, cents, idempotency_key=call.key)

The key is the same for all attempts of a step, whatever process makes them.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

__all__ = ["CurrentCall", "calling", "current_call"]


class CurrentCall(NamedTuple):
    """One attempt of a step with an effect.

    Attributes:
        key: what the receiver may know it by: equal for every attempt of this step and element.
        element: the index of a map's element; None outside one.
        attempt: 1 for the first.
        deadline: seconds of the run's clock at which it is given up; None for never.
    """

    key: str
    run_id: str
    step: str
    element: int | None
    attempt: int
    deadline: float | None


calling: ContextVar[CurrentCall | None] = ContextVar("calling", default=None)
"""Set in the task of an attempt, for tools with an effect only."""


def current_call() -> CurrentCall:
    """The call that the tool is in.

    Raises:
        LookupError: outside of a call, and in tools that are `pure` or `read`.
    """
    call = calling.get()
    if call is None:
        raise LookupError(
            "there is no current call: it is there inside of tools that are declared idempotent "
            "or write, while a plan runs them"
        )
    return call
