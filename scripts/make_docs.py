"""Makes docs/findings.md from the table of codes; a test fails when it is stale."""

from __future__ import annotations

from pathlib import Path

from heddle.plan.findings import CODES

PAGE = Path(__file__).parent.parent / "docs" / "findings.md"


def page() -> str:
    """The page as it should be."""
    lines = [
        "# Findings",
        "",
        "What can be wrong with a plan. An error keeps it from running; a warning does not. Codes",
        "are stable: programs may rely on them. Made by `python scripts/make_docs.py`.",
        "",
        "| code | severity | meaning |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{code}` | {severity} | {text} |" for code, (severity, text) in CODES.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
