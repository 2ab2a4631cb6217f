"""The documents: every example runs, and what is generated is fresh."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def environment() -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": ""}


def test_the_readme_works_from_top_to_bottom_in_an_empty_folder(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    tools, program = blocks(readme, "python")
    (tmp_path / "tools.py").write_text(tools)
    (tmp_path / "program.py").write_text(program)
    shell = next(block for block in blocks(readme, "sh") if "cat > plan.txt" in block)
    done = subprocess.run(
        ["bash", "-euc", shell], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "186.5" in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 1000
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("186.5 ")


def test_the_library_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    program = "\n".join(blocks(ROOT / "docs" / "python.md", "python"))
    (tmp_path / "page.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if page.name == "plans.md"], ids=str)
def test_every_plan_in_the_docs_is_read_without_a_finding(page: Path) -> None:
    import heddle

    plans = blocks(page, "text") + blocks(page, "json")
    assert plans
    for text in plans:
        plan = heddle.parse(text)
        assert plan.steps
        assert plan.findings == []


def test_the_list_of_findings_is_fresh() -> None:
    source = ROOT / "scripts" / "make_docs.py"
    spec = importlib.util.spec_from_file_location("make_docs", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page()


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_quickstart_commands_are_one_line_each() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for name in ("run", "test"):
        part = text.split(f"<!-- quickstart:{name} -->")[1].split("<!-- /quickstart -->")[0]
        lines = [line for line in part.splitlines() if line and not line.startswith("```")]
        assert len(lines) == 1
