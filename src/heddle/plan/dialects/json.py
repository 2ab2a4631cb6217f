"""The JSON dialect: heddle's canonical form, and tool calls as models and data sets write them.

    {"heddle": 1, "steps": [{"id", "tool", "args", …}], "output": Value}    canonical
    [{"name", "arguments", "label": "$var1"}, …]                            and the like: `calls`

In the canonical form a text is a text and only `{"$ref": id}` is a reference. Elsewhere
`$var1.result$`, `${var1.result}`, and `$var1` where `var1` is a step so far, are references too.
Whether a list of `{"id", "tool", "args"}` is canonical may be said after it, so a step that would
read differently waits for the end of its object, and those after it with it.

A step is final when its object closes.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.canonical import (
    FORMAT,
    NODE_KEYS,
    NodeError,
    decode,
    plan_to_json,
    step_from_json,
)
from heddle.plan.dialects.reading.calls import Call, call_of
from heddle.plan.dialects.reading.cursor import SNIPPET, Reading
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.names import PATH, Names, Place, path_of, text_of
from heddle.plan.dialects.reading.objects import Closed, Objects, value_of
from heddle.plan.findings import Finding
from heddle.plan.ir import (
    MISSING,
    Choose,
    Hole,
    Origin,
    Ref,
    Step,
    Template,
    When,
    nodes_of,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from heddle.plan.ir import Plan, Value

__all__ = ["JsonReader", "fits", "id_for", "likely", "reader", "write"]

_ID = r"[^\W\d]\w*+|[0-9]{1,9}"
_FIELD = r"[\w-]++(?:\x20++[\w-]++)*+"
_CLOSED_PATH = rf"""(?:\.{_FIELD}|\[-?[0-9]{{1,9}}\]|\[["'][^"'\\\]\n]*+["']\])*+"""
_MARK = re.compile(
    rf"""\$\{{(?P<brace>{_ID})(?P<brace_path>{_CLOSED_PATH})\}}"""
    rf"""|\$(?P<closed>{_ID})(?P<closed_path>{_CLOSED_PATH})\$"""
    rf"""|(?<!\w)\$(?P<open>[^\W\d]\w*+|[0-9]{{1,9}}(?!\w))(?P<open_path>{PATH})"""
)
_HALF = re.compile(rf"([^\W\d]\w*+){_CLOSED_PATH}\$?")
_AMOUNT = re.compile(r"[.,][0-9]")
_TELLING = "name|tool|api_name|tool_name|function|function_name|heddle|tool_calls"
_LIKELY = re.compile(rf"""["'“](?:{_TELLING})["'”]\s*+:|[{{,]\s*+(?:{_TELLING})\s*+:""")
_OBJECT = re.compile(r"""\s*+(?:\[\s*+)?+\{\s*+["'“]""")
_ODD = 16  # at most so many things among the steps that are none are named
_RESULT = "var_result"
_HINT = 'a step reads {"id": "1", "tool": "name", "args": {…}}'


class JsonReader(Reading):
    """One reading of one text.

    Args:
        round: the round of the plan.
        earlier: ids of earlier rounds, by the name that the text would use.
    """

    def __init__(self, *, round: int = 1, earlier: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = Names(round, earlier)
        self._responses: dict[str, Ref] = {}
        self._count = 0
        self._strict = False  # the object around says that it is canonical
        self._held: list[Closed] = []  # steps that read differently if it says so later
        self._odd: list[Finding] = []  # what is no step, until there is one

    def _read(self) -> Generator[None, None, None]:
        return Objects(self._cursor, self).read()

    # -- what is found

    def on_object(self, closed: Closed) -> None:
        """A step, perhaps, or an object with steps in it."""
        if closed.wrapped:
            self._release()
            self._wrapper(closed)
        elif not self._strict and (self._held or _may_be_canonical(closed)):
            self._held.append(closed)
        else:
            self._step(closed)

    def on_field(self, key: str, value: Any, origin: Origin) -> None:
        """A field of an object that may be a plan: perhaps its version."""
        if key != "heddle":
            return
        self._strict = True
        self._release()
        if type(value) is not int or value != FORMAT:
            message = f"the plan has format {str(value)[:20]}; this version knows {FORMAT}"
            finding = Finding.at(origin, "bad-version", message, hint="use a newer heddle")
            self._emit(replace(finding, snippet=self._cursor.snippet))

    def on_stray(self, value: Any, origin: Origin) -> None:
        """A text or a number stands among the steps."""
        self._stray(f"{str(value)[:40]!r} stands where a step should", origin)

    def on_fault(self, fault: Fault, origin: Origin, snippet: str) -> None:
        """The text around the steps cannot be read."""
        self._release()
        self._emit(_finding(fault, Place("", "", origin, snippet)))

    def _stray(self, message: str, origin: Origin) -> None:
        snippet = self._cursor.snippet
        finding = Finding.at(origin, "bad-call", message, hint=_HINT, snippet=snippet)
        if len(self._odd) < _ODD:
            self._odd.append(finding)
            if self._count:
                self._emit(finding)

    def _release(self) -> None:
        held, self._held = self._held, []
        for closed in held:
            self._step(closed)

    def _wrapper(self, closed: Closed) -> None:
        """An object with steps in it has closed."""
        place = Place("", "", closed.origin, self._cursor.snippet)
        try:
            if closed.fault:
                fault, origin, line = closed.fault
                place = Place("", "", origin, line)
                raise fault
            if "output" in closed.data:  # an object around the plan has none of its own
                self.output = self._output(closed.data["output"], place)
            if call_of(closed.data):
                raise Fault("bad-call", "a step cannot hold other steps", _HINT)
        except (Fault, NodeError) as fault:
            self._emit(_finding(fault, place))
        self._remark()
        if closed.alone:
            self._strict = False

    def _output(self, value: Any, place: Place) -> Value:
        if self._strict:
            return self._renamed(decode(value), place)
        output = self._value(value, place)
        return output if next(nodes_of(output), None) else None

    # -- steps

    def _step(self, closed: Closed) -> None:
        """Emit the step that an object is, or the hole."""
        given = closed.data.get("id") if self._strict else None
        name = given if isinstance(given, str) else _name_of(closed.data)
        name = name or str(self._count + 1)
        snippet = closed.text.split("\n", 1)[0][:SNIPPET]
        place = Place(name, self._names.id_of(name), closed.origin, snippet)
        try:
            if closed.fault:
                fault, origin, line = closed.fault
                place = Place(name, place.step, origin, line)
                raise fault
            step = self._canonical(closed, place) if self._strict else self._call(closed, place)
            if step is None:
                return
            self._accept(step)
        except (Fault, NodeError) as fault:
            self._names.findings.clear()
            if _nameless(closed.data):
                self._emit(_finding(fault, replace(place, step="")))
                return
            self._accept(Hole(place.step, closed.text, (_finding(fault, place),), closed.origin))
        self._remark()
        self._names.add(name)

    def _accept(self, entry: Step | Hole) -> None:
        if not self._count:
            self._emit(*self._odd)
        self._count += 1
        self._emit(entry)

    def _canonical(self, closed: Closed, place: Place) -> Step | None:
        """A step of the canonical form.

        Raises:
            NodeError: a field that the format does not know or cannot hold.
        """
        return self._placed(step_from_json(closed.data), place)

    def _placed(self, step: Step, place: Place) -> Step:
        """A step with its names made ids, and its place."""
        when = step.when
        return replace(
            step,
            id=place.step,
            args={name: self._renamed(value, place) for name, value in step.args.items()},
            over=self._renamed(step.over, place),
            when=When(self._renamed(when.subject, place), when.negated) if when else None,
            after=tuple(self._id(name, place) for name in step.after),
            sees=None if step.sees is None else tuple(self._id(n, place) for n in step.sees),
            origin=place.origin,
        )

    def _call(self, closed: Closed, place: Place) -> Step | None:
        """A step from a call of any shape; None for what is none.

        Raises:
            Fault: it is a call with a part that cannot be one.
            NodeError: a field that the format does not know or cannot hold.
        """
        call = call_of(closed.data)
        if call is None:
            self._stray("an object stands where a step should, and is no call", closed.origin)
            return None
        args = self._arguments(call, place)
        if call.tool == _RESULT and not call.label:
            self.output = args
            self._remark()
            return None
        for count, response in enumerate(call.responses):
            path = (count,) if len(call.responses) > 1 else ()
            self._responses[response] = Ref(place.step, path)
        fields = {"id": place.name, "tool": call.tool, **call.fields}
        over = self._value(fields.pop("over"), place) if "over" in fields else MISSING
        step = self._placed(step_from_json(fields), place)
        if call.odd:
            message = f"{', '.join(call.odd)[:60]} is no part of a step, and was ignored"
            self._warn("bad-field", message, "leave it out", place)
        return replace(step, args=args, over=over)

    def _arguments(self, call: Call, place: Place) -> dict[str, Value]:
        """A call's arguments by name; positional ones by their place, from "0"."""
        args = call.args
        if isinstance(args, str):
            text = args.strip()
            if text.startswith(("{", "[")):
                args = value_of(text)
            elif text:
                self._warn("unquoted-text", "the arguments are one text", "give an object", place)
                args = [args]
            else:
                args = None
        if args is None:
            return {}
        if isinstance(args, dict):
            named = cast("dict[str, Any]", args)
            return {name: self._value(value, place) for name, value in named.items()}
        listed = cast("list[Any]", args if isinstance(args, list) else [args])
        return {str(count): self._value(value, place) for count, value in enumerate(listed)}

    def _remark(self) -> None:
        """Emit what was found in the references of what was just read."""
        self._emit(*self._names.findings)
        self._names.findings.clear()

    def _warn(self, code: str, message: str, hint: str, place: Place) -> None:
        self._names.findings.append(place.finding(code, message, hint, warning=True))

    # -- references

    def _id(self, name: str, place: Place) -> str:
        return self._names.find(name, place) or self._names.id_of(name)

    def _renamed(self, value: Value, place: Place) -> Value:
        """A value with the names in its nodes made ids."""
        if isinstance(value, Ref):
            return Ref(self._id(value.step, place), value.path)
        if isinstance(value, Template):
            return Template(tuple(self._renamed(part, place) for part in value.parts))
        if isinstance(value, Choose):
            return Choose(tuple(self._renamed(option, place) for option in value.options))
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {key: self._renamed(item, place) for key, item in items}
        if isinstance(value, list):
            return [self._renamed(item, place) for item in cast("list[Any]", value)]
        return value

    def _value(self, value: Any, place: Place) -> Value:
        """A value of a call, with the references in its texts.

        Raises:
            NodeError: a node that is malformed.
        """
        if isinstance(value, str):
            return self._responses.get(value) or self._text(value, place)
        if isinstance(value, list):
            return [self._value(item, place) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            mapping = cast("dict[str, Any]", value)
            if not NODE_KEYS.isdisjoint(mapping):
                return self._renamed(decode(mapping), place)
            return {key: self._value(item, place) for key, item in mapping.items()}
        return value

    def _text(self, text: str, place: Place) -> Value:
        if (half := _HALF.fullmatch(text)) and half[1] in self._names:
            message = f"{text[:40]!r} would be a reference with a `$` before it"
            self._warn("unknown-reference", message, "write $name.field$", place)
        if "$" not in text:
            return text
        if text.startswith("$") and text.strip("$") in self._names:
            return Ref(self._id(text.strip("$"), place))
        parts: list[str | Ref] = []
        done = at = 0
        while found := _MARK.search(text, at):
            ref = self._reference(found, place)
            if ref is None:
                at = found.start() + 1
                continue
            parts += [text[done : found.start()], ref]
            done = at = found.end()
        return text_of([*parts, text[done:]])

    def _reference(self, found: re.Match[str], place: Place) -> Ref | None:
        """The reference that a mark in a text is; None for an amount or an unknown name."""
        kind = found.lastgroup.removesuffix("_path") if found.lastgroup else "open"
        name, path = found[kind], path_of(found[f"{kind}_path"])
        whole = found.span() == (0, len(found.string))
        if kind != "brace" and name[0].isdigit() and _AMOUNT.match(found.string, found.end(kind)):
            return None
        step = self._names.find(name, place)
        if step is not None:
            return Ref(step, path)
        if kind == "open" or name[0].isdigit():
            self._names.unknown(name, place, certain=whole and kind == "open")
            return None
        if whole:
            return Ref(self._names.id_of(name), path)
        if kind == "closed":
            message = f"{found[0][:40]} refers to {name}, which is no step"
            self._names.findings.append(
                place.finding("unknown-reference", message, "refer to an earlier step")
            )
            return None
        self._names.unknown(name, place, certain=True)
        return None

    # -- the end

    def _finish(self) -> None:
        self._release()
        if self._odd and not self._count:
            first = self._odd[0]
            message = f"the text is JSON, but holds no tool call: {first.message}"
            self._emit(replace(first, code="empty-plan", message=message))
        self._names.close()
        self._remark()


def _may_be_canonical(closed: Closed) -> bool:
    """Whether a step reads differently if the object around it is canonical."""
    return not closed.alone and "tool" in closed.data and "$" in closed.text


def _name_of(data: dict[str, Any]) -> str:
    """The id that an object gives itself; "" for none."""
    try:
        call = call_of({"tool": "?", **data})
    except Fault:
        return ""
    return call.label if call else ""


def _nameless(data: dict[str, Any]) -> bool:
    """Whether nothing says that an object is a call."""
    return {"id", "label", "name", "tool", "api_name", "function", "arguments"}.isdisjoint(data)


def _finding(fault: Fault | NodeError, place: Place) -> Finding:
    hint = fault.hint if isinstance(fault, Fault) else ""
    return place.finding(fault.code, str(fault), hint or _HINT)


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> JsonReader:
    """Start a reading."""
    return JsonReader(round=round, earlier=earlier)


def likely(text: str) -> float:
    """How much a text looks like this dialect: whether it has an object that names a tool."""
    if "{" in text and _LIKELY.search(text):
        return 0.8
    return 0.1 if _OBJECT.match(text) else 0.0


def fits(id: str) -> bool:
    """Whether a step can have that id: any text but an empty one."""
    return id != ""


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: its number."""
    return str(n)


def write(plan: Plan) -> str:
    """A plan in the canonical form, indented, with its notes.

    Raises:
        ValueError: the plan has a hole, or a value that JSON cannot hold.
    """
    try:
        text = json.dumps(
            plan_to_json(plan, notes=True), indent=2, ensure_ascii=False, allow_nan=False
        )
        text.encode()
    except TypeError as error:
        raise ValueError(str(error)) from None
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character") from None
    return text + "\n"
