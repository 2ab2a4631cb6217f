"""Usage is a sum; an estimate says that it is one."""

from hypothesis import given
from hypothesis import strategies as st

from heddle.models.protocol import Message, Request, Usage, estimated_usage

counts = st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, st.booleans())


@given(usages, usages, usages)
def test_usages_add_up_in_any_order(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Usage() == a


def test_a_sum_with_an_estimate_in_it_is_an_estimate():
    assert (Usage(1, 0, 1) + Usage(1, 0, 1, estimated=True)).estimated
    assert not (Usage(1, 0, 1) + Usage(1, 0, 1)).estimated


def test_an_estimate_counts_four_characters_to_a_token_rounded_up():
    request = Request((Message("system", "abcd"), Message("user", "e")))
    assert estimated_usage(request, 9) == Usage(2, 0, 3, estimated=True)
    assert estimated_usage(Request(()), 0) == Usage(estimated=True)
