"""The timeline: what waited, what ran, and what the models did, on one clock.

Up to a bound there is a row for each step. Beyond it there is a row for each tool, with the number
of its steps in flight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from heddle.web.figure import drawing, fitted, legend, path_of, tally
from heddle.web.markup import Markup, join, tag
from heddle.web.spelling import count, seconds
from heddle.web.view import ICONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heddle.engine.events import ModelCall
    from heddle.web.view import RunView, Span, StepView

__all__ = ["BOTTOM", "LABELS", "PLOT", "RIGHT", "TOP", "WIDTH", "Clock", "axis", "timeline_figure"]

MAX_ROWS = 500
MAX_TOOLS = 24
MAX_CALLS = 100
BINS = 400

WIDTH, LABELS, RIGHT = 1036, 190, 132
PLOT = WIDTH - LABELS - RIGHT
ROW, TOOL_ROW = 23, 46
TOP, BOTTOM = 26, 8


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: bars as (start, end, class), a word at the end, and what hovering tells."""

    key: float
    head: str
    name: str
    kind: str
    critical: bool
    bars: tuple[tuple[float, float, str], ...]
    marks: tuple[float, ...]
    word: str
    hover: str


def timeline_figure(run: RunView) -> Markup:
    """The drawing of the whole run, with its legend; it says so where steps are aggregated."""
    calls = [_call_row(call) for call in run.calls[:MAX_CALLS]]
    large = len(run.steps) > MAX_ROWS
    rows = calls if large else calls + [_step_row(step) for step in run.steps]
    rows.sort(key=lambda row: row.key)
    tools = _by_tool(run.steps) if large else {}
    clock = Clock(run.end_s)
    body = [_row(row, TOP + place * ROW, clock) for place, row in enumerate(rows)]
    top = TOP + len(rows) * ROW
    for place, (name, steps) in enumerate(tools.items()):
        body.append(_tool_row(name, steps, top + place * TOOL_ROW, clock))
    height = top + len(tools) * TOOL_ROW + BOTTOM
    words = (
        f"{count(len(run.steps), 'step')} and {count(len(run.calls), 'model call')} "
        f"in {seconds(run.end_s)}. The tables below hold the same figures."
    )
    picture = join([axis(clock, height), *body])
    return join(
        [
            tag("p", _note(run), class_="note") if large else Markup(),
            drawing("timeline", "The timeline of the run", words, WIDTH, height, picture),
            _legend(run, large),
        ]
    )


def _note(run: RunView) -> str:
    return (
        f"{count(len(run.steps), 'step')} are too many for a row each: a row shows how many steps "
        "of one tool were waiting for a slot and running, and where some failed."
    )


def _legend(run: RunView, large: bool) -> Markup:
    entries = [("bar queue", "ready, waiting for a slot")] if run.steps else []
    if large:
        entries += [("bar s-done", "running"), ("bar s-failed", "✕ ended badly")]
    else:
        ended = tally(step.status for step in run.steps)
        entries += [(f"bar s-{status}", f"{ICONS[status]} {status}") for status in ended]
    if not large and any(step.critical for step in run.steps):
        entries.append(("thread critical", "critical path"))
    if run.calls:
        entries += [
            ("bar silent", "model, before its first token"),
            ("bar model", "model, writing"),
        ]
    return legend(entries)


# -- the clock -----------------------------------------------------------------------------------


