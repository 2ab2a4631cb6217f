"""A toolbox: whatever the caller passed, as tools by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heddle.errors import ConfigError
from heddle.tools.foreign import adopt
from heddle.tools.function import Tool, tool
from heddle.tools.signature import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["as_tool", "toolbox"]


def as_tool(thing: Any) -> Tool:
    """A tool, whatever it was: a Tool, a typed callable, or a tool of another library.

    The last is anything with a name, a JSON schema and a callable; `tools.foreign` says where
    it looks for each.

    Raises:
        ConfigError: it is none of these, or cannot be a tool.
    """
    if isinstance(thing, Tool):
        return thing
    adopted = adopt(thing)
    if adopted is not None:
        return adopted
    if callable(thing):
        return tool(thing)
    raise ConfigError(
        f"{thing!r:.80} is no tool",
        code="bad-tool",
        hint="pass a typed function, or something with a name, a JSON schema and a callable",
    )


def toolbox(tools: Iterable[Any]) -> dict[str, Tool]:
    """Tools by name, in the order given; the same tool twice counts once.

    Raises:
        ConfigError: two tools have one name, or something is no tool.
    """
    box: dict[str, Tool] = {}
    for thing in tools:
        found = as_tool(thing)
        name = found.spec.name
        other = box.setdefault(name, found)
        if other is not found:
            first, second = place_of(other.__wrapped__), place_of(found.__wrapped__)
            raise ConfigError(
                f"two tools are called {name!r}: {first}and {second}".rstrip(": "),
                code="duplicate-tool",
                hint='give one of them another name: @heddle.tool(name="…")',
            )
    return box
