"""What becomes of a mutant: the tests that can see it are run with it in place."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from bench.mutation.choosing import CUT_S, ROOT, Touched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from bench.mutation.mutants import Mutant

BOUNDS_S = (2.0, 15.0, 60.0)
"""How many seconds of tests are run first, and how many in all as long as none of them fails."""
MOST = 400
"""How many tests are asked, at most."""
STARTING_S = 10
WALL_S = 300.0
OUT_OF_TIME = "out of time"
PYTEST = (
    "-x", "-q", "-p", "no:cacheprovider", "-p", "no:langsmith_plugin", "--timeout=60",
    "--no-header", "--tb=line", "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip

_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(
    ["bench.mutation.judging", "cosmic_ray.plugins", "hypothesis", "pydantic", "httpx2", "asyncpg"]
)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        by: the test that killed it.
        tests: how many tests could see it, and were asked.
        seconds: how long that took.
    """

    key: str
    module: str
    line: int
    operator: str
    killed: bool
    by: str
    tests: int
    seconds: float
    change: str


class Tree:
    """A copy of the project that mutants are put into, one after the other."""

    def __init__(self, folder: Path, touched: Touched) -> None:
        self.folder = folder
        self.touched = touched
        self.sound: set[str] = set()
        folder.mkdir(parents=True)
        for name in ("src", "tests", "bench", "docs", "scripts", "pyproject.toml", "README.md"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        _compile(folder)

    def judge(self, mutant: Mutant) -> Verdict:
        """Run the tests that can see the mutant, with it in place; none is enough to survive.

        What kills must pass without the mutant; a test that does not is never asked again.

        Raises:
            RuntimeError: the tests do not come to an end without any mutant.
        """
        began = time.monotonic()
        tests = self.touched.tests(mutant.module, mutant.line)[:MOST]
        with self._changed(mutant):
            asked, by = self._killer(tests)
        if by and by not in self.sound:
            failing = self._run([by] if by in tests else tests[:asked])
            if failing:
                self._distrust(failing, tests[:asked])
                return self.judge(mutant)
            self.sound.update({by} & set(tests))
        return Verdict(
            mutant.key, mutant.module, mutant.line, mutant.operator, bool(by), by, asked,
            round(time.monotonic() - began, 1), mutant.change,
        )  # fmt: skip

    def _distrust(self, failing: str, asked: list[str]) -> None:
        unsure = {test for test in asked if self.touched.seconds[test] >= CUT_S}
        without = {failing} & set(asked) or unsure
        if not without:
            raise RuntimeError(f"the tests end without a mutant: {failing}")
        print(f"not asked again: {', '.join(sorted(without))}", file=sys.stderr)
        self.touched.distrusted |= without

    @contextlib.contextmanager
    def _changed(self, mutant: Mutant) -> Iterator[None]:
        path = self.folder / mutant.module
        kept, stat = path.read_text(), path.stat()
        path.write_text(mutant.source)
        try:
            yield
        finally:
            path.write_text(kept)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its bytecode is valid again

    def _killer(self, tests: list[str]) -> tuple[int, str]:
        """How many tests were run, and which of them failed (or how else they ended)."""
        done = 0
        sums = list(accumulate(self.touched.seconds[test] for test in tests))
        for bound in BOUNDS_S:
            end = sum(each <= bound for each in sums)
            if end > done:
                by = self._run(tests[done:end])
                if by:
                    return tests.index(by) + 1 if by in tests else end, by
                done = end
        return done, ""

    def _run(self, tests: list[str]) -> str:
        """The test that failed, or how else they ended; nothing if all passed.

        They have three times the processor's time that they took when they were followed, and what
        pytest needs to begin: the machine may be busy, so the wall's time says little.
        """
        said = self.folder / "said.txt"
        allowed_s = int(3 * sum(self.touched.seconds[test] for test in tests) + STARTING_S)
        process = _WARM.Process(target=_tests, args=(self.folder, said, tests, allowed_s))
        process.start()
        process.join(WALL_S)
        late = process.is_alive()
        _end(process)
        if process.exitcode == 0:
            return ""
        if late or process.exitcode == -signal.SIGKILL:
            return OUT_OF_TIME
        rows = said.read_text(errors="replace").splitlines()
        failed = [row.partition(" ")[2] for row in rows if row.startswith(("FAILED ", "ERROR "))]
        named = [test for test in tests if any(row.startswith(test) for row in failed)]
        return max(named, key=len) if named else f"exit {process.exitcode} {' '.join(failed)}"


def _compile(folder: Path) -> None:
    """Collect the tests once, so that their bytecode and the sources' is there for every mutant."""
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", *PYTEST[1:], "tests/engine"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder / "src")},
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip


def _tests(folder: Path, said: Path, tests: list[str], allowed_s: int) -> None:
    """Run pytest in this process, which was forked with everything imported but heddle."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (allowed_s, allowed_s))
    os.chdir(folder)
    sys.path[:0] = [str(folder / "src"), str(folder)]
    os.environ.update(PYTHONPATH=str(folder / "src"), PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    sys.exit(int(pytest.main([*PYTEST, *tests])))


def _end(process: BaseProcess) -> None:
    """End what it started too, such as a database."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
