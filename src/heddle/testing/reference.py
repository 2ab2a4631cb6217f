"""What a plan means, one step after the other: the judge of the scheduler, and none of its code.

Steps run in plan order, which is an order of dependencies, and each ends before the next begins;
so do the elements of a map.
Nothing here knows of time: a behaviour says whether a call outlasts its deadline.

>>> plan = [Step("1", "price", {"of": "A"}), Step("2", "price", {"of": Ref("1")})]
>>> [outcome.value for outcome in interpret(plan, lambda step, element, args: args["of"]).values()]
['A', 'A']
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.plan.ir import MISSING, Choose, Hole, Input, Item, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Fails", "Hangs", "Outcome", "Skips", "Tool", "interpret"]

Tool: TypeAlias = "Callable[[Step, int | None, dict[str, Any]], Any]"
"""A step, an element of a map, and filled arguments to a value.

It raises `Fails` or `Hangs` instead of what the real one does."""


class Fails(Exception):
    """The call raises something; the argument is the step's code."""


class Hangs(Exception):
    """The call outlasts its deadline, or nobody has seen what came of it."""


class Skips(Exception):
    """The step cannot run, because of a step before it; the argument is the code's class."""


@dataclass
class Outcome:
    """How a step ended. `code` leaves out which of several bad inputs came first.

    Attributes:
        items: of a map that had a list, how each element ended.
        spared: whether the plan itself said that there is to be no value.
    """

    status: str
    code: str = ""
    value: Any = None
    usable: bool = False
    items: list[Outcome] | None = None
    spared: bool = field(default=False, compare=False)


def interpret(
    entries: Iterable[Step | Hole],
    tool: Tool,
    *,
    inputs: Mapping[str, Any] | None = None,
    writes: frozenset[str] = frozenset(),
    imposed: Mapping[tuple[str, int | None], Outcome] | None = None,
) -> dict[str, Outcome]:
    """The outcome of each step.

    Args:
        entries: steps, and holes that nothing fills, in plan order.
        tool: what calls do; see `Tool`.
        inputs: the caller's data.
        writes: names of tools whose outcome is unknown if it was not seen.
        imposed: by step, and by element of a map, outcomes that come from outside of the plan,
            whatever its calls give.
    """
    outside = imposed or {}
    ended: dict[str, Outcome] = {}
    for entry in entries:
        outcome = (
            Outcome("failed", "hole")
            if isinstance(entry, Hole)
            else _run(entry, ended, tool, inputs or {}, entry.tool in writes, outside)
        )
        ended[entry.id] = outside.get((entry.id, None), outcome)
    return ended


def _run(
    step: Step,
    ended: dict[str, Outcome],
    tool: Tool,
    inputs: Mapping[str, Any],
    writes: bool,
    imposed: Mapping[tuple[str, int | None], Outcome],
) -> Outcome:
    mapped = step.over is not MISSING
    of_item = step.when is not None and isinstance(step.when.subject, Item)
    try:
        if not all(ended[id].usable for id in _needed(step, ended)):
            raise Skips("upstream")
        if not of_item:
            _guard(step, ended, inputs)
        if not mapped:
            return _call(step, None, ended, tool, inputs, writes)
        for choice in _choices(step.args):
            _value(choice, ended, inputs)
        values, before = _elements(step, ended, inputs)
    except Skips as skip:
        return Outcome("skipped", str(skip), spared=str(skip) == "guard-false")
    except Fails as failure:
        return Outcome("failed", str(failure)) if mapped else _failed(step, str(failure))
    items: list[Outcome] = []
    for place, (value, earlier) in enumerate(zip(values, before, strict=True)):
        if (step.id, place) in imposed:
            items.append(imposed[step.id, place])
        elif earlier is None or earlier.usable:
            known = {**inputs, _ITEM: value}
            items.append(_element(step, place, ended, tool, known, writes))
        else:
            items.append(Outcome("skipped", "upstream", spared=earlier.spared))
    return _joined(items)


_ITEM = " item"  # a name that no input has


def _elements(
    step: Step, ended: dict[str, Outcome], inputs: Mapping[str, Any]
) -> tuple[list[Any], list[Outcome | None]]:
    """The list of a map, and how the elements ended that it follows, if it follows a map."""
    over = step.over
    source = ended[over.step].items if isinstance(over, Ref) and not over.path else None
    values = ended[over.step].value if source is not None else _value(over, ended, inputs)
    if not isinstance(values, list):
        raise Fails("not-a-list")
    values = cast("list[Any]", values)
    if step.bound is not None and len(values) > step.bound:
        raise Fails("too-wide")
    return values, [*source] if source is not None else [None] * len(values)


