"""Runs that are over and left a snapshot: the same result, and events for whoever looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from store_contract import refused

import heddle
from heddle.engine import events as ev
from heddle.engine.journal import writer
from heddle.engine.journal.frames import canonical, decode, encode, frame_of
from heddle.engine.journal.reading import snapshot_of
from heddle.engine.journal.store import Head
from heddle.engine.retold import plans_of
from heddle.engine.state import fold
from heddle.errors import JournalError
from heddle.models.protocol import Usage
from heddle.testing import ScriptedModel, run_virtual
from memory_store import MemoryStore

if TYPE_CHECKING:
    from heddle.engine.journal.store import Frame

GOOD = '1. look("bob")\n2. send($1)\n3. join("sent: $2")\n'
FAILS = '1. look("nobody")\n2. send($1)\n3. look("bob")\n'
REJECTED = '1. look("bob")\n2. nobody($1)\n'
LARGE = "1. shout()\n2. send($1)\n"


@heddle.tool(effect="read")
async def look(name: str) -> str:
    """An address."""
    if name == "nobody":
        raise ValueError("no such person")
    return f"{name}@example.org"


@heddle.tool(effect="read")
async def shout() -> str:
    """A value that is kept out of band."""
    return "é" * 40_000


@heddle.tool(effect="write")
async def send(to: str) -> str:
    """A message."""
    return f"sent {len(to)}"


TOOLS = [look, shout, send]


@pytest.fixture(autouse=True)
def snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run that ends leaves one."""
    monkeypatch.setattr(writer, "SNAPSHOT_EVENTS", 0)


def run_of(text: str, **options: Any) -> tuple[MemoryStore, heddle.RunResult]:
    store = MemoryStore()
    plan = heddle.parse(text)
    result = run_virtual(heddle.execute(plan, TOOLS, journal=store, run_id="r", **options))
    assert store.kept["r"].snapshot is not None
    return store, result


def agent_run() -> tuple[MemoryStore, heddle.RunResult]:
    """Two rounds: what the first one found did not suffice."""
    store = MemoryStore()
    model = ScriptedModel(
        {
            "planner": ('1. look("nobody")\n2. join()\n', '1. look("bob")\n2. join()\n'),
            "joiner": (
                '{"action": "replan", "reason": "not found"}',
                '{"action": "finish", "answer": "bob"}',
            ),
        }
    )
    agent = heddle.Agent(model, TOOLS, strategy="llmcompiler", journal=store)
    return store, run_virtual(agent.run("Where is Bob?", run_id="r"))


def resumed(store: MemoryStore, **options: Any) -> heddle.RunResult:
    return run_virtual(heddle.resume("r", TOOLS, journal=store, **options))


def told_twice(store: MemoryStore) -> tuple[heddle.RunResult, heddle.RunResult]:
    """By the snapshot, and by the events alone."""
    by_snapshot = resumed(store)
    store.kept["r"].snapshot = None
    return by_snapshot, resumed(store)


CASES = [
    lambda: run_of(GOOD),
    lambda: run_of(FAILS),
    lambda: run_of(REJECTED),
    lambda: run_of(LARGE),
    lambda: run_of(GOOD, approve=lambda plan, effects: False),
    agent_run,
]


@pytest.mark.parametrize("run", CASES)
def test_the_result_is_that_which_the_run_gave(run: Any) -> None:
    store, result = run()
    by_snapshot, by_events = told_twice(store)
    assert by_snapshot.to_json() == by_events.to_json() == result.to_json()
    assert by_snapshot.exit_status == by_events.exit_status == result.exit_status
    assert replace(by_snapshot, plans=[]) == replace(by_events, plans=[])
    assert by_snapshot.events == result.events
    assert by_snapshot.events[-1] == result.events[-1]
    assert by_snapshot.events[1:4] == result.events[1:4]
    plans = [vars(plan) for plan in plans_of(result.events)]
    assert [vars(plan) for plan in by_snapshot.plans] == plans
    assert [vars(plan) for plan in by_events.plans] == plans
    assert by_snapshot.plan is by_snapshot.plans[-1]


def test_nothing_is_decoded_until_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    from heddle.engine.journal import packed

    store, result = run_of(GOOD)
    looked = []
    monkeypatch.setattr(packed, "decode", lambda *frame: looked.append(frame) or decode(*frame))
    again = resumed(store)
    first = len(looked)
    assert first == 1  # how the run began
    assert [step.value for step in again.steps] == [step.value for step in result.steps]
    assert len(again.events) == len(result.events)
    assert again.timing == result.timing
    assert len(looked) == first
    assert list(again.events) == result.events
    assert len(looked) == first + len(store.kept["r"].frames)


