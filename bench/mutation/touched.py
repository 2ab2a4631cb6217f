"""Which test runs which line, and for how long: a plugin of pytest, for `bench.mutation`.

It follows the engine's lines with coverage (maintained, Apache-2.0; cheap, and keeps apart what
each test runs) and writes one JSON file, named by `HEDDLE_TOUCHED`:
`{"seconds": {test: s}, "lines": {module: {line: [test, …]}}}`. Lines that only an import runs are
no test's. A test that does not pass, as one that was cut off, has `CUT_S` seconds: nobody knows.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
from pathlib import Path
from typing import Any

import coverage
import pytest

import heddle.engine
from bench.mutation.choosing import CUT_S, ROOT

_watch = coverage.Coverage(data_file=None, include=[str(ROOT / "src/heddle/engine/*")])
_seconds: dict[str, float] = {}


def pytest_configure() -> None:
    """Begin before any test, and import the engine, so that no test is who imports it."""
    _watch.start()
    for module in pkgutil.walk_packages(heddle.engine.__path__, "heddle.engine."):
        importlib.import_module(module.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """What runs from here on is this test's."""
    _watch.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        _watch.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The call alone: what fixtures cost is paid once for all."""
    if report.when == "call":
        _seconds[report.nodeid] = round(report.duration, 3) if report.passed else CUT_S


def pytest_unconfigure() -> None:
    """Write down what was seen."""
    _watch.stop()
    data = _watch.get_data()
    lines = {
        str(Path(file).relative_to(ROOT)): {
            line: sorted(_seconds.keys() & set(tests))
            for line, tests in sorted(data.contexts_by_lineno(file).items())
        }
        for file in sorted(data.measured_files())
    }
    seen = {"seconds": _seconds, "lines": lines}
    Path(os.environ["HEDDLE_TOUCHED"]).write_text(json.dumps(seen))
