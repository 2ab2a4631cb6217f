"""When there is enough to join."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JoinPolicy"]


class JoinPolicy:
    """Which results must be there before they are joined.

    They are those that the plan's output names; where it names none, those that no other step uses.

    "best-effort" joins whatever there is when all has ended or time runs out; "all" wants every
    one of them done; "quorum:K" joins as soon as K are done and stops the rest; "any" is
    "quorum:1".
    """

    def __init__(self, text: str) -> None:
        kind, _, number = text.partition(":")
        self.kind = "quorum" if kind == "any" else kind
        counts = kind == "quorum" and number.isdecimal() and int(number)
        if text not in ("best-effort", "all", "any") and not counts:
            raise ConfigError(
                f"there is no join policy {text!r}",
                code="unknown-join-policy",
                hint="known: best-effort, all, any, quorum:K with K from 1",
            )
        self.quorum = int(number) if number else 1

    def enough(self, ends: Sequence[str]) -> int | None:
        """How many of these steps must be done to join at once; None to wait for all to end."""
        return min(self.quorum, len(ends)) if self.kind == "quorum" else None

    def met(self, done: int, ends: Sequence[str]) -> bool:
        """Whether so many done steps may be joined."""
        if self.kind == "best-effort":
            return True
        return done >= (len(ends) if self.kind == "all" else min(self.quorum, len(ends)))
