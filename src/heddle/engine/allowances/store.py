"""Where allowances are kept that several processes share.

One JSON document an allowance, and one operation: read it, change it, keep it, with nobody else in
between. What is in a document is `sharing`'s business; a store needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = ["AllowanceStore", "Change"]

T = TypeVar("T")

Change: TypeAlias = Callable[[Any, float], tuple[Any, T]]
"""From a document (None where there is none) and the store's time to the next document, and what is
to be told of it. It may be called again if the store has to try again, so it keeps nothing."""


class AllowanceStore(Protocol):
    """Documents by name.

    Invariant: all processes that use one store see one clock, whose seconds never go back while
        documents last; changes of one document happen one after the other.
    """

    async def change(self, name: str, change: Change[T]) -> T:
        """Change a document; what `change` gave beside it.

        Raises:
            ConfigError: `limits-unwritable`: it cannot be kept there.
            TimeoutError: others have been at it for too long; it may be tried again.
        """
        ...

    async def aclose(self) -> None:
        """Let go of files and connections."""
        ...
