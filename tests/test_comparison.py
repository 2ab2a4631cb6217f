"""Comparisons: questions, the results file, the runs, and what the figures claim."""

from __future__ import annotations

import asyncio
import json
import os
import random
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from comparison_specimens import GOLDS, THREE, campaign_of, question, record
from corpora import needs_corpus, whole
from heddle.comparison.columns import COLUMNS, best, change, notes, share
from heddle.comparison.figures import figures_of, judge
from heddle.comparison.intervals import difference, median_interval, percentile, wilson
from heddle.comparison.questions import read_questions
from heddle.comparison.records import record_from_json, record_to_json
from heddle.comparison.results import ResultsFile
from heddle.errors import ConfigError, ModelError
from heddle.scoring import number_of, score

if TYPE_CHECKING:
    from pathlib import Path

    from heddle.comparison.figures import Figures

# -- questions -----------------------------------------------------------------------------------


def test_a_line_is_a_question_with_its_answer() -> None:
    text = '{"id": 7, "question": "How much?", "answer": "5", "inputs": {"mail": "x"}}\n\n'
    found = read_questions(text, "q.jsonl")
    (only,) = found.questions
    assert (only.id, only.text, only.golds) == ("7", "How much?", ("5",))
    assert only.inputs == {"mail": "x"}


@pytest.mark.parametrize(
    ("row", "golds"),
    [
        ({"answer": "a long way #### 18"}, ("18",)),
        ({"answer": "It is 9 * 2 = 18", "final": "18"}, ("18",)),
        ({"gold": "Badr Hari"}, ("Badr Hari",)),
        ({"answer": ["yes", "Yes."]}, ("yes", "Yes.")),
        ({"answer": 18.5}, ("18.5",)),
    ],
)
def test_published_names_of_the_answer_are_understood(
    row: dict[str, Any], golds: tuple[str, ...]
) -> None:
    found = read_questions(json.dumps({"question": "?", **row}), "q")
    assert found.questions[0].golds == golds


def test_a_question_without_an_id_is_called_by_its_line() -> None:
    found = read_questions('\n{"question": "?", "answer": "x"}\n', "q")
    assert found.questions[0].id == "2"


def test_paragraphs_come_once_each_and_odd_contexts_hold_none() -> None:
    context = [["Paris", ["Paris is a city.", " It is old."]], ["Rome", "Rome too."], "odd", [1, 2]]
    rows = [{"question": "?", "answer": "x", "context": item} for item in (context, context, "t")]
    found = read_questions("\n".join(map(json.dumps, rows)), "q")
    assert list(found.paragraphs()) == [
        {"title": "Paris", "text": "Paris is a city. It is old."},
        {"title": "Rome", "text": "Rome too."},
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no question"),
        ("\n \n", "holds no question"),
        ('{"question": "?", "answer": "x"}\n{"question": ', "q:2:14: it is not JSON"),
        ("[1]", "q:1: it is not a JSON object"),
        ("[" * 100_000, "q:1: it nests too deep"),
        ('{"answer": "x"}', "q:1: there is no `question`"),
        ('{"question": "  ", "answer": "x"}', "q:1: `question` must be a text"),
        ('{"question": "?"}', "q:1: there is no `answer`"),
        ('{"question": "?", "answer": null}', "q:1: there is no `answer`"),
        ('{"question": "?", "answer": []}', "`answer` must be a text"),
        ('{"question": "?", "answer": ["x", {}]}', "`answer` must be a text"),
        ('{"question": "?", "answer": "x", "inputs": [1]}', "`inputs` must be an object"),
        ('{"question": "?", "answer": "x", "id": [1]}', "`id` must be"),
        ('{"question": "\\ud800", "answer": "x"}', "half a surrogate pair"),
        ('{"id": "a", "question": "?", "answer": "x"}\n' * 2, "q:2: the id 'a' is that of line 1"),
    ],
)
def test_a_bad_line_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r".*") as caught:
        read_questions(text, "q")
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.code == "bad-questions"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("hotpotqa", "*.jsonl"),
        ("llmcompiler", "parallelqa*"),
        ("llmcompiler", "movie*"),
        ("llmcompiler", "hotpotqa*"),
        ("gsm8k", "gsm8k.*"),
        ("mathqa", "*.jsonl"),
    ],
)
@needs_corpus("hotpotqa", "llmcompiler", "gsm8k", "mathqa")
def test_published_questions_are_read_as_they_are(name: str, files: str) -> None:
    (path,) = whole(name).glob(files)
    text = path.read_text("utf-8")
    found = read_questions(text, path.name).questions
    assert len(found) == len(text.splitlines())
    assert all(score(one.golds[0], one.golds, 0).right for one in found)
    if name == "hotpotqa":
        assert all(one.paragraphs for one in found)
    if name in ("gsm8k", "mathqa"):
        assert all(number_of(one.golds[0]) is not None for one in found)


