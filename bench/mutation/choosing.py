"""Which tests can see a mutant: those that run its line, the nearest and the quickest first."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
FLOOR = (
    "tests/engine/test_*.py", "tests/testing/test_simulation*.py", "tests/test_agent_resume.py",
    "tests/reliability/test_budgets.py", "tests/reliability/test_cancels.py",
)  # fmt: skip
QUICK_S = 4.0
"""A test that takes longer, with every line followed, is not asked."""


class Touched:
    """Which test runs which line of the engine, and for how long.

    Attributes:
        seconds: how long each test takes.
        lines: the tests of each line that a test runs, by module.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, dict[int, set[str]]] = {}
        for file in files:
            seen = json.loads(file.read_text())
            self.seconds.update(seen["seconds"])
            for module, lines in seen["lines"].items():
                mine = self.lines.setdefault(module, {})
                for line, tests in lines.items():
                    mine.setdefault(int(line), set()).update(tests)

    def tests(self, module: str, line: int, root: Path = ROOT) -> list[str]:
        """The tests that run a line of a module, its own and the quickest ones first."""
        lines = self.lines.get(module, {})
        found: set[str] = set()
        for wider in _widening(ast.parse((root / module).read_text()), line):
            found = set().union(*(lines.get(each, ()) for each in wider))
            if found:
                break
        return sorted(found, key=lambda test: (not _near(module, test), self.seconds[test], test))


def touched(workers: int, folder: Path) -> Touched:
    """Run the tests once and see what each runs, or read what the folder has of it.

    Raises:
        RuntimeError: the tests could not be run.
    """
    folder.mkdir(exist_ok=True)
    if not list(folder.glob("*.json")):
        _measure(folder, workers)
    return Touched(folder.glob("*.json"))


def _measure(folder: Path, workers: int) -> None:
    tests = sorted(str(path.relative_to(ROOT)) for name in FLOOR for path in ROOT.glob(name))
    running: list[subprocess.Popen[bytes]] = []
    for number in range(workers):
        command = [
            sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "bench.mutation.touched",
            "-p", "no:cacheprovider", f"--timeout={QUICK_S}", "-o", "timeout_func_only=true",
            *tests[number::workers],
        ]  # fmt: skip
        environment = {**os.environ, "HEDDLE_TOUCHED": str(folder.resolve() / f"{number}.json")}
        running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sys.stderr))
    statuses = [each.wait() for each in running]
    if max(statuses) > 1:  # 1: some tests failed, as the ones do that take too long
        raise RuntimeError(f"pytest ended with {statuses}")


def _near(module: str, test: str) -> bool:
    path = Path(module)
    return any(word in Path(test.partition("::")[0]).stem for word in (path.stem, path.parent.name))


def _widening(tree: ast.Module, line: int) -> Iterator[Iterable[int]]:
    """Lines to look for tests at: the line, its statement, then what its definition defines.

    A statement of a function that no test runs ends there: nobody sees what it does. A definition
    is run by the import, so whoever runs its body sees it; a constant is seen where it is named;
    the rest, as the fields of a class, by everyone who uses the module.
    """
    path = list(_path(tree, line))
    inner = path[-1]
    yield (line,)
    yield _own(inner)
    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
        yield _span(inner)
        return
    if any(isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) for each in path[:-1]):
        return
    yield _naming(tree, inner)
    yield range(1, 100_000)


def _path(tree: ast.AST, line: int) -> Iterator[ast.stmt | ast.ExceptHandler]:
    for node in ast.walk(tree):  # outer ones come first
        if isinstance(node, ast.stmt | ast.ExceptHandler) and line in _span(node):
            yield node


def _span(node: ast.stmt | ast.ExceptHandler) -> range:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return range(first, (node.end_lineno or node.lineno) + 1)


def _own(node: ast.stmt | ast.ExceptHandler) -> set[int]:
    """Its lines without those of the statements in it."""
    within = [each for each in ast.walk(node) if isinstance(each, ast.stmt | ast.ExceptHandler)]
    return set(_span(node)).difference(*(_span(each) for each in within if each is not node))


def _naming(tree: ast.Module, node: ast.AST) -> set[int]:
    """The lines that name what a statement assigns."""
    stored = {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    return {
        each.lineno
        for each in ast.walk(tree)
        if (isinstance(each, ast.Name) and each.id in stored)
        or (isinstance(each, ast.Attribute) and each.attr in stored)
    }
