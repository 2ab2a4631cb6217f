"""Words beside numbers: units are left out, and what changes the amount never is."""

import pytest

from heddle.errors import ToolFailed
from heddle.plan.dialects import parse
from heddle.plan.quantities import counts, mixed
from heddle.tools.builtin.calculator import evaluate as calculated
from heddle.tools.builtin.compute import evaluate

CHANGED = [
    "2M * 3", "$1.5M", "1.5B * 2", "3bn", "3 mil", "3 mln * 2", "3 tn", "2 grand", "5 lakh + 1",
    "3 crore", "3 gross", "3 thsd", "3 dozen", "5k", "8 out of 10", "3 eighths * 8", "5 doubled",
    "negative 5 + 3", "10 per cent", "2½", "½ * 10", "2x + 3", "2x - 3", "3x-2", "3 x - 2",
    "5 m^2 * 3", "10% 50", "2 hours + 30 minutes", "5 ft - 3 in", "$5 + 50 cents", "1,20 + 3",
    "5, 000 * 2", "10,00 / 2", "1.200,50", "5 + 3, 2", "1,00,000 / 4", "3 fewer",
]  # fmt: skip
KEPT = {
    "3 x -2": -6, "17 % 5": 2, "17%5": 2, "4 * 3 rings": 12, "5 m * 2": 10, "2 hours + 3 hours": 5,
    "24 hours * 7 days": 168, "7 * 3 weeks + 2 days": 23, "50 cents * 4": 200,
    "10% * 50": 5, "2 ^ 3": 8, "5 feet - 3 feet": 2, "$5 + $3": 8,
}  # fmt: skip


def in_brackets(text):
    return parse(f"So [{text} = y1] in all.", "abstraction")


@pytest.mark.parametrize("text", CHANGED)
def test_an_amount_that_a_word_or_sign_changes_is_refused(text):
    with pytest.raises(ToolFailed):
        calculated(text)
    plan = in_brackets(text)
    assert not plan.steps
    assert {(item.severity, item.line, item.column) for item in plan.findings} == {("error", 1, 4)}
    assert all(item.hint for item in plan.findings)


@pytest.mark.parametrize("text", KEPT)
def test_units_are_left_out(text):
    assert calculated(text) == KEPT[text]
    (step,) = in_brackets(text).steps
    assert evaluate(step.args["expression"]) == KEPT[text]


@pytest.mark.parametrize(
    ("text", "meant"),
    [("5²", 25), ("3² + 1", 10), ("(1 + 2)³", 27), ("2^{3}", 8), ("2³ * 10⁻¹", None)],
)
def test_small_raised_digits_are_a_power_in_brackets(text, meant):
    plan = in_brackets(text)
    assert [evaluate(step.args["expression"]) for step in plan.steps] == [meant] * bool(meant)
    assert bool(plan.findings) == (meant is None)


def test_units_of_a_result_count_too():
    plan = parse("[1 + 1 = y1] so [y1 hours + 30 minutes = y2].", "abstraction")
    assert [item.severity for item in plan.findings] == ["error"]


def test_words_and_scales():
    assert all(map(counts, ["Dozen", "M", "½", "²", "percent"]))
    assert not any(map(counts, ["m", "pens", "m²", "pairs", "weeks"]))
    assert mixed(["2", "hrs", "+", "5", "min"]) == ("hrs", "min")
    assert mixed(["2", "hrs", "*", "5", "min", "+", "1", "min"]) is None
    assert mixed([]) is None
