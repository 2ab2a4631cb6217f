"""The `compute` tool: an expression over values, walked by an evaluator of its own.

    compute("a * 2 + max(b)", values={"a": 3, "b": [1, 5]})      11

The language is that of `heddle.plan.expression`, and the text is checked by the same checker when
it runs as when the plan was read; then the tree is walked here. Nothing is executed: there is no
`eval`, no attribute is looked up, and a function is called only from the table below.

Everything is bounded: the steps of an evaluation (and what they copy or look through), digits,
and how much a value may hold. Numbers follow `heddle.tools.builtin.arithmetic`: 12 / 4 is 3, as
in the calculator. A value in a text reads as in a template: text as it is, anything else as JSON.

>>> evaluate("a * 2 + max(b)", {"a": 3, "b": [1, 5]})
11
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from heddle.errors import ToolFailed
from heddle.plan.expression import ExpressionError, read
from heddle.plan.spec import ToolSpec
from heddle.tools.builtin import operations
from heddle.tools.builtin.operations import (
    BINARY,
    COMPARE,
    FUNCTIONS,
    MAX_SIZE,
    bad,
    described,
    elements,
    failed,
    index_of,
    key_of,
    misfit,
    number_of,
    part,
    text_of,
    too_large,
)
from heddle.tools.function import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["COMPUTE_SPEC", "MAX_STEPS", "compute", "evaluate"]

MAX_STEPS: Final = 100_000
"""Steps of one evaluation; looking through 16 elements or characters counts as one."""

_PER_STEP = 16

COMPUTE_SPEC = ToolSpec(
    name="compute",
    description="Compute an expression over values: arithmetic, comparisons, texts and lists.",
    parameters={
        "type": "object",
        "properties": {
            "expression": {
                "type": "string",
                "description": "as Python writes it: a * 2, max(a), a if b else c.",
            },
            "values": {
                "type": "object",
                "default": {},
                "description": "what the names in the expression stand for.",
            },
        },
        "required": ["expression"],
        "additionalProperties": False,
    },
    effect="pure",
    implicit=True,
)
"""The `compute` tool as a plan sees it; written out, so that checking a plan needs no pydantic."""


def evaluate(expression: str, values: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression.

    Args:
        expression: its text.
        values: JSON values by name.

    Cost: bounded by `MAX_STEPS`; reading the text is linear, and remembered.

    Raises:
        ToolFailed: code `bad-expression` (not in the language, or an unknown name),
            `bad-operand` (a value that does not fit), `bad-path` (a key or index that is not
            there) or `too-large` (digits, size or steps).
    """
    given = values or {}
    try:
        tree = _tree(expression, frozenset(given))
    except ExpressionError as error:
        where = f"line {error.line}, column {error.column}: "
        raise ToolFailed(where + error.message, code="bad-expression", hint=error.hint) from None
    try:
        return _Walk(given).value(tree)
    except RecursionError:
        raise too_large("the expression nests too deeply") from None


@lru_cache(maxsize=256)
def _tree(expression: str, names: frozenset[str]) -> ast.expr:
    return read(expression, names)


def _compute_tool() -> Tool:
    @tool(name=COMPUTE_SPEC.name, effect="pure", description=COMPUTE_SPEC.description)
    async def compute(expression: str, values: dict[str, Any] = {}) -> Any:  # noqa: B006  # the planner reads it
        """Compute an expression.

        Args:
            expression: as Python writes it.
            values: what the names in the expression stand for.
        """
        return evaluate(expression, values)

    return Tool(COMPUTE_SPEC, compute.__wrapped__, compute.invoke, blocking=False)


# -- the walk


