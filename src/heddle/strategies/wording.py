"""What models read: prompts filled in, and results as data."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from heddle.plan.canonical import step_to_json
from heddle.plan.signature import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.engine.state import StepState
    from heddle.plan.spec import ToolSpec

__all__ = ["digest", "inputs_text", "prompt", "results_text", "tools_text"]

_MAX_INLINE = 32 * 1024
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


def tools_text(specs: Mapping[str, ToolSpec]) -> str:
    """The tools as a planner reads them."""
    return "\n\n".join(described(spec) for spec in specs.values())


def inputs_text(inputs: Mapping[str, str]) -> str:
    """The names and types of the caller's data; "" if there is none."""
    if not inputs:
        return ""
    lines = [f"    $input.{name}: {kind}" for name, kind in inputs.items()]
    return (
        "\nThe caller passed data that you do not see. Refer to it by name, as to a result:\n\n"
        + "\n".join(lines)
    )


def results_text(steps: Sequence[StepState]) -> str:
    """Steps with their results, one JSON object a line, in plan order whatever came first.

    No `<` is left in it, so that no result can end the block that it stands in.
    """
    text = "\n".join(_dumps(_with_value(step)) for step in steps)
    return text.replace("<", "\\u003c")


def digest(steps: Sequence[StepState]) -> str:
    """Steps without their results: status, type and size, for one who plans and must not read."""
    return "\n".join(_dumps(_without_value(step)) for step in steps)


def _with_value(step: StepState) -> dict[str, Any]:
    out = _called(step)
    if step.has_value:
        out["value"] = _inline(step.value)
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


def _called(step: StepState) -> dict[str, Any]:
    called = step_to_json(step.step) if step.step else {"id": step.id}
    return {**called, "status": step.status}


def _inline(value: Any) -> Any:
    """A value, or a handle with the beginning of it where it is too large for a prompt."""
    text = _dumps(value)
    if len(text) <= _MAX_INLINE:
        return value
    data = text.encode()
    return {
        "$content": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "head": text[:_HEAD],
    }


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
