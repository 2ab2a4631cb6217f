"""The verifier's rules, as data: a table of codes, each with one small function.

A rule looks at a `Case` (one step, and what is known when it arrives) and gives back what is
wrong, as pairs of message and hint. It never changes anything.

>>> [code for code, _ in STEP_RULES][:3]
['bad-id', 'duplicate-id', 'unknown-tool']
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.plan.case import NESTING, position
from heddle.plan.ir import MISSING, Choose, Input, Item, Ref, Template
from heddle.plan.schema import fault, incompatible, part, printable, said, show_path

if TYPE_CHECKING:
    from heddle.plan.case import Case, Tool
    from heddle.plan.ir import Node, Path, Value
    from heddle.plan.spec import Schema

__all__ = ["FORWARD_HINT", "OUTPUT_RULES", "STEP_RULES", "Rule"]

Said: TypeAlias = "tuple[str, str]"  # message and hint
Rule: TypeAlias = Callable[["Case"], Iterable[Said]]

FORWARD_HINT = "a step may refer to earlier steps only: put it after them"
_CONVERT = "use a part of the result that fits, or a step that converts it: text is never converted"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TEXT: Schema = {"type": "string"}


# -- the step itself -----------------------------------------------------------------------------


def _bad_id(case: Case) -> Iterator[Said]:
    if not _ID.fullmatch(case.step.id):
        yield (
            f"the id {said(case.step.id, bare=True)} cannot be used",
            "an id has 1 to 64 characters, of A-Z, a-z, 0-9, _, -, . and :",
        )


def _duplicate_id(case: Case) -> Iterator[Said]:
    known = case.scope.known.get(case.step.id)
    if known is not None and not known.hole:
        yield "this id was given before", "give each step an id of its own"


def _unknown_tool(case: Case) -> Iterator[Said]:
    if case.tool is None:
        names = case.scope.tools.keys()
        hint = case.scope.suggest(case.step.tool, names, "the tools are")
        yield f'there is no tool "{printable(case.step.tool)}"', hint


def _not_runnable(case: Case) -> Iterator[Said]:
    if case.scope.runnable_only and case.step.retry and case.step.tool == "expand":
        yield "a step that expands a plan cannot be tried again", "leave `retry` out of it"


def _bad_field(case: Case) -> Iterator[Said]:
    """Only of steps that a program built: readers look at the fields themselves."""
    step = case.step
    if step.default is not MISSING and case.readings[len(step.args)].nodes:
        yield '"default" refers to a result', "give the value itself: it is data"
    seconds = step.timeout_s
    if seconds is not None and not 0 < seconds < math.inf:
        yield "timeout_s must be a positive number of seconds", "leave it out for the tool's own"


# -- arguments -----------------------------------------------------------------------------------


def _missing_argument(case: Case) -> Iterator[Said]:
    if case.tool is None:
        return
    for name in case.tool.required:
        if name not in case.step.args:
            schema = case.tool.schema(name)
            about = schema.get("description")
            hint = f'give "{printable(name)}"' + (f": {about}" if isinstance(about, str) else "")
            yield f'{printable(case.step.tool)}() needs an argument "{printable(name)}"', hint


def _unknown_argument(case: Case) -> Iterator[Said]:
    tool = case.tool
    if tool is None or tool.open:
        return
    for name in case.step.args:
        if name not in tool.properties and position(name) is None:
            hint = case.scope.suggest(name, tool.names, "its arguments are")
            yield f'{printable(case.step.tool)}() has no argument "{printable(name)}"', hint


def _leftover(case: Case) -> Iterator[tuple[int, Tool]]:
    """Positional arguments that the tool's order could not name."""
    if case.tool is None:
        return
    for name in case.step.args:
        place = position(name)
        if place is not None and name not in case.tool.properties:
            yield place, case.tool


def _too_many_arguments(case: Case) -> Iterator[Said]:
    surplus = [tool for place, tool in _leftover(case) if place >= len(tool.names)]
    if surplus:
        most, name = len(surplus[0].names), printable(case.step.tool)
        listed = ", ".join(map(printable, surplus[0].names[:10]))
        yield (
            f"{name}() takes {most} argument{'' if most == 1 else 's'}, got {most + len(surplus)}",
            f"its arguments are: {listed}" if listed else "it takes no argument by position",
        )


def _repeated_argument(case: Case) -> Iterator[Said]:
    for place, tool in _leftover(case):
        if place < len(tool.names):
            name = printable(tool.names[place])
            yield (
                f'{printable(case.step.tool)}() is given "{name}" by position and by name',
                f'give "{name}" once',
            )


def _wrong_type(case: Case) -> Iterator[Said]:
    for reading in case.readings:
        for code, path, message in reading.odd:
            if code == "wrong-type":
                yield f"{case.spot(reading.name, path)} {message}", "pass JSON values"
    over = case.step.over
    if over is not MISSING and not isinstance(over, (list, tuple, Ref, Item, Input, Choose)):
        yield f'"over" must be a list, got {said(over)}', "give a list, or a reference to one"
    if case.tool is None:
        return
    for name, value in case.step.args.items():
        schema = case.tool.schema(name)
        found = fault(value, schema) if schema else None
        if found is not None:
            yield f"{case.spot(name, found[0])} {found[1]}", _remedy(case, value, name, found[0])


