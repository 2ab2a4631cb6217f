"""Python statements: assignments, `if`, last lines; and what is refused, with a remedy."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.python.scope import Bound, Cell
from heddle.plan.dialects.python.steps import Lowering
from heddle.plan.dialects.python.trees import Refused
from heddle.plan.dialects.python.values import options, other
from heddle.plan.expression import MATH
from heddle.plan.ir import MISSING, Choose, Input, Ref, Template

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.plan.dialects.python.scope import Scope
    from heddle.plan.ir import Step, Value

__all__ = ["Block", "assigned_names"]

_OUTPUT = "\0output"
"""The name of what a last line inside an `if` says."""

_CHOICES = 8
"""From how many on a choice is a step of its own: many `if`s in a row stay linear."""

_REMEDIES: dict[type[ast.stmt], tuple[str, str]] = {
    ast.For: ("a loop", "write a comprehension: ys = [f(x) for x in xs]"),
    ast.AsyncFor: ("a loop", "write a comprehension: ys = [f(x) for x in xs]"),
    ast.While: ("a loop", "write the steps one by one; whoever reads the results may go on"),
    ast.FunctionDef: ("a definition", "write the calls themselves, on lines of their own"),
    ast.AsyncFunctionDef: ("a definition", "write the calls themselves, on lines of their own"),
    ast.ClassDef: ("a definition", "use dicts and lists"),
    ast.With: ("`with`", "write the calls themselves"),
    ast.AsyncWith: ("`with`", "write the calls themselves"),
    ast.Try: ("`try`", "write the calls only; a failure skips what depends on it"),
    ast.Import: ("an import", "leave it out: the tools are there"),
    ast.ImportFrom: ("an import", "leave it out: the tools are there"),
    ast.Delete: ("`del`", "leave it out"),
    ast.Global: ("`global`", "leave it out"),
    ast.Nonlocal: ("`nonlocal`", "leave it out"),
    ast.Assert: ("`assert`", "leave it out, or write `if`"),
    ast.Raise: ("`raise`", "leave it out"),
    ast.Break: ("`break`", "leave it out"),
    ast.Continue: ("`continue`", "leave it out"),
    ast.Match: ("`match`", "write `if` and `elif`"),
}
_CHANGING = frozenset({"append", "extend", "insert", "add", "update", "pop", "remove", "sort"})
_NEEDLESS = frozenset({"math", "statistics", "typing", "__future__"})


class Block:
    """Lowers statements.

    Args:
        scope: the names, which it changes.
        emit: takes each step.

    Attributes:
        last: what the last statement says, if it is an expression; None if not.
        silent: the last statement was `pass`: there is no answer.
        needless: what was left out of the last statement.
    """

    def __init__(self, scope: Scope, emit: Callable[[Step, ast.AST], None]) -> None:
        self._scope = scope
        self._steps = Lowering(scope, emit)
        self.last: Value = None
        self.silent = False
        self.needless = ""

    def take(self, node: ast.stmt) -> None:
        """Lower one statement at the top of the program.

        Raises:
            Refused: it is not in the language.
        """
        self.last = None
        self.silent = isinstance(node, ast.Pass)
        node = cast("ast.stmt", _WritingOut().visit(node))
        shown = _shown(node) if isinstance(node, (ast.Expr, ast.Return)) else None
        if shown is None:
            self._steps.prepare(node)
            self._statement(node)
            self.last = self._scope.get(_OUTPUT) if isinstance(node, ast.If) else None
        else:
            self._steps.prepare(shown)
            self.last = self._said(shown)

    def settled(self, value: Value) -> Bound:
        """A value that is no reference, as the result of a step."""
        self._steps.prepare(ast.Pass())
        return self._steps.settled_value(value)

    def _said(self, node: ast.expr) -> Value:
        """What a last line says."""
        value = self._steps.value(node)
        if isinstance(value, (Ref, Template, str, Choose, Input)):
            return value
        return self._steps.settled("", node)

    # -- statements

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign):
            self._assign(node.targets, node.value)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._assign([node.target], node.value)
        elif isinstance(node, ast.AugAssign):
            raise _part_changed(node)  # of a plain name it is written out by now
        elif isinstance(node, ast.If):
            self._if(node)
        elif isinstance(node, (ast.Expr, ast.Return)):
            self._inner_expression(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)) and _is_needless(node):
            self.needless = "an import was left out: what it gives is there without it"
        elif not isinstance(node, ast.Pass):
            what, hint = _REMEDIES.get(type(node), (type(node).__name__, "leave it out"))
            raise Refused(node, f"{what} is not in the language", hint)

    def _inner_expression(self, node: ast.Expr | ast.Return) -> None:
        """A line that is an expression, inside an `if`."""
        shown = _shown(node)
        if shown is None:
            return
        if self._steps.calls(shown) and not _is_print(node):
            self._steps.value(shown)
        else:
            self._scope.put(_OUTPUT, self._steps.settled("", shown))

    # -- assignments

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        first = targets[0]
        if isinstance(first, (ast.Tuple, ast.List)):
            self._unpack(first, value)
            if len(targets) > 1:
                raise Refused(first, "names in a row are given values once", "split the line")
            return
        name = _name(first)
        bound, parts = self._steps.assigned(name, value)
        for target in targets:
            self._scope.put(_name(target), bound, parts)

    def _unpack(self, target: ast.Tuple | ast.List, value: ast.expr) -> None:
        names = [_name(each) for each in target.elts]
        if isinstance(value, (ast.Tuple, ast.List)):
            if len(value.elts) != len(names):
                message = f"{len(names)} names are given {len(value.elts)} values"
                raise Refused(target, message, "give each name one value")
            found = [
                self._steps.assigned(name, each)
                for name, each in zip(names, value.elts, strict=True)
            ]
            for name, (bound, parts) in zip(names, found, strict=True):
                self._scope.put(name, bound, parts)
            return
        bound, _ = self._steps.assigned("", value)
        for place, name in enumerate(names):
            self._scope.put(name, self._steps.part(bound, place))

    # -- if

    def _if(self, node: ast.If) -> None:
        whole = self._as_expression(node)
        if whole is not None:
            name, value = whole
            self._scope.put(name, self._steps.settled("" if name == _OUTPUT else name, value))
            return
        when = self._steps.condition(node.test)
        with self._steps.guarded(when):
            then = self._branch(node.body)
        with self._steps.guarded(other(when)):
            rest = self._branch(node.orelse)
        for name in dict.fromkeys([*then, *rest]):
            self._merge(name, then.get(name), rest.get(name))

    def _branch(self, body: list[ast.stmt]) -> dict[str, Bound]:
        """Lower a branch; what its names stand for in it."""
        changed: dict[str, Bound] = {}
        self._scope.begin()
        try:
            for each in body:
                self._statement(each)
        finally:
            changed = self._scope.undo()
        return changed

    def _merge(self, name: str, then: Bound | None, rest: Bound | None) -> None:
        """What a name stands for after an `if`."""
        given = [bound for bound in (then, rest) if bound is not None]
        old = self._scope.get(name)
        if len(given) == 1 and old is not None:
            given.append(self._steps.settled_value(old) if isinstance(old, (Input, Cell)) else old)
        found = tuple(dict.fromkeys(ref for bound in given for ref in options(bound)))
        if isinstance(old, (Ref, Choose)):  # it ran whatever branch was taken, so it comes last
            found = tuple(sorted(found, key=set(options(old)).__contains__))
        bound = found[0] if len(found) == 1 else Choose(found)
        if len(found) > _CHOICES:
            bound = self._steps.settled_value(bound)
        self._scope.put(name, bound)

    def _as_expression(self, node: ast.If) -> tuple[str, ast.expr] | None:
        """`if c: x = 1 else: x = 2`, without calls, as the name and `1 if c else 2`."""
        if self._steps.calls(node) or len(node.body) != 1 or len(node.orelse) != 1:
            return None
        then, rest = self._single(node.body[0]), self._single(node.orelse[0])
        if then is None or rest is None or then[0] != rest[0]:
            return None
        return then[0], ast.copy_location(ast.IfExp(node.test, then[1], rest[1]), node)

    def _single(self, node: ast.stmt) -> tuple[str, ast.expr] | None:
        """The name that a statement gives a value, and the value, if it does only that."""
        if isinstance(node, ast.If):
            return self._as_expression(node)
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            return (target.id, node.value) if isinstance(target, ast.Name) else None
        shown = _shown(node) if isinstance(node, (ast.Expr, ast.Return)) else None
        return None if shown is None else (_OUTPUT, shown)


# -- parts of statements


class _WritingOut(ast.NodeTransformer):
    """Writes `x += 1` as `x = x + 1`, wherever it stands in an `if`."""

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """Called by `visit`; a part of a value stays as it is, to be refused."""
        if not isinstance(node.target, ast.Name):
            return node
        old = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
        value = ast.copy_location(ast.BinOp(old, node.op, node.value), node)
        return ast.copy_location(ast.Assign([node.target], value), node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Called by `visit` for all others; no statement stands in an expression."""
        return node if isinstance(node, ast.expr) else super().generic_visit(node)


