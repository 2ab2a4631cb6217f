"""Slots that processes share: the sum is never above the allowance; the dead give theirs back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heddle
from heddle.engine.allowances.allowance import Bounds
from heddle.engine.allowances.sharing import PERMIT_S, Refusal, Report, exchange
from heddle.engine.allowances.sqlite import SQLiteAllowances
from heddle.engine.costs import Cost, Outcome
from heddle.engine.shared_slots import SharedSlots
from heddle.errors import ConfigError
from heddle.models.quota import Grant, Quota
from heddle.plan.limits import Limits
from heddle.testing import ScriptedModel, run_virtual

SOURCE = str(Path(__file__).parents[2] / "src")


def nobody(_: str) -> bool:
    return False


# -- the parts of an allowance, without any process ------------------------------------------------


@dataclass
class Member:
    busy: int = 0
    slots: float = 0
    calls: int = 0
    begun: int = 0  # since the last exchange
    until: float = -1.0


@dataclass
class Machine:
    """Processes that share an allowance, as a random schedule moves them."""

    bounds: Bounds
    kept: Any = None
    now: float = 0.0
    members: list[Member] = field(default_factory=lambda: [Member() for _ in range(4)])
    dead: set[int] = field(default_factory=set)
    begun: list[float] = field(default_factory=list)

    def ask(self, n: int, wants: int) -> None:
        member = self.members[n]
        used = Cost(member.begun)
        report = Report(str(n), busy=member.busy, calls=wants, used=used, done=member.begun)
        self.kept, permits = exchange(
            self.bounds, self.kept, self.now, report, lambda name: int(name) in self.dead
        )
        member.slots, member.calls, member.begun = permits.slots, permits.calls, 0
        member.until = self.now + PERMIT_S

    def begin(self, n: int) -> None:
        member = self.members[n]
        if self.now < member.until and member.begun < member.calls and member.busy < member.slots:
            member.begun += 1
            member.busy += 1
            self.begun.append(self.now)

    def move(self, kind: str, n: int, amount: float) -> None:
        if kind == "wait":
            self.now += amount
        elif n in self.dead:
            return
        elif kind == "ask":
            self.ask(n, int(amount))
        elif kind == "begin":
            for _ in range(int(amount)):
                self.begin(n)
        elif kind == "end":
            self.members[n].busy = max(0, self.members[n].busy - int(amount))
        elif kind == "die":
            self.dead.add(n)


moves = st.tuples(
    st.sampled_from(["wait", "ask", "ask", "begin", "begin", "end", "die"]),
    st.integers(0, 3),
    st.floats(0.01, 20),
)


@settings(max_examples=200)
@given(st.integers(1, 9), st.sampled_from([1.0, 7.0, 40.0]), st.lists(moves, max_size=150))
def test_whatever_the_schedule_the_sum_is_never_above_the_allowance(slots, rate, schedule) -> None:
    machine = Machine(Bounds(slots, rate))
    for kind, n, amount in schedule:
        machine.move(kind, n, amount)
        alive = [m.busy for n, m in enumerate(machine.members) if n not in machine.dead]
        assert sum(alive) <= slots
    burst = int(rate)
    late = machine.begun[burst:]
    assert all(b - a >= 60 for a, b in zip(machine.begun, late, strict=False))


def test_slots_are_shared_out_among_those_who_want_some() -> None:
    machine = Machine(Bounds(8))
    machine.ask(0, 20)
    assert machine.members[0].slots == 8
    for _ in range(8):
        machine.begin(0)
    machine.ask(1, 20)
    assert machine.members[1].slots == 0
    machine.now += PERMIT_S
    machine.ask(0, 20)
    assert machine.members[0].slots == 4  # as its calls end, so many are left to the other
    machine.members[0].busy = 4
    machine.ask(0, 20)
    machine.ask(1, 20)
    assert machine.members[1].slots == 4


def test_what_a_dead_process_held_is_free_and_what_it_was_permitted_counts_as_used() -> None:
    machine = Machine(Bounds(4, 10))
    machine.ask(0, 4)
    machine.dead.add(0)
    machine.ask(1, 20)
    assert machine.members[1].slots == 4
    assert machine.members[1].calls == 6
    machine.now += 67
    machine.ask(1, 20)
    assert machine.members[1].calls == 10


def test_a_refusal_of_one_stops_all_and_one_of_them_tries() -> None:
    bounds = Bounds(8)
    kept, _ = exchange(bounds, None, 0.0, Report("a", busy=4, calls=4), nobody)
    refused = Report("a", busy=3, calls=4, refusals=(Refusal(0.5, True, 10.0, False),))
    kept, permits = exchange(bounds, kept, 1.0, refused, nobody)
    assert permits.calls == 0
    kept, permits = exchange(bounds, kept, 5.0, Report("b", calls=4), nobody)
    assert permits.calls == 0
    kept, permits = exchange(bounds, kept, 14.0, Report("b", calls=4), nobody)
    assert (permits.calls, permits.probe) == (1, True)
    kept, permits = exchange(bounds, kept, 14.1, Report("a", busy=3, calls=4), nobody)
    assert permits.calls == 0
    well = Report("b", used=Cost(1), done=1, probed="well", calls=4)
    kept, permits = exchange(bounds, kept, 15.0, well, nobody)
    assert permits.calls > 0
    assert not permits.probe


def test_failures_of_one_round_trip_cut_the_slots_once_whoever_reports_them() -> None:
    bounds = Bounds(10)

    def failed(age_s: float) -> Report:
        return Report("a", calls=20, refusals=(Refusal(age_s, False, None, False),))

    kept, permits = exchange(bounds, None, 10.0, failed(0.5), nobody)
    assert permits.slots == 7
    kept, permits = exchange(bounds, kept, 11.0, failed(1.5), nobody)  # began before the cut
    assert permits.slots == 7
    kept, permits = exchange(bounds, kept, 11.0, failed(0.5), nobody)
    assert permits.slots == 4


def test_who_is_alone_asks_again_later_than_who_shares() -> None:
    bounds = Bounds(requests=1)
    kept, granted = exchange(bounds, None, 0.0, Report("a", calls=5), nobody)
    assert granted.calls == 1
    kept, alone = exchange(bounds, kept, 1.0, Report("a", calls=5, used=Cost(1)), nobody)
    assert alone.again_s == 0.5
    _, shared = exchange(bounds, kept, 1.1, Report("b", calls=5), nobody)
    assert shared.again_s == 0.1


def test_a_process_that_dies_while_it_tries_lets_another_one_try() -> None:
    bounds = Bounds(8)
    refused = Report("a", refusals=(Refusal(0.0, True, 1.0, False),))
    kept, _ = exchange(bounds, None, 0.0, refused, nobody)
    kept, permits = exchange(bounds, kept, 2.0, Report("b", calls=1), nobody)
    assert permits.probe
    kept, permits = exchange(bounds, kept, 3.0, Report("a", calls=1), lambda name: name == "b")
    assert permits.probe


# -- real files, real processes --------------------------------------------------------------------


def test_what_was_permitted_before_a_limit_was_known_counts_in_it() -> None:
    """Whether the provider has said it, or a process that was started with other limits knows."""
    for bounds, quota in ((Bounds(), Quota(Grant(60, 60, 60.0))), (Bounds(requests=60), None)):
        kept, granted = exchange(Bounds(), None, 0.0, Report("free", calls=50), nobody)
        assert granted.calls == 50
        kept, _ = exchange(bounds, kept, 0.1, Report("knows", quota=quota), nobody)
        kept, granted = exchange(bounds, kept, 0.2, Report("other", calls=50), nobody)
        assert granted.calls == 10
        used = Cost(50)
        kept, granted = exchange(Bounds(), kept, 0.3, Report("free", used=used, calls=50), nobody)
        assert granted.calls == 0
        kept, granted = exchange(bounds, kept, 0.4, Report("knows", calls=50), nobody)
        assert granted.calls == 0


def shared(path: Path, **limits: Any) -> SharedSlots:
    return SharedSlots(SQLiteAllowances(path, wait_s=0.05), Limits(**limits))


def test_two_of_one_process_share_and_wake_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        one, two = (shared(tmp_path / "a.db", per_provider={"p": 1}) for _ in range(2))
        held = await one.acquire("p")
        waiting = asyncio.create_task(two.acquire("p"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        held.release(Outcome())
        async with asyncio.timeout(5):
            (await waiting).release(Outcome())
        await one.aclose()
        await two.aclose()

    asyncio.run(main())


HOLDS = """
import asyncio, sys
from heddle.engine.allowances.sqlite import SQLiteAllowances
from heddle.engine.shared_slots import SharedSlots
from heddle.plan.limits import Limits
from heddle.testing import ScriptedModel, run_virtual

