"""A tool's signature in one line, for planners and for people.

>>> from heddle.plan.spec import ToolSpec
>>> schema = {"properties": {"ticker": {"type": "string"}}, "required": ["ticker"]}
>>> signature(ToolSpec("price", parameters=schema, result={"type": "number"}))
'price(ticker: str) -> float'
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from heddle.plan.spec import Schema, ToolSpec

__all__ = ["described", "signature", "type_name"]

_NAMES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "object": "dict",
    "array": "list",
}
_MAX_DEPTH = 4


def signature(spec: ToolSpec) -> str:
    """`name(argument: type = default, …) -> type`."""
    properties = cast("dict[str, Schema]", spec.parameters.get("properties", {}))
    required = set(cast("list[str]", spec.parameters.get("required", ())))
    definitions = cast("dict[str, Schema]", spec.parameters.get("$defs", {}))
    arguments: list[str] = []
    for name, schema in properties.items():
        text = f"{name}: {type_name(schema, definitions)}"
        if name not in required:
            text += f" = {json.dumps(schema.get('default'), ensure_ascii=False)}"
        arguments.append(text)
    result = f" -> {type_name(spec.result, spec.result.get('$defs', {}))}" if spec.result else ""
    return f"{spec.name}({', '.join(arguments)}){result}"


def described(spec: ToolSpec) -> str:
    """The signature, the description and those of the arguments, over several lines."""
    lines = [signature(spec)]
    lines += [f"    {line}" for line in spec.description.strip().splitlines()]
    properties = cast("dict[str, Schema]", spec.parameters.get("properties", {}))
    lines += [
        f"    {name}: {' '.join(str(schema['description']).split())}"
        for name, schema in properties.items()
        if schema.get("description")
    ]
    return "\n".join(lines)


def type_name(schema: Any, definitions: Any = None, depth: int = 0) -> str:
    """A JSON schema as a Python reader would write it; `Any` where it says nothing."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return "Any"
    found = cast("dict[str, Any]", schema)
    known = cast("dict[str, Any]", definitions or {})
    if "$ref" in found:
        name = str(found["$ref"]).rpartition("/")[2]
        return type_name(known.get(name), known, depth + 1)
    if "enum" in found:
        return " | ".join(json.dumps(item, ensure_ascii=False) for item in found["enum"])
    if "const" in found:
        return json.dumps(found["const"], ensure_ascii=False)
    for union in ("anyOf", "oneOf"):
        if union in found:
            names = [type_name(item, known, depth + 1) for item in found[union]]
            return " | ".join(dict.fromkeys(names))
    return _plain(found, known, depth)


def _plain(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_NAMES.get(item, "Any") for item in cast("list[str]", kind))
    if kind == "array" and "items" in schema:
        return f"list[{type_name(schema['items'], definitions, depth + 1)}]"
    if kind == "object" and schema.get("properties"):
        fields = (
            f"{name}: {type_name(item, definitions, depth + 1)}"
            for name, item in cast("dict[str, Any]", schema["properties"]).items()
        )
        return "{" + ", ".join(fields) + "}"
    return _NAMES.get(str(kind), "Any")
