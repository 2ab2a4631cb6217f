"""Do the tests bite? Small faults in scheduler, journal and limits: `python -m bench.mutation`.

A mutant is one module with one small change. It is killed if a test fails with it, or runs out of
time. The tests of its own module run first, then those of the floor, and the first failure ends the
search. The score is the share of killed mutants in a seeded sample; each survivor is printed with
its change, to be explained or to become a test.

    python -m bench.mutation --mutants 300 --seed 1 --workers 2 --keep mutants.jsonl

`--keep` remembers every verdict, so that a campaign which was stopped goes on where it was.

The operators are those of cosmic-ray (maintained, MIT; it needs no change to the sources and knows
the operators), and one of our own that leaves a statement out, which it lacks and which is how
durability is lost. Changes that no run can see are not mutants: in annotations, in docstrings, in
what only type checkers read.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import cosmic_ray.plugins
import parso
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
ENGINE = "src/heddle/engine"
TARGETS = (
    "scheduler", "attempts", "queue", "maps", "map_run", "waiters", "deadlines", "sharing", "gate",
    "past", "resuming", "journal/*", "slots", "allowances/*", "retrying", "breaker", "hedging",
    "budget",
)  # fmt: skip
FLOOR = ("tests/engine",)
SECONDS = 240.0


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


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant; `by` is the test that killed it."""

    key: str
    module: str
    line: int
    operator: str
    killed: bool
    by: str
    seconds: float
    change: str


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


def mutants(path: Path, random_: random.Random) -> list[Mutant]:
    """One mutant of each place and kind of change in a module.

    Cost: a parse and a walk of the module for each place.
    """
    text = path.read_text()
    meaning = _meaning(text)
    module = str(path.relative_to(ROOT))
    found: dict[str, Mutant] = {}
    for family, operators in families().items():
        operator = random_.choice(operators)()
        for occurrence in range(10_000):
            changed = mutate_code(text, operator, occurrence)
            if changed is None:
                break
            if _meaning(changed) in (meaning, None):
                continue
            mutant = _mutant(module, family, text, changed)
            found.setdefault(mutant.key, mutant)
    return list(found.values())


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


def sample(count: int, seed: int, only: tuple[str, ...] = ()) -> list[Mutant]:
    """A seeded sample over all target modules, each place of the code as likely as any other."""
    random_ = random.Random(seed)
    wanted = only or TARGETS
    paths = sorted({path for name in wanted for path in (ROOT / ENGINE).glob(f"{name}.py")})
    everything = [mutant for path in paths for mutant in mutants(path, random_)]
    print(f"{len(everything)} mutants of {len(paths)} modules", file=sys.stderr)
    return random_.sample(everything, min(count, len(everything)))


def tests_of(module: str) -> list[str]:
    """The tests of a module first, then all of its floor."""
    name = Path(module).stem
    near = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(f"tests/**/test_*{name}*.py"))
    if "journal/" in module:
        more = ROOT.glob("tests/engine/test_*journal*.py")
        near += sorted({str(path.relative_to(ROOT)) for path in more} - set(near))
    return [*near, *FLOOR]


class Tree:
    """A copy of the project that mutants are put into, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("src", "tests", "bench", "docs", "scripts", "pyproject.toml", "README.md"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)

    def judge(self, mutant: Mutant) -> Verdict:
        """Run the tests with the mutant in place."""
        path = self.folder / mutant.module
        kept = path.read_text()
        path.write_text(mutant.source)
        began = time.monotonic()
        try:
            by = self._killer(tests_of(mutant.module))
        finally:
            path.write_text(kept)
        return Verdict(
            mutant.key, mutant.module, mutant.line, mutant.operator, bool(by), by,
            round(time.monotonic() - began, 1), mutant.change,
        )  # fmt: skip

    def _killer(self, tests: list[str]) -> str:
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=30",
            "--no-header", *dict.fromkeys(tests),
        ]  # fmt: skip
        environment = {
            **os.environ, "PYTHONPATH": str(self.folder / "src"), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True,
                timeout=SECONDS, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "out of time"
        if done.returncode == 0:
            return ""
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return failed[0][:160] if failed else f"exit {done.returncode}"


def campaign(chosen: list[Mutant], workers: int, keep: Path | None) -> list[Verdict]:
    """Judge every mutant that has no verdict yet."""
    known = _kept(keep)
    trees: SimpleQueue[Tree] = SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(workers):
            place = Path(folder) / str(number)
            place.mkdir()
            trees.put(Tree(place))

        def judge(mutant: Mutant) -> Verdict:
            if mutant.key in known:
                return known[mutant.key]
            tree = trees.get()
            try:
                verdict = tree.judge(mutant)
            finally:
                trees.put(tree)
            if keep is not None:
                with keep.open("a") as file:
                    file.write(json.dumps(asdict(verdict)) + "\n")
            word = "killed" if verdict.killed else "SURVIVED"
            print(f"{word:8} {verdict.module}:{verdict.line} {verdict.seconds} s", file=sys.stderr)
            return verdict

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(judge, chosen))


def _kept(keep: Path | None) -> dict[str, Verdict]:
    if keep is None or not keep.exists():
        return {}
    rows = [Verdict(**json.loads(line)) for line in keep.read_text().splitlines()]
    return {row.key: row for row in rows}


def report(verdicts: list[Verdict]) -> float:
    """Print the survivors and the score of each module; give the score of all."""
    for verdict in verdicts:
        if not verdict.killed:
            print(f"\n{verdict.module}:{verdict.line} ({verdict.operator})\n{verdict.change}")
    print()
    for module in sorted({verdict.module for verdict in verdicts}):
        rows = [verdict for verdict in verdicts if verdict.module == module]
        killed = sum(row.killed for row in rows)
        print(f"{killed:4} of {len(rows):4} killed  {module}")
    killed = sum(verdict.killed for verdict in verdicts)
    score = killed / max(1, len(verdicts))
    print(f"{killed:4} of {len(verdicts):4} killed, score {score:.1%} (bar 85 %)")
    return score


def main() -> int:
    """The campaign from the command line; exit status 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=(), help="modules of engine/, such as maps")
    parser.add_argument("--keep", type=Path, help="JSONL file of verdicts, read and added to")
    options = parser.parse_args()
    chosen = sample(options.mutants, options.seed, tuple(options.only))
    return 0 if report(campaign(chosen, options.workers, options.keep)) >= 0.85 else 1


if __name__ == "__main__":
    sys.exit(main())
