"""Frames: one form for one list of events, and a chain in which nothing can be changed."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from store_contract import chain

from heddle.engine.events import (
    SCHEMA,
    LateResult,
    LeaseTaken,
    RunFinished,
    StepAccepted,
    StepEnded,
    StepReady,
    StepResult,
    StepStarted,
)
from heddle.engine.journal.frames import LARGE, decode, encode, frame_of, named_in, root, verify
from heddle.engine.journal.store import Head
from heddle.engine.record import event_of
from heddle.errors import JournalError
from heddle.models.protocol import Usage
from heddle.plan.ir import Ref, Step

BIG = "é" * LARGE
FREQUENT: list[Any] = [
    (0, 1, "1"),
    (1, 1.5, "1", 1, None),
    (1, 1.5, "2", 3, 7),
    (2, 2.25, "1", 1, {"b": [1, 2.5, None, True], "a": "é\n"}, None, None, 0.25, "trusted"),
    (3, 3.0, "1", "done", ""),
]
OTHERS: list[Any] = [
    LeaseTaken(0.0, "me", 1),
    StepAccepted(0.5, 1, 1, Step("1", "look", {"at": [Ref("0", ("x", 1)), "$1"]}, note="why")),
    StepResult(2.0, "1", 1, "x", None, Usage(1, 0, 2), 0.5),
    RunFinished(9.0, "succeeded", [1], "", ""),
]


def read_back(*entries: Any) -> list[Any]:
    body, large = encode(entries)
    assert set(named_in(body)) == set(large)
    return decode(body, large)


def refused(body: bytes, large: dict[str, bytes] | None = None) -> JournalError:
    with pytest.raises(JournalError) as caught:
        decode(body, large or {}, strict=True)
    return caught.value


# -- bodies --------------------------------------------------------------------------------------


def test_events_come_back_as_they_were() -> None:
    assert read_back(*FREQUENT, *OTHERS) == [*FREQUENT, *OTHERS]
    assert read_back() == []


def test_the_frequent_events_are_small_lists_however_they_are_held() -> None:
    events: list[Any] = [StepReady(1, "1"), StepStarted(1.5, "1", 1), StepEnded(2.0, "1", "done")]
    body, _ = encode(events)
    assert body == (b'{"events":[[0,1,"1"],[1,1.5,"1",1,null],[3,2.0,"1","done",""]],"large":[]}')
    assert [event_of(entry) for entry in decode(body, {})] == events


def test_members_keep_their_order_because_prompts_show_it() -> None:
    value = {"z": 1, "a": {"y": 1, "b": 2}}
    (entry,) = read_back((2, 1.0, "1", 1, value, None, None, None, ""))
    assert json.dumps(entry[4]) == json.dumps(value)


@pytest.mark.parametrize(
    "value",
    [BIG, [BIG], {"x": BIG, "y": [BIG]}, {"large": [[0, "value", "00"]]}, None, [], "[0]", 10**40],
)
def test_values_of_any_size_and_look_come_back(value: Any) -> None:
    events: list[Any] = [
        (0, 1.0, "1"),
        (2, 1.0, "1", 1, value, None, None, None, ""),
        RunFinished(2.0, "succeeded", value, "", ""),
        LateResult(2.0, "1", 1, value),
        StepResult(2.0, "1", 1, value, None, Usage(1, 1, 1)),
    ]
    assert read_back(*events) == events


def test_a_large_value_is_null_in_its_place_and_named_beside_it() -> None:
    value = [BIG]
    body, large = encode([(0, 1.0, "1"), (2, 1.0, "1", 1, value, None, None, None, "")])
    data = json.loads(body)
    digest = hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()
    assert data["events"][1] == [2, 1.0, "1", 1, None, None, None, None, ""]
    assert data["large"] == [[1, "value", digest]]
    assert [*large] == [digest]


def test_equal_large_values_are_kept_once() -> None:
    event = (2, 1.0, "1", 1, BIG, None, None, None, "")
    body, large = encode([event] * 3)
    assert len(large) == 1
    assert decode(body, large) == [event] * 3


def test_a_value_of_just_the_limit_stays_in_its_place() -> None:
    def size_of(letters: int) -> int:
        event = (2, 1.0, "1", 1, "x" * letters, None, None, None, "")
        return len(encode([event, event]).large)

    assert size_of(LARGE - 2) == 0  # two quotes
    assert size_of(LARGE - 1) == 1


@pytest.mark.parametrize("value", [math.nan, -math.inf, "\ud800", {1, 2}, b"x", object()])
def test_what_json_has_no_form_for_is_refused(value: Any) -> None:
    for event in (
        (2, 1.0, "1", 1, value, None, None, None, ""),
        RunFinished(1.0, "", value, "", ""),
    ):
        with pytest.raises(JournalError, match="cannot be written down") as caught:
            encode([event])
        assert caught.value.code == "journal-unwritable"


def test_what_nests_without_end_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(JournalError, match="cannot be written down"):
        encode([(2, 1.0, "1", 1, value, None, None, None, "")])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"events":[]}',
        b'{"large":[],"events":[]}',
        b'{"events":[],"large":[],"more":1}',
        b'{"events":[],"events":[],"large":[]}',
        b'{"events": [],"large":[]}',
        b'{"events":[],"large":[]}\n',
        b'{"events":[[0,1e0,"1"]],"large":[]}',
        b'{"events":[[0,1.0,"\\u0031"]],"large":[]}',
        b'{"events":[[0,NaN,"1"]],"large":[]}',
        b'{"events":[[0,1.0,"\xff"]],"large":[]}',
        b'{"events":[[0,1.0]],"large":[]}',
        b'{"events":[[0,1.0,1]],"large":[]}',
        b'{"events":[[0,true,"1"]],"large":[]}',
        b'{"events":[[true,1.0,"1",1,null]],"large":[]}',
        b'{"events":[[4,1.0,"1"]],"large":[]}',
        b'{"events":[[-1,1.0,"1","done",""]],"large":[]}',
        b'{"events":[[1,1.0,"1",1.5,null]],"large":[]}',
        b'{"events":[[1,1.0,"1",1,"0"]],"large":[]}',
        b'{"events":[[2,1.0,"1",1,null,null,{},null,""]],"large":[]}',
        b'{"events":[[2,1.0,"1",1,null,null,null,"1",""]],"large":[]}',
        b'{"events":[[3,1.0,"1","well",""]],"large":[]}',
        b'{"events":[[3,1.0,"1","running",""]],"large":[]}',
        b'{"events":[[3,1.0,"1",[],""]],"large":[]}',
        b'{"events":[[]],"large":[]}',
        b'{"events":[1],"large":[]}',
        b'{"events":[{}],"large":[]}',
        b'{"events":{},"large":[]}',
        b'{"events":[],"large":{}}',
        b'{"events":[[0,1.0,"1"]],"large":[[1,"value","00"]]}',
        b'{"events":[[0,1.0,"1"]],"large":[[-1,"step","00"]]}',
        b'{"events":[[0,1.0,"1"]],"large":[[0,"value","00"]]}',
        b'{"events":[[0,1.0,"1"]],"large":[[0,"step"]]}',
        b'{"events":[7],"large":[[0,"step","00"]]}',
    ],
)
def test_any_other_form_is_damage(body: bytes) -> None:
    assert refused(body).code == "journal-damaged"


@pytest.mark.parametrize(
    "body",
    [
        b'{"events": [],"large":[]}',
        b'{"events":[[0,1e0,"1"]],"large":[]}',
        b'{"events":[[0,1.0,"\\u0031"]],"large":[]}',
    ],
)
def test_only_the_strict_look_at_the_bytes_whose_hash_says_that_they_were_written(
    body: bytes,
) -> None:
    assert decode(body, {}) in ([], [(0, 1.0, "1")])
    assert refused(body).code == "journal-damaged"


def test_what_is_no_number_is_refused_by_all() -> None:
    for text in (b"NaN", b"Infinity", b"-Infinity"):
        with pytest.raises(JournalError, match="damaged"):
            decode(b'{"events":[[0,' + text + b',"1"]],"large":[]}', {})


def test_an_event_has_one_form_only() -> None:
    ready = f'{{"schema":{SCHEMA},"event":"StepReady","at":1.0,"step":"1"}}'
    assert refused(f'{{"events":[{ready}],"large":[]}}'.encode()).code == "journal-damaged"


def test_a_large_value_must_be_the_one_that_is_named_and_large() -> None:
    body, large = encode([(2, 1.0, "1", 1, BIG, None, None, None, "")])
    ((digest, data),) = large.items()
    for wrong in ({}, {digest: data + b" "}, {digest: b'"' + data[2:]}):
        assert refused(body, wrong).code == "journal-damaged"
    small = b'"x"'
    other = hashlib.sha256(small).hexdigest()
    assert refused(body.replace(digest.encode(), other.encode()), {other: small})
    for odd in (b'"' + b"x" * LARGE + b'" ', b"x" * LARGE * 2):
        other = hashlib.sha256(odd).hexdigest()
        error = refused(body.replace(digest.encode(), other.encode()), {other: odd})
        assert error.code == "journal-damaged"


def test_what_a_later_version_wrote_is_said_to_be_newer() -> None:
    later = f'{{"events":[{{"schema":{SCHEMA + 1},"event":"StepDreamt"}}],"large":[]}}'
    unknown = f'{{"events":[{{"schema":{SCHEMA},"event":"StepDreamt"}}],"large":[]}}'
    for body in (later, unknown):
        error = refused(body.encode())
        assert error.code == "journal-newer"
        assert "later version" in error.message


# -- the chain -----------------------------------------------------------------------------------


def head(frame: Any) -> Head:
    return Head(frame.number, frame.hash)


def test_the_first_frame_is_bound_to_its_run() -> None:
    (frame,) = chain("r", 1)
    assert frame.prev == root("r") != root("s")
    with pytest.raises(JournalError, match="frame 0 does not follow"):
        list(verify("s", [frame], head(frame)))


def test_a_hash_is_over_all_that_a_frame_says() -> None:
    """Written out, so that anybody can check a journal without heddle."""
    (frame,) = chain("r", 1)
    line = f"0 0 2 1 1.5 {root('r')}\n".encode()
    assert frame.hash == hashlib.sha256(line + frame.body).hexdigest()
    assert root("r") == hashlib.sha256(b"heddle/journal/1\nr").hexdigest()


@pytest.mark.parametrize("field", ["number", "seq", "events", "token", "wall", "prev", "body"])
def test_nothing_of_a_frame_can_be_changed(field: str) -> None:
    frames = chain("r", 3)
    value = getattr(frames[1], field)
    changed = {str: "00" * 32, bytes: b"{}"}.get(type(value)) or value + 1
    spoilt = [frames[0], frames[1]._replace(**{field: changed}), frames[2]]
    with pytest.raises(JournalError, match="frame 1 ") as caught:
        list(verify("r", spoilt, head(frames[2])))
    assert caught.value.code == "journal-damaged"


@pytest.mark.parametrize("order", [[0, 2], [1, 2], [0, 0, 1, 2], [1, 0, 2], [0, 1], []])
def test_nothing_is_left_out_doubled_or_exchanged(order: list[int]) -> None:
    frames = chain("r", 3)
    with pytest.raises(JournalError) as caught:
        list(verify("r", [frames[place] for place in order], head(frames[2])))
    assert caught.value.code == "journal-damaged"


def test_what_is_torn_behind_the_head_is_cut_off() -> None:
    frames = chain("r", 4)
    torn = frames[3]._replace(body=frames[3].body[:10])
    assert list(verify("r", [*frames[:3], torn], head(frames[2]))) == frames[:3]
    assert list(verify("r", [*frames[:2], frames[3]], head(frames[1]))) == frames[:2]
    assert list(verify("r", [torn], None)) == []


def test_what_is_whole_behind_the_head_counts() -> None:
    frames = chain("r", 4)
    assert list(verify("r", frames, head(frames[1]))) == frames
    assert list(verify("r", frames, None)) == frames


def test_a_head_of_another_chain_is_damage() -> None:
    frames, others = chain("r", 3), chain("s", 3)
    with pytest.raises(JournalError, match="written last"):
        list(verify("r", frames, head(others[2])))


def test_an_earlier_lease_cannot_add_to_a_later_one() -> None:
    (first,) = chain("r", 1, token=2)
    late = chain("r", 1, token=1, after=first)
    with pytest.raises(JournalError, match="out of order"):
        list(verify("r", [first, *late], head(late[0])))


def test_sequence_numbers_have_no_gaps() -> None:
    (first,) = chain("r", 1)
    body, _ = encode([(0, 1.0, "1")])
    gap = frame_of(body, number=1, seq=3, events=1, token=1, wall=1.5, prev=first.hash)
    with pytest.raises(JournalError, match="out of order"):
        list(verify("r", [first, gap], head(gap)))
