"""The page of a comparison: every figure is there, nothing in it can run, load or leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from report_reading import assert_inert

from comparison_specimens import GOLDS, campaign_of, question, record
from heddle.comparison.campaign import Campaign
from heddle.comparison.outcome import Outcome
from heddle.comparison.records import MAX_BARS, Bar
from heddle.comparison.results import ResultsFile
from heddle.errors import ConfigError
from heddle.web.comparison import MAX_DRAWN, MAX_QUESTIONS, comparison_html, write_comparison
from heddle.web.lanes import MAX_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from heddle.comparison.questions import Question
    from heddle.comparison.records import RunRecord

EVIL = '"><script>alert(1)</script>\u202e<img src=x onerror=alert(2)>'


def outcome_of(
    folder: Path,
    records: Iterable[RunRecord],
    strategies: Sequence[str] = ("react", "rewoo"),
    questions: Sequence[Question] = tuple(map(question, GOLDS)),
    name: str = "q.jsonl",
) -> Outcome:
    campaign = campaign_of(folder, strategies=("llmcompiler",))
    results = ResultsFile(folder / "page.jsonl", {})
    for one in records:
        results.records[one.key] = one
    made = Campaign(questions, dict.fromkeys(strategies, campaign.agents["llmcompiler"]), results)
    return Outcome(made, strategies, name, 0.01)


def three_by_two(folder: Path) -> Outcome:
    rows = [record(id, "react", answer=gold, total_s=3.0) for id, gold in GOLDS.items()]
    rows += [record(id, "rewoo", answer="wrong", estimated=True) for id in ("q1", "q2")]
    rows.append(record("q3", "rewoo", answer=None, code="deadline", total_s=9.0))
    return outcome_of(folder, rows)


def test_figures_answers_and_verdicts_are_on_the_page(tmp_path: Path) -> None:
    root = assert_inert(comparison_html(three_by_two(tmp_path)))
    table, differences, *answers = root.all("table")
    react, rewoo = table.all("tbody")[0].all("tr")
    assert "100 % (44-100)" in react.text
    assert "★" in react.text
    assert "~800" in rewoo.text
    assert "1 deadline" in rewoo.text
    assert "-100 (-100 to -21)" in differences.text
    assert len(answers) == 3
    assert [row.all("td")[1].text for row in answers[2].all("tbody")[0].all("tr")] == [
        "✓ right",
        "⊘ failed",
    ]
    assert "why deadline" in answers[2].text
    summaries = [summary.text for summary in root.all("summary")]
    assert summaries[0].split() == ["What", "is", "one?", "✓", "react", "✕", "rewoo"]


def test_the_timelines_of_a_question_share_one_clock(tmp_path: Path) -> None:
    root = assert_inert(comparison_html(three_by_two(tmp_path)))
    figures = [svg for svg in root.all("svg") if "lanes" in svg.attributes["aria-labelledby"]]
    assert len(figures) == 3
    lanes = [g for g in figures[0].all("g") if g.attributes.get("class", "").startswith("row")]
    assert [lane.all("tspan")[1].text for lane in lanes] == ["react", "rewoo"]
    bars = [[rect.attributes for rect in lane.all("rect")][1:] for lane in lanes]
    assert [bar["x"] for bar in bars[0]] == [bar["x"] for bar in bars[1]]
    assert {bar["class"] for bar in bars[0]} == {
        "bar silent", "bar model", "bar s-done", "bar s-failed",
    }  # fmt: skip
    ends = [float(lane.all("path")[0].attributes["d"][1:].split()[0]) for lane in lanes]
    assert ends[0] == pytest.approx(190 + 2 * (ends[1] - 190), abs=0.2)  # 3 s and 1.5 s


def test_bars_that_overlap_are_kept_apart_up_to_a_bound(tmp_path: Path) -> None:
    many = tuple(Bar("search", "done", 0.0, 1.0) for _ in range(MAX_BARS))
    outcome = outcome_of(tmp_path, [record("q1", "react", bars=many)], ("react",))
    root = assert_inert(comparison_html(outcome))
    (details,) = root.all("details")
    bars = [rect for rect in details.all("rect") if rect.attributes["class"] == "bar s-done"]
    assert len({rect.attributes["y"] for rect in bars}) == MAX_ROWS
    assert len(bars) == MAX_BARS


def test_the_same_runs_give_the_same_page(tmp_path: Path) -> None:
    assert comparison_html(three_by_two(tmp_path)) == comparison_html(three_by_two(tmp_path))


def test_no_text_from_outside_becomes_markup(tmp_path: Path) -> None:
    from dataclasses import replace

    asked = replace(question("q1"), text=EVIL, golds=(EVIL,), id="q1")
    rows = [
        record("q1", name, answer=EVIL, code=EVIL, message=EVIL, bars=(Bar(EVIL, EVIL, 0, 1),))
        for name in ("react", "rewoo")
    ]
    root = assert_inert(comparison_html(outcome_of(tmp_path, rows, questions=[asked], name=EVIL)))
    assert "<script>alert(1)" in root.text
    assert "\u202e" not in root.text


def test_many_questions_are_cut_and_the_page_says_so(tmp_path: Path) -> None:
    from dataclasses import replace

    asked = [replace(question("q1"), id=f"n{n}") for n in range(MAX_QUESTIONS + 20)]
    rows = [record(one.id, "react") for one in asked]
    page = comparison_html(outcome_of(tmp_path, rows, ("react",), asked))
    root = assert_inert(page)
    assert len(root.all("details")) == MAX_QUESTIONS
    assert len(root.all("svg")) == MAX_DRAWN + 1
    assert "Of 520 questions the first 500 are listed" in root.text
    assert len(page) < 2_000_000


def test_a_comparison_that_was_stopped_says_so(tmp_path: Path) -> None:
    root = assert_inert(comparison_html(outcome_of(tmp_path, [record("q1", "react")])))
    assert "1 of 6 runs; stopped before its end" in root.all("header")[0].text
    assert "none is marked best" in root.text
    assert "★" not in root.text


def test_a_run_that_took_no_time_can_be_drawn(tmp_path: Path) -> None:
    rows = [record("q1", "react", total_s=0.0, bars=())]
    assert_inert(comparison_html(outcome_of(tmp_path, rows, ("react",))))


def test_runs_really_made_can_be_shown(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, strategies=("llmcompiler", "auto"))
    asyncio.run(campaign.run())
    outcome = Outcome(campaign, ("llmcompiler", "auto"), "q.jsonl", 0.01)
    root = assert_inert(comparison_html(outcome))
    assert len(root.all("details")) == 3


def test_a_page_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_comparison(three_by_two(tmp_path), tmp_path)