# -- the results file ----------------------------------------------------------------------------

SETTINGS = {"model": "python:models:good", "tools": "x"}


def test_what_was_added_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.jsonl"
    first = ResultsFile(path, SETTINGS)
    assert not path.exists()
    one, two = record("q1", "react"), record("q1", "rewoo", code="timed-out")
    first.add(one)
    first.add(two)
    first.add(replace(one, answer="another"))
    again = ResultsFile(path, SETTINGS)
    assert list(again.records.values()) == [one, two]
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_dropped_and_written_anew(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "r.jsonl"
    results = ResultsFile(path, SETTINGS)
    results.add(record("q1", "react"))
    results.add(record("q2", "react"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    torn = ResultsFile(path, SETTINGS)
    assert [key[0] for key in torn.records] == ["q1"]
    torn.add(record("q2", "react"))
    assert path.read_bytes() == whole


def test_a_file_torn_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    for torn in ("", '{"hed', '{"heddle_compare": 1, "ha', '{"heddle_compare": 1, "ha\n'):
        path.write_text(torn)
        results = ResultsFile(path, SETTINGS)
        results.add(record("q1", "react"))
        assert len(ResultsFile(path, SETTINGS).records) == 1


def test_duplicate_lines_count_once_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    ResultsFile(path, SETTINGS).add(record("q1", "react", answer="first"))
    again = json.dumps(record_to_json(record("q1", "react", answer="second")))
    with path.open("a") as file:
        file.write(again + "\n")
    (only,) = ResultsFile(path, SETTINGS).records.values()
    assert only.answer == "first"


def test_a_later_line_takes_the_place_of_a_failed_run_only(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    results = ResultsFile(path, SETTINGS)
    for code, answer in (("boom", "1"), ("bang", "2"), ("", "3"), ("boom", "4")):
        results.add(record("q1", "react", code=code, answer=answer))
    assert [one.answer for one in results.records.values()] == ["3"]
    assert ResultsFile(path, SETTINGS).records == results.records
    assert len(path.read_text().splitlines()) == 4


def test_a_file_is_claimed_by_one_at_a_time_who_sees_what_others_have_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "r.jsonl"
    one, other = ResultsFile(path, SETTINGS), ResultsFile(path, SETTINGS)
    with one.claimed():
        one.add(record("q1", "react"))
        with pytest.raises(ConfigError, match=f"process {os.getpid()}") as refused, other.claimed():
            pass
        assert refused.value.code == "results-in-use"
    with other.claimed():
        other.add(record("q2", "react"))
    assert list(ResultsFile(path, SETTINGS).records) == [("q1", "react", 1), ("q2", "react", 1)]
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_that_a_killed_process_left_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl.lock").write_text("1")
    results = ResultsFile(tmp_path / "r.jsonl", SETTINGS)
    with results.claimed():
        results.add(record("q1", "react"))
    assert not (tmp_path / "r.jsonl.lock").exists()


def test_a_file_that_is_broken_meanwhile_is_let_go(tmp_path: Path) -> None:
    results = ResultsFile(tmp_path / "r.jsonl", SETTINGS)
    results.path.write_text("mine\n")
    with pytest.raises(ConfigError, match="does not begin like one"), results.claimed():
        pass
    assert list(tmp_path.iterdir()) == [results.path]


def test_other_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    ResultsFile(path, SETTINGS).add(record("q1", "react"))
    with pytest.raises(ConfigError, match="model was python:models:good and is openai:x") as caught:
        ResultsFile(path, {**SETTINGS, "model": "openai:x"})
    assert caught.value.code == "other-settings"
    assert "anew" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["hello", '{"question": "mine"}\n', '{"heddle_compare": 2}\n{}\n', "[]\n"]
)
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"r\.jsonl:1"):
        ResultsFile(path, SETTINGS)
    assert path.read_text() == text


def test_a_bad_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    results = ResultsFile(path, SETTINGS)
    results.add(record("q1", "react"))
    lines = path.read_text().splitlines(keepends=True)
    for bad in ("[]\n", "{\n", '{"question": "q1"}\n', lines[1].replace('"q1"', "1")):
        path.write_text(lines[0] + bad + lines[1])
        with pytest.raises(ConfigError, match=r"r\.jsonl:2"):
            ResultsFile(path, SETTINGS)


def test_what_cannot_be_written_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "r.jsonl"):
        with pytest.raises(ConfigError, match="cannot write the results"):
            ResultsFile(path, SETTINGS)


def test_a_record_is_its_json() -> None:
    one = record("q1", "react", answer={"a": [1, None]}, code="x")
    assert record_from_json(json.loads(json.dumps(record_to_json(one)))) == one


# -- the runs ------------------------------------------------------------------------------------


def test_every_question_meets_every_strategy_and_repeats_begin_with_another(
    tmp_path: Path,
) -> None:
    campaign = campaign_of(tmp_path, strategies=("llmcompiler", "auto"), repeats=2)
    order = [(id, strategy) for id, strategy, repeat in campaign.wanted if repeat == 1]
    assert order == list(product(GOLDS, ("llmcompiler", "auto")))
    assert campaign.wanted[len(order)] == ("q1", "auto", 2)
    assert len(set(campaign.wanted)) == len(campaign.wanted) == 12


def test_runs_are_kept_as_they_finish_and_not_made_again(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path)
    asyncio.run(campaign.run())
    assert campaign.left == []
    assert [one.answer for one in campaign.records] == list(GOLDS.values())
    assert [one.model_calls for one in campaign.records] == [2, 2, 2]
    assert all(one.bars and one.steps == 1 for one in campaign.records)
    asked: list[str] = []
    again = campaign_of(tmp_path, asked=asked)
    asyncio.run(again.run())
    assert asked == []
    assert again.records == campaign.records


def test_a_stopped_comparison_goes_on_where_it_was(tmp_path: Path) -> None:
    async def stopped_after_two() -> None:
        done = asyncio.Event()
        campaign = campaign_of(tmp_path)

        def finished(_: object) -> None:
            if len(campaign.records) == 2:
                done.set()

        running = asyncio.create_task(campaign.run(finished=finished))
        await done.wait()
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(stopped_after_two())
    asked: list[str] = []
    rest = campaign_of(tmp_path, asked=asked)
    assert [key[0] for key in rest.left] == ["q3"]
    asyncio.run(rest.run())
    assert {text for text in asked if "three" in text} == set(asked)
    assert rest.left == []


def test_more_strategies_and_repeats_may_be_wanted_later(tmp_path: Path) -> None:
    asyncio.run(campaign_of(tmp_path).run())
    more = campaign_of(tmp_path, strategies=("llmcompiler", "auto"), repeats=2)
    assert len(more.left) == 9
    asyncio.run(more.run(concurrency=3))
    assert more.left == []


def test_a_run_whose_model_fails_later_is_a_row_with_its_code(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, failing=("two",))
    asyncio.run(campaign.run())
    assert [one.code for one in campaign.records] == ["", "boom", ""]
    assert campaign.records[1].exit_status == 4
    assert campaign.records[1].answer is None


def test_failed_runs_are_made_again_where_that_is_wanted(tmp_path: Path) -> None:
    asyncio.run(campaign_of(tmp_path, failing=("two",)).run())
    assert campaign_of(tmp_path).left == []
    asked: list[str] = []
    again = campaign_of(tmp_path, asked=asked, retry_failed=True)
    assert (again.left, again.again) == ([("q2", "llmcompiler", 1)], 1)
    asyncio.run(again.run())
    assert {text for text in asked if "two" in text} == set(asked)
    assert (again.left, again.again) == ([], 0)
    assert [one.code for one in campaign_of(tmp_path).records] == ["", "", ""]


def test_a_run_that_fails_again_is_not_made_a_third_time_by_itself(tmp_path: Path) -> None:
    asyncio.run(campaign_of(tmp_path, failing=("two",)).run())
    again = campaign_of(tmp_path, failing=("two",), code="bang", retry_failed=True)
    asyncio.run(again.run())
    assert again.left == []
    assert [one.code for one in again.records] == ["", "bang", ""]


def test_a_provider_that_is_down_does_not_take_the_place_of_what_failed_before(
    tmp_path: Path,
) -> None:
    words = ("one", "two", "three")
    asyncio.run(campaign_of(tmp_path, failing=words[:2], only=("q1", "q2", "q3")).run())
    campaign_of(tmp_path).results.path.write_text(
        "".join(campaign_of(tmp_path).results.path.read_text().splitlines(True)[:3])
    )  # only the two that have failed
    again = campaign_of(tmp_path, failing=words, code="down", retry_failed=True)
    with pytest.raises(ModelError):
        asyncio.run(again.run())
    assert [one.code for one in campaign_of(tmp_path).records] == ["boom", "boom"]


def test_a_strategy_that_chooses_is_shown_with_its_choice(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, strategies=("llmcompiler", "auto"))
    asyncio.run(campaign.run())
    plain, auto = campaign.records[:2]
    assert (plain.way, plain.chosen, plain.reasons) == ("llmcompiler", "", ())
    assert (auto.way, auto.chosen) == ("auto → llmcompiler", "llmcompiler")
    assert auto.reasons
    found = figures(*campaign.records, strategies=("llmcompiler", "auto"))
    assert found.strategies[1].chosen == {"llmcompiler": 3}
    assert "auto chose llmcompiler in 3 of 3 runs" in notes(found, 0.01)
    plainly = figures(record("q1", "react"), strategies=("react",))
    assert not any("chose" in note for note in notes(plainly, 0))


def test_a_provider_that_fails_from_the_start_ends_the_comparison_and_leaves_no_row(
    tmp_path: Path,
) -> None:
    campaign = campaign_of(tmp_path, failing=("one", "two", "three"))
    with pytest.raises(ModelError, match="no weights"):
        asyncio.run(campaign.run())
    assert not campaign.results.path.exists()


def test_runs_that_failed_before_the_first_success_are_kept(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, failing=("one", "two"))
    asyncio.run(campaign.run())
    assert [one.code for one in campaign.records] == ["boom", "boom", ""]


def test_a_refused_key_ends_it_with_the_first_run(tmp_path: Path) -> None:
    asked: list[str] = []
    campaign = campaign_of(tmp_path, failing=("one",), code="unauthorized", asked=asked)
    with pytest.raises(ModelError):
        asyncio.run(campaign.run())
    assert len(asked) == 1


def test_an_instruction_is_put_after_every_question(tmp_path: Path) -> None:
    asked: list[str] = []
    asyncio.run(campaign_of(tmp_path, asked=asked, instruction="In one word.").run())
    assert asked
    assert all("In one word." in text for text in asked)


def test_a_recording_is_not_given_again_by_a_later_process(tmp_path: Path) -> None:
    from heddle.models.replay import replay

    rows = [
        {"match": {"role": role}, "chunks": [chunk]}
        for n in (1, 2)
        for role, chunk in (
            ("planner", f'1. llm("{n}")\n2. join()\n'),
            ("worker", "w"),
            ("joiner", json.dumps({"action": "finish", "answer": str(n)})),
        )
    ]
    path = tmp_path / "recording.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    for n, id in enumerate(("q1", "q2"), 1):
        model = replay(str(path), {})
        campaign = campaign_of(tmp_path, model=model, only=("q1", id))
        asyncio.run(campaign.run())
        assert campaign.records[-1].answer == str(n)
        assert len(campaign.records[-1].replayed) == 3


# -- what the figures claim ----------------------------------------------------------------------


def test_an_interval_of_a_share_is_never_of_width_zero() -> None:
    for n, right in ((1, 0), (1, 1), (5, 5), (100, 0), (0, 0)):
        value, low, high = wilson(right / n if n else 0.0, n)
        assert 0 <= low <= value <= high <= 1
        assert high > low


def test_the_interval_covers_the_true_share_as_often_as_it_says() -> None:
    dice = random.Random(7)
    for truth in (0.2, 0.5, 0.9):
        covered = 0
        for _ in range(400):
            share_ = sum(dice.random() < truth for _ in range(30)) / 30
            covered += wilson(share_, 30).low <= truth <= wilson(share_, 30).high
        assert covered / 400 >= 0.9


def test_the_paired_interval_of_newcombes_own_example() -> None:
    # 1998, table II, row 36, 12, 2, 0 of 50: method 10 gives 0.0569 to 0.3404
    first = [1.0] * 36 + [1.0] * 12 + [0.0] * 2
    second = [1.0] * 36 + [0.0] * 12 + [1.0] * 2
    value, low, high = difference(second, first)
    assert value == pytest.approx(0.2)
    assert low == pytest.approx(0.0569, abs=5e-4)
    assert high == pytest.approx(0.3404, abs=5e-4)


def test_a_difference_is_the_other_one_backwards_and_claims_nothing_of_equals() -> None:
    dice = random.Random(3)
    for n in (1, 2, 7, 40):
        one = [dice.choice((0.0, 0.5, 1.0)) for _ in range(n)]
        two = [dice.choice((0.0, 0.5, 1.0)) for _ in range(n)]
        there, back = difference(one, two), difference(two, one)
        assert there.low == pytest.approx(-back.high)
        assert there.low <= there.value <= there.high
        assert not difference(one, one).excludes_zero


def test_a_median_has_an_interval_from_six_values_on() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([3, 1, 2, 6, 5, 4]) == (3.5, 1, 6)
    twenty = median_interval(list(range(20)))
    assert twenty is not None
    assert (twenty.low, twenty.high) == (5, 14)  # P(Bin(20, 1/2) <= 5) is 2.07 %


def test_percentiles_are_values_that_were_measured() -> None:
    values = list(range(1, 101))
    assert (percentile(values, 0.5), percentile(values, 0.95)) == (50, 95)
    assert percentile([7.0], 0.95) == 7.0


def figures(*rows: Any, strategies: tuple[str, ...] = ("react", "rewoo")) -> Figures:
    return figures_of(judge(THREE, rows, 0.01), strategies)


def test_a_question_counts_once_whatever_its_repeats() -> None:
    rows = [record("q1", "react", repeat=n, answer="1") for n in range(1, 10)]
    rows.append(record("q2", "react", answer="wrong"))
    (own,) = figures(*rows, strategies=("react",)).strategies
    assert own.accuracy.value == 0.5
    assert (own.questions, own.runs) == (2, 10)
    assert own.accuracy == wilson(0.5, 2)


def test_failures_are_counted_by_code_and_left_out_of_latency() -> None:
    rows = [
        record("q1", "react", answer="1", total_s=2.0),
        record("q2", "react", answer=None, code="deadline", total_s=600.0),
        record("q3", "react", answer=None, code="deadline", total_s=600.0),
    ]
    (own,) = figures(*rows, strategies=("react",)).strategies
    assert own.failed == {"deadline": 2}
    assert (own.latency_p50_s, own.latency_p95_s) == (2.0, 2.0)
    assert own.accuracy.value == pytest.approx(1 / 3)


def test_cost_is_known_only_where_every_run_has_one() -> None:
    rows = [record("q1", "react", cost_usd=0.25), record("q2", "react", cost_usd=0.75)]
    (own,) = figures(*rows, strategies=("react",)).strategies
    assert (own.cost_usd, own.total_cost_usd) == (0.5, 1.0)
    (own,) = figures(*rows, record("q3", "react"), strategies=("react",)).strategies
    assert (own.cost_usd, own.total_cost_usd) == (None, None)


def test_the_best_of_a_column_is_marked_only_among_equals() -> None:
    accuracy, p50 = COLUMNS[0], next(column for column in COLUMNS if column.head == "p50")
    rows = [
        record("q1", "react", answer="1", total_s=3.0),
        record("q1", "rewoo", answer="wrong", total_s=1.0),
    ]
    found = figures(*rows)
    assert best(found, accuracy) == {"react"}
    assert best(found, p50) == {"rewoo"}
    same = figures(*(replace(row, answer="1", total_s=1.001) for row in rows))
    assert best(same, accuracy) == best(same, p50) == frozenset()
    uneven = figures(*rows, record("q2", "react", answer="2"))
    assert best(uneven, accuracy) == frozenset()
    assert any("none is marked best" in note for note in notes(uneven, 0.01))


def test_a_difference_is_told_with_its_doubt() -> None:
    rows = [record(id, "react", answer=gold) for id, gold in GOLDS.items()]
    rows += [record(id, "rewoo", answer="wrong") for id in GOLDS]
    (one,) = figures(*rows).differences
    assert (one.strategy, one.against, one.questions) == ("rewoo", "react", 3)
    assert one.accuracy.value == -1.0
    assert one.latency_s is None
    assert change(one.accuracy, share, "") == "-100 % (-100 % to -21 %)"
    same = difference([1, 0], [0, 1])
    assert change(same, share, "").endswith(": no difference shown")
    assert change(None, share, "too few") == "too few"


def test_runs_of_other_questions_are_passed_over() -> None:
    assert judge([question("q1")], [record("q9", "react")], 0.01) == []