class Clock:
    """Seconds to pixels, with round ticks."""

    def __init__(self, end_s: float) -> None:
        self.end_s = end_s if end_s > 0 else 1e-3
        self.step_s = _round_up(self.end_s / 8)

    def x(self, at: float) -> float:
        """The place of a moment, held inside the plot."""
        return LABELS + PLOT * min(max(at / self.end_s, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Round moments from 0 to the end."""
        return [tick * self.step_s for tick in range(int(self.end_s / self.step_s + 1e-9) + 1)]


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, … times a power of ten.

    >>> _round_up(0.13), _round_up(3.0)
    (0.2, 5.0)
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value * (1 - 1e-9))


def axis(clock: Clock, height: float) -> Markup:
    """The ticks of a drawing of this height, with their lines."""
    unit, factor = ("ms", 1000.0) if clock.end_s < 0.1 else ("s", 1.0)
    out: list[Markup] = []
    for tick in clock.ticks():
        x = clock.x(tick)
        out.append(tag("path", d=f"M{x:.1f} {TOP - 6}V{height - BOTTOM}", class_="grid"))
        words = f"{tick * factor:,.6g} {unit}"
        out.append(tag("text", words, x=x, y=TOP - 11, class_="tick"))
    return join(out)


# -- a row for each ------------------------------------------------------------------------------


def _step_row(step: StepView) -> _Row:
    begins = step.begins_s
    bars = [(start, end, f"s-{step.status}") for start, end in step.spans]
    if step.width is None:  # all attempts but the last have failed
        bars[:-1] = [(start, end, "s-failed") for start, end, _ in bars[:-1]]
    ready = step.outcome.ready_s
    queued = 0.0
    if ready is not None and step.spans:
        queued = max(step.spans[0][0] - ready, 0.0)
        bars.insert(0, (ready, ready + queued, "queue"))
    elif ready is not None and step.outcome.finished_s is not None:
        bars.append((ready, step.outcome.finished_s, "queue"))
    done = step.status == "done"
    return _Row(
        key=math.inf if begins is None else begins,
        head=step.id,
        name=step.tool,
        kind=f"s-{step.status}" + (" critical" if step.critical else ""),
        critical=step.critical,
        bars=tuple(bars),
        marks=(),
        word=seconds(step.ran_s or 0.0) if done else f"{step.icon} {step.code or step.status}",
        hover=_step_hover(step, queued),
    )


def _step_hover(step: StepView, queued: float) -> str:
    lines = [f"{step.id}: {step.tool}", f"{step.status} {step.code}".rstrip()]
    if step.spans:
        started, ended = step.spans[-1]
        lines.append(f"waited {seconds(queued)} for a slot")
        lines.append(f"ran {seconds(ended - started)}, from {started:.3f} s to {ended:.3f} s")
    if step.outcome.attempts > 1:
        lines.append(count(step.outcome.attempts, "attempt"))
    if step.critical:
        lines.append("on the critical path")
    return "\n".join(lines)


def _call_row(call: ModelCall) -> _Row:
    first = call.at if call.first_token_at is None else call.first_token_at
    marks = () if call.first_token_at is None else (first,)
    took = seconds(call.at - call.started_at)
    lines = [f"{call.role}: {call.model}, round {call.round}", f"took {took}"]
    if marks:
        lines.append(f"first token after {seconds(first - call.started_at)}")
    if call.code:
        lines.append(f"ended: {call.code}")
    return _Row(
        key=call.started_at,
        head=call.role,
        name=call.model,
        kind="call" + (" s-failed" if call.code not in ("", "stopped") else ""),
        critical=False,
        bars=((call.started_at, first, "silent"), (first, call.at, "model")),
        marks=marks,
        word=f"✕ {call.code}" if call.code not in ("", "stopped") else took,
        hover="\n".join(lines),
    )


def _row(row: _Row, y: float, clock: Clock) -> Markup:
    middle = y + ROW / 2
    head = fitted(row.head, 12)
    ends = [end for _, end, _ in row.bars]
    fallback = row.key if math.isfinite(row.key) else 0.0
    x = clock.x(max(ends, default=fallback))
    return tag(
        "g",
        tag("title", row.hover),
        tag("rect", x=0, y=y, width=WIDTH, height=ROW, class_="hit"),
        tag(
            "text",
            tag("tspan", head, class_="head"),
            tag("tspan", fitted(row.name, 25 - len(head)), class_="name", dx=6),
            tag("tspan", "◆", class_="mark", dx=6) if row.critical else Markup(),
            x=4,
            y=middle + 4,
        ),
        *(_bar(clock.x(start), clock.x(end), y, kind) for start, end, kind in row.bars),
        *(
            tag("path", d=f"M{clock.x(mark):.1f} {y + 3:.1f}v{ROW - 6}", class_="first")
            for mark in row.marks
        ),
        tag("text", fitted(row.word, 19), x=x + 7, y=middle + 4, class_="small"),
        class_=f"row {row.kind}",
    )


def _bar(x: float, end: float, y: float, kind: str) -> Markup:
    if kind in ("queue", "silent") and end - x < 0.5:
        return Markup()
    thin = kind in ("queue", "silent")
    inset = 8 if thin else 5
    return tag(
        "rect",
        x=round(x, 1),
        y=y + inset,
        width=round(max(end - x, 2.0), 1),
        height=ROW - 2 * inset,
        rx=1.5 if thin else 3,
        class_=f"bar {kind}",
    )


# -- a row for each tool -------------------------------------------------------------------------


def _by_tool(steps: Sequence[StepView]) -> dict[str, list[StepView]]:
    """Steps by tool, the most used first; the tools beyond the bound share the last row."""
    found: dict[str, list[StepView]] = {}
    for step in steps:
        found.setdefault(step.tool, []).append(step)
    ranked = sorted(found.items(), key=lambda item: -len(item[1]))
    if len(ranked) <= MAX_TOOLS:
        return dict(ranked)
    rows = dict(ranked[: MAX_TOOLS - 1])
    rest = [step for _, steps in ranked[MAX_TOOLS - 1 :] for step in steps]
    rows[f"{len(ranked) - len(rows):,} more tools"] = rest
    return rows


def _tool_row(name: str, steps: Sequence[StepView], y: float, clock: Clock) -> Markup:
    running = _in_flight([span for step in steps for span in step.spans], clock.end_s)
    waiting = _in_flight([span for step in steps for span in _queued(step)], clock.end_s)
    both = [ran + waited for ran, waited in zip(running, waiting, strict=True)]
    high = max(both, default=0.0) or 1.0
    base = y + TOOL_ROW - 5
    counts = tally(step.status for step in steps)
    bad = {clock.x(at) for step in steps if step.status in _BAD for at in _ends(step)}
    peak = _peak([span for step in steps for span in step.spans])
    words = ", ".join(f"{number:,} {status}" for status, number in counts.items())
    return tag(
        "g",
        tag("title", f"{name}: {words}; at most {peak:,} at once"),
        tag("rect", x=0, y=y, width=WIDTH, height=TOOL_ROW, class_="hit"),
        tag("text", fitted(name, 24), x=4, y=y + 20, class_="head"),
        tag("text", f"×{len(steps):,}", x=4, y=y + 36, class_="small"),
        tag("path", d=_area(both, high, base), class_="area queue"),
        tag("path", d=_area(running, high, base), class_="area"),
        *(
            tag("path", d=f"M{x:.0f} {y + 3:.0f}v5", class_="miss")
            for x in sorted({round(x) for x in bad})
        ),
        tag("text", f"up to {peak:,} at once", x=WIDTH - RIGHT + 7, y=y + 20, class_="small"),
        tag("text", _misses(counts), x=WIDTH - RIGHT + 7, y=y + 36, class_="small bad"),
        class_="row",
    )


_BAD = frozenset(("failed", "denied", "unknown"))


def _misses(counts: dict[str, int]) -> str:
    return ", ".join(f"{ICONS[status]} {counts[status]:,}" for status in ICONS if status in counts
                     and status != "done")  # fmt: skip


def _queued(step: StepView) -> list[Span]:
    ready = step.outcome.ready_s
    return [(ready, step.spans[0][0])] if ready is not None and step.spans else []


def _ends(step: StepView) -> list[float]:
    return [] if step.outcome.finished_s is None else [step.outcome.finished_s]


def _in_flight(spans: Iterable[Span], end_s: float) -> list[float]:
    """The mean number of spans open in each bin of the clock. Cost: spans + bins."""
    slope = [0.0] * (BINS + 2)  # what changes from a bin to the next, for the bins after
    inside = [0.0] * (BINS + 1)  # parts of a bin
    for start, end in spans:
        left = min(max(start / end_s, 0.0), 1.0) * BINS
        right = min(max(end / end_s, 0.0), 1.0) * BINS
        first, last = int(left), int(right)
        if first == last:
            inside[first] += right - left
            continue
        inside[first] += first + 1 - left
        inside[last] += right - last
        slope[first + 1] += 1
        slope[last] -= 1
    level, out = 0.0, list[float]()
    for place in range(BINS):
        level += slope[place]
        out.append(level + inside[place])
    return out


def _peak(spans: Sequence[Span]) -> int:
    """How many spans were open at once, at most; one that ends makes room for the next."""
    changes = sorted([(end, -1) for _, end in spans] + [(start, 1) for start, _ in spans])
    return max(accumulate(change for _, change in changes), default=0)


def _area(values: Sequence[float], high: float, base: float) -> str:
    wide = PLOT / BINS
    tall = TOOL_ROW - 16
    points = [(LABELS, base)]
    points += [
        (LABELS + (place + 0.5) * wide, base - tall * value / high)
        for place, value in enumerate(values)
    ]
    points.append((LABELS + PLOT, base))
    return path_of(points) + "Z"
