"""Reading a run back: the same events and the same state, from a snapshot or from the start."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from random_plans import WildTools, make_case
from rig import Loom
from store_contract import refused

from heddle.engine.events import ModelCall, ModelStarted, PlanProposed, RunFinished
from heddle.engine.journal import writer
from heddle.engine.journal.frames import canonical
from heddle.engine.journal.reading import _bound, folded, packed, read, snapshot_of
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.store import Head, Snapshot
from heddle.engine.journal.writer import Journal
from heddle.engine.log import EventLog
from heddle.engine.record import event_of
from heddle.engine.retold import retold
from heddle.engine.state import fold
from heddle.engine.state_json import state_from_json, state_to_json
from heddle.engine.wire import WireError, event_to_json
from heddle.models.protocol import Usage
from heddle.plan.ir import Hole, Step
from heddle.testing.clock import run_virtual

if TYPE_CHECKING:
    from heddle.engine.events import Event

OVER = RunFinished(99.0, "partial", {"b": [1.5, "é"], "a": None}, "tool-failed", "no")
ASKED: list[Any] = [
    PlanProposed(0.5, 1, "json"),
    ModelStarted(1.0, 1, "planner", 1, "m", "00"),
    ModelCall(2.0, 1, "planner", 1, "m", 1.0, 1.5, Usage(3, 2, 1), None, "", {"text": "x"}),
    ModelStarted(3.0, 2, "joiner", 1, "m", "00"),
]


async def wild_run(store: SQLiteStore, seed: int, *, over: bool = True) -> list[Event]:
    """The events of a run in which everything goes wrong that can, kept in the store."""
    case = make_case(seed)
    async with Loom(WildTools(case), specs=case.specs, inputs=case.inputs) as loom:
        journal = Journal(loom.log, store, await store.create("r", "", "me", 1e9))
        for event in ASKED:
            loom.log.emit(event)
        await loom.run(*_whole(case.entries))
        if over:
            loom.log.emit(OVER)
    await journal.aclose()
    assert journal.error is None
    return list(loom.log.events)


def _whole(entries: list[Any]) -> list[Step]:
    first_hole = next((i for i, e in enumerate(entries) if isinstance(e, Hole)), len(entries))
    return entries[:first_hole]


async def events_of(store: SQLiteStore) -> list[Event]:
    return [event_of(entry) async for page in read(store, "r") for entry in page.entries]


@pytest.mark.parametrize("seed", range(12))
def test_what_was_kept_is_read_as_it_was(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        events = await wild_run(store, seed)
        assert await events_of(store) == events
        assert await folded(store, "r") == fold(events)
        await store.aclose()

    run_virtual(main())


@pytest.mark.parametrize("seed", range(12))
def test_a_state_comes_back_from_json_as_it_was(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        events = await wild_run(store, seed)
        await store.aclose()
        for end in range(0, len(events), 7):
            state = fold(events[:end])
            assert state.done == sum(step.status == "done" for step in state.steps.values())
            again = state_from_json(json.loads(json.dumps(state_to_json(state))))
            assert again == state
            assert again is not None
            for event in events[end:]:
                again.apply(event)
            assert again == fold(events)

    run_virtual(main())


def test_a_run_goes_on_from_its_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        events = await wild_run(store, 3)
        pages = [page async for page in read(store, "r")]
        lease = await store.lease("r", "me", 30)
        seq = 0
        for page in pages:
            seq += len(page.entries)
            await store.save(lease, snapshot_of(fold(events[:seq]), page.head))
            assert await folded(store, "r") == fold(events)
        assert len(pages) > 3
        await store.aclose()

    run_virtual(main())


@pytest.mark.parametrize("seed", range(12))
def test_a_run_tells_by_its_snapshot_what_it_tells_by_its_events(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        events = await wild_run(store, seed)
        assert await packed(store, "r") is None
        lease, plain = await store.lease("r", "me", 30), retold(events)
        seq = 0
        async for page in read(store, "r"):
            seq += len(page.entries)
            await store.save(lease, snapshot_of(fold(events[:seq]), page.head))
            found = await packed(store, "r")
            assert found is not None
            state, record = found
            assert (state, record) == (fold(events), events)
            again = retold(record, state)
            assert replace(again, plans=[]) == replace(plain, plans=[])
            assert list(map(vars, again.plans)) == list(map(vars, plain.plans))
        await store.aclose()

    run_virtual(main())


def test_a_long_run_that_is_over_leaves_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def snapshot_after(name: str, *, over: bool) -> Snapshot | None:
        store = SQLiteStore(tmp_path / name)
        events = await wild_run(store, 3, over=over)
        snapshot = await store.snapshot("r")
        assert await folded(store, "r") == fold(events)
        await store.aclose()
        return snapshot

    async def main() -> None:
        assert await snapshot_after("short", over=True) is None
        monkeypatch.setattr(writer, "SNAPSHOT_EVENTS", 10)
        assert await snapshot_after("unfinished", over=False) is None
        assert await snapshot_after("long", over=True) is not None

    run_virtual(main())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda snapshot, _: snapshot._replace(number=snapshot.number - 1),
        lambda snapshot, _: snapshot._replace(number=snapshot.number + 1),
        lambda snapshot, _: snapshot._replace(body=snapshot.body.replace(b"done", b"fail", 1)),
        lambda snapshot, _: snapshot._replace(body=b""),
        lambda snapshot, _: snapshot._replace(hash=""),
        lambda _, head: snapshot_of(fold([]), head._replace(hash="00")),
        lambda snapshot, head: _other_version(snapshot, head),
    ],
)
def test_a_snapshot_that_does_not_fit_is_passed_over(tmp_path: Path, spoil: Any) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        events = await wild_run(store, 3)
        head = (await store.run("r")).head
        assert head is not None
        lease = await store.lease("r", "me", 30)
        await store.save(lease, spoil(snapshot_of(fold(events), head), head))
        assert await folded(store, "r") == fold(events)
        await store.aclose()

    run_virtual(main())


def _other_version(snapshot: Snapshot, head: Head) -> Snapshot:
    """As another version would write it, whose states have other fields."""
    data = json.loads(snapshot.body)
    data["fields"][-1].append("mood")
    data["steps"]["mood"] = ["fine" for _ in data["steps"]["id"]]
    body = canonical(data)
    return Snapshot(head.number, _bound(head.hash, body), body)


@pytest.mark.parametrize("data", [None, [], {}, {"fields": 1}, "x"])
def test_what_is_no_state_is_refused(data: Any) -> None:
    if isinstance(data, dict) and "fields" in data:
        assert state_from_json(data) is None
        return
    with pytest.raises(WireError, match="no state"):
        state_from_json(data)


def test_a_state_with_rows_that_do_not_fit_is_refused() -> None:
    data = state_to_json(fold([]))
    data["steps"] = [["1"]]
    with pytest.raises(WireError, match="no state"):
        state_from_json(data)


def test_damage_behind_a_snapshot_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        events = await wild_run(store, 3)
        pages = [page async for page in read(store, "r")]
        first = pages[0]
        lease = await store.lease("r", "me", 30)
        await store.save(lease, snapshot_of(fold(events[: len(first.entries)]), first.head))
        with closing(sqlite3.connect(store.path)) as vandal:
            vandal.execute("UPDATE frames SET body = x'7b7d' WHERE number = 2")
            vandal.commit()
        await refused("journal-damaged", folded(store, "r"))
        await refused("journal-damaged", events_of(store))
        await store.aclose()

    run_virtual(main())


def test_a_journal_can_be_read_without_heddle(tmp_path: Path) -> None:
    """By the program that the documents show."""
    page = (Path(__file__).parents[2] / "docs" / "journal.md").read_text("utf-8")
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    big = {"text": "é" * 40_000}

    async def main() -> list[Any]:
        store, log = SQLiteStore(tmp_path / "j.db"), EventLog()
        journal = Journal(log, store, await store.create("r", "", "me", 1e9))
        log.emit((2, 1.0, "1", 1, big, None, None, None, ""))
        log.emit(OVER._replace(answer=big))
        await journal.aclose()
        await store.aclose()
        return list(log.events)

    result, over = run_virtual(main())
    assert list(names["events"](tmp_path / "j.db", "r")) == [[2, *result], event_to_json(over)]
