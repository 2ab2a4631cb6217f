"""Tools of other libraries: anything with a name, a JSON schema and a callable.

Looked for, as attributes or as keys of a mapping, the first that is there:

    name         name
    schema       parameters, input_schema, inputSchema, args_schema, params_json_schema
                 (JSON schema, or a pydantic model class)
    callable     coroutine, function, fn, func, or the thing itself; called with keywords
    description  description            effect   effect, else undeclared

Such a tool checks its own arguments; of the schema, we hold it to the names and the plain types
at the top. What it says about its own harmlessness in other words than ours is not believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter as _Inspected
from typing import Any, cast

from heddle.errors import ConfigError, ToolFailed
from heddle.plan.spec import Schema, ToolSpec
from heddle.tools.function import Tool, assemble, check_name, check_spec
from heddle.tools.values import dumper, shown

__all__ = ["adopt"]

_SCHEMAS = ("parameters", "input_schema", "inputSchema", "args_schema", "params_json_schema")
_CALLABLES = ("coroutine", "function", "fn", "func")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int, float),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def adopt(thing: Any) -> Tool | None:
    """A tool of another library as one of ours; None if it does not look like one.

    Raises:
        ConfigError: it looks like one, and cannot be used.
    """
    name, schema = _part(thing, "name"), _schema(thing)
    if not isinstance(name, str) or schema is None:
        return None
    check_name(name)
    function = _function(thing)
    if function is None:
        what = f"tool {name!r} has a name and a schema, but nothing to call"
        hint = f"give it one of {', '.join(_CALLABLES)}"
        raise ConfigError(what, code="bad-tool", hint=hint)
    if not isinstance(schema.get("properties", {}), Mapping):
        what = f"tool {name!r}: its schema is not that of an object"
        raise ConfigError(what, code="bad-tool", hint='{"type": "object", "properties": {…}}')
    effect = _part(thing, "effect")
    spec = ToolSpec(
        name=name,
        description=str(_part(thing, "description") or ""),
        parameters={"type": "object", "properties": {}, **schema},
        effect=effect or "write",
        effect_declared=effect is not None,
    )
    check_spec(spec)
    return assemble(spec, function, _binder(spec), dumper(name, _Inspected.empty))


def _part(thing: Any, name: str) -> Any:
    if isinstance(thing, Mapping):
        return cast("Mapping[str, Any]", thing).get(name)
    return getattr(thing, name, None)


def _schema(thing: Any) -> Schema | None:
    for name in _SCHEMAS:
        found = _part(thing, name)
        if isinstance(found, Mapping):
            return cast("Schema", found)
        if hasattr(found, "model_json_schema"):
            return cast("Schema", found.model_json_schema())
    return None


def _function(thing: Any) -> Callable[..., Any] | None:
    for name in _CALLABLES:
        found = _part(thing, name)
        if callable(found):
            return cast("Callable[..., Any]", found)
    return thing if callable(thing) else None


def _binder(spec: ToolSpec) -> Callable[[dict[str, Any]], dict[str, Any]]:
    properties: Mapping[str, Any] = spec.parameters["properties"]
    required: list[str] = spec.parameters.get("required", [])
    closed = spec.parameters.get("additionalProperties") is not True

    def bind(args: dict[str, Any]) -> dict[str, Any]:
        for name, value in args.items():
            if closed and name not in properties:
                raise _bad(spec, f"there is no argument {shown(name)}")
            if not _fits(value, properties.get(name)):
                wanted = properties[name]["type"]
                raise _bad(spec, f"argument {name!r} should be {wanted}, got {shown(value)}")
        for name in required:
            if name not in args:
                raise _bad(spec, f"argument {name!r} is missing")
        return args

    return bind


def _bad(spec: ToolSpec, what: str) -> ToolFailed:
    takes = ", ".join(spec.parameters["properties"]) or "none"
    return ToolFailed(f"{spec.name}: {what}", code="bad-argument", hint=f"it takes {takes}")


def _fits(value: Any, schema: Any) -> bool:
    """Whether a value has the type that a schema names; True where it names none."""
    kind = cast("Mapping[str, Any]", schema).get("type") if isinstance(schema, Mapping) else None
    if not isinstance(kind, str) or kind not in _TYPES:
        return True
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    fits = isinstance(value, _TYPES[kind])
    return fits and (kind == "boolean" or not isinstance(value, bool))
