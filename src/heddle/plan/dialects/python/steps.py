"""Python statements become steps: what is called, on what, and under which guard.

    x = f(y, n=1)          the call of a tool: a step x
    x = y * 2              a step x of `compute`; one for a whole expression, not for an operator
    x = float(f(y))        the call is the step x, and what is done with its result is x:2
    f(g(y))                the inner call is a step of its own, _1
    [f(y) for y in ys]     a map; what stands between two calls is computed for all elements
    if c: x = f(1)         a guard: `c` is a step that gives true or false; x is then a choice
    x = y     x = y[0]     another name for the same: no step

A call is evaluated where Python would evaluate it: what a short circuit could leave out is
refused. A statement that cannot be lowered is refused as a whole, with the place and a remedy.
"""

from __future__ import annotations

import ast
import copy
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.python.names import NEVER, dotted
from heddle.plan.dialects.python.scope import Bound, Cell
from heddle.plan.dialects.python.trees import (
    LOADED,
    Putting,
    Refused,
    around,
    bound_name,
    constant,
    core_of,
    function,
    is_boolean,
    loaded,
    plain,
    subscripted,
    text_with_values,
)
from heddle.plan.dialects.python.values import (
    at,
    cells_in,
    held_cells,
    joined,
    nodes_in,
    options,
    other,
    places_of,
    with_items,
)
from heddle.plan.expression import (
    FUNCTIONS,
    METHODS,
    ExpressionError,
    constants,
    lower,
)
from heddle.plan.ir import MISSING, Choose, Input, Ref, Step, Template, When

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from heddle.plan.dialects.python.scope import Scope
    from heddle.plan.ir import Path, Value

__all__ = ["Lowering"]

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_COMPREHENSIONS = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)


