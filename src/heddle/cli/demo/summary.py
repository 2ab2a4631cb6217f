"""What the demo says: where its figures come from, what they are, and what to try next."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, cast

from heddle.cli.demo import brief, multihop
from heddle.cli.screen import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.cli.demo.brief import Figures, Lane, LaneRun
    from heddle.cli.demo.recordings import Pace
    from heddle.engine.result import RunResult, StepOutcome

__all__ = [
    "brief_text",
    "closing_text",
    "multihop_heading",
    "multihop_text",
    "opening_text",
    "to_json",
]

_WIDTH = 78
_NO_BREAK = re.compile(r"(?<=\d) (?=s\b)|(?<=\bcap) (?=\d)")
_REPLIES = (
    "Replies are recorded: they were written beforehand, no model is asked. They stream over HTTP "
    "from a simulated provider, {rate:g} tokens a second after {first:g} s. The tools really run, "
    "and every figure is measured while you watch."
)
_QUOTES = "Prices are invented; they come from a local HTTP service over SQLite, {call:g} s a call."


def opening_text(pace: Pace, fast: bool) -> str:
    """What is real here and what is not, and the first question."""
    return _lines(
        "heddle demo" + (", everything outside heddle ten times as fast (--fast)" if fast else ""),
        "",
        _wrapped(_REPLIES.format(rate=pace.tokens_per_second, first=pace.first_token_s)),
        "",
        "1  The daily brief: the same nine calls in three lanes at once",
        "",
        _wrapped(brief.QUESTION, "   "),
        _wrapped(_QUOTES.format(call=pace.call_s), "   "),
    )


def brief_text(shown: Sequence[LaneRun], pace: Pace) -> str:
    """The lanes as a table, with the floor that each of them has; the first is what they beat."""
    slowest = shown[0].figures.makespan_s
    rows = [_HEAD, *(_row(lane, figures, slowest) for lane, _, figures in shown)]
    lines = [f"   {line}" for line in table(rows, right=range(1, len(_HEAD)))]
    lane, result, figures = shown[-1]
    floors = ", ".join(f"{each.figures.floor_s:g} s at cap {each.lane.cap}" for each in shown)
    notes = (
        f"{figures.calls} calls of {pace.call_s:g} s cannot take less than {floors}.",
        f"The planner wrote for {figures.planning_s:.2f} s. Each call starts when its line is "
        f"there: at {lane.name} the first one did {figures.ahead_s:.2f} s before the plan was "
        "complete.",
        f"Answer: {result.answer}",
    )
    return _lines(*lines, "", *(_wrapped(note, "   ") for note in notes))


_HEAD = ("lane", "calls took", "not less than", "faster", "most at once", "answer after")


def _row(lane: Lane, figures: Figures, slowest_s: float) -> tuple[str, ...]:
    return (
        lane.name,
        f"{figures.makespan_s:.2f} s",
        f"{figures.floor_s:g} s",
        f"{slowest_s / figures.makespan_s:.1f}×",
        str(figures.peak),
        f"{figures.total_s:.2f} s",
    )


def multihop_heading() -> str:
    """The second question."""
    return _lines(
        "2  A question in four steps, each of which needs the one before",
        "",
        f"   {multihop.QUESTION}",
        f"   {multihop.SOURCE}",
    )


def multihop_text(result: RunResult) -> str:
    """Plan, steps, answer and time of the second question."""
    plan = result.plan.text.strip().splitlines() if result.plan else []
    right = "right" if result.answer == multihop.GOLD else "wrong"
    timing = result.timing
    times = (
        f"Each step waits for the one before: the chain alone is {timing.critical_path_s:.2f} s, "
        f"and no runtime makes it shorter. From question to answer {timing.total_s:.2f} s."
    )
    return _lines(
        "   Plan, as recorded:",
        *(f"     {line}" for line in plan),
        "   Steps:",
        *(f"     {_step(step)}" for step in result.steps),
        f"   Answer: {result.answer} ({right}; HotpotQA says {multihop.GOLD})",
        _wrapped(times, "   "),
    )


def _step(step: StepOutcome) -> str:
    ran = (step.finished_s or 0.0) - (step.started_s or 0.0)
    return f"{step.id}  {step.tool:<7}{ran:6.2f} s  {_shown(step.value)}"


def _shown(value: object) -> str:
    """A value on one line; of documents that were found, their titles."""
    if isinstance(value, list):
        return ", ".join(hit["title"] for hit in cast("list[dict[str, str]]", value))
    return str(value)


def closing_text() -> str:
    """What to try next."""
    return "\n".join(
        [
            "Recorded: the replies. Real, and measured just now: tools, HTTP, times.",
            "",
            "Next:",
            *(f"   {line}" for line in table(_NEXT)),
        ]
    )


_NEXT = (
    ("heddle demo --report demo.html", "cap 9 as a page: graph, timeline, steps"),
    ("heddle tools heddle.tools.builtin.calculator", "a tool as planners see it"),
    ("heddle doctor", "which models you can ask"),
    ('heddle ask "…" --tools tools.py --model P:M', "a question of your own"),
)


def to_json(shown: Sequence[LaneRun], hops: RunResult, pace: Pace) -> dict[str, Any]:
    """All of it as one object."""
    return {
        "replies": "recorded",
        "call_s": pace.call_s,
        "tokens_per_second": pace.tokens_per_second,
        "brief": {
            "question": brief.QUESTION,
            "lanes": [
                {
                    "name": lane.name,
                    "cap": lane.cap,
                    "figures": figures.to_json(),
                    "run": result.to_json(),
                }
                for lane, result, figures in shown
            ],
        },
        "multihop": {
            "question": multihop.QUESTION,
            "source": multihop.SOURCE,
            "gold": multihop.GOLD,
            "run": hops.to_json(),
        },
    }


def _lines(*lines: str) -> str:
    """Lines and an empty one after them."""
    return "\n".join(lines) + "\n\n"


def _wrapped(text: str, indent: str = "") -> str:
    """Text in lines of the page's width; a number stays with its unit."""
    bound = _NO_BREAK.sub("\N{NO-BREAK SPACE}", text)
    lines = textwrap.fill(bound, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines.replace("\N{NO-BREAK SPACE}", " ")
