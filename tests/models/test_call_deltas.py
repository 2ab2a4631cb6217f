"""Native tool calls from deltas, as servers send them and as they should not."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle.models.call_deltas import CallReader, ContradictoryCall
from heddle.models.protocol import ToolCall


def head(index, id, name, arguments="") -> dict:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def more(index, arguments, id=None) -> dict:
    return {"index": index, "id": id, "function": {"arguments": arguments}}


def read(*deltas: dict, names=None, earlier=0) -> list[ToolCall]:
    reader = CallReader(names, earlier)
    calls: list[ToolCall] = []
    for delta in deltas:
        reader.feed(delta)
        calls += reader.ready()
    return calls + reader.close()


def eager(*deltas: dict) -> list[list[str]]:
    """The arguments of the calls that each delta completes, and those that only the end does."""
    reader = CallReader()
    given: list[list[str]] = []
    for delta in deltas:
        reader.feed(delta)
        given.append([call.arguments for call in reader.ready()])
    return [*given, [call.arguments for call in reader.close()]]


def test_a_call_is_given_when_its_brackets_close():
    deltas = [head(0, "a", "f"), more(0, '{"x": [1, {'), more(0, "}]"), more(0, "}"), more(0, " ")]
    assert eager(*deltas) == [[], [], [], ['{"x": [1, {}]}'], [], []]


def test_brackets_quotes_and_backslashes_within_a_text_close_nothing():
    arguments = json.dumps({"x": 'a "} \\', "y": "\\\\]}", "}": "\\u007d"})
    deltas = [head(0, "a", "f"), *(more(0, character) for character in arguments)]
    *before, last, end = eager(*deltas)
    assert (last, end) == ([arguments], [])
    assert not any(before)


def test_empty_arguments_are_complete_when_a_later_call_has_some():
    deltas = [head(0, "a", "f"), head(1, "b", "g", "{}"), head(2, "c", "h"), more(2, '{"x"')]
    assert eager(*deltas) == [[], [], [], ["{}", "{}"], ['{"x"']]


def test_an_empty_object_may_come_before_the_arguments_themselves():
    assert eager(head(0, "a", "f", "{}"), more(0, '{"x": 1}')) == [[], ['{"x": 1}'], []]
    assert eager(head(0, "a", "f", '{ } {}{"x": 1}')) == [['{"x": 1}'], []]


def test_calls_come_in_the_order_in_which_they_began_though_a_later_one_closes_first():
    first, second = [head(0, "a", "f"), more(0, '{"x"')], [head(1, "b", "g"), more(1, '{"y": 2}')]
    wanted = [ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", '{"y": 2}')]
    assert read(*first, *second, more(0, ": 1}")) == wanted
    assert read(first[0], second[0], first[1], more(0, ": 1}"), second[1]) == wanted


def test_a_call_that_was_taken_for_one_without_arguments_gets_none_later():
    deltas = [head(0, "a", "f"), head(1, "b", "g"), more(1, '{"y": 2}')]
    assert len(read(*deltas, more(0, " {} "))) == 2
    with pytest.raises(ContradictoryCall):
        read(*deltas, more(0, '{"x": 1}'))


WANTED = [
    ToolCall("a", "f", '{"x": 1}'),
    ToolCall("b", "f", '{"x": 2}'),
    ToolCall("c", "g", '{"x": 3}'),
]
MADE_UP = [ToolCall(f"call_{n}", call.name, call.arguments) for n, call in enumerate(WANTED, 1)]


def spoken(index, id, *, cuts=True, name_again=False, tail_index=None) -> list[dict]:
    """Three calls, as a server sends them that treats indexes and ids like this."""
    deltas: list[dict] = []
    for place, call in enumerate(WANTED):
        first = {"index": index(place), "id": id(call, 0), "function": {"name": call.name}}
        if not cuts:
            first["function"]["arguments"] = call.arguments
            deltas.append(first)
            continue
        deltas.append(first)
        for number, part in enumerate((call.arguments[:4], call.arguments[4:]), 1):
            function = {"arguments": part, **({"name": call.name} if name_again else {})}
            at = (tail_index or index)(place)
            deltas.append({"index": at, "id": id(call, number), "function": function})
    return [{k: v for k, v in delta.items() if v is not None} for delta in deltas]


def own(call, number):
    return call.id if number == 0 else None


@pytest.mark.parametrize(
    ("deltas", "wanted"),
    [
        pytest.param(spoken(lambda n: n, own), WANTED, id="as OpenAI does"),
        pytest.param(spoken(lambda n: n, own, cuts=False), WANTED, id="whole"),
        pytest.param(spoken(lambda n: 0, own), WANTED, id="every index is 0"),
        pytest.param(spoken(lambda n: 0, own, cuts=False), WANTED, id="whole, every index is 0"),
        pytest.param(spoken(lambda n: None, own), WANTED, id="no index"),
        pytest.param(spoken(lambda n: n, lambda c, n: c.id), WANTED, id="id in every delta"),
        pytest.param(
            spoken(lambda n: n, lambda c, n: c.id, name_again=True),
            WANTED,
            id="name in every delta",
        ),
        pytest.param(
            spoken(lambda n: n, lambda c, n: f"{c.id}{n or ''}"), WANTED, id="an id for each delta"
        ),
        pytest.param(
            spoken(lambda n: 0, lambda c, n: f"{c.id}{n or ''}"),
            WANTED,
            id="an id for each delta, every index is 0",
        ),
        pytest.param(
            spoken(lambda n: n, lambda c, n: " " if n else c.id), WANTED, id="blank ids go on"
        ),
        pytest.param(
            spoken(lambda n: 0, own, tail_index=lambda n: n), WANTED, id="head at 0, tail elsewhere"
        ),
        pytest.param(spoken(lambda n: n, lambda c, n: None), MADE_UP, id="no ids"),
        pytest.param(
            spoken(lambda n: 0, lambda c, n: None), MADE_UP, id="no ids, every index is 0"
        ),
        pytest.param(
            spoken(lambda n: None, lambda c, n: None, cuts=False), MADE_UP, id="neither, whole"
        ),
        pytest.param(spoken(lambda n: n, lambda c, n: ""), MADE_UP, id="empty ids"),
        pytest.param(
            spoken(lambda n: None, lambda c, n: None, name_again=True),
            MADE_UP,
            id="neither, name in every delta",
        ),
    ],
)
def test_the_same_calls_come_out_of_every_server(deltas, wanted):
    assert read(*deltas) == wanted


def test_one_id_for_every_call_is_not_one_call():
    calls = read(head(0, "x", "f", '{"x": 1}'), head(1, "x", "f", '{"x": 2}'))
    assert [call.arguments for call in calls] == ['{"x": 1}', '{"x": 2}']
    assert len({call.id for call in calls}) == 2


def test_made_up_ids_are_counted_through_the_conversation_and_avoid_the_server_s():
    assert read(head(0, None, "f"), earlier=4)[0].id == "call_5"
    ids = [call.id for call in read(head(0, "call_2", "f", '{"x": 1}'), head(1, None, "f"))]
    assert len(set(ids)) == 2


def test_arguments_may_come_as_an_object():
    (call,) = read(head(0, "a", "f", {"x": "é"}))
    assert call.arguments == '{"x": "é"}'


def test_a_name_may_come_after_the_id():
    deltas = [{"index": 0, "id": "a"}, {"index": 0, "function": {"name": "f"}}, more(0, '{"x": 1}')]
    assert read(*deltas) == [ToolCall("a", "f", '{"x": 1}')]


def test_a_call_that_is_said_twice_is_given_once():
    whole = head(0, "a", "f", '{"x": 1}')
    assert read(whole, whole) == [ToolCall("a", "f", '{"x": 1}')]
    assert read(head(0, "a", "f"), more(0, '{"x": 1}'), whole) == [ToolCall("a", "f", '{"x": 1}')]


def test_names_are_given_back_as_the_tools_are_called():
    names = {"quotes_price": "quotes.price"}
    calls = read(head(0, "a", "quotes_price"), head(1, "b", "other"), names=names)
    assert [call.name for call in calls] == ["quotes.price", "other"]


@pytest.mark.parametrize(
    "deltas",
    [
        [head(0, "a", "f", '{"x": 1}'), more(0, '{"x": 2}')],
        [head(0, "a", "f", '{"x": 1}}')],
        [head(0, "a", "f", '{"x": 1}'), head(0, "a", "f", '{"x": 2}')],
        [more(0, '{"x": 1}')],
        [{"index": 0, "id": "a"}],
    ],
)
def test_deltas_that_make_no_call_are_refused(deltas):
    with pytest.raises(ContradictoryCall):
        read(*deltas)


@pytest.mark.parametrize(
    "delta",
    [
        7,
        None,
        {"function": 7},
        {"function": {"name": 7}},
        {"id": [1], "function": {"name": "f"}},
        {"index": [1], "function": {"name": "f"}},
        {"function": {"name": "f", "arguments": 7}},
    ],
)
def test_a_delta_of_another_form_is_refused(delta):
    with pytest.raises((TypeError, AttributeError)):
        read(delta)


arguments = st.dictionaries(st.text(), st.text() | st.lists(st.none(), max_size=2), max_size=2)


@given(st.lists(arguments, max_size=3), st.integers())
@settings(deadline=None, max_examples=60)
def test_calls_are_the_same_however_their_arguments_are_cut(objects, seed):
    dice = random.Random(seed)
    texts = [json.dumps(value, ensure_ascii=False) for value in objects]
    deltas: list[dict] = []
    for index, text in enumerate(texts):
        deltas.append(head(index, f"c{index}", "f"))
        while text:
            size = dice.randint(1, len(text))
            deltas.append(more(index, text[:size]))
            text = text[size:]
    wanted = [ToolCall(f"c{index}", "f", text) for index, text in enumerate(texts)]
    assert read(*deltas) == wanted


@pytest.mark.parametrize("text", ["{}", "[", "}", '"\\', '{"a":"', " "])
def test_hostile_arguments_are_read_once(text):
    many = text * (2**18 // len(text))
    reader = CallReader()
    try:
        reader.feed(head(0, "a", "f", many))
        for character in many[:20_000]:
            reader.feed(more(0, character))
            reader.ready()
    except ContradictoryCall:
        pass
    assert reader.characters >= len(many)
