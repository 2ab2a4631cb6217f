"""Which tests can see a mutant: those that run its line, the nearest and the quickest first."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
FLOOR = (
    "tests/engine/test_*.py", "tests/testing/test_simulation.py", "tests/test_agent_resume.py",
    "tests/reliability/test_budgets.py",
)  # fmt: skip
QUICK_S = 6.0
"""A test that takes longer, with every line followed, is cut off there: it is asked last."""
CUT_S = 20.0
"""What such a test is taken for."""
FILE_S = 600.0


class Touched:
    """Which test runs which line of the engine, and for how long.

    Attributes:
        seconds: how long each test takes.
        lines: the tests of each line that a test runs, by module.
        distrusted: tests that were found to fail by themselves.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.distrusted: set[str] = set()
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
        """The tests that run a line, file by file: the module's own, then those with the most."""
        lines = self.lines.get(module, {})
        found: set[str] = set()
        for wider in _widening(ast.parse((root / module).read_text()), line):
            found = set().union(*(lines.get(each, ()) for each in wider))
            if found:
                break
        found = found - self.distrusted
        files = Counter(_file(test) for test in found)

        def order(test: str) -> tuple[Any, ...]:
            file = _file(test)
            return not _near(module, file), -files[file], file, self.seconds[test], test

        return sorted(found, key=order)


def touched(workers: int, folder: Path) -> Touched:
    """Run the tests once and see what each runs, but for the files that the folder has already.

    A file of tests that does not come to its end is left out, and said.
    """
    folder.mkdir(exist_ok=True)
    tests = sorted({path for name in FLOOR for path in ROOT.glob(name)})
    with ThreadPoolExecutor(workers) as pool:
        for path, problem in zip(tests, pool.map(partial(_measure, folder), tests), strict=True):
            if problem:
                print(f"not asked: {path.name} ({problem})", file=sys.stderr)
    return Touched(folder.glob("*.json"))


def _measure(folder: Path, tests: Path) -> str:
    """What is wrong with a file of tests, if anything; what it runs is in the folder then."""
    place = folder.resolve() / f"{tests.stem}.json"
    if place.exists():
        return ""
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "bench.mutation.touched",
        "-p", "no:cacheprovider", "-p", "no:langsmith_plugin", f"--timeout={QUICK_S}",
        "-o", "timeout_func_only=true", str(tests.relative_to(ROOT)),
    ]  # fmt: skip
    environment = {**os.environ, "HEDDLE_TOUCHED": str(place)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, timeout=FILE_S
        )
    except subprocess.TimeoutExpired:
        return f"not done within {FILE_S:.0f} s"
    return "" if done.returncode < 2 else f"exit {done.returncode}"  # 1: some were too slow


def _file(test: str) -> str:
    return test.partition("::")[0]


def _near(module: str, file: str) -> bool:
    path = Path(module)
    return any(word in Path(file).stem for word in (path.stem, path.parent.name))


def _widening(tree: ast.Module, line: int) -> Iterator[Iterable[int]]:
    """Lines to look for tests at: those of its statement, or of what its definition defines.

    A statement of a function that no test runs ends there: nobody sees what it does. What the
    import runs is no test's: a definition is seen by whoever runs its body, a constant where it is
    named, and the rest, as the fields of a class, by everyone who uses the module.
    """
    *outer, inner = _path(tree, line)
    if any(isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) for each in outer):
        yield (line,)
        yield _own(inner)
    elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
        yield range(inner.body[0].lineno, _span(inner).stop)
    else:
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
