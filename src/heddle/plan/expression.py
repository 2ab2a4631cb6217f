"""The expression language of `compute`: closed, total and bounded. Text in, canonical text out.

    numbers, texts, True False None, [lists], {"dicts": …}, f"texts {with} values"
    + - * / // % **   == != < <= > >= in, not in, is None   and or not   x if c else y
    x[0]  x["key"]  x[1:3]   [f(a) for a in xs if c]  {k: v for k, v in d.items()}
    the functions of `FUNCTIONS`, the methods of `METHODS`, and nothing else

It is written as Python writes it and read with `ast.parse`, which executes nothing; a tree that
holds anything else is refused. There are no attributes, no loops without an end, and no names but
those of `values`, so an expression can do nothing but compute.

`lower` gives the arguments of a `compute` step. Canonical: names are `a`, `b`, … in order of
first appearance whatever the source called them, variables of comprehensions are `_1`, `_2`, …,
tuples are lists, a path of constants goes into the reference, and the spelling is `ast.unparse`'s.

>>> from heddle.plan.ir import Ref
>>> lower("y1*2 + y1", {"y1": Ref("y1")}.get)
{'expression': 'a * 2 + a', 'values': {'a': Ref(step='y1', path=())}}
"""

from __future__ import annotations

import ast
import keyword
import math
import string
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from heddle.plan.formats import HINT, SPEC, ExpressionError, fault_at, formatted
from heddle.plan.ir import Choose

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from heddle.plan.ir import Input, Item, Path, Ref

__all__ = [
    "FUNCTIONS",
    "MATH",
    "MAX_CHARACTERS",
    "METHODS",
    "SPEC",
    "ExpressionError",
    "Look",
    "Named",
    "at_path",
    "constants",
    "formatted",
    "lower",
    "parse",
    "read",
]

Named: TypeAlias = "Ref | Item | Input | Choose"
Look: TypeAlias = "Callable[[str], Named | None]"
"""What a name stands for, or None where it is no name."""

MAX_CHARACTERS: Final = 16_000
MAX_DEPTH: Final = 50
MAX_DIGITS: Final = 1_000
MAX_VALUES: Final = 256


FUNCTIONS: Final[dict[str, tuple[int, int]]] = {
    "abs": (1, 1), "all": (1, 1), "any": (1, 1), "bool": (1, 1), "ceil": (1, 1), "dict": (1, 1),
    "enumerate": (1, 2), "float": (1, 1), "floor": (1, 1), "format": (1, 2), "int": (1, 1),
    "len": (1, 1), "list": (1, 1), "map": (2, 2), "max": (1, 100), "min": (1, 100), "pow": (2, 2),
    "range": (1, 3), "reversed": (1, 1), "round": (1, 2), "sorted": (1, 1), "sqrt": (1, 1),
    "str": (1, 1), "sum": (1, 2), "tuple": (1, 1), "zip": (1, 10),
}  # fmt: skip
"""Each function with the least and the largest number of its positional arguments."""

METHODS: Final[dict[str, tuple[int, int]]] = {
    "capitalize": (0, 0), "count": (1, 1), "endswith": (1, 1), "get": (1, 2), "index": (1, 1),
    "items": (0, 0), "join": (1, 1), "keys": (0, 0), "lower": (0, 0), "lstrip": (0, 1),
    "replace": (2, 2), "rstrip": (0, 1), "split": (0, 2), "splitlines": (0, 0),
    "startswith": (1, 1), "strip": (0, 1), "title": (0, 0), "upper": (0, 0), "values": (0, 0),
}  # fmt: skip
"""Each method of texts, lists and dicts, with the least and largest number of its arguments."""

_KEYWORDS = {
    "max": {"key", "default"}, "min": {"key", "default"}, "sorted": {"key", "reverse"},
    "sum": {"start"}, "enumerate": {"start"}, "round": {"ndigits"},
}  # fmt: skip
_APPLICABLE = FUNCTIONS.keys() - {"dict", "enumerate", "format", "map", "pow", "range", "zip"}
"""Functions of one value that may be named, not called: `map(float, xs)`, `key=len`."""

MATH: Final = frozenset({"ceil", "floor", "pow", "sqrt"})
"""Functions that may be called as `math.sqrt`, too."""


