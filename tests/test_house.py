"""The house: arrows, public names, what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import heddle

ROOT = Path(__file__).parent.parent


def test_arrows_between_floors_only_point_down() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in heddle.__all__:
        assert getattr(heddle, name).__doc__, name


def test_importing_heddle_loads_nothing_heavy() -> None:
    program = (
        "import sys, heddle\n"
        "print([n for n in ('pydantic', 'httpx2', 'click', 'rich', 'asyncio') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_package_is_typed() -> None:
    assert (ROOT / "src" / "heddle" / "py.typed").exists()


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = ("util", "helper", "base", "manager", "handler")
    found = [
        path.name
        for path in (ROOT / "src").rglob("*.py")
        if any(word in path.stem.lower() for word in vague)
    ]
    assert found == []


def test_every_task_has_an_owner_and_nobody_gathers() -> None:
    """A task that nobody refers to may vanish; `gather` leaves others running when one fails."""
    found: list[str] = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            loose = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            name = _called(node.value) if loose else _called(node)  # type: ignore[attr-defined]
            if name == "gather" or (loose and name):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")  # type: ignore[attr-defined]
    assert found == []


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return ""
    loose = function.value.id in ("asyncio", "loop")  # a TaskGroup keeps its tasks
    return function.attr if loose and function.attr in _TASKS else ""


_TASKS = ("create_task", "ensure_future", "gather")
