"""Trees of Python expressions: what they are made of, taken apart and put together."""

from __future__ import annotations

import ast
import copy
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from heddle.plan.dialects.python.names import sound_number
from heddle.plan.expression import FUNCTIONS, METHODS, ExpressionError, formatted

if TYPE_CHECKING:
    from heddle.plan.ir import Path, Value

__all__ = [
    "LOADED",
    "Putting",
    "Refused",
    "around",
    "bound_name",
    "constant",
    "core_of",
    "function",
    "is_boolean",
    "loaded",
    "plain",
    "split_number",
    "subscripted",
    "text_with_values",
]

LOADED = ast.Load()


class Refused(Exception):
    """A part of a program that is not in the language.

    Attributes:
        node: where it stands.
        message: what is wrong.
        hint: what to write instead.
        code: of the finding.
    """

    def __init__(
        self, node: ast.AST, message: str, hint: str, code: str = "refused-python"
    ) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.hint = hint
        self.code = code


class Putting(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, given: dict[str, ast.expr]) -> None:
        self._given = given

    def put(self, node: ast.expr) -> ast.expr:
        """The node with its names replaced."""
        return cast("ast.expr", self.visit(node))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Called by `visit` for each name."""
        return self._given.get(node.id, node)


def plain(node: ast.expr) -> ast.expr:
    """The expression without `await`."""
    return node.value if isinstance(node, ast.Await) else node


def text_with_values(node: ast.expr) -> ast.JoinedStr | None:
    """The f-string that an expression is or stands for; None where it is none."""
    if isinstance(node, ast.JoinedStr):
        return node
    try:
        return formatted(node)
    except ExpressionError as error:
        raise Refused(node, error.message, error.hint) from None


def core_of(node: ast.expr) -> ast.expr:
    """The one call in `float(f(x))`, `f(x)[0]` or `f(x).strip()`; else the node."""
    node = plain(node)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return core_of(node.value)
    if not isinstance(node, ast.Call) or node.keywords:
        return node
    others = node.args[1:]
    if isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and node.args:
        inner = node.args[0]
    elif isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        inner, others = node.func.value, node.args
    else:
        return node
    if all(isinstance(each, ast.Constant) for each in others):
        found = core_of(inner)
        return found if isinstance(found, ast.Call) else node
    return node


def around(node: ast.expr, place: ast.expr) -> ast.expr:
    """What `core_of` took off, around something else."""
    node = plain(node)
    if node is core_of(node):
        return place
    new = copy.copy(node)
    if isinstance(node, ast.Subscript):
        cast("ast.Subscript", new).value = around(node.value, place)
        return new
    call, copied = cast("ast.Call", node), cast("ast.Call", new)
    if isinstance(call.func, ast.Attribute):
        copied.func = copy.copy(call.func)
        copied.func.value = around(call.func.value, place)
    else:
        copied.args = [around(call.args[0], place), *call.args[1:]]
    return new


def constant(node: ast.Constant) -> Value:
    """The value of a constant."""
    value: object = node.value
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        if not sound_number(value):
            raise Refused(node, "a number that JSON cannot hold", "write it as text", "bad-number")
        return value
    hint = "write numbers, texts, lists and dicts"
    raise Refused(node, f"{type(value).__name__} is not in the language", hint)


def bound_name(node: ast.AST) -> str:
    """The name that a part of an expression gives a value, in a comprehension or a lambda."""
    if isinstance(node, ast.arg):
        return node.arg
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else ""


def loaded(node: ast.expr) -> ast.expr:
    """The variables of a comprehension, as a value."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return ast.List([loaded(each) for each in node.elts], LOADED)
    return ast.Name(node.id, LOADED) if isinstance(node, ast.Name) else node


def function(name: str, *args: ast.expr) -> ast.expr:
    """The call of a function of expressions."""
    return ast.Call(ast.Name(name, LOADED), list(args), [])


def subscripted(node: ast.expr, path: Path) -> ast.expr:
    """An expression with a path of constants after it."""
    for key in path:
        node = ast.Subscript(node, ast.Constant(key), LOADED)
    return node


def is_boolean(node: ast.expr) -> bool:
    """Whether an expression can give nothing but true or false."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, bool)
    if isinstance(node, ast.BoolOp):
        return all(map(is_boolean, node.values))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("bool", "any", "all")
    return isinstance(node, ast.Compare)


def split_number(body: list[ast.stmt]) -> ast.expr | None:
    """The first of two numbers that were probably meant as one, `12,500`; None for none.

    They are where a bare pair is given to one name, where a second part is `000`, and in lists
    whose other commas have a blank after them. Cost: linear.
    """
    for each in (node for statement in body for node in ast.walk(statement)):
        value = getattr(each, "value", None)
        many = isinstance(each, ast.Assign) and not isinstance(each.targets[0], ast.Name)
        if isinstance(each, ast.stmt) and isinstance(value, ast.Tuple) and not many:
            bare = bool(value.elts) and value.elts[0].col_offset == value.col_offset
            items, certain = value.elts, bare
        else:
            items, certain = _listed(each), False
        if found := _split_in(items, certain=certain):
            return found
    return None


def _listed(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, (ast.List, ast.Tuple)):
        return node.elts
    return node.args if isinstance(node, ast.Call) else []


def _split_in(items: list[ast.expr], *, certain: bool) -> ast.expr | None:
    pairs = list(pairwise(items))
    loose = any(not _tight(first, second) for first, second in pairs)
    for first, second in ((_edge(one, "right"), _edge(other, "left")) for one, other in pairs):
        if not (_tight(first, second) and _digits(second) == 3 and 0 < _digits(first) <= 3):
            continue
        if certain or loose or getattr(second, "value", None) == 0:
            return first
    return None


def _edge(node: ast.expr, side: str) -> ast.expr:
    """The number or name that an expression begins or ends with."""
    while isinstance(inner := getattr(node, side, getattr(node, "operand", None)), ast.expr):
        if isinstance(node, ast.UnaryOp) and side == "left":
            break  # it begins with its sign
        node = inner
    return node


def _tight(first: ast.expr, second: ast.expr) -> bool:
    """Whether nothing but a comma stands between two expressions."""
    return first.end_lineno == second.lineno and first.end_col_offset == second.col_offset - 1


def _digits(node: ast.expr) -> int:
    """How many characters a whole number is written with; 0 for anything else."""
    number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
    return (node.end_col_offset or 0) - node.col_offset if number else 0
