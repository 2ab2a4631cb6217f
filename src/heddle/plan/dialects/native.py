"""The native dialect: tool calls as models write them natively; a plan of one level.

    {"id": "call_x", "name": "price", "arguments": {"ticker": "AAPL"}}    a provider's, one a line

JSON is read in every shape that `calls` knows, bare, in lists, tags and fences. Native calls
cannot name a sibling's result, so every argument is literal data: `$1` in it is text.

The steps are numbered in order, "1", "2", …. A provider's own id of a call goes to the note.
A step is final when its object closes.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.calls import call_of
from heddle.plan.dialects.cursor import SNIPPET, Reading
from heddle.plan.dialects.literal import Fault
from heddle.plan.dialects.names import Place
from heddle.plan.dialects.objects import Closed, Objects, value_of
from heddle.plan.ir import MISSING, Hole, Origin, Step, nodes_of, qualified

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from heddle.plan.ir import Plan, Value

__all__ = ["NativeReader", "fits", "id_for", "likely", "reader", "write"]

_ID = re.compile(r"[1-9][0-9]{0,8}")
_TAGS = re.compile(r"<\|?/?tool_calls?\|?>")
_REFERRING = re.compile(r"""\$|["'](?:label|responses|after|depends_on|dependencies)["']""")
_HINT = 'a call reads {"name": "tool", "arguments": {…}}'


class NativeReader(Reading):
    """One reading of one text.

    Args:
        round: the round of the plan.
    """

    def __init__(self, *, round: int = 1) -> None:
        super().__init__()
        self._round = round
        self._count = 0

    def _read(self) -> Generator[None, None, None]:
        return Objects(self._cursor, self).read()

    # -- JSON, as it is found

    def on_object(self, closed: Closed) -> None:
        """A call, or an object around calls."""
        if closed.wrapped:
            if closed.fault:
                self._remark(*closed.fault)
            return
        snippet = closed.text.split("\n", 1)[0][:SNIPPET]
        place = self._place(closed.origin, snippet)
        try:
            if closed.fault:
                fault, origin, line = closed.fault
                place = self._place(origin, line)
                raise fault
            self._accept(_step_of(closed, place))
        except Fault as fault:
            finding = place.finding(fault.code, fault.message, fault.hint or _HINT)
            self._accept(Hole(place.step, closed.text, (finding,), closed.origin))

    def on_field(self, key: str, value: Any, origin: Origin) -> None:
        """A field of an object: nothing to do until it closes."""

    def on_stray(self, value: Any, origin: Origin) -> None:
        """A text or a number stands among the calls."""
        fault = Fault("bad-call", f"{str(value)[:40]!r} stands where a call should", _HINT)
        self._remark(fault, origin, self._cursor.snippet)

    def on_fault(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """The text around the calls cannot be read."""
        self._remark(fault, origin, snippet)

    # -- pieces

    def _place(self, origin: Origin, snippet: str) -> Place:
        """The place of the next call."""
        name = str(self._count + 1)
        return Place(name, qualified(self._round, name), origin, snippet)

    def _accept(self, entry: Step | Hole) -> None:
        self._count += 1
        self._emit(entry)

    def _remark(self, fault: Fault, origin: Origin, snippet: str) -> None:
        place = Place("", "", origin, snippet)
        self._emit(place.finding(fault.code, fault.message, fault.hint or _HINT))


def _step_of(closed: Closed, place: Place) -> Step:
    """The step that an object is.

    Raises:
        Fault: it is no call, or more than a native call can be.
    """
    call = call_of(closed.data)
    if call is None:
        raise Fault("bad-call", "an object stands where a call should, and is no call", _HINT)
    note = call.fields.pop("note", "")
    if call.fields:
        message = f"a native call has no {', '.join(call.fields)[:60]}"
        raise Fault("bad-field", message, "calls of one reply run side by side")
    if call.label and call.label != place.name:
        note = f"{call.label}\n{note}" if note else call.label
    return Step(place.step, call.tool, _arguments(call.args), note=note, origin=place.origin)


def _arguments(args: Any) -> dict[str, Value]:
    """A call's arguments by name; positional ones by their place, from "0".

    Raises:
        Fault: they are a text that is no JSON.
    """
    if isinstance(args, str):
        args = value_of(args) if args.strip() else None
    if args is None:
        return {}
    if isinstance(args, dict):
        return dict(cast("dict[str, Any]", args))
    listed = cast("list[Any]", args if isinstance(args, list) else [args])
    return {str(count): value for count, value in enumerate(listed)}


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> NativeReader:
    """Start a reading; no call can name a result of an earlier round either."""
    return NativeReader(round=round)


def likely(text: str) -> float:
    """How much a text looks like this dialect: calls in tags, and none names another's result."""
    return 0.85 if _TAGS.search(text) and not _REFERRING.search(text) else 0.0


def fits(id: str) -> bool:
    """Whether a step can have that id: a number without leading zeros, of at most nine digits."""
    return _ID.fullmatch(id) is not None


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: its number."""
    return str(n)


def write(plan: Plan) -> str:
    """A plan of one level as JSON, one call a line.

    Raises:
        ValueError: a part that native calls do not have: a reference, a guard, an output, a note
            is left out.
    """
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole")
    if plan.output is not None:
        raise ValueError("native calls name no output")
    return "".join(f"{_line(step, id_for(n))}\n" for n, step in enumerate(plan.steps, 1))


def _line(step: Step, id: str) -> str:
    if step.id != id:
        raise ValueError(f"step {step.id!r}: native calls are numbered in order, this one {id}")
    if said := _unsaid(step):
        raise ValueError(f"step {id}: a native call has no {said}")
    if next(nodes_of(step.args), None) is not None:
        raise ValueError(f"step {id}: a native call cannot refer to a result")
    try:
        line = json.dumps(
            {"name": step.tool, "arguments": dict(step.args)}, ensure_ascii=False, allow_nan=False
        )
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character") from None
    except TypeError as error:
        raise ValueError(str(error)) from None
    return line


def _unsaid(step: Step) -> str:
    """The name of a part that native calls do not have; "" for none."""
    plain = Step("", "")
    for part in fields(step):
        value = getattr(step, part.name)
        if part.name in {"id", "tool", "args", "note", "origin"}:
            continue
        if value is not MISSING and value != getattr(plain, part.name):
            return part.name
    return ""
