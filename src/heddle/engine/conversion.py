"""`heddle.convert`: a plan as text of another dialect, with tools as a caller has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heddle.engine.workshop import specs_of
from heddle.plan import convert as converting
from heddle.tools.toolbox import toolbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heddle.plan.convert import Converted
    from heddle.plan.ir import Plan

__all__ = ["convert"]


def convert(plan: Plan, dialect: str, tools: Iterable[Any] = ()) -> Converted:
    """A plan as text of a dialect; nothing runs.

    Args:
        plan: from `parse`, or built by a program; it is left as it is.
        dialect: the name of a dialect, such as "llmcompiler".
        tools: typed callables, `Tool`s, or anything with a name, a schema and a callable. Where
            the dialect cannot express a positional argument, it gets their parameter's name.

    Returns:
        `.text`, and `.renamed`: the new id of each step by its old one, empty where ids stayed.

    Raises:
        ConfigError: there is no dialect of that name, or a tool cannot be used.
        ValueError: the dialect cannot express the plan; the message says which part.
    """
    return converting.convert(plan, dialect, specs_of(toolbox(tools)))
