"""A function's signature as a tool's schemas: hints and a Google docstring in, JSON schema out.

Whatever the planner cannot be told exactly is refused here, by name: `*args`, `**kwargs`,
positional-only and untyped parameters, and types that have no JSON form.

>>> def price(ticker: str, day: int = 0) -> float:
...     '''Closing price in USD.
...
...     Args:
...         ticker: the exchange's symbol.
...     '''
>>> found = read_signature(price, "price")
>>> found.description, found.parameters["required"], found.result
('Closing price in USD.', ['ticker'], {'type': 'number'})
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydantic import TypeAdapter

    from heddle.plan.spec import Schema

__all__ = ["Parameter", "Signature", "place_of", "read_docstring", "read_signature"]

_HEADINGS = frozenset({"args:", "arguments:", "parameters:"})
_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that a tool takes."""

    name: str
    hint: Any
    adapter: TypeAdapter[Any]
    required: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and gives.

    Attributes:
        takes: the parameters, in signature order.
        gives: the return annotation; `inspect.Parameter.empty` where there is none.
        parameters: JSON schema of all arguments together, an object.
        result: JSON schema of the value; None where the function does not say.
        description: the docstring's first paragraph, on one line.
    """

    takes: tuple[Parameter, ...]
    gives: Any
    parameters: Schema
    result: Schema | None
    description: str


def place_of(function: Callable[..., Any]) -> str:
    """Where a function stands, as `file:line: ` for the start of a message; "" if unknown."""
    code = getattr(inspect.unwrap(_undone(function)), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}: " if code else ""


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """What a function takes and gives, from its hints and its docstring.

    Raises:
        ConfigError: a parameter that has no hint, cannot be called by name or has no JSON form;
            a hint that names nothing; a generator function.
    """
    _refuse_generators(function, name)
    signature = _evaluated(function, name)
    description, notes = read_docstring(inspect.getdoc(_undone(function)) or "")
    takes = tuple(_parameter(function, name, item) for item in signature.parameters.values())
    gives = signature.return_annotation
    try:
        parameters = _object_schema(takes, signature.parameters, notes)
    except Exception as error:  # a user's type may raise anything
        raise _refused(
            function, name, f"the arguments have no JSON schema: {_first(error)}"
        ) from error
    try:
        result = _result_schema(gives)
    except Exception as error:  # a user's type may raise anything
        said = f"the return type {gives!r} has no JSON form: {_first(error)}"
        raise _refused(function, name, said) from error
    return Signature(takes, gives, parameters, result, description)


def _undone(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside a `functools.partial`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _refused(function: Callable[..., Any], name: str, what: str, hint: str = "") -> ConfigError:
    message = f"{place_of(function)}tool {name!r}: {what}"
    return ConfigError(message, code="bad-tool", hint=hint)


def _refuse_generators(function: Callable[..., Any], name: str) -> None:
    plain = inspect.unwrap(_undone(function))
    if inspect.isasyncgenfunction(plain) or inspect.isgeneratorfunction(plain):
        hint = "return a list: a step has one value"
        raise _refused(function, name, "it yields values, it does not return one", hint)


def _evaluated(function: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError as error:
        hint = "import it, or define it, at the top level of the file (not under TYPE_CHECKING)"
        raise _refused(function, name, f"a type hint names nothing: {error}", hint) from error
    except Exception as error:  # hints are evaluated: anything may come
        raise _refused(function, name, f"its signature cannot be read: {_first(error)}") from error


def _parameter(function: Callable[..., Any], name: str, item: inspect.Parameter) -> Parameter:
    from pydantic import TypeAdapter

    if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
        stars = "*" if item.kind is item.VAR_POSITIONAL else "**"
        what = f"parameter {stars}{item.name} takes anything, so a plan cannot be checked"
        raise _refused(function, name, what, "name each parameter and its type")
    if item.kind is item.POSITIONAL_ONLY:
        what = f"parameter {item.name!r} is positional-only, and tools are called by name"
        raise _refused(function, name, what, "drop the `/` from its signature")
    if item.annotation is _EMPTY:
        what = f"parameter {item.name!r} has no type"
        bound = item.name in ("self", "cls")
        hint = "pass the bound method" if bound else f"write `{item.name}: str`, say, or `: Any`"
        raise _refused(function, name, what, hint)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(item.annotation)
    except Exception as error:  # a user's type may raise anything
        what = f"parameter {item.name!r} has no JSON form: {_first(error)}"
        raise _refused(function, name, what) from error
    return Parameter(item.name, item.annotation, adapter, item.default is _EMPTY)


def _first(error: Exception) -> str:
    """The first line of an error; a library's further lines are about the library."""
    return (str(error) or type(error).__name__).splitlines()[0]


# -- schemas -------------------------------------------------------------------------------------


def _object_schema(
    takes: Sequence[Parameter],
    signature: Mapping[str, inspect.Parameter],
    notes: Mapping[str, str],
) -> dict[str, Any]:
    from pydantic import TypeAdapter

    schemas, shared = TypeAdapter[Any].json_schemas(
        [(item.name, "validation", item.adapter) for item in takes]
    )
    properties: dict[str, Any] = {}
    for item in takes:
        schema = dict(schemas[item.name, "validation"])
        if item.name in notes:
            schema.setdefault("description", notes[item.name])
        if not item.required:
            schema |= _default(signature[item.name].default)
        properties[item.name] = schema
    out: dict[str, Any] = {"type": "object", "properties": properties}
    if any(item.required for item in takes):
        out["required"] = [item.name for item in takes if item.required]
    out["additionalProperties"] = False
    return out | ({"$defs": shared["$defs"]} if shared.get("$defs") else {})


def _default(value: Any) -> dict[str, Any]:
    """The schema's word for a default; nothing for one that JSON cannot hold."""
    from pydantic_core import to_jsonable_python

    try:
        return {"default": to_jsonable_python(value)}
    except Exception:  # the default still holds when the function is called
        return {}


def _result_schema(gives: Any) -> Schema | None:
    from pydantic import TypeAdapter

    if gives is _EMPTY or gives is Any:
        return None
    return TypeAdapter(gives).json_schema(mode="serialization")


# -- docstrings ----------------------------------------------------------------------------------


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, on one line, and what a Google `Args:` section says of each argument.

    Cost: linear in the text.
    """
    lines = text.expandtabs().splitlines()
    opening: list[str] = []
    for line in lines:
        if not line.strip() or line.strip().lower() in _HEADINGS:
            break
        opening.append(line.strip())
    return " ".join(opening), dict(_arguments(lines))


def _arguments(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of name and words, each argument's further lines joined to its first."""
    inside, margin = False, 0
    name, words = "", ""
    for line in lines:
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if not inside:
            inside = text.lower() in _HEADINGS
            margin = 0
        elif not text or depth == 0:
            inside = not text
        elif not margin or depth <= margin:
            if name:
                yield name, words
            margin = margin or depth
            head, colon, rest = text.partition(":")
            name = head.partition("(")[0].strip(" *") if colon else ""
            words = rest.strip()
        else:
            words = f"{words} {text}".strip()
    if name:
        yield name, words
