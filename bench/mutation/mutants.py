"""Small changes of a module: what a mistake would leave behind.

The operators are those of cosmic-ray (maintained, MIT; it needs no change to the sources and knows
the operators), and one of our own that leaves a statement out, which it lacks and which is how
durability is lost. Changes that no run can see are not mutants: in annotations, in docstrings, in
what only type checkers read.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cosmic_ray.plugins
import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


class LeaveOut(Operator):
    """Leaves out a statement that is a call, an assignment or an `await`."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        """Where there is such a statement."""
        kept = ("import_name", "import_from", "pass_stmt", "return_stmt", "raise_stmt", "string")
        if node.type == "simple_stmt" and node.children[0].type not in (*kept, "keyword"):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """`pass` in its place."""
        first = node.children[0].get_first_leaf()
        keyword = parso.python.tree.Keyword("pass", node.start_pos, prefix=first.prefix)
        end = node.children[-1]
        return parso.python.tree.PythonNode("simple_stmt", [keyword, end])

    @classmethod
    def examples(cls) -> tuple[()]:
        """None beside the class's own words."""
        return ()


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: the file, from the root of the project.
        operator: what kind of change it is.
        line: where it is.
        change: the lines, as a diff.
        source: the whole module, changed.
    """

    module: str
    operator: str
    line: int
    change: str
    source: str

    @property
    def key(self) -> str:
        """What names it, whatever the order of the campaign."""
        return hashlib.sha256(f"{self.module}\0{self.source}".encode()).hexdigest()[:16]


def families() -> dict[str, list[Any]]:
    """Operators by the kind of change: of the many replacements of one sign, any will do."""
    found: dict[str, list[Any]] = {"leave-out": [LeaveOut]}
    for name in cosmic_ray.plugins.operator_names():
        short = name.partition("/")[2]
        if short in ("NoOp", "VariableReplacer", "VariableInserter"):
            continue
        family = "_".join(short.split("_")[:2]) if short.startswith("Replace") else short
        found.setdefault(family, []).append(cosmic_ray.plugins.get_operator(name))
    return found


@dataclass(frozen=True)
class Place:
    """Where a module can be changed, and how: the operator's `occurrence`-th position."""

    path: Path
    family: str
    operator: type[Operator]
    occurrence: int

    def mutant(self) -> Mutant | None:
        """The mutant, or None if no run could see it. Cost: a parse and a walk of the module."""
        text = self.path.read_text()
        changed = mutate_code(text, self.operator(), self.occurrence)
        if changed is None or _meaning(changed) in (_meaning(text), None):
            return None
        return _mutant(str(self.path.relative_to(ROOT)), self.family, text, changed)


def places(path: Path, random_: random.Random) -> list[Place]:
    """Each position of a module with each kind of change. Cost: a walk for each kind."""
    nodes = list(ast_nodes(get_ast(path.read_text())))
    found: list[Place] = []
    for family, operators in families().items():
        operator = random_.choice(operators)
        count = sum(1 for node in nodes for _ in operator().mutation_positions(node))
        found += [Place(path, family, operator, occurrence) for occurrence in range(count)]
    return found


def _mutant(module: str, family: str, text: str, changed: str) -> Mutant:
    lines = list(difflib.unified_diff(text.splitlines(), changed.splitlines(), lineterm="", n=0))
    place = int(lines[2].split()[1].lstrip("-").split(",")[0])
    return Mutant(module, family, place, "\n".join(lines[3:]), changed)


class _Unseen(ast.NodeTransformer):
    """Takes away what no run can see."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.generic_visit(node)
        node.returns = None
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # the same fields

    def visit_If(self, node: ast.If) -> Any:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return ast.Pass()
        self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> Any:
        if isinstance(node.value, ast.Constant):
            return ast.Pass()  # a docstring, or the body of what a protocol only names
        self.generic_visit(node)
        return node

    def visit_Assert(self, node: ast.Assert) -> Any:
        return ast.Pass()  # it tells type checkers what we know

    def visit_Assign(self, node: ast.Assign) -> Any:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if set(names) & {"__all__", "__slots__"}:
            return ast.Pass()
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id == "cast":
            node.args[0] = ast.Constant(None)
        self.generic_visit(node)
        return node


def _meaning(text: str) -> str | None:
    try:
        return ast.dump(_Unseen().visit(ast.parse(text)))
    except SyntaxError:
        return None
