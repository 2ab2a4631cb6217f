"""The tables of the page: steps, model calls, findings and rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.engine.events import ReplanRequested
from heddle.web.markup import Markup, join, shorten, tag, visible
from heddle.web.spelling import Piece, arguments, count, cut, plain, seconds, spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heddle.engine.events import ModelCall
    from heddle.plan.findings import Finding
    from heddle.web.view import RunView, StepView

__all__ = ["calls_table", "findings_table", "rounds_table", "steps_table"]

MAX_ROWS = 1000
MAX_VALUE = 4096  # characters of one value
MAX_VALUES = 512 * 1024  # characters of all values
MAX_FINDINGS = 200
LONG = 100  # rows that the page shows without a frame of their own
SHORT = 72  # characters of a value before it folds
ARGUMENTS = 200


def _table(caption: str, heads: Sequence[str], rows: Sequence[Markup], kind: str) -> Markup:
    """A table in a frame that scrolls by itself: sideways, and downwards where it is long."""
    head = join(
        tag("th", name, scope="col", class_="figure" if name in _FIGURES else None)
        for name in heads
    )
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", head)),
        tag("tbody", join(rows)),
        class_=kind,
    )
    frame = "scroll tall" if len(rows) > LONG else "scroll"
    return tag("div", table, class_=frame, tabindex=0, role="region", aria_label=caption)


_FIGURES = frozenset(("Tries", "Ready", "Start", "End", "Ran", "First token", "In", "Cached", "Out",
                      "Cost", "Steps", "Took"))  # fmt: skip


def _cell(*children: object, kind: str | None = None) -> Markup:
    return tag("td", *children, class_=kind)


def _time(at: float | None) -> Markup:
    return _cell("–" if at is None else f"{at:,.3f}", kind="figure")


def _number(value: int) -> Markup:
    return _cell(f"{value:,}", kind="figure")


# -- steps ---------------------------------------------------------------------------------------


def steps_table(run: RunView) -> Markup:
    """All steps, or the most telling ones where there are too many; says so."""
    shown = _most_telling(run.steps)
    room = min(MAX_VALUE, MAX_VALUES // max(len(shown), 1))
    note = Markup()
    if len(shown) < len(run.steps):
        note = tag(
            "p",
            f"{len(shown):,} of {count(len(run.steps), 'step')} are listed: those that did not end "
            "well and the critical path first, then the plan from its beginning. "
            "The command line's --json holds all of them.",
            class_="note",
        )
    heads = (
        "Step",
        "Tool and arguments",
        "Status",
        "Tries",
        "Ready",
        "Start",
        "End",
        "Ran",
        "Value",
    )
    rows = [_step_row(step, room) for step in shown]
    return join([note, _table("Steps in plan order; times in seconds from the start of the run",
                              heads, rows, "steps")])  # fmt: skip


def _most_telling(steps: Sequence[StepView]) -> list[StepView]:
    if len(steps) <= MAX_ROWS:
        return list(steps)
    ranked = sorted(steps, key=lambda step: (step.status == "done", not step.critical, step.place))
    return sorted(ranked[:MAX_ROWS], key=lambda step: step.place)


def _step_row(step: StepView, room: int) -> Markup:
    mark = tag("span", "◆", class_="mark", title="on the critical path", role="img",
               aria_label="on the critical path")  # fmt: skip
    outcome = step.outcome
    return tag(
        "tr",
        tag(
            "th", tag("code", shorten(step.id, 64)), " ", mark if step.critical else "", scope="row"
        ),
        _cell(*_call(step), kind="call"),
        _cell(*_status(step), kind="status"),
        _number(outcome.attempts),
        _time(outcome.ready_s),
        _time(outcome.started_s),
        _time(outcome.finished_s),
        _time(step.ran_s),
        _cell(_value(step, room), kind="value"),
    )


def _call(step: StepView) -> list[Markup]:
    if step.step is None:
        return [tag("b", step.tool), tag("code", shorten(step.text, ARGUMENTS), class_="args")]
    pieces, more = cut(arguments(step.step), ARGUMENTS)
    return [tag("b", shorten(step.tool, 64)), tag("code", *_pieces(pieces, more), class_="args")]


def _pieces(pieces: Iterable[Piece], more: bool) -> list[object]:
    shown: list[object] = [
        tag("var", piece.text) if piece.reference else piece.text for piece in pieces
    ]
    return [*shown, "…"] if more else shown


def _status(step: StepView) -> list[Markup]:
    out = [tag("span", step.icon, " ", step.status, class_=f"pill s-{step.status}")]
    if step.outcome.error:
        out.append(tag("code", step.outcome.error.code, class_="code"))
        if step.outcome.error.message:
            out.append(tag("span", shorten(step.outcome.error.message, 400), class_="message"))
    return out


def _value(step: StepView, room: int) -> Markup:
    outcome = step.outcome
    if outcome.value is None and step.status != "done":
        return tag("span", "–", class_="none")
    pieces, more = cut(spell(outcome.value, longest=room + 1), room)
    whole = visible(plain(pieces))
    if len(whole) <= SHORT and not more:
        return tag("code", whole)
    cut_off = tag("p", f"cut at {room:,} characters", class_="note") if more else ""
    short = tag("summary", tag("code", shorten(whole, SHORT)))
    return tag("details", short, tag("pre", whole + ("…" if more else "")), cut_off)


# -- models, findings, rounds --------------------------------------------------------------------


def calls_table(calls: Sequence[ModelCall]) -> Markup:
    """What models were asked, except by steps."""
    shown = calls[:MAX_ROWS]
    heads = ("Role", "Model", "Round", "Start", "First token", "End", "In", "Cached", "Out", "Cost",
             "Ended")  # fmt: skip
    caption = "Model calls; times in seconds from the start of the run"
    if len(shown) < len(calls):
        caption += f"; the first {len(shown):,} of {len(calls):,}"
    return _table(caption, heads, [_call_row(call) for call in shown], "calls")


def _call_row(call: ModelCall) -> Markup:
    about = "≈" if call.usage.estimated else ""
    return tag(
        "tr",
        tag("th", shorten(call.role, 24), scope="row"),
        _cell(tag("code", shorten(call.model, 64))),
        _cell(call.round),
        _time(call.started_at),
        _time(call.first_token_at),
        _time(call.at),
        _cell(f"{about}{call.usage.input_tokens:,}", kind="figure"),
        _number(call.usage.cached_input_tokens),
        _cell(f"{about}{call.usage.output_tokens:,}", kind="figure"),
        _cell("not known" if call.cost_usd is None else f"${call.cost_usd:,.4f}", kind="figure"),
        _cell(call.code or "whole"),
    )


def findings_table(findings: Sequence[Finding]) -> Markup:
    """What the reader and the verifier found, errors first where there are too many."""
    shown = list(findings)
    caption = "Findings: faults of the plan's text, by position"
    if len(shown) > MAX_FINDINGS:
        shown = sorted(shown, key=lambda finding: finding.severity)[:MAX_FINDINGS]
        caption += f"; {MAX_FINDINGS} of {len(findings):,}, errors first"
    heads = ("Severity", "Line:column", "Code", "What is wrong, and what to do")
    return _table(caption, heads, [_finding_row(finding) for finding in shown], "findings")


def _finding_row(finding: Finding) -> Markup:
    icon = "✕" if finding.severity == "error" else "!"
    where = f"{finding.line}:{finding.column}" if finding.line else "–"
    snippet = tag("code", shorten(finding.snippet, 200), class_="args") if finding.snippet else ""
    hint = tag("span", shorten(finding.hint, 400), class_="hint") if finding.hint else ""
    step = (
        tag("span", f" (step {shorten(finding.step, 64)})", class_="none") if finding.step else ""
    )
    kind = "s-failed" if finding.severity == "error" else "s-denied"
    return tag(
        "tr",
        tag("th", tag("span", f"{icon} {finding.severity}", class_=f"pill {kind}"), scope="row"),
        _cell(where),
        _cell(tag("code", finding.code)),
        _cell(shorten(finding.message, 400), step, snippet, hint, kind="prose"),
    )


def rounds_table(run: RunView) -> Markup:
    """The plans of the run and what the joiner made of each."""
    joined = {event.round: event for event in run.joins}
    asked = {event.round: event.reason for event in run.result.events
             if isinstance(event, ReplanRequested)}  # fmt: skip
    rows: list[Markup] = []
    for plan in run.state.rounds:
        join_ = joined.get(plan.round)
        number = len(run.state.of_round(plan.round))
        reason = (join_.reason if join_ else "") or asked.get(plan.round, "")
        if plan.parent:
            reason = f"expanded by step {plan.parent}"
        took = "–" if plan.closed_s is None else seconds(plan.closed_s - plan.proposed_s)
        rows.append(
            tag(
                "tr",
                tag("th", plan.round, scope="row"),
                _cell(shorten(plan.dialect, 40) or "–"),
                _number(number),
                _cell("✓ accepted" if plan.accepted else "✕ not accepted"),
                _cell(took, kind="figure"),
                _cell(shorten(join_.decision, 40) if join_ else "–"),
                _cell(shorten(reason, 400) or "–", kind="prose"),
            )
        )
    heads = ("Round", "Dialect", "Steps", "Plan", "Took", "Decision", "Why")
    return _table("Rounds: each plan, and what was decided on its results", heads, rows, "rounds")
