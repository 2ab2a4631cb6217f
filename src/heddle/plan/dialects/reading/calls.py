"""Tool calls as JSON objects, in the shapes that models and data sets use.

    {"id", "tool", "args", …}                                         heddle's own
    {"name", "arguments", "label"}                                    NESTFUL
    {"api_name", "parameters", "responses"}                           NesTools
    {"id", "type": "function", "function": {"name", "arguments"}}     OpenAI; arguments as JSON text
    {"type": "tool_use", "id", "name", "input"}                       Anthropic

`call_of` finds the parts of a call whatever they are named; what they mean is said elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from heddle.plan.dialects.reading.literal import Fault

__all__ = ["Call", "call_of"]

_NAMES = ("tool", "name", "api_name", "tool_name", "function_name", "action", "function")
_ARGUMENTS = (
    *("args", "arguments", "parameters", "params", "kwargs", "input"),
    *("tool_input", "action_input", "inputs"),
)
_IDS = ("id", "label", "call_id", "step_id", "step")
_NOTES = (
    "note",
    "thought",
    "reason",
    "reasoning",
    "rationale",
    "description",
    "purpose",
    "comment",
)
_AFTER = ("after", "depends_on", "dependencies", "deps", "dep")
_FIELDS = ("over", "bound", "when", "default", "role", "sees", "reads", "writes", "timeout_s")
_IGNORED = ("type", "index", "responses", "retry", "status")
_NESTED = ("function", "functionCall", "function_call")


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a call.

    Attributes:
        label: its id in the text, without a leading `$`; "" for none.
        args: an object, a list, JSON text or anything else, as it was written.
        responses: the names that the call's results have (NesTools).
        fields: the other fields of a step, as heddle names them.
        odd: keys that mean nothing.
    """

    tool: str
    label: str
    args: Any
    responses: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    odd: tuple[str, ...] = ()


def call_of(data: dict[str, Any]) -> Call | None:
    """The call that an object is, or None.

    Raises:
        Fault: it is a call with a part that cannot be one.
    """
    for key in _NESTED:
        inner = data.get(key)
        if isinstance(inner, dict):
            outer = {name: value for name, value in data.items() if name != key}
            return call_of({**outer, **cast("dict[str, Any]", inner)})
    name_key = _first(data, _NAMES)
    args_key = _first(data, _ARGUMENTS)
    id_key = _first(data, _IDS)
    if name_key is None or (args_key is None and id_key is None and name_key != "tool"):
        return None
    tool = data[name_key]
    if not isinstance(tool, str) or not tool.strip():
        return None
    used = {name_key, args_key, id_key, *(key for key in data if data[key] is None)}
    fields = {key: data[key] for key in (*_FIELDS, "retry") if key in data}
    if notes := [data[key] for key in _NOTES if isinstance(data.get(key), str)]:
        fields["note"] = "\n".join(notes)
    if after := [name for key in _AFTER for name in _names(data, key)]:
        fields["after"] = after
    known = {*_NOTES, *_AFTER, *_FIELDS, *_IGNORED}
    return Call(
        tool=tool.strip().replace("\\_", "_"),
        label=_label(data[id_key]) if id_key else "",
        args=data[args_key] if args_key else None,
        responses=_responses(data),
        fields=fields,
        odd=tuple(key for key in data if key not in used and key not in known),
    )


def _first(data: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if data.get(key) is not None), None)


def _label(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip("$ "):
        raise Fault("bad-field", f"an id must be a text, got {str(value)[:40]}")
    return value.strip().removeprefix("$").removesuffix("$")


def _names(data: dict[str, Any], key: str) -> list[str]:
    value = data.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Fault("bad-field", f"{key} must be a list of ids")
    return [_label(item) for item in cast("list[Any]", value)]


def _responses(data: dict[str, Any]) -> tuple[str, ...]:
    value = data.get("responses")
    names = cast("list[Any]", value) if isinstance(value, list) else []
    return tuple(name for name in names if isinstance(name, str))