def _remedy(case: Case, value: Value, name: str, path: Path) -> str:
    """How to write a literal so that it matches: tried against the schema itself."""
    wanted = case.tool.wanted(name, path) if case.tool else None
    for key in path:
        value = value[key]
    if wanted is None or isinstance(value, (list, dict)):
        return ""
    if not isinstance(value, str):
        text = json.dumps(value)
        return f'write "{text}", in quotes' if fault(text, wanted) is None else ""
    if fault(_unquoted(value), wanted) is None:
        return f"write {value} without quotes"
    options = wanted.get("enum")
    if not isinstance(options, list):
        return ""
    texts = [item for item in cast("list[Any]", options) if isinstance(item, str)]
    return case.scope.suggest(value, texts)


def _unquoted(text: str) -> Value:
    """What a text would be without its quotes; itself if it would be nothing."""
    if len(text) > 40:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _bad_expression(case: Case) -> Iterator[Said]:
    """What `compute` would refuse whatever the values are."""
    text, values = case.step.args.get("expression"), case.step.args.get("values", {})
    built_in = case.tool is not None and case.tool.spec.implicit and case.step.tool == "compute"
    if not built_in or not isinstance(text, str) or not isinstance(values, dict):
        return
    from heddle.plan.expression import ExpressionError, read

    try:
        read(text, cast("dict[str, Any]", values).keys())
    except ExpressionError as error:
        place = f"line {error.line}, column {error.column} of the expression"
        unknown = isinstance(error.node, ast.Name)
        yield f"{error.message} ({place})", 'give it in "values"' if unknown else error.hint


def _odd(code: str, hint: str) -> Rule:
    """The rule for values that JSON cannot hold, found when a value was read."""

    def rule(case: Case) -> Iterator[Said]:
        for reading in case.readings:
            for kind, path, message in reading.odd:
                if kind == code:
                    yield f"{case.spot(reading.name, path)} {message}", hint

    return rule


# -- references ----------------------------------------------------------------------------------


def _unknown_reference(case: Case) -> Iterator[Said]:
    scope = case.scope
    last = printable(next(reversed(scope.known), ""))
    for name in case.names:
        if name not in scope.known and name != case.step.id and name not in scope.coming:
            hint = "refer to a step before it" + (f"; the last one is {last}" if last else "")
            yield f"there is no step {printable(name)} to refer to", hint


def _forward_reference(case: Case) -> Iterator[Said]:
    """Only where a hole is filled: elsewhere, a step that comes later is not known yet."""
    for name in case.names:
        known = case.scope.known.get(name)
        if known is not None and known.place > case.place:
            yield f"it refers to step {printable(name)}, which comes later", FORWARD_HINT


def _self_reference(case: Case) -> Iterator[Said]:
    known = case.scope.known.get(case.step.id)
    if case.step.id in case.names and (known is None or known.hole):  # else: the first of that id
        yield "it refers to itself", "refer to an earlier step, or give the value itself"


def _unknown_field(case: Case) -> Iterator[Said]:
    for ref in dict.fromkeys(case.refs):
        if ref.path:
            _, reason = case.scope.look(ref)
            if reason:
                yield (
                    f'there is no "{show_path(ref.path)}" in the result of step '
                    f"{printable(ref.step)}: {reason}",
                    "refer to a part that the tool declares, or to the whole result",
                )


def _reference_type(case: Case) -> Iterator[Said]:
    for seen, wanted in case.sightings:
        if not wanted:
            continue
        if isinstance(seen.node, Ref):
            reason = case.scope.clash(seen.node, wanted)
        elif isinstance(seen.node, Template):
            reason = incompatible(_TEXT, wanted)
        elif isinstance(seen.node, Item):
            reason = _item_clash(case, seen.node, wanted)
        else:
            continue
        if reason is not None:
            yield (
                f"{case.spot(seen.name, seen.path)} cannot take {_named(seen.node)}: {reason}",
                _CONVERT,
            )


def _named(node: Node) -> str:
    if isinstance(node, Ref):
        whole = f"the result of step {printable(node.step)}"
        return f'"{show_path(node.path)}" of {whole}' if node.path else whole
    return "a text with references in it" if isinstance(node, Template) else "the element"


def _item_clash(case: Case, item: Item, wanted: Schema) -> str | None:
    over = case.step.over
    if not isinstance(over, Ref):
        return None
    try:
        given, _ = case.scope.look(Ref(over.step, (*over.path, 0)))
        given = part(given, item.path) if given else None
    except KeyError as error:
        return str(error.args[0])
    return incompatible(given, wanted) if given else None


def _unknown_input(case: Case) -> Iterator[Said]:
    inputs = case.scope.inputs
    if inputs is None:
        return
    names = [seen.node.name for seen, _ in case.sightings if isinstance(seen.node, Input)]
    for name in dict.fromkeys(names):
        if name not in inputs:
            hint = case.scope.suggest(name, sorted(inputs), "the inputs are")
            yield f'there is no input "{printable(name)}"', hint


