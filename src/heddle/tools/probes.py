"""What became of a write whose outcome nobody saw: what probes and people may say.

@heddle.tool(effect="write", probe=look_up)
async def send(to: str, body: str) -> str: ...

async def look_up(to: str, body: str) -> heddle.Done | heddle.NotDone | heddle.Unsure:
mail = await outbox.find(heddle.current_call().key)
return heddle.NotDone() if mail is None else heddle.Done(mail.id)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Done", "Failed", "NotDone", "Resolution", "Unsure"]


@dataclass(frozen=True, slots=True)
class Done:
    """It has happened, and this is what the tool would have returned."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class NotDone:
    """It has not happened, and will not: the step may be tried again."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It counts as failed, and is not tried again."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unsure:
    """Nobody can say; the step stays unknown."""


Resolution: TypeAlias = Done | NotDone | Failed | Unsure
