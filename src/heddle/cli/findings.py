"""Findings for people: what, where, the line with a caret under the place, and the remedy.

error[unknown-reference]: there is no step 7 to refer to
--> plan.txt:3:12
3 | 3. add($1, $7)
|            ^
hint: did you mean "2"?
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from heddle.cli.screen import clean, one_line, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.plan.findings import Finding

__all__ = ["has_errors", "say_findings"]

_MOST = 50
_WIDTH = 90


def has_errors(findings: Sequence[Finding]) -> bool:
    """Whether a plan with these findings may not run."""
    return any(finding.severity == "error" for finding in findings)


def say_findings(
    findings: Sequence[Finding], text: str, name: str, *, stdout: bool = False
) -> None:
    """Write findings, each in at most six lines.

    Args:
        findings: in the order in which to write them.
        text: the plan's text.
        name: what the text is called.
        stdout: True where the findings are the command's result.
    """
    lines = text.split("\n")
    for finding in findings[:_MOST]:
        colour = "red" if finding.severity == "error" else "yellow"
        label = f"{finding.severity}[{finding.code}]"
        say(f": {one_line(finding.message, 400)}", label=label, fg=colour, stdout=stdout)
        for line in _place(finding, lines, name):
            say(line, stdout=stdout)
        if finding.hint:
            say(f"  hint: {one_line(finding.hint, 400)}", stdout=stdout)
    if len(findings) > _MOST:
        say(f"… and {len(findings) - _MOST} more; --json has them all", stdout=stdout)


def _place(finding: Finding, lines: Sequence[str], name: str) -> list[str]:
    if not finding.line:
        return []
    known = finding.line <= len(lines)
    line = lines[finding.line - 1] if known else finding.snippet
    column = max(1, finding.column)
    start = max(0, column - 1 - _WIDTH // 2)
    shown = "".join(map(_plain, line[start : start + _WIDTH]))
    before = shown[: column - 1 - start]
    number = str(finding.line)
    gutter = " " * len(number)
    return [
        f"  --> {name}:{finding.line}:{column}",
        f"  {number} | {shown}",
        f"  {gutter} | {' ' * sum(map(_cells, before))}^",
    ]


def _plain(character: str) -> str:
    """A character that stands in one place, so that the caret points where it should."""
    if character == "\t":
        return " "
    return character if clean(character) and character.isprintable() else "·"


def _cells(character: str) -> int:
    """How many places of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
