"""What the end of a tool's call says to the allowances whose slots it held."""

from __future__ import annotations

from typing import Any, Final

from heddle.engine.costs import ONE, UNUSED, Cost, Outcome
from heddle.engine.faults import outcome_of
from heddle.tools.function import Metered

__all__ = ["UNCALLED", "ending_of", "used_of"]

UNCALLED: Final = object()
"""In the place of a value: the slots were taken, and nothing was called."""

_WELL: Final = Outcome()


def ending_of(ended: Any) -> Outcome:
    """What came of a call, from its value, or from what it raised, or UNCALLED."""
    if ended is UNCALLED:
        return UNUSED
    if isinstance(ended, BaseException):
        outcome = outcome_of(ended)
        return outcome._replace(used=used_of(getattr(ended, "usage", None)))
    if type(ended) is Metered:
        return Outcome(used=used_of(ended.usage))
    return _WELL


def used_of(usage: Any) -> Cost | None:
    """The tokens that a call has taken, where they were counted."""
    if usage is None:
        return None
    return ONE._replace(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
