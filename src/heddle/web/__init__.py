"""The window on a run: one self-contained HTML page with its plan, its timeline and its figures."""

from __future__ import annotations

from heddle.web.report import report_html, write_report

__all__ = ["report_html", "write_report"]