_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARISONS = (
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot,
)  # fmt: skip
_SAID: dict[type[ast.AST], tuple[str, str]] = {
    ast.Attribute: ("an attribute", 'take a part by its key: x["name"]'),
    ast.Lambda: ("a lambda", "write the expression itself; a lambda may only be a `key=`"),
    ast.NamedExpr: ("`:=`", "give the name a line of its own"),
    ast.Starred: ("`*`", "write the elements one by one"),
    ast.Set: ("a set", "write a list: [1, 2]"),
    ast.SetComp: ("a set", "write a list: [x for x in xs]"),
    ast.Await: ("`await`", "leave it out: steps wait for what they need"),
    ast.Slice: ("a slice", "write x[1:3]"),
    ast.Yield: ("`yield`", "write a comprehension"),
    ast.YieldFrom: ("`yield`", "write a comprehension"),
}


def lower(source: str | ast.expr, look: Look) -> dict[str, Any]:
    """The arguments of a `compute` step: canonical expression text and the values of its names.

    Args:
        source: the text of an expression, or its tree.
        look: gives the reference, item or input that a name stands for; None for no name.

    Cost: linear in the source.

    Raises:
        ExpressionError: it is not in the language, or names something unknown.
    """
    tree = parse(source) if isinstance(source, str) else source
    checker = _Lowering(look)
    try:
        text = ast.unparse(ast.fix_missing_locations(checker.expression(tree)))
    except RecursionError:
        raise _deep(tree) from None
    if len(text) > MAX_CHARACTERS:
        raise fault_at(
            tree, f"the expression is longer than {MAX_CHARACTERS} characters", "split it"
        )
    return (
        {"expression": text, "values": checker.values} if checker.values else {"expression": text}
    )


def parse(text: str) -> ast.expr:
    """The tree of an expression's text, not checked yet. Nothing is executed.

    Raises:
        ExpressionError: it cannot be read, is too long, or nests too deeply.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"it is longer than {MAX_CHARACTERS} characters", "split it")
    shift = len(text) - len(text.lstrip())
    text = text.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence", and the like
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        said = (error.msg or "it cannot be read").splitlines()[0]
        raise ExpressionError(
            said, line=error.lineno or 1, column=shift + (error.offset or 1)
        ) from None
    except (ValueError, MemoryError, RecursionError) as error:
        what = "it holds a null byte or a broken character" if isinstance(error, ValueError) else ""
        raise ExpressionError(what or "it nests too deeply", "use a flatter form") from None


def read(text: str, names: Collection[str]) -> ast.expr:
    """The checked tree of an expression whose names are these: what `compute` walks.

    Raises:
        ExpressionError: it is not in the language, or names something else.
    """
    try:
        return _Checker(names).expression(parse(text))
    except RecursionError:
        raise ExpressionError("it nests too deeply", "use a flatter form") from None


def at_path(node: Named, path: Path) -> Named:
    """The part of a reference at a path of constants."""
    if not path:
        return node
    if isinstance(node, Choose):
        return Choose(tuple(replace(each, path=(*each.path, *path)) for each in node.options))
    return replace(node, path=(*node.path, *path))


def _names() -> Iterator[str]:
    """a, b, … z, aa, ab, …, without Python's own words."""
    letters = string.ascii_lowercase
    yield from letters
    for first in letters:
        yield from (first + each for each in letters if not keyword.iskeyword(first + each))


def _deep(node: ast.AST) -> ExpressionError:
    return fault_at(
        node, f"it nests deeper than {MAX_DEPTH}", "split it; for a long sum write sum([…])"
    )


