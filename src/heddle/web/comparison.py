"""The page of a comparison: figures by strategy, then every question with its timelines.

heddle compare questions.jsonl --strategies react,rewoo --model … --report comparison.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.comparison.columns import COLUMNS, best, change, notes, share
from heddle.comparison.columns import seconds as duration
from heddle.scoring import text_of
from heddle.web.figure import drawing, fitted
from heddle.web.lanes import VERDICTS, lanes_figure, lanes_legend
from heddle.web.markup import Markup, join, shorten, tag, visible
from heddle.web.report import document, section, write_page
from heddle.web.spelling import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from heddle.comparison.columns import Column
    from heddle.comparison.figures import Difference, Judged, StrategyFigures
    from heddle.comparison.outcome import Outcome

__all__ = ["comparison_html", "write_comparison"]

MAX_QUESTIONS = 500
MAX_DRAWN = 100
MAX_ANSWER = 600  # characters
WIDTH, LABELS, ROW = 760, 190, 28
PLOT = WIDTH - LABELS - 90


def comparison_html(outcome: Outcome) -> str:
    """A comparison as one HTML page. The same runs give the same page, byte for byte.

    Cost: linear in the runs; only the first questions are drawn and listed, and the page says so.
    """
    names = ", ".join(outcome.strategies)
    title = f"{shorten(outcome.name, 60)}: {shorten(names, 80)}"
    body = tag("body", _masthead(outcome, title), tag("main", join(_sections(outcome))), _footer())
    return document(f"{title} · heddle compare", body)


def write_comparison(outcome: Outcome, path: str | Path) -> None:
    """Write the page to a file: the whole page, or nothing.

    Raises:
        ConfigError: `unwritable-report`; the file cannot be written.
    """
    write_page(comparison_html(outcome), path)


# -- from top to bottom --------------------------------------------------------------------------


def _masthead(outcome: Outcome, title: str) -> Markup:
    done, wanted = len(outcome.runs), outcome.wanted
    runs = count(done, "run") if done == wanted else f"{done:,} of {count(wanted, 'run')}"
    asked = count(len({run.question.id for run in outcome.runs}), "question")
    stopped = "; stopped before its end" if done < wanted else ""
    return tag(
        "header",
        tag("p", "heddle", class_="brand"),
        tag("h1", title),
        tag("p", f"{asked}, {runs}{stopped}", class_="outcome"),
    )


def _footer() -> Markup:
    return tag("footer", "Made by heddle from the results of `heddle compare`.")


def _sections(outcome: Outcome) -> Iterator[Markup]:
    yield section("figures", "The strategies", _table(outcome), _notes(outcome))
    yield section("accuracy", "Accuracy, and how sure it is", _accuracy(outcome))
    if outcome.figures.differences:
        yield section("differences", "Differences", _differences(outcome.figures.differences))
    yield section("questions", "The questions", lanes_legend(), *_questions(outcome))


def _frame(caption: str, heads: Sequence[str], rows: Sequence[Markup], kind: str) -> Markup:
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", head),
        tag("tbody", join(rows)),
        class_=kind,
    )
    return tag("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _table(outcome: Outcome) -> Markup:
    marks = [best(outcome.figures, column) for column in COLUMNS]
    rows = [_strategy(own, marks) for own in outcome.figures.strategies]
    heads = (
        "strategy",
        "runs",
        *(column.head.replace(" %", "\N{NO-BREAK SPACE}%") for column in COLUMNS),
    )
    return _frame("Calls, tokens and cost: mean of a run", heads, rows, "strategies")


def _strategy(own: StrategyFigures, marks: Sequence[frozenset[str]]) -> Markup:
    cells = (
        tag("td", tag("b", "★ ", column.text(own)) if own.strategy in mark else column.text(own),
            class_=_tone(column, best=own.strategy in mark))
        for column, mark in zip(COLUMNS, marks, strict=True)
    )  # fmt: skip
    head = tag("th", tag("code", shorten(own.strategy, 40)), scope="row")
    return tag("tr", head, tag("td", f"{own.runs:,}"), *cells)


def _tone(column: Column, *, best: bool) -> str | None:
    return " ".join(["wraps"] * (column.head == "failed") + ["best"] * best) or None


def _notes(outcome: Outcome) -> Markup:
    told = [*notes(outcome.figures, outcome.tolerance)]
    if any(best(outcome.figures, column) for column in COLUMNS):
        told.append("★: the best of its column as measured, not proof of a difference")
    return tag("ul", *(tag("li", note) for note in told), class_="note")


def _accuracy(outcome: Outcome) -> Markup:
    """Each accuracy as a dot in its interval, on one scale from 0 to 100 %."""
    own = outcome.figures.strategies
    height = 34 + len(own) * ROW
    ticks = (
        join([
            tag("path", d=f"M{_x(tick / 4):.1f} 22V{height - 6}", class_="grid"),
            tag("text", share(tick / 4), x=_x(tick / 4), y=15, class_="tick"),
        ])
        for tick in range(5)
    )  # fmt: skip
    rows = (_dot(figures, 26 + place * ROW) for place, figures in enumerate(own))
    words = "; ".join(f"{item.strategy} {COLUMNS[0].text(item)}" for item in own)
    picture = join([*ticks, *rows])
    return drawing("dots", "Accuracy with its 95 % interval", words, WIDTH, height, picture)


def _dot(own: StrategyFigures, y: float) -> Markup:
    found, middle = own.accuracy, y + ROW / 2
    hover = f"{own.strategy}: {COLUMNS[0].text(own)} of {count(own.questions, 'question')}"
    return tag(
        "g",
        tag("title", hover),
        tag("text", fitted(own.strategy, 24), x=4, y=middle + 4, class_="head"),
        tag("path", d=f"M{_x(found.low):.1f} {middle}H{_x(found.high):.1f}", class_="reach"),
        tag("rect", x=round(_x(found.value) - 5, 1), y=middle - 5, width=10, height=10, rx=5,
            class_="bar s-done"),
        tag("text", share(found.value), x=LABELS + PLOT + 14, y=middle + 4, class_="small"),
        class_="row",
    )  # fmt: skip


def _x(value: float) -> float:
    return LABELS + PLOT * value


def _differences(differences: Sequence[Difference]) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", tag("code", one.strategy), " – ", tag("code", one.against), scope="row"),
            tag("td", f"{one.questions:,}"),
            tag("td", change(one.accuracy, lambda value: f"{100 * value:.0f}", "")),
            tag("td", change(one.latency_s, duration, "too few questions to say")),
        )
        for one in differences
    ]
    heads = ("Strategies", "Questions of both", "Accuracy, points (95 %)", "Median latency (95 %)")
    return _frame("Question by question, the same questions with both", heads, rows, "differences")


# -- the questions -------------------------------------------------------------------------------


def _questions(outcome: Outcome) -> Iterator[Markup]:
    by_question: dict[str, list[Judged]] = {}
    for run in outcome.runs:
        by_question.setdefault(run.question.id, []).append(run)
    if len(by_question) > MAX_DRAWN:
        yield tag(
            "p",
            f"Of {len(by_question):,} questions the first {min(MAX_QUESTIONS, len(by_question)):,} "
            f"are listed, and the first {MAX_DRAWN} have timelines; --json holds all of them.",
            class_="note",
        )
    for place, runs in enumerate(list(by_question.values())[:MAX_QUESTIONS]):
        order = {name: at for at, name in enumerate(outcome.strategies)}
        ranked = sorted(runs, key=lambda run: (order[run.record.strategy], run.record.repeat))
        yield _question(place, ranked)


def _question(place: int, runs: Sequence[Judged]) -> Markup:
    question = runs[0].question
    marks = (
        tag("span", f"{VERDICTS[run.verdict][0]} {run.record.strategy}",
            class_=f"pill {VERDICTS[run.verdict][1]}", title=run.verdict)
        for run in runs if run.record.repeat == runs[0].record.repeat
    )  # fmt: skip
    parts: list[Markup] = []
    first = [run for run in runs if run.record.repeat == runs[0].record.repeat]
    if place < MAX_DRAWN:
        parts.append(lanes_figure(f"lanes-{place}", first))
        if len(first) < len(runs):
            parts.append(tag("p", f"Drawn: repeat {first[0].record.repeat}.", class_="note"))
    gold = " or ".join(shorten(text, 200) for text in question.golds[:5])
    return tag(
        "details",
        tag("summary", tag("b", shorten(question.text, 160)), " ", _spaced(marks)),
        tag("p", "Gold answer: ", tag("b", gold), class_="gold"),
        *parts,
        _frame(f"Answers to question {shorten(question.id, 60)}", _HEADS,
               [_answer(run) for run in runs], "answers"),
        open="" if place < 3 else None,
    )  # fmt: skip


def _spaced(marks: Iterator[Markup]) -> Markup:
    return Markup(" ".join(marks))


_HEADS = ("Strategy", "Repeat", "Verdict", "F1", "Latency", "Critical path", "Calls", "Answer")


def _answer(run: Judged) -> Markup:
    record = run.record
    icon, tone = VERDICTS[run.verdict]
    text = text_of(record.answer)
    shown = visible(text[:MAX_ANSWER]) + ("…" if len(text) > MAX_ANSWER else "")
    error = tag("span", tag("code", record.code), f" {shorten(record.message, 300)}",
                class_="message") if record.failed else ""  # fmt: skip
    return tag(
        "tr",
        tag("th", tag("code", shorten(record.way, 40)), scope="row",
            title="; ".join(record.reasons) or None),
        tag("td", record.repeat),
        tag("td", tag("span", f"{icon} {run.verdict}", class_=f"pill {tone}")),
        tag("td", f"{run.score.f1:.2f}"),
        tag("td", duration(record.total_s)),
        tag("td", duration(record.critical_path_s)),
        tag("td", record.model_calls),
        tag("td", shown, " ", error, class_="prose"),
    )  # fmt: skip
