"""The report: one self-contained page that shows a run and proves its figures.

It needs no network and no script, and a policy in its head forbids both.

    heddle run plan.txt --tools tools.py --report run.html
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from heddle.errors import ConfigError
from heddle.web.graph import graph_figure
from heddle.web.markup import Markup, join, shorten, tag, visible
from heddle.web.spelling import count, cut, plain, seconds, spell
from heddle.web.tables import calls_table, findings_table, rounds_table, steps_table
from heddle.web.timeline import timeline_figure
from heddle.web.view import RunView, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heddle.engine.result import RunResult

__all__ = ["document", "report_html", "section", "write_page", "write_report"]

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
MAX_ANSWER = 32 * 1024  # characters
RUN_ICONS = {"succeeded": "✓", "partial": "◐", "failed": "✕", "rejected": "✕", "denied": "⊖",
             "cancelled": "⊘", "unresolved": "?"}  # fmt: skip


def report_html(result: RunResult) -> str:
    """A run as one HTML page. The same result gives the same page, byte for byte.

    Large runs are drawn in a compact form and their tables are cut; the page says so.

    Cost: linear in the run's events; a page is at most a few MB, whatever the run.
    """
    run = view_of(result)
    title = f"Run {shorten(result.run_id, 40) or 'without an id'}"
    body = tag("body", _masthead(run, title), tag("main", join(_sections(run))), _footer(run))
    return document(f"{title}: {result.status} · heddle", body)


def document(title: str, body: Markup) -> str:
    """A whole page that needs nothing from elsewhere, and may not ask for it."""
    style = files("heddle.web").joinpath("report.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def write_report(result: RunResult, path: str | Path) -> None:
    """Write the page to a file: the whole page, or nothing.

    Raises:
        ConfigError: `unwritable-report`; the file cannot be written.
    """
    write_page(report_html(result), path)


def write_page(page: str, path: str | Path) -> None:
    """Write any page to a file: the whole page, or nothing.

    Raises:
        ConfigError: `unwritable-report`; the file cannot be written.
    """
    try:
        _replace(Path(os.path.realpath(path)), page.encode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"the report cannot be written to {visible(str(path))}: {reason}",
            code="unwritable-report",
            hint="name a file in a directory that exists and that you may write to",
        ) from error


def _replace(path: Path, content: bytes) -> None:
    """Put a file in the place of another in one move."""
    if path.exists() and not path.is_file():
        raise OSError(0, "it is not a regular file")
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("xb") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:  # no draft is left behind; raised again
        draft.unlink(missing_ok=True)
        raise


# -- the page, from top to bottom ----------------------------------------------------------------


def _masthead(run: RunView, title: str) -> Markup:
    result = run.result
    icon = RUN_ICONS.get(result.status, "?")
    return tag(
        "header",
        tag("p", "heddle", class_="brand"),
        tag("h1", title),
        tag("p", tag("span", f"{icon} {result.status}", class_=f"verdict v-{result.status}"),
            f" in {seconds(result.timing.total_s)}", class_="outcome"),
    )  # fmt: skip


def _sections(run: RunView) -> Iterator[Markup]:
    result = run.result
    yield _answer(run)
    yield section("proof", "The proof", _proof(run), _comparison(run), _facts(run))
    if result.findings:
        yield section("findings", "Findings", findings_table(result.findings))
    if run.steps:
        yield section("plan", "The plan", graph_figure(run.steps))
    if run.end_s > 0:
        yield section("time", "The timeline", timeline_figure(run))
    if run.steps:
        yield section("steps", "The steps", steps_table(run))
    if run.calls:
        yield section("models", "The models", calls_table(run.calls))
    if len(run.state.rounds) > 1:
        yield section("rounds", "The rounds", rounds_table(run))


def section(id: str, title: str, *content: Markup) -> Markup:
    """A part of the page with its heading."""
    return tag("section", tag("h2", title, id=id), *content, aria_labelledby=id)


def _answer(run: RunView) -> Markup:
    result = run.result
    parts: list[Markup] = []
    if isinstance(result.answer, str):
        shown, more = result.answer[:MAX_ANSWER], len(result.answer) > MAX_ANSWER
        parts.append(tag("div", shown + ("…" if more else ""), class_="answer"))
    elif result.answer is not None:
        pieces, more = cut(spell(result.answer, longest=MAX_ANSWER), MAX_ANSWER)
        parts.append(tag("pre", plain(pieces) + ("…" if more else ""), class_="answer"))
    else:
        parts.append(tag("p", "There is no answer.", class_="note"))
    if result.error:
        error = result.error
        hint = tag("span", shorten(error.hint, 1000), class_="hint") if error.hint else ""
        words = shorten(error.message, 2000)
        parts.append(tag("div", tag("code", error.code), " ", words, hint, class_="error"))
    return section("answer", "The answer", *parts)


def _proof(run: RunView) -> Markup:
    """The claim of the page in one line; every figure of it was measured in this run."""
    timing = run.result.timing
    ran = sum(1 for step in run.steps if step.spans)
    if not ran:
        return tag("p", "No step was run.", class_="proof")
    of = f" of {len(run.steps):,}" if ran < len(run.steps) else ""
    times = ""
    if timing.makespan_s > 0:
        times = f", {timing.sequential_s / timing.makespan_s:.1f}× as long"
    noun = "step" if ran == 1 and not of else "steps"
    return tag(
        "p",
        tag("b", f"{ran:,}{of} {noun} in {seconds(timing.makespan_s)}"),
        "; one by one they would have taken ",
        tag("b", seconds(timing.sequential_s)),
        f" (measured{times}); critical path {seconds(timing.critical_path_s)}; "
        f"lower bound {seconds(timing.lower_bound_s)}.",
        class_="proof",
    )


def _comparison(run: RunView) -> Markup:
    """The same figures as bars on one scale."""
    timing = run.result.timing
    longest = max(timing.sequential_s, timing.makespan_s)
    if longest <= 0:
        return Markup()
    bars = (
        ("one by one", timing.sequential_s, "queue"),
        ("this run", timing.makespan_s, "s-done"),
        ("lower bound", timing.lower_bound_s, "bound"),
    )
    rows = (
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", tag("i", class_=f"bar {kind}", style=f"width:{100 * value / longest:.2f}%")),
            tag("td", seconds(value), class_="figure"),
        )
        for name, value, kind in bars
    )
    caption = tag("caption", "The steps one by one, as they ran, and the least time possible")
    return tag("table", caption, tag("tbody", join(rows)), class_="comparison")


def _facts(run: RunView) -> Markup:
    """Models, tokens, cost and strategy, as a list of terms."""
    usage, timing = run.result.usage, run.result.timing
    about = " (estimated)" if usage.estimated else ""
    facts = [
        ("Model calls", f"{usage.model_calls:,}"),
        ("Input tokens", f"{usage.input_tokens:,}{about}"),
        ("of them cached", f"{usage.cached_input_tokens:,}"),
        ("Output tokens", f"{usage.output_tokens:,}{about}"),
        ("Cost", _cost(run)),
        ("Planning", seconds(timing.planning_s)),
        ("Joining", seconds(timing.joining_s)),
    ]
    if not usage.model_calls:
        facts = [("Model calls", "none")]
    if run.state.strategy:
        why = "; ".join(run.state.reasons)
        facts.append(("Strategy", shorten(f"{run.state.strategy}{': ' if why else ''}{why}", 300)))
    terms = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)
    return tag("dl", join(terms), class_="facts")


def _cost(run: RunView) -> str:
    usage = run.result.usage
    if usage.cost_usd is None:
        return "price not known"
    digits = 4 if usage.cost_usd < 1 else 2
    return f"${usage.cost_usd:,.{digits}f}" + (" (estimated)" if usage.estimated else "")


def _footer(run: RunView) -> Markup:
    return tag(
        "footer",
        "Made by heddle from the events of run ",
        tag("code", shorten(run.result.run_id, 40)),
        f" ({count(len(run.result.events), 'event')}). Times are seconds on the run's own clock.",
    )
