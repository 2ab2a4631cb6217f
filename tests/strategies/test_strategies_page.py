"""The page of strategies: every plan on it is run by its strategy, every program is run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import heddle
from heddle.strategies import STRATEGIES
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"
FINISH = json.dumps({"action": "finish", "answer": "238 m"})
HEIGHTS = {"Mount Everest": 8849, "K2": 8611}
STRATEGY_OF = {"python": "code"}


@heddle.tool(effect="read")
async def height(mountain: str) -> int:
    """Metres."""
    return HEIGHTS[mountain]


@heddle.tool(effect="pure")
async def difference(a: int, b: int) -> int:
    """a minus b."""
    return a - b


def blocks(language: str) -> list[str]:
    text = PAGE.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", blocks("text"), ids=lambda text: text.split("\n")[0])
def test_every_plan_on_the_page_is_one_that_its_strategy_runs(text: str) -> None:
    plan = heddle.parse(text)
    assert heddle.check(plan, [height, difference]) == []
    strategy = STRATEGY_OF.get(plan.dialect, plan.dialect)
    model = ScriptedModel(
        {
            "planner": (text, "Action: finish[238 m]"),
            "joiner": "238 m" if strategy == "rewoo" else FINISH,
        }
    )
    agent = heddle.Agent(model, [height, difference], strategy=strategy)
    result = run_virtual(agent.run("How much higher is Everest than K2?"))
    assert (result.status, result.answer) == ("succeeded", "238 m")
    calls: dict[str, Any] = {step.tool: step.value for step in result.steps}
    assert calls["height"] == HEIGHTS["K2"]


def test_there_is_one_for_each_strategy_that_has_a_form_of_its_own() -> None:
    dialects = {heddle.parse(text).dialect for text in blocks("text")}
    assert dialects == {"llmcompiler", "react", "rewoo", "abstraction", "python"}


def test_its_programs_run(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("\n".join(blocks("python")))
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "a result decides what comes next" in done.stdout


def test_every_strategy_is_in_its_table() -> None:
    text = PAGE.read_text("utf-8")
    for name in STRATEGIES:
        assert f"| `{name}` |" in text
