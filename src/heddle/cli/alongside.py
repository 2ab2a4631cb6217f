"""Drawing while something runs: a task that lasts as long as a context."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

__all__ = ["alongside"]


@asynccontextmanager
async def alongside(drawing: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Draw until the context is left.

    A picture that cannot be drawn, because the terminal has gone, ends nothing but itself.

    Raises:
        BaseException: what else the drawing raised; a bug.
    """
    task = asyncio.create_task(drawing)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, (OSError, ValueError)):  # of a closed stream
        raise error
