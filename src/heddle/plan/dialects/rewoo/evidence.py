"""Evidences of the ReWOO dialect: `#E1`, how texts refer to it, and how a step is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heddle.plan.dialects.llmcompiler.writing import path_text
from heddle.plan.dialects.reading.bracketed import GIVEN, given, marked
from heddle.plan.dialects.reading.bracketing import Inputs, call_written
from heddle.plan.dialects.reading.names import PATH, path_of
from heddle.plan.dialects.reading.unsaid import refuse_unsaid
from heddle.plan.ir import Input, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from heddle.plan.ir import Plan, Value

__all__ = [
    "MENTION",
    "MENTION_OR_BARE",
    "fits",
    "id_for",
    "lines_of",
    "with_references",
]

_ID = re.compile(r"E(?:0|[1-9][0-9]{0,8})")
_EVIDENCE = rf"(?P<hash>\\?\#[ ]?)[Ee][ ]?(?P<number>[0-9]{{1,9}})(?!\w)(?P<path>{PATH})"
_BARE = rf"(?<![\w#])E(?P<bare>[0-9]{{1,9}})(?!\w)(?P<bare_path>{PATH})"
MENTION = re.compile(rf"{_EVIDENCE}|{GIVEN.pattern}")
"""A reference: `#E1`, `#E1.price`, `$input.mail`."""

MENTION_OR_BARE = re.compile(rf"{_EVIDENCE}|{_BARE}|{GIVEN.pattern}")
"""The same, or `E1` without its `#`."""


def with_references(
    raw: str,
    read: Callable[[str], str],
    look: Callable[[str, bool], str | None],
    bare: Collection[str] = (),
    hashless: Callable[[str], None] | None = None,
) -> Value:
    """What a text with references means.

    Args:
        raw: the text, escapes unread.
        read: reads the escapes.
        look: gives the id of a name, or None; told whether only a reference can be meant.
        bare: names that are references without their `#` too.
        hashless: told each other name that stands without its `#`, and stays text.
    """

    def node_of(found: re.Match[str]) -> Ref | Input | None:
        if hashless and found["bare"] and f"E{int(found['bare'])}" not in bare:
            hashless(f"E{int(found['bare'])}")
        return given(found) or _evidence(found, look, bare)

    return marked(raw, read, MENTION_OR_BARE, node_of)


def _evidence(
    found: re.Match[str], look: Callable[[str, bool], str | None], bare: Collection[str]
) -> Ref | None:
    """The reference that a mark is; None for what stays text."""
    name = f"E{int(found['number'] or found['bare'])}"
    if found["bare"] and name not in bare:
        return None
    step = look(name, found["hash"] == "#")
    path = found["path"] or found["bare_path"] or ""
    return Ref(step, path_of(path)) if step is not None else None


# -- writing -------------------------------------------------------------------------------------


class _Evidences(Inputs):
    """How this dialect refers to steps.

    Args:
        known: the ids of the steps so far.
    """

    mention = MENTION

    def __init__(self, known: Collection[str]) -> None:
        super().__init__("rewoo")
        self._known = known

    def said(self, node: Ref | Input) -> str:
        if isinstance(node, Input):
            return super().said(node)
        if node.step not in self._known:
            raise ValueError(f"it refers to step {node.step!r}, which is no earlier step")
        return f"#{node.step}{path_text(node.path, chr(39))}"

    def render(self, raw: str, read: Callable[[str], str]) -> Value:
        """Everything that looks like a reference is one, so that no text is left to chance."""
        return with_references(raw, read, lambda name, _: name)


def fits(id: str) -> bool:
    """Whether a step can have that id: `E` and a number without leading zeros."""
    return _ID.fullmatch(id) is not None


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: `E` and its number."""
    return f"E{n}"


def lines_of(plan: Plan) -> Iterator[tuple[str, str]]:
    """Every step's note, and its line.

    Raises:
        ValueError: a part that the dialect cannot express; the message says which.
    """
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole: repair it first")
    if plan.output is not None:
        raise ValueError("the rewoo dialect cannot say what the output is")
    known: set[str] = set()
    spoken = _Evidences(known)
    for step in plan.steps:
        if not fits(step.id):
            raise ValueError(f"step {step.id!r}: the rewoo dialect calls its steps E1, E2, …")
        refuse_unsaid(step, "rewoo")
        try:
            yield step.note, f"#{step.id} = {call_written(step.tool, step.args, spoken)}"
        except ValueError as error:
            raise ValueError(f"step {step.id}: {error}") from None
        known.add(step.id)
