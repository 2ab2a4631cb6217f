"""Waiting for a slot: the `acquire` of everything that has slots, made of its other methods."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.slots import Lease

__all__ = ["acquired"]


async def acquired(
    take: Callable[[], Lease | None],
    when_free: Callable[[Callable[[], bool]], None],
    pass_on: Callable[[], None],
) -> Lease:
    """A slot; first come, first served among those who wait here.

    Args:
        take: a slot now, or None.
        when_free: has somebody woken when trying again may help; see `Slots.when_free`.
        pass_on: who was woken and does not try after all says so; see `Slots.pass_on`.

    Raises:
        BaseException: what `take` raises.
    """
    while (lease := take()) is None:
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        when_free(partial(_resolve, free))
        try:
            await free
        except asyncio.CancelledError:
            if free.done() and not free.cancelled():
                pass_on()
            raise
    return lease


def _resolve(future: asyncio.Future[None]) -> bool:
    """Wake whoever waits for a future; whether anybody still does."""
    if future.done():
        return False
    future.set_result(None)
    return True
