"""What models read: prompts filled in, and results as data."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from heddle.models.protocol import Message
from heddle.plan.canonical import step_to_json
from heddle.plan.signature import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.engine.state import StepState
    from heddle.plan.spec import ToolSpec
    from heddle.strategies import Messages, Rounds

__all__ = [
    "asked", "digest", "inputs_text", "observed", "prompt", "results_text", "tools_text",
]  # fmt: skip

_MAX_INLINE = 32 * 1024
_LEAST_INLINE = 64
_HEAD = 2_000


@cache
def _template(name: str) -> str:
    return (files("heddle.strategies") / "prompts" / f"{name}.md").read_text("utf-8")


def prompt(name: str, **values: object) -> str:
    """A prompt with its `{{places}}` filled, once: what is filled in is not looked at again.

    Raises:
        KeyError: the prompt has a place that no value was given for.
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda place: str(values[place[1]]), _template(name)).strip()


def asked(rounds: Rounds, system: str, reason: str = "", begin: str = "") -> Messages:
    """What a planner reads: its instructions, then the question, or why it is asked again.

    Args:
        rounds: the run so far; of earlier rounds the planner sees digests, and no result.
        system: its instructions.
        reason: why another round is wanted; "" in the first.
        begin: how the ids of this round begin.
    """
    if not reason:
        return [Message("system", system), Message("user", rounds.question)]
    again = prompt(
        "replan",
        question=rounds.question,
        round=rounds.next_round,
        steps=digest(rounds.steps()) or "(none)",
        begin=begin,
        reason=reason,
    )
    return [Message("system", system), Message("user", again)]


def tools_text(specs: Mapping[str, ToolSpec]) -> str:
    """The tools as a planner reads them."""
    return "\n\n".join(described(spec) for spec in specs.values())


def inputs_text(inputs: Mapping[str, str], form: str = "$input.{}") -> str:
    """The names and types of the caller's data; "" if there is none.

    Args:
        inputs: type names, by name.
        form: how the dialect writes the input of a name.
    """
    if not inputs:
        return ""
    lines = [f"    {form.format(name)}: {kind}" for name, kind in inputs.items()]
    return (
        "\nThe caller passed data that you do not see. Refer to it by name, as to a result:\n\n"
        + "\n".join(lines)
    )


def results_text(
    steps: Sequence[StepState], *, notes: bool = False, room: int | None = None
) -> str:
    """Steps with their results, one JSON object a line, in plan order whatever came first.

    No `<` is left in it, so that no result can end the block that it stands in.

    Args:
        steps: all that there are.
        notes: say, too, what the planner said that each is for.
        room: bytes that it may all be; values are cut to their beginnings until it fits.

    Cost: linear in the results, at most ten times over where they have to be cut.
    """
    whole = _MAX_INLINE
    text = _results(steps, whole, notes=notes)
    while room is not None and len(text.encode()) > room and whole > _LEAST_INLINE:
        whole //= 2
        text = _results(steps, whole, notes=notes)
    return text


def _results(steps: Sequence[StepState], whole: int, *, notes: bool) -> str:
    text = "\n".join(_dumps(_with_value(step, notes=notes, whole=whole)) for step in steps)
    return text.replace("<", "\\u003c")


def digest(steps: Sequence[StepState]) -> str:
    """Steps without their results: status, type and size, for one who plans and must not read."""
    return "\n".join(_dumps(_without_value(step)) for step in steps)


def observed(step: StepState) -> str:
    """One result as the model reads it that asked for it: text as it is, anything else as JSON."""
    if not step.has_value:
        return f"Error ({step.code}): {step.message or step.status}"
    value = _inline(step.value)
    return value if isinstance(value, str) else _dumps(value)


def _with_value(step: StepState, *, notes: bool, whole: int) -> dict[str, Any]:
    out = _called(step, notes=notes)
    if step.has_value:
        out["value"] = _inline(step.value, whole)
    else:
        out["error"] = step.code
        out["message"] = step.message
    return out


def _without_value(step: StepState) -> dict[str, Any]:
    out = _called(step)
    if step.has_value:
        out["type"] = type(step.value).__name__
        out["size"] = len(_dumps(step.value))
    else:
        out["error"] = step.code
    return out


def _called(step: StepState, *, notes: bool = False) -> dict[str, Any]:
    called = step_to_json(step.step, note=notes) if step.step else {"id": step.id}
    return {**called, "status": step.status}


def _inline(value: Any, whole: int = _MAX_INLINE) -> Any:
    """A value, or a handle with the beginning of it where it is too large for a prompt."""
    text = _dumps(value)
    if len(text) <= whole:
        return value
    data = text.encode()
    return {
        "$content": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "head": text[: min(_HEAD, whole // 2)],
    }


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
