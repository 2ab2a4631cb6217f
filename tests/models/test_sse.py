"""The event reader: the same events, however the bytes are cut."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.models.sse import EventReader, EventTooLarge


def read(*chunks: bytes, max_bytes: int = 1000) -> list[bytes]:
    reader = EventReader(max_bytes)
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + reader.close()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def test_an_event_ends_at_an_empty_line():
    reader = EventReader()
    assert reader.feed(b"data: one\n") == []
    assert reader.feed(b"\n") == [b"one"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_each_kind_of_line_end_will_do(end):
    assert read(b"data: one", end, end, b"data: two", end, end) == [b"one", b"two"]


def test_a_line_end_cut_between_its_two_bytes_counts_once():
    assert read(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [b"a\nb"]


def test_the_return_that_ends_a_chunk_ends_the_event_at_once():
    reader = EventReader()
    assert reader.feed(b"data: a\r\r") == [b"a"]


def test_data_lines_of_one_event_are_joined_by_line_ends():
    assert read(b'data: {"a":\ndata: 1}\n\n') == [b'{"a":\n1}']


def test_one_space_after_the_colon_is_not_data():
    assert read(b"data:a\n\ndata: b\n\ndata:  c\n\ndata\n\n") == [b"a", b"b", b" c", b""]


def test_comments_and_other_fields_are_passed_over():
    stream = b": ping\nevent: message\nid: 7\nretry: 1\ndatum: no\ndata: yes\n\n: ping\n\n"
    assert read(stream) == [b"yes"]


def test_a_byte_order_mark_is_no_part_of_the_first_line():
    assert read(b"\xef\xbb", b"\xbfdata: a\n\n") == [b"a"]


def test_other_line_separators_of_unicode_are_data():
    text = "a\u2028b\x0bc\x85d".encode()
    assert read(b"data: " + text + b"\n\n") == [text]


def test_an_event_that_the_end_left_open_is_given_at_close():
    assert read(b"data: a\n") == [b"a"]
    assert read(b"data: [DO", b"NE]") == [b"[DONE]"]


def test_an_event_over_the_bound_is_refused_whole_or_cut():
    line = b"data: " + b"x" * 95
    with pytest.raises(EventTooLarge, match="larger than 100 bytes"):
        read(line + b"\n\n", max_bytes=100)
    with pytest.raises(EventTooLarge):
        read(line[:50], line[50:], max_bytes=100)
    with pytest.raises(EventTooLarge):
        read(b"data: xxxxxxxx\n" * 10, max_bytes=100)
    assert read((line[:-1] + b"\n\n") * 5, max_bytes=100) == [line[6:-1]] * 5


lines = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"data",
        b"\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
        b": c",
        b"x",
    ]
)


@given(st.lists(lines, max_size=30).map(b"".join), st.lists(st.integers(0, 400), max_size=8))
def test_events_do_not_depend_on_where_the_bytes_are_cut(stream, places):
    whole = read(stream)
    assert read(*cut(stream, places)) == whole
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1), max_size=8
    )
)
def test_what_a_server_frames_comes_out_again(texts):
    stream = b"".join(b"data: " + text.encode() + b"\n\n" for text in texts)
    assert read(stream) == [text.encode() for text in texts]


def test_one_byte_at_a_time_costs_no_more_a_byte_for_a_longer_line():
    def cost(size: int) -> float:
        data = b"data: " + b"x" * size
        chunks = [data[i : i + 1] for i in range(len(data))]
        began = time.process_time()
        read(*chunks, b"\n\n", max_bytes=10**7)
        return (time.process_time() - began) / size

    small = min(cost(20_000) for _ in range(3))
    large = min(cost(200_000) for _ in range(3))
    assert large < 4 * small  # a rescan of the line would make it ten times as much