def _is_print(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, (ast.Expr, ast.Return)) else None
    call = value if isinstance(value, ast.Call) else None
    return call is not None and isinstance(call.func, ast.Name) and call.func.id == "print"


def _shown(node: ast.Expr | ast.Return) -> ast.expr | None:
    """What a line shows: its expression, or what it prints, side by side."""
    value = node.value
    if value is None or (isinstance(value, ast.Constant) and value.value is ...):
        return None
    _refuse_change(value)
    if not _is_print(node):
        return value
    args, between = cast("ast.Call", value).args, _separator(cast("ast.Call", value))
    if len(args) == 1 and not isinstance(args[0], ast.Starred):
        return args[0]
    parts: list[ast.expr] = []
    for each in args:
        parts += [ast.Constant(between)] if parts else []
        constant = isinstance(each, ast.Constant) and isinstance(each.value, str)
        parts.append(each if constant else ast.FormattedValue(each, -1, None))
    return ast.copy_location(ast.JoinedStr(parts), value)


def _separator(call: ast.Call) -> str:
    """What stands between the values that are printed; what follows them is no part of it."""
    found = " "
    for each in call.keywords:
        text = each.value.value if isinstance(each.value, ast.Constant) else MISSING
        if each.arg == "sep" and (text is None or isinstance(text, str)):
            found = " " if text is None else text
        elif each.arg not in ("end", "flush") or text is MISSING:
            what = f"print({each.arg or '**'}=…) is not in the language"
            raise Refused(each.value, what, "write an f-string")
    return found


