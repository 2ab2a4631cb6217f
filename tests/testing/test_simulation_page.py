"""What docs/testing.md shows is so."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_examples_of_the_page_run_one_after_the_other(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(programs) == 3
    space: dict[str, object] = {"__name__": "page"}
    for program in programs:
        exec(compile(program, str(PAGE), "exec"), space)
    assert space["schedules"]
