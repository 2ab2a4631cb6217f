"""The documents: every example runs, and what is generated is fresh."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import heddle
from heddle.plan.dialects import DIALECTS
from heddle.plan.expression import FUNCTIONS, METHODS
from heddle.testing import ScriptedModel

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def environment(home: Path) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    path = f"{scripts}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": "", "XDG_STATE_HOME": str(home)}


def test_the_readme_works_from_top_to_bottom_in_an_empty_folder(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    tools, program = blocks(readme, "python")
    (tmp_path / "tools.py").write_text(tools)
    (tmp_path / "program.py").write_text(program)
    shell = next(block for block in blocks(readme, "sh") if "cat > plan.txt" in block)
    done = subprocess.run(
        ["bash", "-euc", shell],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "186.5" in done.stdout
    assert "difference(" in done.stdout.splitlines()[-1]
    assert (tmp_path / "report.html").stat().st_size > 1000
    survives = next(block for block in blocks(readme, "sh") if "heddle runs" in block)
    done = subprocess.run(
        ["bash", "-euc", survives],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout
    assert done.stdout.endswith("no promise was broken\n")
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("186.5 ")


@pytest.mark.parametrize("name", ["python.md", "limits.md", "resume.md"])
def test_a_page_of_programs_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    program = "\n".join(blocks(ROOT / "docs" / name, "python"))
    (tmp_path / "page.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


PLANS = blocks(ROOT / "docs" / "plans.md", "text") + blocks(ROOT / "docs" / "plans.md", "json")


@heddle.tool(effect="read")
def height(mountain: str) -> int:
    """Metres."""
    return {"Mount Everest": 8849, "K2": 8611, "Lhotse": 8516}[mountain]


@heddle.tool(effect="pure")
def difference(a: int, b: int) -> int:
    """a minus b."""
    return a - b


@heddle.tool(effect="read")
def search(query: str) -> str:
    """Look it up."""
    return f"all about {query}"


@heddle.tool(effect="read")
def pages(topic: str) -> list[dict[str, str]]:
    """Pages about a topic."""
    return [{"url": f"{topic}/{number}"} for number in range(3)]


@heddle.tool(effect="read")
def fetch(url: str) -> str:
    """The text of a page."""
    return f"text of {url}"


@heddle.tool(effect="pure")
def summarise(text: str) -> str:
    """A short form."""
    return text.removeprefix("text of ")


TOOLS = [height, difference, search, pages, fetch, summarise]
NESTED = '{"steps": [{"id": "1", "tool": "height", "args": {"mountain": "K2"}}]}'
EVEREST = "Everest is 238 m higher."
ANSWERS = {
    "llmcompiler": [EVEREST, 8.8, None],
    "json": [EVEREST, "all about oxygen", "mountains/0; mountains/1; mountains/2", 8611],
    "rewoo": [238],
    "abstraction": [
        "Everest is 8849 m high and K2 is 8611 m.\n"
        "So Everest is 238 m higher, which is 38 m more than 200 m."
    ],
    "python": ["They differ by 333 m: all about why mountains differ"],
    "react": [EVEREST],
    "native": [None],
    "links": [238],
}
"""What comes of the plans of each dialect on the page, in order."""


@pytest.mark.parametrize("floor", ["engine", "testing/simulation"])
def test_every_file_of_a_floor_with_many_has_its_place_in_the_layout(floor: str) -> None:
    text = (ROOT / "docs" / "layout.md").read_text("utf-8")
    files = {path.name for path in (ROOT / "src" / "heddle" / floor).rglob("[!_]*.py")}
    assert {name for name in files if f"{name}`" not in text} == set()


def test_every_plan_in_the_docs_is_recognised_checked_and_run() -> None:
    answers: dict[str, list[Any]] = {}
    for text in PLANS:
        plan = heddle.parse(text)
        assert heddle.check(plan, TOOLS) == [], text
        model = ScriptedModel({"worker": NESTED})
        result = heddle.execute_sync(plan, TOOLS, model=model)
        assert result.status == "succeeded", text
        answers.setdefault(plan.dialect, []).append(result.answer)
    assert answers == ANSWERS


def test_the_page_of_plans_has_every_dialect_and_the_whole_language_of_compute() -> None:
    text = (ROOT / "docs" / "plans.md").read_text("utf-8")
    listed = text.split("functions and methods:")[1].split(". Its only")[0]
    named = re.findall(r"\w+", listed)
    assert named == [*sorted(FUNCTIONS), *sorted(METHODS)]
    for dialect in DIALECTS:
        assert f"| `{dialect}` |" in text


def test_the_list_of_findings_is_fresh() -> None:
    source = ROOT / "scripts" / "make_docs.py"
    spec = importlib.util.spec_from_file_location("make_docs", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page()


def test_every_link_between_documents_leads_somewhere() -> None:
    links = [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    ]
    assert len(links) > 20
    for page, target in links:
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_quickstart_commands_are_one_line_each() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for name in ("run", "test"):
        part = text.split(f"<!-- quickstart:{name} -->")[1].split("<!-- /quickstart -->")[0]
        lines = [line for line in part.splitlines() if line and not line.startswith("```")]
        assert len(lines) == 1
