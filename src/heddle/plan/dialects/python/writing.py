"""Plans as Python text. What is written reads back as the same plan; what cannot be is refused.

The writer holds a reader and gives it each line: a line stands only if the reader makes the very
step of it. So what a variable stands for is never guessed.
"""

from __future__ import annotations

import ast
import keyword
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.canonical import encode
from heddle.plan.dialects.python.names import fits
from heddle.plan.dialects.reading.unsaid import refuse_unsaid
from heddle.plan.expression import FUNCTIONS, ExpressionError, read
from heddle.plan.ir import MISSING, Choose, Input, Item, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from heddle.plan.dialects.python.dialect import PythonReader
    from heddle.plan.ir import Path, Plan, Value

__all__ = ["Writer"]

_LOADED = ast.Load()
_ELEMENT = ("item", "element", "each_item", "one_item")


class Writer:
    """Writes one plan.

    Args:
        reader: a fresh reader of the round of the plan; it is given what is written.
        strip: the part of an id that is not the dialect's own, such as "2." in round 2.
    """

    def __init__(self, reader: PythonReader, strip: str) -> None:
        self._reader = reader
        self._strip = strip
        self._known: set[str] = set()

    def write(self, plan: Plan) -> str:
        """A plan as a program.

        Raises:
            ValueError: a part that the dialect cannot express; the message says which.
        """
        if plan.holes:
            raise ValueError(f"step {plan.holes[0].id} is a hole: repair it first")
        texts = [self._guarded(group) for group in _groups(plan.steps)]
        texts.append(self._last(plan.output))
        for piece in self._reader.close():
            raise ValueError(f"the output cannot be written as Python: it would be {piece}")
        if self._encoded(self._reader.output) != self._encoded(plan.output):
            raise ValueError("the output cannot be written as Python")
        return "".join(texts)

    def _encoded(self, value: Value) -> Any:
        return encode(value)

    # -- lines

    def _guarded(self, group: Sequence[Step]) -> str:
        """Steps under one condition, as one `if`; steps without one, as their lines."""
        if group[0].when is None:
            return "".join(self._line(step) for step in group)
        subject = group[0].when.subject
        if isinstance(subject, Item):
            raise ValueError(f"step {group[0].id}: a guard on the element of a map")
        condition = ast.unparse(self._node(subject, group[0], None))
        text = ""
        first = group[0].when.negated
        for negated in (first, not first):
            branch = [step for step in group if step.when and step.when.negated is negated]
            if branch:
                head = "else:" if text else f"if {condition} is {not negated}:"
                text += f"{head}\n{self._lines(branch)}"
        self._check(text, group)
        return text

    def _lines(self, branch: Sequence[Step]) -> str:
        """The steps of one branch; each sees the variables of those before it."""
        local: dict[str, str] = {}
        lines: list[str] = []
        for step in branch:
            lines.append(self._text(step, "    ", local))
            local[step.id] = self._name(step)
        return "".join(lines)

    def _name(self, step: Step) -> str:
        return step.id.removeprefix(self._strip).partition(":")[0]

    def _line(self, step: Step) -> str:
        text = self._text(step, "", {})
        self._check(text, [step])
        return text

    def _check(self, text: str, steps: Sequence[Step]) -> None:
        """Give the reader what was written; it must make these steps of it."""
        found = self._reader.read_on(text)
        made = [replace(each, note="", origin=None) for each in found if isinstance(each, Step)]
        wanted = [replace(each, note="", origin=None) for each in steps]
        same = len(made) == len(found) == len(wanted) and all(
            _shape(one) == _shape(two) for one, two in zip(made, wanted, strict=True)
        )
        if not same:
            raise ValueError(f"step {steps[0].id} cannot be written as Python")
        self._known.update(step.id for step in steps)

    def _text(self, step: Step, indent: str, local: Mapping[str, str]) -> str:
        refuse_unsaid(step, "python", "over", "when")
        name = self._name(step)
        if not fits(name):
            raise ValueError(f"step {step.id}: the id is no variable of Python")
        value = ast.unparse(ast.fix_missing_locations(self._value(step, local)))
        note = "" if indent else _note(step.note)
        return f"{note}{indent}{name} = {value}\n"

    # -- the value of a step

    def _value(self, step: Step, local: Mapping[str, str]) -> ast.expr:
        if step.over is MISSING:
            pure = self._expression(step, local) if step.tool == "compute" else None
            return pure or self._call(step, None, local)
        item = next(name for name in _ELEMENT if self._reader.scope.get(name) is None)
        target: ast.expr = ast.Name(item, ast.Store())
        source = self._node(step.over, step, None, local)
        element = self._call(step, item, local)
        return ast.ListComp(element, [ast.comprehension(target, source, [], 0)])

    def _expression(self, step: Step, local: Mapping[str, str]) -> ast.expr | None:
        """The expression of a `compute` step, with what it uses in its place; None if it is odd."""
        text, values = step.args.get("expression"), step.args.get("values", {})
        if step.args.keys() - {"expression", "values"} or not isinstance(text, str):
            return None
        if not isinstance(values, dict):
            return None
        held = cast("dict[str, Value]", values)
        try:
            tree = read(text, held.keys())
        except ExpressionError:
            return None
        if not all(isinstance(each, (Ref, Input, Choose)) for each in held.values()):
            return None
        if isinstance(tree, ast.Name):
            return None  # another name for a result would be no step
        given = {name: self._node(each, step, None, local) for name, each in held.items()}
        return _Placed(given, self._fresh).put(tree)

    def _fresh(self, number: int) -> str:
        """A name for the variable of a comprehension that is no variable of the program."""
        name = f"v{number}"
        while self._reader.scope.get(name) is not None:
            name += "_"
        return name

    def _call(self, step: Step, item: str | None, local: Mapping[str, str]) -> ast.expr:
        if step.tool in FUNCTIONS:
            raise ValueError(
                f"step {step.id}: the tool {step.tool!r} is a function of Python's own"
            )
        function: ast.expr | None = None
        for part in step.tool.split("."):
            if not part.isidentifier() or keyword.iskeyword(part):
                raise ValueError(f"step {step.id}: the tool {step.tool!r} is no name in Python")
            name = ast.Name(part, _LOADED)
            function = ast.Attribute(function, part, _LOADED) if function else name
        args: list[ast.expr] = []
        named: list[ast.keyword] = []
        for key, value in step.args.items():
            node = self._node(value, step, item, local)
            if key == str(len(args)) and not named:
                args.append(node)
            elif key.isidentifier() and not keyword.iskeyword(key):
                named.append(ast.keyword(key, node))
            else:
                raise ValueError(f"step {step.id}: the argument {key!r} is no name in Python")
        return ast.Call(cast("ast.expr", function), args, named)

    # -- values

    def _node(
        self, value: Value, step: Step, item: str | None, local: Mapping[str, str] | None = None
    ) -> ast.expr:
        """A value as an expression.

        Args:
            value: JSON with nodes.
            step: whose value it is.
            item: the variable of the comprehension around; None outside of one.
            local: the variables of steps before it in its branch, by id.
        """
        if isinstance(value, (Ref, Choose)):
            return self._reference(value, step, local or {})
        if isinstance(value, Input):
            return _subscripted(ast.Name("inputs", _LOADED), (value.name, *value.path), step)
        if isinstance(value, Item):
            if item is None:
                raise ValueError(f"step {step.id}: an element outside of a map")
            return _subscripted(ast.Name(item, _LOADED), value.path, step)
        if isinstance(value, Template):
            return self._template(value, step, item, local)
        if isinstance(value, dict):
            held = cast("dict[str, Value]", value)
            keys: list[ast.expr | None] = [ast.Constant(key) for key in held]
            return ast.Dict(keys, [self._node(x, step, item, local) for x in held.values()])
        if isinstance(value, (list, tuple)):
            held = cast("Sequence[Value]", value)
            return ast.List([self._node(each, step, item, local) for each in held], _LOADED)
        return _number(value, step)

    def _reference(self, value: Ref | Choose, step: Step, local: Mapping[str, str]) -> ast.expr:
        """The variable that a reference, or a choice, is now, and the path."""
        first = value if isinstance(value, Ref) else value.options[0]
        if first.step in local:
            return _subscripted(ast.Name(local[first.step], _LOADED), first.path, step)
        name = first.step.removeprefix(self._strip).partition(":")[0]
        for end in range(len(first.path) + 1):
            if self._reader.scope.get(name, first.path[:end]) == _without(value, first.path[end:]):
                whole = self._reader.scope.get(name, first.path)
                if whole == value:
                    return _subscripted(ast.Name(name, _LOADED), first.path, step)
        raise ValueError(f"step {step.id}: no variable stands for {first.step} any more")

    def _template(
        self, value: Template, step: Step, item: str | None, local: Mapping[str, str] | None
    ) -> ast.expr:
        parts: list[ast.expr] = []
        for part in value.parts:
            if isinstance(part, str):
                parts.append(ast.Constant(part))
            else:
                parts.append(ast.FormattedValue(self._node(part, step, item, local), -1, None))
        return ast.JoinedStr(parts)

    # -- the last line

    def _last(self, output: Value) -> str:
        if output is None:
            text = "pass\n" if self._reader.has_answer else ""
        else:
            try:
                text = ast.unparse(self._node(output, Step("output", ""), None)) + "\n"
            except ValueError as error:
                raise ValueError(f"the output cannot be written as Python: {error}") from None
        if self._reader.read_on(text):
            raise ValueError(
                "the output cannot be written as Python: a program's last line is a result, a part "
                "of one, or a text with results in it"
            )
        return text


