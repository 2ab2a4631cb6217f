"""`heddle check`, `tools`, `doctor` and the program itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Heddle


def test_compute_is_checked_though_no_tools_were_given(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("c.txt", '1. compute("a +")\n2. mine("$1")\n')
    done = heddle.inside(capfd, "check", "c.txt")
    assert done.status == 3
    assert "bad-expression" in done.out
    assert "unknown-tool" not in done.out


def test_a_clean_plan_has_no_findings(heddle: Heddle, capfd: pytest.CaptureFixture[str]) -> None:
    done = heddle.inside(capfd, "check", "plan.txt", "--tools", "tools.py")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == "no findings"


def test_a_clean_plan_says_how_much_it_may_ask_for(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write(
        "map.json",
        '{"steps": [{"id": "1", "tool": "price", "over": ["A", "B"], "args": {"ticker": '
        '{"$item": []}}}, {"id": "2", "tool": "llm", "args": {"instruction": "add", "context": '
        '{"$ref": "1"}}}]}',
    )
    done = heddle.inside(capfd, "check", "map.json", "--tools", "tools.py")
    assert done.out.splitlines() == [
        "no findings", "2 steps, at most 3 calls, 2 on the widest level, 2 one after the other",
    ]  # fmt: skip
    bounds = heddle.inside(capfd, "check", "map.json", "--tools", "tools.py", "--json").json
    assert bounds["bounds"]["calls"] == 3
    assert bounds["bounds"]["unbounded"] == []


def test_a_finding_shows_line_column_caret_and_remedy(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("bad.txt", '1. price("AAPL")\n  2.\tprise("MSFT")\n')
    done = heddle.inside(capfd, "check", "bad.txt", "--tools", "tools.py")
    assert done.status == 3
    assert done.out.splitlines() == [
        'error[unknown-tool]: step 2: there is no tool "prise"',
        "  --> bad.txt:2:3",
        '  2 |   2. prise("MSFT")',
        "    |   ^",
        '  hint: did you mean "price"?',
    ]


def test_without_tools_only_the_plan_itself_is_checked(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("loose.txt", '1. anything("x", 2)\n2. anything($1)\n3. other(y=$1, z=$9)\n')
    done = heddle.inside(capfd, "check", "loose.txt")
    assert done.status == 3
    assert "no --tools" in done.err
    assert done.out.count("error[") == 1
    assert "error[unknown-reference]" in done.out


def test_warnings_do_not_reject(heddle: Heddle) -> None:
    done = heddle("check", "-", "--tools", "tools.py", "--json", stdin="1. price(AAPL)\n")
    assert done.status == 0
    assert done.json["tools_checked"] is True
    assert [item["severity"] for item in done.json["findings"]] == ["warning"]


def test_json_findings_have_the_fields_of_the_contract(heddle: Heddle) -> None:
    done = heddle("check", "-", "--json", stdin="1. price($4)\n")
    assert done.status == 3
    (finding,) = done.json["findings"]
    assert finding.keys() == {"code", "severity", "line", "column", "message", "hint"}
    assert done.err == ""


def test_tools_says_what_a_plan_sees_and_how_to_declare_an_effect(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "tools", "tools.py")
    assert done.status == 0
    assert "price(ticker: str) -> float" in done.out
    assert "provider  quotes" in done.out
    assert "write (assumed" in done.out
    assert done.out.count('@heddle.tool(effect="read")') == 1
    assert "5 s an attempt" in done.out
    assert "at most 2" in done.out


def test_tools_as_json(heddle: Heddle, capfd: pytest.CaptureFixture[str]) -> None:
    done = heddle.inside(capfd, "tools", "tools.py", "--json")
    found = {tool["name"]: tool for tool in done.json["tools"]}
    assert found["send"]["effect"] == "write"
    assert found["send"]["effect_declared"] is False
    assert found["price"]["parameters"]["properties"]["ticker"] == {"type": "string"}


def test_tools_says_what_a_write_counts_as_whose_outcome_nobody_knows(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write(
        "posting.py",
        "import heddle\n"
        '@heddle.tool(effect="write", on_unknown=heddle.Failed("not seen"))\n'
        'def post(what: str) -> str: "Post it."\n'
        '@heddle.tool(effect="write", on_unknown=heddle.Done({"id": 0}))\n'
        'def note(what: str) -> dict: "Note it."\n',
    )
    done = heddle.inside(capfd, "tools", "posting.py")
    assert "unknown   counts as failed: not seen" in done.out
    assert 'unknown   counts as done, with {"id": 0}' in done.out
    found = heddle.inside(capfd, "tools", "posting.py", "--json").json["tools"]
    assert [tool["on_unknown"] for tool in found] == [
        {"outcome": "failed", "reason": "not seen"},
        {"outcome": "done", "value": {"id": 0}},
    ]


def test_the_built_in_tools_have_names_too(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "tools", "heddle.tools.builtin.calculator", "--json")
    assert done.status == 0
    assert done.json["tools"][0]["effect"] == "pure"


def test_doctor_masks_keys_and_names_their_source(heddle: Heddle) -> None:
    heddle.write(".env", "OPENAI_API_KEY=sk-secret-secret-secret\n")
    done = heddle("doctor")
    assert done.status == 0
    assert "secret" not in done.out
    assert "from .env" in done.out
    done = heddle("doctor", "--json", OPENAI_API_KEY="sk-other-other-other")
    checks = {check["name"]: check for check in done.json["checks"]}
    assert done.json["ok"] is True
    assert checks["OPENAI_API_KEY"]["meaning"] == "from environment"
    assert "other" not in checks["OPENAI_API_KEY"]["value"]
    assert {"heddle", "Python", "platform", "pydantic", "rich", "SQLite"} <= checks.keys()


def test_help_lists_what_there_is_and_nothing_that_comes_later(heddle: Heddle) -> None:
    done = heddle("--help")
    assert done.status == 0
    listed = done.out.partition("Commands:")[2].split("\n")
    names = {line.split()[0] for line in listed if line.startswith("  ")}
    assert "7 a write whose outcome nobody saw" in " ".join(done.out.split())
    assert names == {
        *("demo", "ask", "plan", "check", "run", "convert", "compare"),
        *("runs", "show", "resume", "audit"),
        *("export", "tools", "doctor"),
    }


@pytest.mark.parametrize(
    "name",
    ["ask", "plan", "check", "run", "runs", "show", "resume", "audit", "tools", "doctor"],
)
def test_every_command_has_help_and_json(
    heddle: Heddle, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, name, "--help")
    assert done.status == 0
    assert "--json" in done.out


def test_version(heddle: Heddle) -> None:
    assert heddle("--version").out == f"heddle {version('heddle-run')}\n"


def test_help_imports_nothing_heavy(heddle: Heddle) -> None:
    program = (
        "import sys\nfrom heddle.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'pydantic', 'httpx2', 'asyncio', 'rich', 'sqlite3'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=heddle.environment, capture_output=True, text=True
    )
    assert done.stdout.endswith("\n[]\n")
