"""Usage is a sum; an estimate says that it is one."""

from hypothesis import given
from hypothesis import strategies as st

from heddle.models.protocol import Message, Request, ToolCall, Usage, estimated_usage
from heddle.plan.spec import ToolSpec

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


def test_calls_and_offered_tools_count_in_the_size_of_a_prompt():
    call = ToolCall("c1", "price", '{"of": 1}')
    tool = ToolSpec("price", "In USD.", {})
    assert call.characters == len('price{"of": 1}')
    assert Message("assistant", "ab", (call, call)).characters == 2 + 2 * call.characters
    turns = (Message("user", "abc"), Message("assistant", "", (call,)))
    assert Request(turns, tools=(tool,)).characters == len("priceIn USD.{}abc") + call.characters
