"""Recorded replies: the first unused row that matches, and clear words when there is none."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.errors import ConfigError, ModelError
from heddle.models import model_named
from heddle.models.protocol import Message, Request, ToolCall, Usage
from heddle.models.recording import Recorder
from heddle.models.replay import ReplayModel, Row, read_rows, row_from_json, row_to_json
from heddle.testing.scripted import ScriptedModel


def request(content: str = "hi", role: str = "planner", round: int = 1) -> Request:
    return Request((Message("system", "Plan."), Message("user", content)), role, round)


def hear(model, asked: Request) -> list:
    async def run() -> list:
        return [piece async for piece in model.stream(asked)]

    return asyncio.run(run())


def recording(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_row_is_given_in_its_chunks_with_its_usage(tmp_path):
    usage = {"input_tokens": 9, "cached_input_tokens": 4, "output_tokens": 2}
    path = recording(tmp_path, {"match": {}, "chunks": ["a", "b"], "usage": usage})
    model = model_named(f"replay:{path}")
    assert model.provider == "replay"
    assert hear(model, request()) == ["a", "b", Usage(9, 4, 2)]


def test_a_usage_that_was_not_recorded_is_estimated():
    assert hear(ReplayModel([Row(("abcde",))]), request()) == [
        "abcde",
        Usage(2, 0, 2, estimated=True),
    ]


CALL = {"id": "c1", "name": "price", "arguments": '{"of": "AAPL"}'}
CALLED = ToolCall("c1", "price", '{"of": "AAPL"}')


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"chunks": ["a"], "calls": [CALL]}, ["a", CALLED]),
        ({"calls": [CALL, CALL]}, [CALLED, CALLED]),
        ({"chunks": [CALL, "a", CALL], "calls": [CALL]}, [CALLED, "a", CALLED, CALLED]),
    ],
)
def test_calls_stand_among_the_chunks_or_after_them(tmp_path, row, said):
    model = model_named(f"replay:{recording(tmp_path, row)}")
    assert hear(model, request())[:-1] == said


def test_calls_that_come_last_are_written_in_a_list_of_their_own():
    assert row_to_json(Row(("a", CALLED))) == {"match": {}, "chunks": ["a"], "calls": [CALL]}
    assert row_to_json(Row((CALLED, "a"))) == {"match": {}, "chunks": [CALL, "a"]}


def test_calls_count_in_the_estimate_of_a_usage():
    usage = hear(ReplayModel([Row(("abc", CALLED))]), request())[-1]
    assert usage.output_tokens == -(-(3 + CALLED.characters) // 4)


def test_rows_are_chosen_by_role_round_and_text_in_the_order_of_the_file():
    model = ReplayModel(
        [
            Row(("joined",), role="joiner"),
            Row(("second",), role="planner", round=2),
            Row(("about AAPL",), contains="AAPL"),
            Row(("first",), role="planner", round=1),
            Row(("last",)),
        ]
    )
    asked = [
        request("x"),
        request("AAPL?"),
        request(role="joiner"),
        request(round=2),
        request(role="repair"),
    ]
    assert [hear(model, one)[0] for one in asked] == [
        "first",
        "about AAPL",
        "joined",
        "second",
        "last",
    ]


def test_a_row_is_given_once_and_the_error_says_so():
    model = ReplayModel([Row(("a",), role="planner", line=3)])
    hear(model, request())
    with pytest.raises(ModelError) as caught:
        hear(model, request())
    assert caught.value.code == "no-recording"
    assert "line 3" in caught.value.hint
    assert "only once" in caught.value.hint


def test_no_match_shows_what_was_asked_and_the_closest_row():
    rows = [
        Row(("a",), role="joiner", round=1, line=1),
        Row(("b",), role="planner", round=1, contains="MSFT", line=2),
    ]
    with pytest.raises(ModelError) as caught:
        hear(ReplayModel(rows, name="brief.jsonl"), request("AAPL"))
    error = caught.value
    assert "brief.jsonl" in error.message
    assert "role='planner', round=1" in error.message
    assert "line 2 (role='planner', round=1, contains='MSFT')" in error.hint
    with pytest.raises(ModelError, match="no recording") as caught:
        hear(ReplayModel([]), request())
    assert caught.value.hint == "no row is left"


def test_calls_at_once_each_take_their_own_row():
    model = ReplayModel([Row((f"{number}",)) for number in range(20)])

    async def one() -> str:
        return str(await anext(model.stream(request())))

    async def run() -> list[str]:
        return await asyncio.gather(*(one() for _ in range(20)))

    assert asyncio.run(run()) == [str(number) for number in range(20)]


def test_others_run_between_two_chunks():
    model = ReplayModel([Row(("a", "b", "c"))])

    async def run() -> list:
        seen: list = []

        async def listen() -> None:
            nonlocal seen
            async for piece in model.stream(request()):
                seen += [piece]

        async def other() -> None:
            seen.append("other")

        await asyncio.gather(listen(), other())
        return seen

    assert asyncio.run(run())[:3] == ["a", "other", "b"]


def test_empty_lines_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"chunks": ["a"]}\r\n\r\n{"chunks": ["b\xe2\x80\xa8"]}\r\n')
    assert [(row.chunks, row.line) for row in read_rows(path)] == [(("a",), 1), (("b\u2028",), 3)]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{not json", "Expecting"),
        ("[]", "a row must be an object"),
        ({}, "`chunks` must be a list of strings"),
        ({"chunks": "text"}, "`chunks` must be a list of strings"),
        ({"chunks": [1]}, "`chunks` must be a list of strings"),
        ({"chunks": [{"id": "c", "name": "f"}]}, "a call must have a string `arguments`"),
        ({"calls": 7}, "`calls` must be a list of calls"),
        ({"calls": [7]}, "a call must be an object"),
        ({"calls": [{**CALL, "arguments": {}}]}, "a call must have a string `arguments`"),
        ({"calls": [{**CALL, "args": ""}]}, "unknown field 'args'"),
        ({"chunks": [], "delay_s": 1}, "unknown field 'delay_s'"),
        ({"chunks": [], "match": []}, "`match` must be an object"),
        ({"chunks": [], "match": {"rol": "x"}}, "unknown field 'rol'"),
        ({"chunks": [], "match": {"round": "1"}}, "`match.round` must be of type int"),
        ({"chunks": [], "match": {"round": True}}, "`match.round` must be of type int"),
        ({"chunks": [], "match": {"contains": 7}}, "`match.contains` must be of type str"),
        ({"chunks": [], "usage": 7}, "`usage` must be an object"),
        ({"chunks": [], "usage": {"tokens": 7}}, "unknown field 'tokens'"),
        ({"chunks": [], "usage": {"input_tokens": -7}}, "`usage.input_tokens` must be a whole"),
        ({"chunks": [], "usage": {"estimated": 1}}, "`usage.estimated` must be true or false"),
        ("[" * 100_000, "nests too deep"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path, row, says):
    path = recording(tmp_path, {"chunks": ["fine"]}, "", row)
    with pytest.raises(ConfigError) as caught:
        model_named(f"replay:{path}")
    assert caught.value.code == "bad-recording"
    assert f"{path}:3: " in caught.value.message
    assert says in caught.value.message


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(ConfigError) as caught:
            model_named(f"replay:{path}")
        assert caught.value.code == "no-file"
        assert str(path) in caught.value.message
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        model_named(f"replay:{tmp_path / 'binary'}")


names = st.none() | st.text(max_size=5)
rows = st.builds(
    Row,
    st.lists(st.text() | st.builds(ToolCall, *(st.text(),) * 3)).map(tuple),
    names,
    st.none() | st.integers(1, 9),
    names,
    st.none() | st.builds(Usage, *(st.integers(0, 99),) * 3, st.booleans()),
)


@given(rows)
def test_a_row_comes_back_from_its_json(row):
    assert row_from_json(json.loads(json.dumps(row_to_json(row)))) == row


@given(rows)
def test_a_row_matches_what_it_was_made_for(row):
    asked = request(row.contains or "x", "any" if row.role is None else row.role, row.round or 1)
    assert hear(ReplayModel([row]), asked)[:-1] == list(row.chunks)


def test_what_a_recorder_writes_can_be_replayed(tmp_path):
    path = tmp_path / "new.jsonl"
    usage = Usage(5, 2, 3)
    source = ScriptedModel({"planner": ["pl", "an", CALLED, usage], "joiner": [CALLED, "answer"]})
    recorder = Recorder(source, path)
    asked = [request("AAPL?"), request("AAPL? MSFT?", role="joiner")]
    live = [hear(recorder, one) for one in asked]
    again = model_named(f"replay:{path}")
    assert [hear(again, one) for one in reversed(asked)] == live[::-1]
    assert (recorder.name, recorder.provider) == ("scripted", "scripted")
    asyncio.run(recorder.aclose())
    assert source.closed == 1


def test_a_reply_that_fails_is_not_recorded(tmp_path):
    path = tmp_path / "new.jsonl"
    recorder = Recorder(ScriptedModel([["a", ValueError("no")]]), path)
    with pytest.raises(ValueError, match="no"):
        hear(recorder, request())
    assert not path.exists()


def test_a_recording_that_cannot_be_written_is_named(tmp_path):
    recorder = Recorder(ScriptedModel("a"), tmp_path / "no" / "such.jsonl")
    with pytest.raises(ConfigError, match=r"such\.jsonl"):
        hear(recorder, request())


def test_rows_that_a_process_before_has_used_are_not_given_again(tmp_path):
    path = recording(tmp_path, *({"chunks": [text]} for text in ("one", "two", "three")))
    first, second = model_named(f"replay:{path}"), model_named(f"replay:{path}")
    assert hear(first, request())[0] == "one"
    assert first.given == [f"{path}:1"]
    second.skip(first.given)
    assert hear(second, request())[0] == "two"
    assert second.given == [f"{path}:1", f"{path}:2"]