def _refuse_change(node: ast.expr) -> None:
    """Refuse `xs.append(x)`: what has a value keeps it."""
    func = node.func if isinstance(node, ast.Call) else None
    if not isinstance(func, ast.Attribute) or func.attr not in _CHANGING:
        return
    if isinstance(func.value, ast.Name):
        hint = "make a new list: ys = xs + [x], or a comprehension"
        raise Refused(node, "a list or dict cannot be changed", hint)


def _part_changed(node: ast.AST) -> Refused:
    hint = 'write the whole value: x = {"a": 1, "b": 2}'
    return Refused(node, "a part of a value cannot be changed", hint)


def _name(target: ast.expr) -> str:
    if isinstance(target, ast.Name):
        if target.id == "inputs":
            raise Refused(target, "`inputs` is what the caller passed", "use another name")
        return target.id
    if isinstance(target, (ast.Subscript, ast.Attribute)):
        raise _part_changed(target)
    raise Refused(target, "only plain names are given values", "write x, y = f(), g()")


def _is_needless(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether an import only gives what expressions can do without it."""
    if isinstance(node, ast.ImportFrom):
        known = all(alias.name in MATH and alias.asname is None for alias in node.names)
        return node.level == 0 and (
            node.module == "__future__" or (node.module == "math" and known)
        )
    return all(alias.name in _NEEDLESS and alias.asname is None for alias in node.names)


def assigned_names(node: ast.AST) -> list[str]:
    """The variables that a statement gives values to, or changes, each once."""
    found: dict[str, None] = {}
    stack: list[Any] = [node]
    while stack:
        each = stack.pop()
        if isinstance(each, (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)):
            continue  # its variables are its own
        if isinstance(each, ast.Name) and isinstance(each.ctx, (ast.Store, ast.Del)):
            found[each.id] = None
        elif isinstance(each, (ast.Subscript, ast.Attribute)) and not _is_load(each):
            root = _root(each)
            found.update({root: None} if root else {})
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute):
            root = _root(each.func) if each.func.attr in _CHANGING else None
            found.update({root: None} if root and isinstance(each.func.value, ast.Name) else {})
        if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack.extend(reversed(list(ast.iter_child_nodes(each))))
    return [name for name in found if name != "inputs"]


def _is_load(node: ast.Subscript | ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Load)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