def test_what_follows_the_snapshot_counts() -> None:
    store, _ = run_of(GOOD)
    late = ev.LateResult(9.0, "2", 1, "late", None, Usage(3, 2, 1))
    frames, (body, _) = store.kept["r"].frames, encode([late])
    last = frames[-1]
    frames.append(
        frame_of(
            body, number=last.number + 1, seq=last.seq + last.events, events=1, token=last.token,
            wall=0.0, prev=last.hash,
        )
    )  # fmt: skip
    by_snapshot, by_events = told_twice(store)
    assert by_snapshot.to_json() == by_events.to_json()
    assert by_snapshot.usage.input_tokens == 3
    assert by_snapshot.timing.total_s == 9.0
    assert by_snapshot.events[-1] == late


# -- what is not as it should be -----------------------------------------------------------------


def put(store: MemoryStore, place: int, **other: Any) -> None:
    frames = store.kept["r"].frames
    frames[place] = frames[place]._replace(**other)


def test_a_frame_that_the_snapshot_stands_for_is_verified_all_the_same() -> None:
    store, _ = run_of(GOOD)
    for place, frame in enumerate(store.kept["r"].frames):
        put(store, place, body=frame.body.replace(b'"', b" ", 1))
        run_virtual(refused("journal-damaged", heddle.resume("r", TOOLS, journal=store)))
        put(store, place, body=frame.body)
    del store.kept["r"].frames[1]
    run_virtual(refused("journal-damaged", heddle.resume("r", TOOLS, journal=store)))


def test_a_whole_frame_that_is_none_of_ours_is_refused_when_somebody_looks() -> None:
    store, result = run_of(GOOD)
    forge(store, 1, canonical({"events": [{"schema": 99, "event": "Dawn"}], "large": []}))
    again = resumed(store)
    assert again.answer == result.answer
    assert again.events[0] == result.events[0]
    for look in (list, lambda events: events[2:], lambda events: events == result.events):
        with pytest.raises(JournalError) as caught:
            look(again.events)
        assert caught.value.code == "journal-newer"
    with pytest.raises(JournalError):
        len(again.plans)


def forge(store: MemoryStore, place: int, body: bytes) -> None:
    """Write another frame, and all hashes and the snapshot as if it had been there."""
    kept, prev = store.kept["r"], ""
    frames: list[Frame] = []
    for number, frame in enumerate(kept.frames):
        frames.append(
            frame_of(
                body if number == place else frame.body, number=number, seq=frame.seq,
                events=frame.events, token=frame.token, wall=frame.wall, prev=prev or frame.prev,
            )
        )  # fmt: skip
        prev = frames[-1].hash
    assert kept.snapshot is not None
    state = fold(resumed(store).events)
    kept.frames, kept.snapshot = frames, snapshot_of(state, Head(frames[-1].number, prev))


def test_a_row_that_says_that_it_is_over_decides_nothing() -> None:
    store, result = run_of(GOOD)
    kept = store.kept["r"]
    events, last = list(result.events), kept.frames[-1]
    cut = next(at for at, event in enumerate(events) if isinstance(event, ev.RunFinished))
    assert last.seq <= cut
    kept.frames.pop()
    head = kept.frames[-1]
    kept.snapshot = snapshot_of(fold(events[: last.seq]), Head(head.number, head.hash))
    assert kept.status == "succeeded"
    kept.owner = ""
    again = resumed(store)
    assert again.status == "succeeded"
    assert len([event for event in again.events if isinstance(event, ev.LeaseTaken)]) == 2


def test_a_snapshot_that_does_not_fit_is_passed_over() -> None:
    store, result = run_of(GOOD)
    kept = store.kept["r"]
    assert kept.snapshot is not None
    fits = kept.snapshot
    for other in (
        fits._replace(body=fits.body.replace(b"bob", b"rob")),
        fits._replace(number=fits.number - 1),
        fits._replace(number=fits.number + 7),
        fits._replace(hash=""),
    ):
        kept.snapshot = other
        assert resumed(store).to_json() == result.to_json()


def test_what_is_said_of_a_run_that_is_over_is_refused_as_ever() -> None:
    store, _ = run_of(GOOD)
    resolve = {"2": heddle.Done("sent")}
    run_virtual(refused("not-unknown", heddle.resume("r", TOOLS, journal=store, resolve=resolve)))


def test_a_result_can_be_changed_as_any_other() -> None:
    store, _ = run_of(GOOD)
    again = resumed(store)
    assert replace(again, plans=[]).plan is None
    assert replace(again, plans=list(again.plans)) == again
