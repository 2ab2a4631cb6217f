"""Strategies side by side: the same questions, models and tools, one run each, and what came of it.

    questions ─▶ runs (question × strategy × repeat) ─▶ results file ─▶ figures ─▶ table, JSON, page

The results file is the only memory: each finished run is a line in it, and what is in it is not
run again.
"""

from __future__ import annotations
