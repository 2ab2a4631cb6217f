"""The runs of one question, one above the other on one clock: what each strategy waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.web.figure import drawing, fitted, legend
from heddle.web.markup import Markup, join, tag
from heddle.web.spelling import count, seconds
from heddle.web.timeline import BOTTOM, RIGHT, TOP, WIDTH, Clock, axis
from heddle.web.view import ICONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heddle.comparison.figures import Judged
    from heddle.comparison.records import Bar

__all__ = ["VERDICTS", "lanes_figure", "lanes_legend"]

VERDICTS = {"right": ("✓", "s-done"), "wrong": ("✕", "s-failed"), "failed": ("⊘", "s-failed")}
"""The mark and the tone of each verdict."""

MAX_ROWS = 12  # of one run; what does not fit shares the last
ROW, LANE = 11, 34


def lanes_figure(name: str, runs: Sequence[Judged]) -> Markup:
    """The drawing.

    Args:
        name: unique in the page.
        runs: at least one, in order from above.
    """
    clock = Clock(max(run.record.total_s for run in runs))
    body: list[Markup] = []
    top: float = TOP
    for run in runs:
        rows = _rows(run.record.bars)
        height = max(LANE, len(rows) * ROW + 8)
        body.append(_lane(run, rows, top, height, clock))
        top += height
    height = top + BOTTOM
    longest = "; ".join(f"{run.record.strategy} {seconds(run.record.total_s)}" for run in runs)
    words = f"{count(len(runs), 'run')} on one clock: {longest}."
    picture = join([axis(clock, height), *body])
    return drawing(name, "What ran when, by strategy", words, WIDTH, height, picture)


def lanes_legend() -> Markup:
    """What the bars mean."""
    return legend(
        [
            ("bar silent", "model, before its first token"),
            ("bar model", "model, writing"),
            ("bar s-done", f"{ICONS['done']} step"),
            ("bar s-failed", f"{ICONS['failed']} failed"),
        ]
    )


def _rows(bars: Iterable[Bar]) -> list[list[Bar]]:
    """Bars in as few rows as keep them apart, up to a bound. Cost: bars times rows."""
    rows: list[list[Bar]] = []
    for bar in sorted(bars, key=lambda bar: bar.start_s):
        free = next((row for row in rows if row[-1].end_s <= bar.start_s), None)
        if free is not None:
            free.append(bar)
        elif len(rows) < MAX_ROWS:
            rows.append([bar])
        else:
            rows[-1].append(bar)
    return rows


def _lane(
    run: Judged, rows: Sequence[Sequence[Bar]], top: float, height: float, clock: Clock
) -> Markup:
    record = run.record
    icon, tone = VERDICTS[run.verdict]
    calls = count(record.model_calls, "model call")
    end = clock.x(record.total_s)
    hover = f"{record.way}: {run.verdict}, {seconds(record.total_s)}, {calls}"
    return tag(
        "g",
        tag("title", hover),
        tag("rect", x=0, y=top, width=WIDTH, height=height, class_="hit"),
        tag(
            "text",
            tag("tspan", f"{icon} ", class_="verdict-mark"),
            tag("tspan", fitted(record.way, 22), class_="head"),
            x=4,
            y=top + 15,
        ),
        tag("text", f"{calls}, {count(record.steps, 'step')}", x=4, y=top + 29, class_="small"),
        *(
            _bar(bar, top + 4 + place * ROW, clock)
            for place, row in enumerate(rows)
            for bar in row
        ),
        tag("path", d=f"M{end:.1f} {top + 2:.1f}V{top + height - 2:.1f}", class_="first"),
        tag("text", seconds(record.total_s), x=min(end + 6, WIDTH - RIGHT + 6), y=top + 15,
            class_="small"),
        class_=f"row {tone}",
    )  # fmt: skip


def _bar(bar: Bar, y: float, clock: Clock) -> Markup:
    hover = f"{bar.name}: {seconds(bar.end_s - bar.start_s)}, from {bar.start_s:.3f} s"
    parts = [(bar.start_s, bar.end_s, f"s-{bar.status}")]
    if bar.status == "model-failed":
        parts = [(bar.start_s, bar.end_s, "s-failed")]
    elif bar.status == "model":
        first = bar.end_s if bar.first_s is None else bar.first_s
        parts = [(bar.start_s, first, "silent"), (first, bar.end_s, "model")]
    return tag(
        "g",
        tag("title", hover),
        *(_rect(clock.x(start), clock.x(end), y, kind) for start, end, kind in parts),
    )


def _rect(x: float, end: float, y: float, kind: str) -> Markup:
    inset = 3 if kind == "silent" else 1
    wide = round(max(end - x, 1.0), 1)
    return tag("rect", x=round(x, 1), y=y + inset, width=wide, height=ROW - 2 * inset,
               rx=2, class_=f"bar {kind}")  # fmt: skip
