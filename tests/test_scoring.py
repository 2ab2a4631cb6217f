"""Scoring: words, numbers, and what counts as right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.scoring import exact_match, f1, last_number, near, normalised, number_of, score


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "overlap"),
    [
        ("The Badr Hari!", "badr hari", True, 1.0),
        ("Badr Hari, of course", "Badr Hari", False, 2 * 2 / 6),
        ("yes", "no", False, 0.0),
        ("yes, they are", "yes", False, 0.0),
        ("Yes.", "yes", True, 1.0),
        ("U.S.", "us", True, 1.0),
        ("", "x", False, 0.0),
        ("a", "the", True, 1.0),
        ("red red blue", "red blue blue", False, 2 * 2 / 6),
    ],
)
def test_words_are_judged_as_hotpotqa_does(
    answer: str, gold: str, exact: bool, overlap: float
) -> None:
    assert exact_match(answer, gold) is exact
    assert f1(answer, gold) == pytest.approx(overlap)


@given(st.text(), st.text())
def test_f1_is_symmetric_within_its_bounds_and_1_for_the_same_words(one: str, two: str) -> None:
    assert 0 <= f1(one, two) <= 1
    assert f1(one, two) == f1(two, one)
    assert f1(one, one) == 1
    assert exact_match(one, two) <= (f1(one, two) == 1)
    assert normalised(normalised(one)) == normalised(one)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is $1,200.", 1200.0),
        ("from 10 to 12.5 km", 12.5),
        ("minus -3", -3.0),
        ("−3", -3.0),
        ("-$4.50", -4.5),
        ("10-5", 5.0),
        ("3,4", 4.0),
        ("1,234,567", 1234567.0),
        ("2.5e3 m", 2500.0),
        (".5", 0.5),
        ("5 km2", 5.0),
        ("共18个", 18.0),
        ("B12", None),
        ("none", None),
        ("1e999", None),
        ("9" * 400, None),
        ("version 1.2.3", 1.2),
    ],
)
def test_the_last_number_of_a_text(text: str, number: float | None) -> None:
    assert last_number(text) == number


@given(st.text(alphabet="0123456789.,-−$e+ %x", max_size=200))
def test_no_text_is_too_odd_to_look_for_a_number(text: str) -> None:
    for found in (last_number(text), number_of(text)):
        assert found is None or abs(found) < float("inf")


def test_only_a_gold_answer_that_is_a_number_is_compared_as_one() -> None:
    assert near("about 8,850 m", "8848", 0.01) is True
    assert near("about 9,000 m", "8848", 0.01) is False
    assert near("17", "17%", 0) is True
    assert near("1920", "10 January 1920", 0.01) is None
    assert near("very high", "8848", 0.01) is False


def test_tolerance_is_a_share_of_the_gold_number_and_absolute_for_zero() -> None:
    assert near("101", "100", 0.01) is True
    assert near("101.1", "100", 0.01) is False
    assert near("0.009", "0", 0.01) is True
    assert near("0.011", "0", 0.01) is False
    assert near("1959", "1958", 0) is False
    assert near("0.3", "0.30", 0) is True


def test_of_several_gold_answers_the_best_counts() -> None:
    found = score("200 dollars", ["186", "200"], 0.01)
    assert (found.right, found.number, found.exact) == (True, True, False)
    assert score("New York City", ["NYC", "New York City"]).exact


def test_no_answer_is_never_right() -> None:
    assert not score(None, ["none"]).right
    assert not score(None, [""]).right
    assert score(None, ["5"]).number is False
    assert score(None, ["five"]).number is None


def test_an_answer_need_not_be_text() -> None:
    assert score(186.5, ["186.5"]).right
    assert score({"total": 186.5}, ["186.5"]).right
    assert not score(["no"], ["yes"]).right
