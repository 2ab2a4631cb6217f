"""What a plan means, one step after the other: the judge of the scheduler, and none of its code.

Steps run in plan order, which is an order of dependencies, and each ends before the next begins.
Nothing here knows of time: a behaviour says whether a call outlasts its deadline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heddle.plan.ir import MISSING, Choose, Hole, Input, Ref, Step, Template

Tool = Callable[[dict[str, Any]], Any]
"""Filled arguments to a value; it raises `Fails` or `Hangs` instead of what the real one does."""


class Fails(Exception):
    """The call raises something; the argument is the step's code."""


class Hangs(Exception):
    """The call outlasts its deadline."""


class Skips(Exception):
    """The step cannot run, because of a step before it; the argument is the code's class."""


@dataclass
class Outcome:
    """How a step ended. `code` leaves out which of several bad inputs came first."""

    status: str
    code: str = ""
    value: Any = None
    usable: bool = False


def interpret(
    entries: Iterable[Step | Hole],
    tool: Tool,
    *,
    inputs: Mapping[str, Any] | None = None,
    writes: frozenset[str] = frozenset(),
) -> dict[str, Outcome]:
    """The outcome of each step.

    Args:
        entries: steps, and holes that nothing fills, in plan order.
        tool: what calls do.
        inputs: the caller's data.
        writes: names of tools whose outcome is unknown if it was not seen.
    """
    ended: dict[str, Outcome] = {}
    for entry in entries:
        ended[entry.id] = (
            Outcome("failed", "hole")
            if isinstance(entry, Hole)
            else _run(entry, ended, tool, inputs or {}, entry.tool in writes)
        )
    return ended


def _run(
    step: Step, ended: dict[str, Outcome], tool: Tool, inputs: Mapping[str, Any], writes: bool
) -> Outcome:
    try:
        if not all(ended[id].usable for id in _needed(step)):
            raise Skips("upstream")
        if step.when is not None:
            answer = _value(step.when.subject, ended, inputs)
            if not isinstance(answer, bool):
                raise Fails("bad-guard")
            if answer is step.when.negated:
                raise Skips("guard-false")
        value = tool({name: _value(arg, ended, inputs) for name, arg in step.args.items()})
        return Outcome("done", "", value, usable=True)
    except Skips as skip:
        return Outcome("skipped", str(skip))
    except Hangs:
        if writes:
            return Outcome("unknown", "timed-out")
        return _failed(step, "timed-out")
    except Fails as failure:
        return _failed(step, str(failure))


def _failed(step: Step, code: str) -> Outcome:
    if step.default is MISSING:
        return Outcome("failed", code)
    return Outcome("failed", code, step.default, usable=True)


def _needed(step: Step) -> list[str]:
    """The steps that must have a value: all but the options of a choice."""

    def walk(value: Any) -> Iterable[str]:
        match value:
            case Ref(step=id):
                yield id
            case Template(parts=inner) | list(inner):
                for item in inner:
                    yield from walk(item)
            case dict():
                yield from walk(list(value.values()))

    subject = step.when.subject if step.when is not None else None
    return [*walk([step.args, subject]), *step.after]


def _value(value: Any, ended: dict[str, Outcome], inputs: Mapping[str, Any]) -> Any:
    match value:
        case Ref(step=id, path=path):
            return _part(ended[id].value, path)
        case Input(name=name, path=path):
            return _part(inputs[name], path)
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
            return {name: _value(item, ended, inputs) for name, item in value.items()}
        case list():
            return [_value(item, ended, inputs) for item in value]
        case _:
            return value


def _part(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        if (type(key) is str and type(value) is dict and key in value) or (
            type(key) is int and type(value) is list and 0 <= key < len(value)
        ):
            value = value[key]
        else:
            raise Fails("bad-path")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
