"""How long a tool is expected to take."""

from hypothesis import given
from hypothesis import strategies as st

from heddle.engine.estimates import Estimates


def test_a_tool_that_was_never_seen_takes_as_long_as_the_others_or_a_second() -> None:
    estimates = Estimates()
    assert estimates.mean("a") == 1.0
    estimates.learn("a", 4.0)
    assert estimates.mean("b") == 4.0


@given(st.lists(st.floats(0.001, 1000), min_size=1))
def test_the_mean_is_the_mean(seconds: list[float]) -> None:
    estimates = Estimates()
    last = [estimates.learn("a", item) for item in seconds][-1]
    assert last == estimates.mean("a")
    assert abs(last - sum(seconds) / len(seconds)) < 1e-6 * last