class _Walk:
    """One evaluation: what the names stand for, and the steps that are left."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._names: dict[str, Any] = dict(values)
        self._left = MAX_STEPS

    def value(self, node: ast.expr) -> Any:
        """The value of a checked tree."""
        self.charge(1)
        return _WALKS[type(node)](self, node)

    def charge(self, steps: int) -> None:
        """Count steps.

        Raises:
            ToolFailed: there are none left.
        """
        self._left -= steps
        if self._left < 0:
            raise too_large(f"the expression takes more than {MAX_STEPS:,} steps")

    def weigh(self, value: Any) -> Any:
        """The value, once it is counted how much is in it, as steps of the evaluation.

        Raises:
            ToolFailed: more than `MAX_SIZE`.
        """
        if value is None or isinstance(value, (int, float)):
            return value
        size, stack = 0, [value]
        while stack:
            item = stack.pop()
            size += 1
            if isinstance(item, str):
                size += len(item)
            elif isinstance(item, list):
                size += len(cast("list[Any]", item))
                stack.extend(cast("list[Any]", item) if size <= MAX_SIZE else ())
            elif isinstance(item, dict):
                held = cast("dict[str, Any]", item)
                size += sum(map(len, held))
                stack.extend(held.values() if size <= MAX_SIZE else ())
            if size > MAX_SIZE:
                raise too_large(f"a value would hold more than {MAX_SIZE:,} elements")
        self.charge(size // _PER_STEP)
        return value

    # -- values and operators

    def constant(self, node: ast.Constant) -> Any:
        return node.value

    def name(self, node: ast.Name) -> Any:
        return self._names[node.id]

    def list(self, node: ast.List) -> Any:
        return self.weigh([self.value(each) for each in node.elts])

    def dict(self, node: ast.Dict) -> Any:
        keys = cast("list[ast.expr]", node.keys)
        pairs = zip(keys, node.values, strict=True)
        return self.weigh({key_of(self.value(key)): self.value(value) for key, value in pairs})

    def binary(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        return self.weigh(BINARY[type(node.op)](self.weigh(left), self.weigh(right)))

    def unary(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        number = number_of("a sign", value)
        return -number if isinstance(node.op, ast.USub) else +number

    def logical(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for each in node.values:
            value = self.value(each)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        for op, each in zip(node.ops, node.comparators, strict=True):
            right = self.value(each)
            if not COMPARE[type(op)](self.weigh(left), self.weigh(right)):
                return False
            left = right
        return True

    def conditional(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def subscript(self, node: ast.Subscript) -> Any:
        value = self.value(node.value)
        if not isinstance(node.slice, ast.Slice):
            return part(value, self.value(node.slice))
        if not isinstance(value, (str, list)):
            misfit("a slice", value)
        ends = (node.slice.lower, node.slice.upper, node.slice.step)
        first, last, step = (None if end is None else index_of(self.value(end)) for end in ends)
        if step == 0:
            raise bad("a slice cannot have steps of 0")
        return self.weigh(cast("Any", value)[slice(first, last, step)])

    # -- comprehensions

    def comprehension(self, node: ast.ListComp) -> Any:
        found: list[Any] = []
        self._each(node.generators, 0, lambda: found.append(self.value(node.elt)))
        return self.weigh(found)

    def dict_comprehension(self, node: ast.DictComp) -> Any:
        found: dict[str, Any] = {}

        def put() -> None:
            key = key_of(self.value(node.key))
            found[key] = self.value(node.value)

        self._each(node.generators, 0, put)
        return self.weigh(found)

    def _each(
        self, generators: list[ast.comprehension], place: int, emit: Callable[[], object]
    ) -> None:
        if place == len(generators):
            emit()
            return
        generator = generators[place]
        for item in elements(self.value(generator.iter)):
            self.charge(1)
            self._assign(generator.target, item)
            if all(self.value(condition) for condition in generator.ifs):
                self._each(generators, place + 1, emit)

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._names[target.id] = value  # the checker has given each variable its own name
            return
        targets = cast("ast.Tuple", target).elts
        parts = elements(value)
        if len(parts) != len(targets):
            raise bad(f"{len(targets)} names cannot take {described(value)}")
        for each, held in zip(targets, parts, strict=True):
            self._assign(each, held)

    # -- calls

    def call(self, node: ast.Call) -> Any:
        func = node.func
        if isinstance(func, ast.Attribute):
            owner = self.weigh(self.value(func.value))
            args = [self.weigh(self.value(each)) for each in node.args]
            return self.weigh(operations.method(owner, func.attr, args))
        name = cast("ast.Name", func).id
        args = [
            self.applied(each) if name == "map" and not place else self.weigh(self.value(each))
            for place, each in enumerate(node.args)
        ]
        named = {
            str(each.arg): self.applied(each.value) if each.arg == "key" else self.value(each.value)
            for each in node.keywords
        }
        try:
            return self.weigh(FUNCTIONS[name](*args, **named))
        except (ValueError, TypeError) as error:
            raise bad(f"{name}: {error}") from None
        except ArithmeticError as error:
            raise failed(error, name) from None

    def applied(self, node: ast.expr) -> Callable[[Any], Any]:
        """A function that is handed over, as something to call with one value."""
        if isinstance(node, ast.Name):
            function = FUNCTIONS[node.id]
            return lambda value: function(self.weigh(value))
        if isinstance(node, ast.Lambda):
            name, body = node.args.args[0].arg, node.body

            def apply(value: Any) -> Any:
                self._names[name] = value
                return self.value(body)

            return apply
        method = cast("ast.Attribute", node)
        if isinstance(method.value, ast.Name) and method.value.id == "str":
            return lambda value: operations.method(
                text_of("a method of texts", value), method.attr, []
            )
        owner = self.value(method.value)
        return lambda value: operations.method(owner, method.attr, [value])


_WALKS: dict[type[ast.expr], Callable[[_Walk, Any], Any]] = {
    ast.Constant: _Walk.constant,
    ast.Name: _Walk.name,
    ast.List: _Walk.list,
    ast.Dict: _Walk.dict,
    ast.BinOp: _Walk.binary,
    ast.UnaryOp: _Walk.unary,
    ast.BoolOp: _Walk.logical,
    ast.Compare: _Walk.compare,
    ast.IfExp: _Walk.conditional,
    ast.Subscript: _Walk.subscript,
    ast.ListComp: _Walk.comprehension,
    ast.DictComp: _Walk.dict_comprehension,
    ast.Call: _Walk.call,
}


compute = _compute_tool()
