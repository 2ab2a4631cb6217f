"""What a call takes of its provider's allowance, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from heddle.models.quota import Quota

__all__ = ["DROPPED", "ONE", "UNUSED", "Cost", "Outcome"]


class Cost(NamedTuple):
    """What a call takes of a provider's allowance: reserved before it, corrected after it.

    Attributes:
        input_tokens: of the prompt, as far as they are known beforehand.
        output_tokens: the most that the reply may have.
    """

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0


ONE = Cost()


class Outcome(NamedTuple):
    """What came of a call, as its provider's allowance wants to know it.

    Attributes:
        kind: `throttled` is a 429 or 529; `failed` another fault of the provider or the line;
            `dropped` a call that was given up, which says nothing of the provider; `unused` a slot
            whose call never began.
        used: what the call has really taken; None if nobody counted.
        retry_after_s: the provider's own wish, a floor.
        quota: what the provider says of its limits.
    """

    kind: Literal["ok", "throttled", "failed", "dropped", "unused"] = "ok"
    used: Cost | None = None
    retry_after_s: float | None = None
    quota: Quota | None = None


DROPPED = Outcome("dropped")
UNUSED = Outcome("unused")
