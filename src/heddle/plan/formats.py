"""Texts with values in them, in every way that Python writes them, as f-strings.

`"%s of %.2f" % (x, y)` and `"{} of {:.2f}".format(x, y)` mean what `f"{x} of {y:.2f}"` means. Only
plain values and plain formats are let through: no attribute, no index, no format inside a format.
"""

from __future__ import annotations

import ast
import re
import string
from typing import Final, cast

__all__ = ["HINT", "SPEC", "ExpressionError", "fault_at", "formatted"]

HINT = "write numbers, texts, lists, + - * / comparisons, and functions such as sum or max"
"""What to write where nothing more precise can be said."""

SPEC: Final = re.compile(
    r"(?:[^{}]?[<>=^])?[-+ ]?0?[0-9]{0,2}[,_]?(?:\.[0-9]{1,2})?[bdeEfFgGnosxX%]?"
)
"""The format specs that there are: `.2f`, `,`, `>10`, `+.1%`."""


class ExpressionError(Exception):
    """An expression that is not in the language.

    Attributes:
        message: what is wrong.
        hint: what to write instead.
        line: line in the text, from 1.
        column: column in that line, from 1; counted in UTF-8 bytes where the source is a tree.
        node: the part of the tree that is refused; None where there is no tree.
    """

    node: ast.AST | None = None

    def __init__(self, message: str, hint: str = HINT, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.line = line
        self.column = column


def fault_at(node: ast.AST, message: str, hint: str = HINT) -> ExpressionError:
    """The refusal of a part of a tree."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    error = ExpressionError(message, hint, line, column + 1)
    error.node = node
    return error


def formatted(node: ast.expr) -> ast.JoinedStr | None:
    """The f-string that `"%s and %.2f" % (x, y)` or `"{} and {:.2f}".format(x, y)` stands for.

    None where the node is neither.

    Raises:
        ExpressionError: it is one, and holds what an f-string here may not hold.
    """
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            return _percent(node, node.left.value, node.right)
        return None
    func = node.func if isinstance(node, ast.Call) else None
    if not isinstance(func, ast.Attribute) or func.attr != "format":
        return None
    if not isinstance(func.value, ast.Constant) or not isinstance(func.value.value, str):
        return None
    return _braces(cast("ast.Call", node), func.value.value)


_PERCENT = re.compile(r"%(?:%|(?P<spec>(?:\.[0-9]{1,2})?[dfs]))|(?P<bad>%)")


def _percent(node: ast.expr, text: str, right: ast.expr) -> ast.JoinedStr:
    given = list(right.elts) if isinstance(right, ast.Tuple) else [right]
    wanted = [found for found in _PERCENT.finditer(text) if found[0] != "%%"]
    if len(wanted) != len(given) or any(found["bad"] for found in wanted):
        raise fault_at(
            node, "this % format is not in the language", 'write an f-string: f"{x:.2f}"'
        )
    parts: list[ast.expr] = []
    end, values = 0, iter(given)
    for found in _PERCENT.finditer(text):
        literal = text[end : found.start()] + ("%" if found[0] == "%%" else "")
        parts.append(ast.Constant(literal))
        end = found.end()
        if found[0] != "%%":
            spec = found["spec"]
            parts.append(_hole(next(values), "" if spec == "s" else spec, node))
    return _merged([*parts, ast.Constant(text[end:])], node)


def _braces(node: ast.Call, text: str) -> ast.JoinedStr:
    hint = 'write an f-string: f"{x:.2f}"'
    named = {each.arg: each.value for each in node.keywords}
    parts: list[ast.expr] = []
    count = 0
    try:
        fields = list(string.Formatter().parse(text))  # finds the braces; looks nothing up
    except ValueError:
        raise fault_at(node, "the braces of this format do not match", hint) from None
    for literal, field, spec, conversion in fields:
        parts.append(ast.Constant(literal))
        if field is None:
            continue
        key = field or str(count)
        count += not field
        if key.isdecimal() and key.isascii() and len(key) < 4 and int(key) < len(node.args):
            value = node.args[int(key)]
        elif key in named:
            value = named[key]
        else:
            raise fault_at(node, f"this format has no value for {{{field[:40]}}}", hint)
        if conversion not in (None, "s") or "{" in (spec or ""):
            raise fault_at(node, "this format is not in the language", hint)
        parts.append(_hole(value, spec or "", node))
    return _merged(parts, node)


def _hole(value: ast.expr, spec: str, node: ast.expr) -> ast.expr:
    shown = ast.JoinedStr([ast.Constant(spec)]) if spec else None
    return ast.copy_location(ast.FormattedValue(value, -1, shown), node)


def _merged(parts: list[ast.expr], node: ast.expr) -> ast.JoinedStr:
    """An f-string of these parts, with neighbouring texts made one."""
    found: list[ast.expr] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, ast.Constant) and isinstance(last, ast.Constant):
            found[-1] = ast.Constant(str(last.value) + str(part.value))
        elif not isinstance(part, ast.Constant) or part.value:
            found.append(part)
    return ast.copy_location(ast.JoinedStr(found), node)