class _Checker:
    """Checks a tree and copies it in canonical form, in reading order.

    Args:
        names: the names that it may use, which keep their spelling.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = names
        self._scope: dict[str, str] = {}  # variables of the comprehensions around
        self._bound = 0
        self._depth = 0

    # -- names

    def _known(self, name: str) -> bool:
        return name in self._names

    def _free(self, node: ast.Name, path: Path) -> ast.expr:
        """A name that no comprehension binds, with the path of constants after it."""
        if not self._known(node.id):
            raise _unknown(node)
        return _subscripted(ast.Name(node.id, ast.Load()), path)

    # -- expressions

    def expression(self, node: ast.expr) -> ast.expr:
        """The canonical copy of an expression.

        Raises:
            ExpressionError: it is not in the language.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _deep(node)
        rule = _RULES.get(type(node))
        if rule is None:
            raise _refused(node)
        found = rule(self, node)
        self._depth -= 1
        return found

    def _all(self, nodes: Sequence[ast.expr]) -> list[ast.expr]:
        return [self.expression(node) for node in nodes]

    def on_constant(self, node: ast.Constant) -> ast.expr:
        value: object = node.value
        if isinstance(value, str):
            if any("\ud800" <= char <= "\udfff" for char in value):
                raise fault_at(node, "a text holds half a character", "write valid Unicode")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise fault_at(node, "a number is too large")
        elif isinstance(value, int):
            if value.bit_length() > MAX_DIGITS * 4 or abs(value) >= 10**MAX_DIGITS:
                raise fault_at(node, f"a number has more than {MAX_DIGITS} digits")
        elif value is not None:
            raise fault_at(node, f"{node.value!r} is no number, text, true, false or null")
        return ast.Constant(value)

    def on_name(self, node: ast.Name) -> ast.expr:
        if node.id in self._scope:
            return ast.Name(self._scope[node.id], ast.Load())
        return self._free(node, ())

    def on_list(self, node: ast.List | ast.Tuple) -> ast.expr:
        return ast.List(self._all(node.elts), ast.Load())

    def on_dict(self, node: ast.Dict) -> ast.expr:
        pairs: list[tuple[ast.expr, ast.expr]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise fault_at(value, "`**` is not in the language", "write the keys one by one")
            pairs.append((self.expression(key), self.expression(value)))
        return ast.Dict([key for key, _ in pairs], [value for _, value in pairs])

    def on_binary(self, node: ast.BinOp) -> ast.expr:
        if not isinstance(node.op, _OPERATORS):
            hint = "write ** for a power" if isinstance(node.op, ast.BitXor) else HINT
            raise fault_at(node, "this operator is not in the language", hint)
        text = formatted(node)
        if text is not None:
            return self.expression(text)
        return ast.BinOp(self.expression(node.left), node.op, self.expression(node.right))

    def on_unary(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Invert):
            raise fault_at(node, "`~` is not in the language")
        return ast.UnaryOp(node.op, self.expression(node.operand))

    def on_logical(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, self._all(node.values))

    def on_compare(self, node: ast.Compare) -> ast.expr:
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.Is, ast.IsNot)) and not (
                isinstance(right, ast.Constant) and type(right.value) in (bool, type(None))
            ):
                raise fault_at(right, "`is` compares with None, True or False only", "write ==")
            if not isinstance(op, _COMPARISONS):
                raise _refused(node)
        return ast.Compare(self.expression(node.left), node.ops, self._all(node.comparators))

    def on_conditional(self, node: ast.IfExp) -> ast.expr:
        body = self.expression(node.body)
        return ast.IfExp(self.expression(node.test), body, self.expression(node.orelse))

    def on_subscript(self, node: ast.Subscript) -> ast.expr:
        found = constants(node)
        if found is not None and found[0].id not in self._scope:
            return self._free(*found)
        value = self.expression(node.value)
        if not isinstance(node.slice, ast.Slice):
            return ast.Subscript(value, self.expression(node.slice), ast.Load())
        ends = [
            None if end is None else self.expression(end)
            for end in (node.slice.lower, node.slice.upper, node.slice.step)
        ]
        return ast.Subscript(value, ast.Slice(*ends), ast.Load())

    def on_joined(self, node: ast.JoinedStr) -> ast.expr:
        """An f-string, as the join of its parts: one spelling in every version of Python."""
        parts: list[ast.expr] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                parts.append(self._formatted(part))
            else:
                parts.append(self.on_constant(cast("ast.Constant", part)))
        if not parts:
            return ast.Constant("")
        if len(parts) == 1:
            return parts[0]
        return _method(ast.Constant(""), "join", ast.List(parts, ast.Load()))

    def _formatted(self, node: ast.FormattedValue) -> ast.expr:
        if node.conversion not in (-1, ord("s")):
            raise fault_at(node, "a conversion such as !r is not in the language", "leave it out")
        value = self.expression(node.value)
        if node.format_spec is None:
            return _function("str", value)
        return _function("format", value, ast.Constant(_spec(node)))

    # -- calls

    def on_call(self, node: ast.Call) -> ast.expr:
        text = formatted(node)
        if text is not None:
            return self.expression(text)
        func, owner = node.func, None
        if isinstance(func, ast.Attribute) and not _of_math(func, self._known):
            name, bounds = func.attr, METHODS.get(func.attr)
            owner = func.value
        else:
            name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
            bounds = FUNCTIONS.get(name)
            if isinstance(func, ast.Name) and (name in self._scope or self._known(name)):
                raise fault_at(node, "a value cannot be called", "call a function by its own name")
        if bounds is None:
            raise _no_function(node, name, owner)
        _count(node, name, bounds)
        return self._called(node, name, owner)

    def _called(self, node: ast.Call, name: str, owner: ast.expr | None) -> ast.expr:
        function: ast.expr = ast.Name(name, ast.Load())
        if owner is not None:
            function = ast.Attribute(self.expression(owner), name, ast.Load())
        first = [self._applied(node.args[0])] if name == "map" and owner is None else []
        args = first + self._all(node.args[len(first) :])
        keywords = [self._keyword(name if owner is None else "", each) for each in node.keywords]
        return ast.Call(function, args, sorted(keywords, key=lambda each: str(each.arg)))

    def _keyword(self, name: str, node: ast.keyword) -> ast.keyword:
        if node.arg is None or node.arg not in _KEYWORDS.get(name, ()):
            what = f"{name or 'a method'} takes no argument {node.arg or '**'!r} here"
            raise fault_at(node.value, what)
        value = self._applied(node.value) if node.arg == "key" else self.expression(node.value)
        return ast.keyword(node.arg, value)

    def _applied(self, node: ast.expr) -> ast.expr:
        """A function that is handed over: its name, `prices.get`, or a lambda of one value."""
        if isinstance(node, ast.Name) and node.id in _APPLICABLE and not self._known(node.id):
            return ast.Name(node.id, ast.Load())
        if isinstance(node, ast.Attribute) and node.attr == "get":
            return ast.Attribute(self.expression(node.value), "get", ast.Load())
        if isinstance(node, ast.Attribute) and _is_str(node.value) and node.attr in _TEXT_ONLY:
            return ast.Attribute(ast.Name("str", ast.Load()), node.attr, ast.Load())
        if isinstance(node, ast.Lambda):
            return self._lambda(node)
        raise fault_at(node, "this is no function that can be handed over", "write a comprehension")

    def _lambda(self, node: ast.Lambda) -> ast.expr:
        args = node.args
        others = [*args.posonlyargs, *args.kwonlyargs, *args.defaults, args.vararg, args.kwarg]
        if len(args.args) != 1 or any(others):
            raise fault_at(node, "a lambda here takes one value")
        outer = self._scope
        self._scope = dict(outer)
        name = self._bind(args.args[0].arg)
        body = self.expression(node.body)
        self._scope = outer
        return ast.Lambda(
            ast.arguments(
                posonlyargs=[], args=[ast.arg(name)], kwonlyargs=[], kw_defaults=[], defaults=[]
            ),
            body,
        )

    # -- comprehensions

    def on_comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> ast.expr:
        outer, scopes, targets = self._opened(node.generators)
        element = self.expression(node.elt)
        return ast.ListComp(element, self._generators(node.generators, scopes, targets, outer))

    def on_dict_comprehension(self, node: ast.DictComp) -> ast.expr:
        outer, scopes, targets = self._opened(node.generators)
        key, value = self.expression(node.key), self.expression(node.value)
        return ast.DictComp(key, value, self._generators(node.generators, scopes, targets, outer))

    def _opened(
        self, generators: list[ast.comprehension]
    ) -> tuple[dict[str, str], list[dict[str, str]], list[ast.expr]]:
        """Bind all variables; give back the scope around, that of each part, and the targets."""
        outer = self._scope
        scopes, targets = [outer], cast("list[ast.expr]", [])
        for generator in generators:
            if generator.is_async:
                raise fault_at(generator.target, "`async for` is not in the language")
            self._scope = dict(self._scope)
            targets.append(self._target(generator.target))
            scopes.append(self._scope)
        return outer, scopes, targets

    def _generators(
        self,
        generators: list[ast.comprehension],
        scopes: list[dict[str, str]],
        targets: list[ast.expr],
        outer: dict[str, str],
    ) -> list[ast.comprehension]:
        found: list[ast.comprehension] = []
        for place, generator in enumerate(generators):
            self._scope = scopes[place]
            source = self.expression(generator.iter)
            self._scope = scopes[place + 1]
            found.append(ast.comprehension(targets[place], source, self._all(generator.ifs), 0))
        self._scope = outer
        return found

    def _target(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name):
            return ast.Name(self._bind(node.id), ast.Store())
        if isinstance(node, (ast.Tuple, ast.List)) and node.elts:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise _deep(node)
            found = ast.Tuple([self._target(each) for each in node.elts], ast.Store())
            self._depth -= 1
            return found
        raise fault_at(node, "a comprehension gives its elements plain names", "for x in xs")

    def _bind(self, name: str) -> str:
        self._bound += 1
        self._scope[name] = f"_{self._bound}"
        return self._scope[name]


