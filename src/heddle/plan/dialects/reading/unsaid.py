"""Parts of a step that a dialect has no words for."""

from __future__ import annotations

from dataclasses import fields

from heddle.plan.ir import Step

__all__ = ["refuse_unsaid"]

_PLAIN = Step("", "")


def refuse_unsaid(step: Step, dialect: str, *said: str) -> None:
    """Check that a step has no part that the dialect has no words for.

    Args:
        step: the step.
        dialect: its name, for the message.
        said: the fields that it has words for, beside id, tool, arguments and note.

    Raises:
        ValueError: it has one; the message says which.
    """
    for field in fields(Step):
        if field.name in ("id", "tool", "args", "note", "origin", *said):
            continue
        if getattr(step, field.name) != getattr(_PLAIN, field.name):
            raise ValueError(f"step {step.id}: the {dialect} dialect has no {field.name!r}")