class _Placed(ast.NodeTransformer):
    """Puts what names stand for in their place, and gives comprehensions plain variables."""

    def __init__(self, given: Mapping[str, ast.expr], fresh: Callable[[int], str]) -> None:
        self._given = given
        self._fresh = fresh

    def put(self, node: ast.expr) -> ast.expr:
        """The expression as a program has it."""
        return cast("ast.expr", self.visit(node))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id.startswith("_") and node.id[1:].isdecimal():
            return ast.Name(self._fresh(int(node.id[1:])), node.ctx)
        return self._given.get(node.id, node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._fresh(int(node.arg[1:])))


def _groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Runs of steps that stand under one `if`: those of its branch, then those of its `else`."""
    group: list[Step] = []
    for step in steps:
        if group and not _belongs(step, group):
            yield group
            group = []
        group.append(step)
    if group:
        yield group


def _belongs(step: Step, group: Sequence[Step]) -> bool:
    when, last = step.when, group[-1].when
    if when is None or last is None:
        return False
    first = group[0].when
    same = when.negated == last.negated or (first is not None and last.negated == first.negated)
    return same and when.subject == last.subject


def _shape(step: Step) -> Any:
    return step.id, step.tool, encode(dict(step.args)), _encoded_over(step), step.when


def _encoded_over(step: Step) -> Any:
    return None if step.over is MISSING else encode(step.over)


def _note(text: str) -> str:
    lines = [line.strip("# \t\r\x0c") for line in text.split("\n")]
    return "".join(f"# {line}\n" for line in lines if line)


def _without(value: Ref | Choose, path: Path) -> Ref | Choose:
    """A reference without the end of its path."""
    size = len(path)
    if isinstance(value, Ref):
        return Ref(value.step, value.path[: len(value.path) - size])
    return Choose(tuple(Ref(x.step, x.path[: len(x.path) - size]) for x in value.options))


def _subscripted(node: ast.expr, path: Path, step: Step) -> ast.expr:
    for key in path:
        if isinstance(key, int) and key < 0:
            raise ValueError(f"step {step.id}: a path has no negative index in Python text")
        node = ast.Subscript(node, ast.Constant(key), _LOADED)
    return node


def _number(value: Any, step: Step) -> ast.expr:
    """A scalar as a constant."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"step {step.id}: a number that is not finite")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        negative = value < 0 or (value == 0 and str(value).startswith("-"))
        if negative:
            return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)