class _Lowering(_Checker):
    """Gives free names their canonical spelling, and collects what they stand for."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._fresh = _names()
        self._given: dict[Named, str] = {}
        self.values: dict[str, Named] = {}

    def _known(self, name: str) -> bool:
        return self._look(name) is not None

    def _free(self, node: ast.Name, path: Path) -> ast.expr:
        found = self._look(node.id)
        if found is None:
            raise _unknown(node)
        whole = at_path(found, path)
        if whole not in self._given:
            if len(self._given) == MAX_VALUES:
                raise fault_at(node, f"it uses more than {MAX_VALUES} values", "split it")
            self._given[whole] = next(self._fresh)
            self.values[self._given[whole]] = whole
        return ast.Name(self._given[whole], ast.Load())


_RULES: dict[type[ast.expr], Callable[[_Checker, Any], ast.expr]] = {
    ast.Constant: _Checker.on_constant,
    ast.Name: _Checker.on_name,
    ast.List: _Checker.on_list,
    ast.Tuple: _Checker.on_list,
    ast.Dict: _Checker.on_dict,
    ast.BinOp: _Checker.on_binary,
    ast.UnaryOp: _Checker.on_unary,
    ast.BoolOp: _Checker.on_logical,
    ast.Compare: _Checker.on_compare,
    ast.IfExp: _Checker.on_conditional,
    ast.Subscript: _Checker.on_subscript,
    ast.JoinedStr: _Checker.on_joined,
    ast.Call: _Checker.on_call,
    ast.ListComp: _Checker.on_comprehension,
    ast.GeneratorExp: _Checker.on_comprehension,
    ast.DictComp: _Checker.on_dict_comprehension,
}

_TEXT_ONLY = frozenset({"lower", "upper", "strip", "title"})


def constants(node: ast.expr) -> tuple[ast.Name, Path] | None:
    """The name that a chain of constant subscripts begins with, and the chain; or None.

    An index counts from the start: a reference has no negative ones.
    """
    path: list[str | int] = []
    while isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if type(key) not in (str, int):
            return None
        path.append(cast("str | int", key))
        node = node.value
    return (node, tuple(reversed(path))) if isinstance(node, ast.Name) else None


def _is_str(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "str"


def _of_math(node: ast.Attribute, known: Callable[[str], bool]) -> bool:
    """Whether this is `math.sqrt` and the like, with `math` no value."""
    owner = node.value
    return (
        node.attr in MATH
        and isinstance(owner, ast.Name)
        and owner.id == "math"
        and not known("math")
    )


def _subscripted(node: ast.expr, path: Path) -> ast.expr:
    for key in path:
        node = ast.Subscript(node, ast.Constant(key), ast.Load())
    return node


def _function(name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _method(owner: ast.expr, name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(owner, name, ast.Load()), list(args), [])


def _spec(node: ast.FormattedValue) -> str:
    """The format spec of a value in an f-string: constant, and one that there is."""
    values = cast("ast.JoinedStr", node.format_spec).values
    texts = [part.value for part in values if isinstance(part, ast.Constant)]
    spec = "".join(map(str, texts))
    if len(texts) != len(values) or not SPEC.fullmatch(spec):
        raise fault_at(
            node, "this format is not in the language", "write one such as {x:.2f} or {x:,}"
        )
    return spec


def _count(node: ast.Call, name: str, bounds: tuple[int, int]) -> None:
    starred = next((each for each in node.args if isinstance(each, ast.Starred)), None)
    if starred is not None:
        raise _refused(starred)
    least, most = bounds
    if not least <= len(node.args) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        raise fault_at(node, f"{name} takes {count} arguments, got {len(node.args)}")


# -- refusals


def _unknown(node: ast.Name) -> ExpressionError:
    if node.id in FUNCTIONS:
        return fault_at(
            node, f"{node.id} is a function, and has no value", f"call it: {node.id}(…)"
        )
    return fault_at(node, f"{node.id[:60]!r} is not known here", "use a name that was given before")


def _no_function(node: ast.Call, name: str, owner: ast.expr | None) -> ExpressionError:
    known = METHODS if owner is not None else FUNCTIONS
    what = "method" if owner is not None else "function"
    hint = f"there are: {', '.join(known)}"
    return fault_at(
        node, f"there is no {what} {name[:60]!r}" if name else "this cannot be called", hint
    )


def _refused(node: ast.AST) -> ExpressionError:
    what, hint = _SAID.get(type(node), (type(node).__name__, HINT))
    return fault_at(node, f"{what} is not in the language", hint)