async def main():
    slots = SharedSlots(SQLiteAllowances(sys.argv[1]), Limits(per_provider={"p": 2}))
    await slots.acquire("p")
    await slots.acquire("p")
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_killed_process_gives_its_slots_back(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    command = [sys.executable, "-c", HOLDS, str(path)]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"

        async def main() -> None:
            slots = shared(path, per_provider={"p": 2})
            waiting = asyncio.create_task(slots.acquire("p"))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            os.kill(child.pid, signal.SIGKILL)
            async with asyncio.timeout(5):
                (await waiting).release(Outcome())
            await slots.aclose()

        asyncio.run(main())


def test_a_file_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def main() -> None:
        slots = shared(path)
        (await slots.acquire("p")).release(Outcome())
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(slots.acquire("q"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        other.execute("ROLLBACK")
        other.close()
        async with asyncio.timeout(5):
            (await waiting).release(Outcome())
        await slots.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("content", [b"", b"this is no database, and long enough to be one" * 99])
def test_a_place_that_cannot_be_used_is_said_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "folder"
    path.write_bytes(content) if content else path.mkdir()

    async def main() -> None:
        slots = shared(path)
        with pytest.raises(ConfigError, match=f"shared limits cannot be kept in {path}") as caught:
            await slots.acquire("p")
        assert caught.value.code == "limits-unwritable"
        await slots._store.aclose()

    asyncio.run(main())


def test_what_was_kept_before_the_machine_was_started_again_is_as_good_as_none(tmp_path) -> None:
    path = tmp_path / "a.db"

    async def main() -> list[Any]:
        store = SQLiteAllowances(path)
        await store.change("p", lambda kept, now: ({"n": 1}, now))
        seen = [await store.change("p", lambda kept, now: (kept, kept))]
        db = sqlite3.connect(path)
        db.execute("UPDATE allowances SET boot = 'another'")
        db.commit()
        db.close()
        seen.append(await store.change("p", lambda kept, now: (kept, kept)))
        await store.aclose()
        return seen

    assert asyncio.run(main()) == [{"n": 1}, None]


# -- a store that is full in the middle of a run ---------------------------------------------------


class Documents:
    """A store in memory, until it is full."""

    def __init__(self) -> None:
        self.full = False
        self._kept: dict[str, Any] = {}

    async def change(self, name: str, change: Any) -> Any:
        if self.full:
            raise ConfigError("no space left", code="limits-unwritable", hint="make some")
        now = asyncio.get_running_loop().time()
        self._kept[name], told = change(self._kept.get(name), now)
        return told

    async def aclose(self) -> None:
        pass


def test_a_run_whose_limits_cannot_be_kept_any_more_stops_and_is_gone_on_with(tmp_path) -> None:
    store, calls = Documents(), list[int]()

    @heddle.tool(effect="read", provider="p", fuse=False)
    async def look(n: int) -> int:
        calls.append(n)
        if n == 3 and calls.count(3) == 1:
            store.full = True
            await asyncio.Event().wait()
        return n

    async def part(**go_on: Any) -> heddle.RunResult:
        limits = Limits(per_provider={"p": 1})
        slots = SharedSlots(store, limits)
        try:
            if go_on:
                return await heddle.resume(tools=[look], slots=slots, **go_on)
            plan = heddle.parse("\n".join(f"{n}. look({n})" for n in range(1, 5)))
            return await heddle.execute(
                plan, [look], slots=slots, limits=limits, journal=path, run_id="r"
            )
        finally:
            await slots.aclose()

    path = tmp_path / "runs.db"
    first = asyncio.run(part())
    assert (first.status, first.exit_status) == ("failed", 2)
    assert first.error is not None
    assert (first.error.code, first.error.hint) == ("limits-unwritable", "make some")
    assert [step.status for step in first.steps] == ["done", "done", "cancelled", "skipped"]
    store.full = False
    second = asyncio.run(part(run_id="r", journal=path))
    assert [step.value for step in second.steps] == [1, 2, 3, 4]
    assert calls == [1, 2, 3, 3, 4]


def test_a_model_that_is_asked_says_that_its_limits_cannot_be_kept() -> None:
    store = Documents()
    store.full = True

    async def main() -> heddle.RunResult:
        agent = heddle.Agent(ScriptedModel(["1. join()"]), [])
        agent.slots = slots = SharedSlots(store, Limits())
        try:
            return await agent.run("anything?")
        finally:
            await slots.aclose()

    result = run_virtual(main())
    assert (result.status, result.exit_status) == ("failed", 2)
    assert result.error is not None
    assert result.error.code == "limits-unwritable"


def test_one_loop_after_another_may_use_them(tmp_path: Path) -> None:
    slots = shared(tmp_path / "a.db", per_provider={"p": 1})

    async def main() -> None:
        async with asyncio.timeout(5):
            (await slots.acquire("p")).release(Outcome())

    asyncio.run(main())
    time.sleep(2 * PERMIT_S)  # until the timer would have rung that the first loop has left behind
    asyncio.run(main())
    asyncio.run(slots.aclose())


def test_a_file_that_somebody_has_removed_is_made_anew_for_all(tmp_path: Path) -> None:
    async def main() -> None:
        one, two = (shared(tmp_path / "a.db", per_provider={"p": 1}) for _ in range(2))
        held = await one.acquire("p")
        (await two.acquire("q")).release(Outcome())
        for path in tmp_path.glob("a.db*"):  # noqa: ASYNC240
            path.unlink()
        await one._parts["p"]._exchange()
        waiting = asyncio.create_task(two.acquire("p"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        held.release(Outcome())
        async with asyncio.timeout(5):
            (await waiting).release(Outcome())
        await one.aclose()
        await two.aclose()

    asyncio.run(main())


def test_tokens_that_were_reserved_and_not_used_are_free_for_the_others() -> None:
    begun: list[tuple[float, int]] = []

    async def work(slots: SharedSlots, dice: random.Random) -> None:
        while True:
            tokens = dice.randint(100, 500)
            lease = await slots.acquire("p", Cost(1, tokens, 0))
            begun.append((asyncio.get_running_loop().time(), tokens))
            await asyncio.sleep(dice.uniform(0.1, 0.5))
            lease.release(Outcome(used=Cost(1, tokens, 10)))

    async def main() -> None:
        store, dice = Documents(), random.Random(1)
        limits = Limits(per_provider={"p": 16}, input_tokens_per_minute={"p": 60_000})
        members = [SharedSlots(store, limits) for _ in range(4)]
        tasks = [asyncio.create_task(work(each, dice)) for each in members for _ in range(8)]
        await asyncio.sleep(90)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for each in members:
            await each.aclose()

    run_virtual(main())
    for at, _ in begun:
        assert sum(n for later, n in begun if at <= later < at + 60) <= 60_000
    assert sum(n for _, n in begun) >= 0.9 * 120_000
