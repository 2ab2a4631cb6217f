"""How many calls to one provider may be made again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heddle.engine.retry_budget import RetryBudget
from heddle.engine.tally import Tally


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 30), st.integers(0, 40)), max_size=60),
)
def test_no_minute_sees_more_retries_than_a_tenth_of_the_requests_and_ten(
    calls: list[tuple[float, float, int]],
) -> None:
    budget, now, planned, most = RetryBudget(), 0.0, [], 10
    tally = Tally(60)
    for pause, wait_s, requests in calls:
        now += pause
        for _ in range(requests):
            budget.requested(now)
            tally.add(now)
        most = max(most, 10 + tally.counts(now)[0] // 10)
        at = budget.book(now, wait_s)
        assert at is not None
        assert at >= now + wait_s
        planned.append(at)
    for at in planned:
        assert sum(at - 60.0 + 1e-6 < other <= at for other in planned) <= most


def test_what_is_too_late_or_given_back_takes_nobody_elses_place() -> None:
    budget = RetryBudget()
    first = [budget.book(0.0, 1.0) for _ in range(10)]
    assert budget.book(0.0, 1.0, until=62.0) is None
    assert budget.book(0.0, 1.0, until=63.0) == 62.0
    for at in (*first, 62.0):
        assert at is not None
        budget.give_back(at)
    assert budget.book(0.0, 1.0) == 1.0


def test_a_place_that_is_given_back_when_its_minute_is_over_is_nobody_elses() -> None:
    budget = RetryBudget()
    old = budget.book(0.0, 1.0)
    assert old is not None
    assert [budget.book(100.0, 1.0) for _ in range(10)] == [101.0] * 10
    budget.give_back(old)
    assert budget.book(100.0, 1.0) == 162.0
    budget.give_back(1_000.0)  # and one that was never booked
    assert budget.book(100.0, 1.0, until=163.0) == 162.0


def test_retries_that_are_more_than_a_minute_apart_do_not_count_together() -> None:
    budget = RetryBudget()
    assert [budget.book(0.0, 20.0) for _ in range(10)] == [20.0] * 10
    assert budget.book(30.0, 60.0) == 90.0
    assert budget.book(30.0, 49.0) == 20.0 + 60.0 + 49.0  # within a minute of the ten