class Lowering:
    """Lowers the expressions of one program.

    Args:
        scope: the names; whoever lowers statements changes them.
        emit: takes each step, in the order in which they refer to each other.
    """

    def __init__(self, scope: Scope, emit: Callable[[Step, ast.AST], None]) -> None:
        self.scope = scope
        self._emit = emit
        self._calling: set[int] = set()  # nodes that hold the call of a tool
        self._held: dict[str, Bound] = {}  # placeholders in a tree, and what they stand for
        self._columns: list[ast.expr] | None = None  # the lists of the comprehension around
        self._guard: When | None = None
        self._true: set[str] = set()  # steps that give true or false

    # -- what a statement needs

    def prepare(self, node: ast.AST) -> None:
        """Find the calls of tools in a statement, before it is lowered.

        Cost: linear, without recursion.

        Raises:
            Refused: something is called that never may be.
        """
        self._calling.clear()
        self._held.clear()
        self._columns = None
        self._guard = None
        order = [node]
        parents: dict[int, ast.AST] = {}
        for each in order:
            for child in ast.iter_child_nodes(each):
                parents[id(child)] = each
                order.append(child)
        bound = {name for each in order if (name := bound_name(each))}
        for each in order:
            if isinstance(each, ast.Call) and self._is_tool(each, bound):
                up: ast.AST | None = each
                while up is not None and id(up) not in self._calling:
                    self._calling.add(id(up))
                    up = parents.get(id(up))

    def _is_tool(self, node: ast.Call, bound: set[str]) -> bool:
        """Whether a call is that of a tool: of a name, dotted or not, that is no variable."""
        name = dotted(node.func)
        if name is None:
            return False
        root = name.partition(".")[0]
        if name.rpartition(".")[2] in NEVER or "__" in name:
            hint = "call only the tools that you were given"
            raise Refused(node, f"{name[:60]} may never be called", hint)
        if root in bound or self.scope.get(root) is not None:
            return False
        if "." not in name:
            return name not in FUNCTIONS
        if root == "str" or (root == "math" and name[5:] in FUNCTIONS):
            return False
        if root == "inputs" and name[7:] in METHODS:
            raise Refused(node, "an input has no methods here", 'write inputs["name"]')
        return True

    @contextmanager
    def guarded(self, when: When) -> Generator[None, None, None]:
        """Steps that are made inside have this guard."""
        before, self._guard = self._guard, when
        try:
            yield
        finally:
            self._guard = before

    def calls(self, node: ast.AST) -> bool:
        """Whether a tool is called in this part of the statement."""
        return id(node) in self._calling

    # -- assigned values

    def assigned(self, name: str, node: ast.expr) -> tuple[Bound, dict[str | int, Bound] | None]:
        """What a variable stands for that is assigned this, and its elements where known.

        Raises:
            Refused: it is not in the language.
        """
        node = plain(node)
        core = core_of(node)
        if core is not node and self._is_call(core):
            return self._converted(name, node, self.value(core, name)), None
        if self._is_call(node) or self._conditional(node) or self._maps(node):
            return self._bound(self.value(node, name), name, node), None
        found = None if self._guard else self._named(node)
        if found is not None:
            return found, None
        tree = self._open(node)
        bound = self._compute(tree, name, node)
        return bound, self._parts(node, tree)

    def settled(self, name: str, node: ast.expr) -> Bound:
        """A value as something that a name can stand for, computed if need be."""
        return self.assigned(name, node)[0]

    def settled_value(self, value: Value) -> Bound:
        """A value that is known, as the result of a step."""
        return self._made(self._tree(value), ast.Pass(), "")

    def part(self, bound: Bound, place: int) -> Bound:
        """An element of what something stands for."""
        return at(bound, (place,))

    def _tree(self, value: Value) -> ast.expr:
        """A value as an expression."""
        if isinstance(value, list):
            return ast.List([self._tree(each) for each in cast("list[Any]", value)], LOADED)
        if isinstance(value, dict):
            held = cast("dict[str, Any]", value)
            keys: list[ast.expr | None] = [ast.Constant(key) for key in held]
            return ast.Dict(keys, [self._tree(each) for each in held.values()])
        if isinstance(value, (Ref, Input, Choose, Cell)):
            return self._hold(value)
        return ast.Constant(value)

    def _is_call(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and self.calls(node) and self._of_tool(node)

    def _of_tool(self, node: ast.Call) -> bool:
        """Whether a call that holds one of a tool is itself one."""
        name = dotted(node.func)
        if name is None or name in FUNCTIONS:
            return False
        root = name.partition(".")[0]
        bound = self.scope.get(root) is not None or root in self._held
        return not bound and not (root == "math" and name[5:] in FUNCTIONS)

    def _conditional(self, node: ast.expr) -> bool:
        return isinstance(node, ast.IfExp) and (self.calls(node.body) or self.calls(node.orelse))

    def _maps(self, node: ast.expr) -> bool:
        return isinstance(node, _COMPREHENSIONS) and self.calls(node)

    def _named(self, node: ast.expr) -> Bound | None:
        """What a variable, or a part of it, stands for; None where the node is no such thing."""
        found = constants(node)
        if found is None:
            return None
        name, path = found
        if name.id in self._held:
            return at(self._held[name.id], path)
        bound = self.scope.get(name.id, path)
        if bound is None and name.id == "inputs" and path and isinstance(path[0], str):
            return Input(path[0], path[1:])
        return bound

    def _converted(self, name: str, node: ast.expr, called: Value) -> Bound:
        """What is done with the one call in `float(f(x))` or `f(x)[0]`."""
        place = self._hold(self._bound(called, "", node))
        tree = around(node, place)
        found = constants(tree)
        if found is not None:
            return at(self._held[place.id], found[1])
        return self._compute(self._open(tree), name, node)

    def _bound(self, value: Value, name: str, node: ast.expr) -> Bound:
        """A value as something that a name can stand for."""
        if isinstance(value, (Ref, Input, Choose, Cell)):
            return value
        return self._compute(self._open(node), name, node)

    def _parts(self, node: ast.expr, tree: ast.expr) -> dict[str | int, Bound] | None:
        """The calls that are the elements of a list or dict that is written out."""
        if not self.calls(node):
            return None
        if isinstance(tree, ast.List):
            pairs: Iterable[tuple[Any, ast.expr]] = enumerate(tree.elts)
        elif isinstance(tree, ast.Dict):
            keys = [getattr(key, "value", None) for key in tree.keys]
            pairs = zip(keys, tree.values, strict=True)
        else:
            return None
        held = {key: self._held.get(each.id) for key, each in pairs if isinstance(each, ast.Name)}
        return {key: bound for key, bound in held.items() if bound is not None and key is not None}

    # -- values

    def value(self, node: ast.expr, name: str = "") -> Value:
        """The value of an expression, as an argument has it; steps are made for what it calls.

        Args:
            node: the expression.
            name: the variable whose step the call itself is.

        Raises:
            Refused: it is not in the language.
        """
        node = plain(node)
        literal = self._literal(node)
        if literal is not MISSING:
            return literal
        found = self._named(node)
        if found is not None:
            return found
        text = text_with_values(node)
        if text is not None:
            return self._template(text)
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(each) for each in node.elts]
        if isinstance(node, ast.Dict):
            return self._object(node)
        if self._is_call(node):
            return self._call(cast("ast.Call", node), name)
        if self._conditional(node):
            return self._choice(cast("ast.IfExp", node), name)
        if self._maps(node):
            return self._comprehension(cast("ast.ListComp", node), name)
        return self._compute(self._open(node), name, node)

    def _literal(self, node: ast.expr) -> Value:
        """What a node without names says, or MISSING."""
        if isinstance(node, ast.Constant):
            return constant(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = node.operand
            if isinstance(number, ast.Constant) and type(number.value) in (int, float):
                value = cast("int | float", constant(number))
                return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.Name) and node.id in _WORDS and self.scope.get(node.id) is None:
            return _WORDS[node.id]
        return MISSING

    def _object(self, node: ast.Dict) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            text = key.value if isinstance(key, ast.Constant) else None
            if not isinstance(text, str):
                raise Refused(key or value, "a key must be a text", 'write {"name": value}')
            if text in found:
                message = f"an object names {text[:60]!r} twice"
                raise Refused(key or value, message, "name it once", "duplicate-key")
            found[text] = self.value(value)
        return found

    def _template(self, node: ast.JoinedStr) -> Value:
        """An f-string: a template, unless something in it must be computed as a whole."""
        parts: list[Any] = []
        filled = False
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                parts += self._filling(part)
                filled = True
            else:
                parts.append(constant(cast("ast.Constant", part)))
        texts = joined(parts)
        if filled:
            return (
                Template(tuple(texts))
                if any(not isinstance(p, str) for p in texts)
                else ("".join(texts))
            )
        return "".join(texts)

    def _filling(self, part: ast.FormattedValue) -> list[Any]:
        """What stands in the braces of an f-string, as parts of a template."""
        if part.format_spec is None and part.conversion in (-1, ord("s")):
            value = self.value(part.value)
            if isinstance(value, (Ref, Input, Cell)):
                return [value]
            if isinstance(value, Template):
                return list(value.parts)
            if value is None or isinstance(value, (str, int, float)):
                return [value if isinstance(value, str) else json.dumps(value)]
            if isinstance(value, Choose):
                return [self._made(self._hold(value), part, "")]
        return [self._compute(self._open(ast.JoinedStr([part])), "", part)]

    # -- calls

    def _call(self, node: ast.Call, name: str) -> Value:
        tool = dotted(node.func) or ""
        args: dict[str, Value] = {}
        for place, each in enumerate(node.args):
            if isinstance(each, ast.Starred):
                raise Refused(each, "`*` is not in the language", "write the arguments one by one")
            args[str(place)] = self.value(each)
        for each in node.keywords:
            if each.arg is None:
                hint = "write the arguments one by one"
                raise Refused(each.value, "`**` is not in the language", hint)
            if each.arg in args:
                message = f"argument {each.arg} is given twice"
                raise Refused(each.value, message, "give it once", "duplicate-key")
            args[each.arg] = self.value(each.value)
        return self._step(tool, args, name, node)

    def _step(self, tool: str, args: dict[str, Value], name: str, node: ast.AST) -> Bound:
        """Make a step; inside a comprehension, one for each element."""
        if self._columns is None:
            id = self.scope.id(name)
            self._emit(Step(id, tool, args, when=self._guard), node)
            return Ref(id)
        used = sorted({cell.column for cell in cells_in(args)}) or [0]
        over, place = self._over(used, node)
        id = self.scope.id(name)
        filled = with_items(args, {column: (*place, *path) for column, path in places_of(used)})
        self._emit(Step(id, tool, filled, over=over, when=self._guard), node)
        return self._column(Ref(id))

    def _column(self, list_value: Bound) -> Cell:
        """Another list of the comprehension around, with an element for each of the first."""
        columns = cast("list[ast.expr]", self._columns)
        columns.append(self._hold(list_value))
        return Cell(len(columns) - 1)

    def _over(self, used: list[int], node: ast.AST) -> tuple[Value, Path]:
        """What a map goes over: the one list that it uses, or the pairs of several."""
        columns = cast("list[ast.expr]", self._columns)
        if len(used) == 1:
            return self._outside(lambda: self.value(columns[used[0]])), ()
        pairs = function("zip", *(columns[each] for each in used))
        return self._outside(lambda: self._compute(self._open(pairs), "", node)), ()

    def _outside(self, act: Callable[[], Value]) -> Value:
        """Do something as it is done outside of the comprehension."""
        columns, self._columns = self._columns, None
        try:
            return act()
        finally:
            self._columns = columns

    # -- pure expressions

    def _hold(self, bound: Bound) -> ast.Name:
        """A name for a value in a tree; no program can spell it."""
        name = f"\0{len(self._held)}"
        self._held[name] = bound
        return ast.Name(name, LOADED)

    def _open(self, node: ast.expr) -> ast.expr:
        """A copy of an expression in which names stand for what calls give.

        Raises:
            Refused: a call that Python might not make.
        """
        return cast("ast.expr", _Opening(self).visit(node))

    def opened(self, node: ast.expr) -> ast.expr | None:
        """What stands for a part of an expression that is no pure expression; else None."""
        if self._is_call(node) or self._conditional(node) or self._maps(node):
            value = self.value(node)
            bound = value if isinstance(value, (Ref, Input, Choose, Cell)) else None
            if bound is None:
                raise Refused(node, "this cannot be part of an expression", "give it a name first")
            return self._hold(bound)
        if isinstance(node, ast.Name) and node.id in _WORDS and self.scope.get(node.id) is None:
            return ast.Constant(_WORDS[node.id])
        if any(map(self.calls, _perhaps_unread(node))):
            hint = "call first, in a line of its own, and use the result"
            what = "`and` or `or`" if isinstance(node, ast.BoolOp) else "the first comparison"
            raise Refused(node, f"a call after {what} might not be made", hint)
        if isinstance(node, ast.Lambda) and self.calls(node):
            raise Refused(node, "a lambda cannot call a tool", "write a comprehension")
        found = self._named(node) if isinstance(node, (ast.Name, ast.Subscript)) else None
        return self._hold(found) if found is not None else None

    def _compute(self, tree: ast.expr, name: str, node: ast.AST) -> Bound:
        """A step that computes an expression; none, where it is only a reference."""
        if isinstance(tree, ast.Name) and tree.id in self._held and not self._guard:
            return self._held[tree.id]
        cells = held_cells(tree, self._held) if self._columns is not None else {}
        if cells:
            return self._spread(tree, cells, name, node)
        return self._made(tree, node, name)

    def _made(self, tree: ast.expr, node: ast.AST, name: str) -> Ref:
        """The step that computes an expression."""
        args = self._lowered(tree, node)
        id = self.scope.id(name)
        if is_boolean(tree):
            self._true.add(id)
        self._emit(Step(id, "compute", args, when=self._guard), node)
        return Ref(id)

    def _lowered(self, tree: ast.expr, node: ast.AST) -> dict[str, Any]:
        def look(name: str) -> Any:
            return self._held.get(name) or self.scope.get(name)

        try:
            return lower(tree, look)
        except ExpressionError as error:
            place = error.node if hasattr(error.node, "lineno") else node
            unknown = "is not known here" in error.message
            code = "unknown-reference" if unknown else "refused-python"
            raise Refused(place or node, error.message, error.hint, code) from None

    def _spread(self, tree: ast.expr, cells: dict[str, Cell], name: str, node: ast.AST) -> Bound:
        """Compute an expression for all elements of a comprehension, in one step."""
        whole = self._over_cells(tree, cells)
        found = self._outside(lambda: self._compute(whole, name, node))
        return self._column(found)

    def _over_cells(self, tree: ast.expr, cells: dict[str, Cell], *tests: ast.expr) -> ast.expr:
        """The comprehension that computes an expression for each element."""
        used = sorted({cell.column for cell in cells.values()})
        columns = cast("list[ast.expr]", self._columns)
        names = {column: f"\0c{column}" for column in used}
        given = {
            held: subscripted(ast.Name(names[cell.column], LOADED), cell.path)
            for held, cell in cells.items()
        }
        targets: list[ast.expr] = [ast.Name(names[column], ast.Store()) for column in used]
        lists = [columns[column] for column in used]
        target = targets[0] if len(used) == 1 else ast.Tuple(targets, ast.Store())
        source = lists[0] if len(used) == 1 else function("zip", *lists)
        put = Putting(given)
        generator = ast.comprehension(target, source, [put.put(test) for test in tests], 0)
        if isinstance(tree, ast.DictComp):
            return ast.DictComp(put.put(tree.key), put.put(tree.value), [generator])
        return ast.ListComp(put.put(tree), [generator])

    # -- guards

    def condition(self, node: ast.expr) -> When:
        """The guard that a condition is: a step that gives true or false.

        Raises:
            Refused: it is not in the language.
        """
        direct = self._guard is None and self._direct(node)
        if direct:
            return direct
        tree = self._open(node)
        if not is_boolean(tree):
            tree = function("bool", tree)
        return When(cast("Ref", self._compute(tree, "", node)))

    def _direct(self, node: ast.expr) -> When | None:
        """`x is True`, `x is False`, or a variable that is known to be one of them."""
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is):
            right = node.comparators[0]
            found = self._named(node.left)
            truth = right.value if isinstance(right, ast.Constant) else None
            if len(node.ops) == 1 and isinstance(truth, bool) and isinstance(found, (Ref, Input)):
                return When(found, negated=not truth)
        negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        found = self._named(node.operand if isinstance(node, ast.UnaryOp) else node)
        if isinstance(node, ast.UnaryOp) and not negated:
            return None
        if isinstance(found, Ref) and not found.path and found.step in self._true:
            return When(found, negated)
        return None

    def _choice(self, node: ast.IfExp, name: str) -> Choose:
        if self._columns is not None:
            hint = "call for all elements first, and choose then"
            raise Refused(node, "a call for some elements only is not in the language", hint)
        when = self.condition(node.test)
        with self.guarded(when):
            body = self.settled(name, node.body)
        with self.guarded(other(when)):
            rest = self.settled(name, node.orelse)
        return Choose((*options(body), *options(rest)))

    # -- comprehensions

    def _comprehension(self, node: ast.ListComp | ast.DictComp, name: str) -> Value:
        if self._columns is not None:
            hint = "give the inner list a line of its own"
            raise Refused(node, "a call in a comprehension inside another one", hint)
        if isinstance(node, ast.SetComp):
            raise Refused(node, "a set is not in the language", "write a list: [f(x) for x in xs]")
        inner = node.generators[1:]
        if any(self.calls(each) for each in inner):
            hint = "give what the inner `for` goes over a line of its own"
            raise Refused(node, "a call inside a second `for`", hint)
        tests = node.generators[0].ifs
        if inner and any(map(self.calls, tests)):
            raise Refused(node, "a call in the condition of two `for`", "filter in a line before")
        self.scope.begin()
        try:
            self._columns = [self._elements(node)]
            self._bind(node.generators)
            if any(map(self.calls, tests)):
                self._filter(tests, node)
            return self._mapped(node, name)
        finally:
            self._columns = None
            self.scope.undo()

    def _elements(self, node: ast.ListComp | ast.DictComp) -> ast.expr:
        """What the comprehension goes over, as an expression: one list."""
        first = node.generators[0]
        if any(each.is_async for each in node.generators):
            raise Refused(node, "`async for` is not in the language", "write `for`")
        if len(node.generators) == 1 and (not first.ifs or any(map(self.calls, first.ifs))):
            return self._source(first.iter)
        shown = [loaded(each.target) for each in node.generators]
        element = shown[0] if len(shown) == 1 else ast.List(shown, LOADED)
        opened = copy.copy(first)
        opened.iter = self._open(first.iter)
        whole = ast.ListComp(element, [opened, *node.generators[1:]])
        return self._hold(self._compute(whole, "", node))

    def _source(self, node: ast.expr) -> ast.expr:
        """A list that is written out stands where it is; anything else is a value first."""
        node = plain(node)
        if isinstance(node, (ast.List, ast.Tuple)) and not self.calls(node):
            value = self.value(node)
            if not any(isinstance(each, (Template, Choose)) for each in nodes_in(value)):
                return node
        bound = self._bound(self.value(node), "", node)
        return self._hold(bound)

    def _bind(self, generators: list[ast.comprehension]) -> None:
        alone = len(generators) == 1
        for place, each in enumerate(generators):
            self._target(each.target, () if alone else (place,))

    def _target(self, node: ast.expr, path: Path) -> None:
        if isinstance(node, ast.Name):
            self.scope.put(node.id, Cell(0, path))
        elif isinstance(node, (ast.Tuple, ast.List)):
            for place, each in enumerate(node.elts):
                self._target(each, (*path, place))
        else:
            raise Refused(node, "a comprehension gives its elements plain names", "for x in xs")

    def _filter(self, tests: list[ast.expr], node: ast.expr) -> None:
        """Keep the elements that pass, after what they are tested by was called for all."""
        opened = [self._open(test) for test in tests]
        cells: dict[str, Cell] = {}
        for test in opened:
            cells |= held_cells(test, self._held)
        kept = self._hold(Cell(0))
        cells[kept.id] = Cell(0)
        whole = self._over_cells(kept, cells, *opened)
        passed = self._outside(lambda: self._compute(whole, "", node))
        self._columns = [self._hold(passed)]

    def _mapped(self, node: ast.ListComp | ast.DictComp, name: str) -> Value:
        """The list that a comprehension gives, once its variables are bound."""
        if isinstance(node, ast.DictComp):
            tree: ast.expr = ast.DictComp(self._open(node.key), self._open(node.value), [])
            cells = held_cells(tree, self._held)
            whole = self._over_cells(tree, cells or {self._hold(Cell(0)).id: Cell(0)})
            return self._outside(lambda: self._compute(whole, name, node))
        core = core_of(plain(node.elt))
        if self._is_call(core):
            cell = self._call(cast("ast.Call", core), name)
            place = self._hold(cell)
            tree = self._open(around(plain(node.elt), place))
        else:
            tree = self._open(node.elt)
        if isinstance(tree, ast.Name):
            bound = self._held[tree.id]
            if isinstance(bound, Cell) and not bound.path:
                columns = cast("list[ast.expr]", self._columns)
                return self._held[cast("ast.Name", columns[bound.column]).id]
        cells = held_cells(tree, self._held)
        whole = self._over_cells(tree, cells or {self._hold(Cell(0)).id: Cell(0)})
        return self._outside(lambda: self._compute(whole, name, node))


def _perhaps_unread(node: ast.expr) -> list[ast.expr]:
    """The parts of an expression that Python leaves out when those before them decide."""
    if isinstance(node, ast.BoolOp):
        return node.values[1:]
    return node.comparators[1:] if isinstance(node, ast.Compare) else []


class _Opening(ast.NodeTransformer):
    """Puts names in the place of what is no pure expression, in a copy."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        self._local: set[str] = set()  # variables of pure comprehensions

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr):
            found = constants(node)
            if found is None or found[0].id not in self._local:
                opened = self._lowering.opened(node)
                if opened is not None:
                    return ast.copy_location(opened, node)
        return self._copied(node)

    def _copied(self, node: ast.AST) -> ast.AST:
        before = self._local
        if isinstance(node, (*_COMPREHENSIONS, ast.Lambda)):
            self._local = before | {name for each in ast.walk(node) if (name := bound_name(each))}
        new = copy.copy(node)
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                items = cast("list[Any]", value)
                setattr(new, field, [self.visit(x) if isinstance(x, ast.AST) else x for x in items])
            elif isinstance(value, ast.AST):
                setattr(new, field, self.visit(value))
        self._local = before
        return new