def _item_outside_map(case: Case) -> Iterator[Said]:
    for seen, _ in case.sightings:
        inside = case.step.over is not MISSING and seen.name != "over"
        if isinstance(seen.node, Item) and not inside:
            yield (
                f"{case.spot(seen.name, seen.path)} uses `$item` without `over`",
                "give the step an `over`",
            )


# -- bounds --------------------------------------------------------------------------------------


def _nesting_too_deep(case: Case) -> Iterator[Said]:
    bound = case.scope.limits.max_nesting if case.scope.limits else NESTING
    for reading in case.readings:
        if reading.nesting > bound:
            yield (
                f'"{printable(reading.name)}" nests deeper than {bound} lists and objects',
                "pass a flatter value",
            )


def _too_many_steps(case: Case) -> Iterator[Said]:
    limits = case.scope.limits
    if limits and case.place >= limits.max_steps and "too-many-steps" not in case.scope.told:
        yield (
            f"the plan has more than {limits.max_steps} steps",
            "plan fewer steps, or raise `max_steps`",
        )


def _too_deep(case: Case) -> Iterator[Said]:
    limits = case.scope.limits
    if limits and case.depth > limits.max_depth and "too-deep" not in case.scope.told:
        yield (
            f"the longest path of the plan has more than {limits.max_depth} steps",
            "let fewer steps wait for each other, or raise `max_depth`",
        )


def _too_many_references(case: Case) -> Iterator[Said]:
    limits = case.scope.limits
    if limits and len(case.refs) + len(case.step.after) > limits.max_references:
        yield (
            f"it refers to {len(case.refs) + len(case.step.after)} results, "
            f"more than {limits.max_references}",
            "join results in steps between, or raise `max_references`",
        )


def _too_wide(case: Case) -> Iterator[Said]:
    step, limits = case.step, case.scope.limits
    over: Value = step.over
    width = len(cast("list[Any]", over)) if isinstance(over, list) else 0
    if limits and max(width, step.bound or 0) > limits.max_width:
        yield (
            f"the map has up to {max(width, step.bound or 0)} elements, "
            f"more than {limits.max_width}",
            "map over fewer elements, or raise `max_width`",
        )
    elif step.bound is not None and width > step.bound:
        yield f"`over` has {width} elements, more than its bound of {step.bound}", "raise `bound`"


def _too_many_calls(case: Case) -> Iterator[Said]:
    scope, limits = case.scope, case.scope.limits
    calls = scope.calls + (case.elements or 0)
    if limits and calls > limits.max_calls and "too-many-calls" not in scope.told:
        yield (
            f"the plan may ask for {calls:,} calls up to here, more than {limits.max_calls:,}",
            "give its maps a smaller `bound`, or raise `max_calls`",
        )


def _literal_too_large(case: Case) -> Iterator[Said]:
    limits = case.scope.limits
    for reading in case.readings if limits else ():
        if limits and reading.size > limits.max_literal_bytes:
            yield (
                f'"{printable(reading.name)}" has about {reading.size} bytes, '
                f"more than {limits.max_literal_bytes}",
                "pass large data as an input, or raise `max_literal_bytes`",
            )


STEP_RULES: tuple[tuple[str, Rule], ...] = (
    ("bad-id", _bad_id),
    ("duplicate-id", _duplicate_id),
    ("unknown-tool", _unknown_tool),
    ("not-runnable", _not_runnable),
    ("bad-field", _bad_field),
    ("missing-argument", _missing_argument),
    ("unknown-argument", _unknown_argument),
    ("too-many-arguments", _too_many_arguments),
    ("repeated-argument", _repeated_argument),
    ("wrong-type", _wrong_type),
    ("bad-expression", _bad_expression),
    ("bad-number", _odd("bad-number", "write a number that JSON can hold, or a text")),
    ("bad-text", _odd("bad-text", "write whole Unicode characters")),
    ("unknown-reference", _unknown_reference),
    ("forward-reference", _forward_reference),
    ("cyclic-reference", _self_reference),
    ("unknown-field", _unknown_field),
    ("reference-type", _reference_type),
    ("unknown-input", _unknown_input),
    ("item-outside-map", _item_outside_map),
    ("nesting-too-deep", _nesting_too_deep),
    ("literal-too-large", _literal_too_large),
    ("too-many-references", _too_many_references),
    ("too-wide", _too_wide),
    ("too-many-calls", _too_many_calls),
    ("too-many-steps", _too_many_steps),
    ("too-deep", _too_deep),
)
"""The rules of one step, in the order in which their findings are reported."""

_OF_VALUES = {"bad-number", "bad-text", "unknown-reference", "unknown-field", "unknown-input"}
OUTPUT_RULES = tuple(
    (code, rule) for code, rule in STEP_RULES if code in {*_OF_VALUES, "item-outside-map"}
)
"""The rules that hold for the plan's output, too."""