def _element(
    step: Step,
    place: int,
    ended: dict[str, Outcome],
    tool: Tool,
    inputs: Mapping[str, Any],
    writes: bool,
) -> Outcome:
    try:
        if step.when is not None and isinstance(step.when.subject, Item):
            _guard(step, ended, inputs)
        return _call(step, place, ended, tool, inputs, writes)
    except Skips as skip:
        return Outcome("skipped", str(skip), spared=True)
    except Fails as failure:
        return _failed(step, str(failure))


def _joined(items: list[Outcome]) -> Outcome:
    """What a map is, by what its elements are."""
    values = [item.value for item in items]
    lacking = [item for item in items if not (item.usable or item.spared)]
    statuses = [item.status for item in items]
    if "unknown" in statuses:
        return Outcome("unknown", "timed-out", values, usable=False, items=items)
    if "failed" in statuses:
        return Outcome("failed", "items-failed", values, usable=not lacking, items=items)
    if lacking:
        return Outcome("failed", "upstream", values, usable=False, items=items)
    return Outcome("done", "", values, usable=True, items=items)


def _guard(step: Step, ended: dict[str, Outcome], inputs: Mapping[str, Any]) -> None:
    if step.when is None:
        return
    answer = _value(step.when.subject, ended, inputs)
    if not isinstance(answer, bool):
        raise Fails("bad-guard")
    if answer is step.when.negated:
        raise Skips("guard-false")


def _call(
    step: Step,
    place: int | None,
    ended: dict[str, Outcome],
    tool: Tool,
    inputs: Mapping[str, Any],
    writes: bool,
) -> Outcome:
    try:
        args = {name: _value(arg, ended, inputs) for name, arg in step.args.items()}
        value = tool(step, place, args)
        return Outcome("done", "", value, usable=True)
    except Hangs:
        return Outcome("unknown", "timed-out") if writes else _failed(step, "timed-out")
    except Fails as failure:
        return _failed(step, str(failure))


def _choices(value: Any) -> Iterable[Choose]:
    match value:
        case Choose():
            yield value
        case list():
            for item in cast("list[Any]", value):
                yield from _choices(item)
        case dict():
            yield from _choices(list(cast("dict[str, Any]", value).values()))
        case _:
            pass


def _failed(step: Step, code: str) -> Outcome:
    if step.default is MISSING:
        return Outcome("failed", code)
    return Outcome("failed", code, step.default, usable=True)


def _needed(step: Step, ended: Mapping[str, Outcome]) -> list[str]:
    """The steps that must have a value: all but the options of a choice.

    A map that runs over another map's list needs only the elements.
    """

    def walk(value: Any) -> Iterable[str]:
        match value:
            case Ref(step=id):
                yield id
            case Template(parts=parts):
                yield from walk(list(parts))
            case list():
                for item in cast("list[Any]", value):
                    yield from walk(item)
            case dict():
                yield from walk(list(cast("dict[str, Any]", value).values()))
            case _:
                pass

    subject = step.when.subject if step.when is not None else None
    over = step.over if step.over is not MISSING else None
    if isinstance(over, Ref) and not over.path and ended[over.step].items is not None:
        over = None
    return [*walk([step.args, subject, over]), *step.after]


def _value(value: Any, ended: dict[str, Outcome], inputs: Mapping[str, Any]) -> Any:
    match value:
        case Ref(step=id, path=path):
            return _part(ended[id].value, path)
        case Input(name=name, path=path):
            return _part(inputs[name], path)
        case Item(path=path):
            return _part(inputs[_ITEM], path)
        case Choose(options=options):
            tried = [option for option in options if ended[option.step].status != "skipped"]
            if not tried:
                raise Skips("nothing-to-choose")
            if not ended[tried[0].step].usable:
                raise Skips("upstream")
            return _value(tried[0], ended, inputs)
        case Template(parts=parts):
            return "".join(
                item if isinstance(item, str) else _text(_value(item, ended, inputs))
                for item in parts
            )
        case dict():
            members = cast("dict[str, Any]", value)
            return {name: _value(item, ended, inputs) for name, item in members.items()}
        case list():
            return [_value(item, ended, inputs) for item in cast("list[Any]", value)]
        case _:
            return value


def _part(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        if isinstance(key, str):
            there = isinstance(value, dict) and key in value
        else:
            there = isinstance(value, list) and 0 <= key < len(cast("list[Any]", value))
        if not there:
            raise Fails("bad-path")
        value = cast("Any", value[key])
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
