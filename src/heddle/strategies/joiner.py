"""The joiner: what it reads, and what it may say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from heddle.models.protocol import Message
from heddle.plan.canonical import canonical_bytes
from heddle.strategies import Verdict
from heddle.strategies.wording import prompt, results_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.engine.state import StepState
    from heddle.strategies import Messages

__all__ = ["VERDICT_SCHEMA", "joiner_messages", "verdict_of"]

_AROUND = 500
"""Bytes for what stands around question and results, the schema of the reply included."""

VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "enum": ["finish", "replan"]},
        "answer": {"type": ["string", "null"]},
        "reason": {"type": ["string", "null"]},
    },
    "required": ["action", "answer", "reason"],
    "additionalProperties": False,
}
"""What a joiner may say."""


def joiner_messages(
    question: str, steps: Sequence[StepState], *, last: bool, room: int | None = None
) -> Messages:
    """What a joiner reads: the question, and every step's result as data, in plan order.

    Args:
        question: the user's.
        steps: all steps of all rounds.
        last: whether no further round is possible.
        room: bytes that it may all be; of long results the beginning is shown, so that it fits.
    """
    end = "\n\nNo further round is possible: finish." if last else ""
    system = prompt("joiner", last=end)
    if room is not None:
        room -= len(f"{system}{question}".encode()) + _AROUND
    results = f"<results>\n{results_text(steps, room=room)}\n</results>"
    asked = f"Question: {question}\n\n{results}"
    return [Message("system", system), Message("user", asked)]


def verdict_of(reply: str) -> Verdict:
    """A joiner's reply. What does not have the closed form is an answer, and never an order."""
    start, end = reply.find("{"), reply.rfind("}")
    try:
        data = json.loads(reply[start : end + 1])
        canonical_bytes(data)  # refuses NaN and halves of surrogate pairs, which `loads` lets pass
    except (ValueError, RecursionError):
        return Verdict("finish", reply.strip())
    if not isinstance(data, dict):
        return Verdict("finish", reply.strip())
    said = cast("dict[str, Any]", data)
    if said.get("action") == "replan":
        return Verdict("replan", None, str(said.get("reason") or "no reason given"))
    if "answer" in said:
        return Verdict("finish", said["answer"])
    return Verdict("finish", reply.strip())
