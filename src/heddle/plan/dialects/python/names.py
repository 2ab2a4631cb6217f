"""Names in Python text: which may be a step's id, and which may never be called."""

from __future__ import annotations

import ast
import keyword
import math
import re

from heddle.plan.expression import FUNCTIONS, MAX_DIGITS

__all__ = ["NEVER", "dotted", "fits", "id_for", "sound_number"]

NEVER = frozenset(
    {"eval", "exec", "compile", "open", "getattr", "setattr", "delattr", "hasattr", "globals"}
    | {"locals", "vars", "breakpoint", "__import__"}
)
"""Functions that a program may not even name: no tool of that name is called from Python text."""

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,55}")
_TAKEN = NEVER | FUNCTIONS.keys() | {"inputs", "print", "true", "false", "null", "math", "str"}


def fits(id: str) -> bool:
    """Whether a step can have that id: a plain variable, and no word that means something else.

    The second value of a variable, `x:2`, is an id that the reader gives; it fits only where the
    first stands before it, so it is not said to fit.
    """
    return bool(_ID.fullmatch(id)) and not keyword.iskeyword(id) and id not in _TAKEN


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: s1, s2, …."""
    return f"s{n}"


def dotted(node: ast.expr) -> str | None:
    """A name such as `search` or `wiki.search`; None for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def sound_number(value: float) -> bool:
    """Whether JSON can hold a number."""
    if isinstance(value, float):
        return math.isfinite(value)
    return abs(value) < 10**MAX_DIGITS
