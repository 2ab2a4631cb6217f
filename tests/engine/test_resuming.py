"""Going on with a run: nothing that has ended is done again, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import heddle
from heddle.engine import events as ev
from heddle.engine.audit import audit
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.writer import GROUP_S
from heddle.engine.record import event_of
from heddle.errors import ConfigError, JournalError
from heddle.plan.findings import Finding
from heddle.plan.verify import Verifier
from heddle.testing.clock import run_virtual
from memory_store import MemoryStore, cut_after, entries_of

if TYPE_CHECKING:
    from pathlib import Path

PLAN = heddle.parse(
    """1. look("a")
2. look("b")
3. send($1)
4. pay($2)
5. twice($3)
""",
    dialect="llmcompiler",
)


class SlowStore(MemoryStore):
    """A store whose disk takes its time."""

    async def append(self, *args: Any, **how: Any) -> None:
        await asyncio.sleep(1)
        await super().append(*args, **how)


class World:
    """Tools of each effect, and what was done with them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.keys: dict[str, str] = {}
        self.probes: list[str] = []
        self.says: Any = heddle.Unsure()

    def tools(self, *, probed: bool = False) -> list[Any]:
        def count(what: str) -> None:
            self.calls.append(what)

        async def probe(what: str) -> Any:
            self.probes.append(heddle.current_call().key)
            await asyncio.sleep(1)
            if isinstance(self.says, Exception):
                raise self.says
            return self.says

        @heddle.tool(effect="read")
        async def look(what: str) -> str:
            await asyncio.sleep(1)
            count(f"look {what}")
            return what

        @heddle.tool(effect="read")
        async def all(what: str) -> list[str]:
            count(f"all {what}")
            return [f"{what}{n}" for n in range(3)]

        @heddle.tool(effect="read")
        async def fails(what: str) -> str:
            count(f"fails {what}")
            if what.endswith("1"):
                raise ValueError(what)
            return what

        @heddle.tool(effect="write", probe=probe if probed else None)
        async def send(what: str) -> str:
            count(f"send {what}")
            await asyncio.sleep(1)
            return f"sent {what}"

        @heddle.tool(effect="idempotent")
        async def pay(what: str) -> str:
            key = heddle.current_call().key
            assert self.keys.setdefault(key, what) == what
            await asyncio.sleep(1)
            return f"paid {what}"

        @heddle.tool(effect="pure")
        async def twice(what: str) -> str:
            count(f"twice {what}")
            return what + what

        @heddle.tool(effect="read")
        async def nested(what: str) -> str:
            await asyncio.sleep(1)
            return f'1. look("{what}")\n2. send($1)\n'

        return [look, all, fails, send, pay, twice, nested]


async def recorded(plan: Any, **options: Any) -> tuple[Any, list[Any]]:
    """A plan run to its end, and all that its journal has."""
    store = MemoryStore()
    result = await heddle.execute(plan, World().tools(), journal=store, run_id="r", **options)
    return result, await entries_of(store, "r")


async def one_that_was_late() -> list[Any]:
    """A long plan whose last step is a write, and a journal of it whose run had less time."""
    twice = [
        {"id": f"{n}", "tool": "twice", "args": {"what": "a"}, "after": ["0"]}
        for n in range(1, 2_001)
    ]
    plan = json_plan(
        {"id": "0", "tool": "look", "args": {"what": "a"}},
        *twice,
        {"id": "last", "tool": "send", "args": {"what": ref("0")}},
    )
    _, entries = await recorded(plan)
    begun = event_of(entries[0])
    assert isinstance(begun, ev.RunCreated)
    entries[0] = begun._replace(limits={**begun.limits, "run_timeout_s": 0.5})
    return entries


def in_doubt(entries: list[Any]) -> dict[str, Any]:
    """What a person who looks at the world says of the writes that have no outcome."""
    begun: dict[tuple[str, int | None], ev.StepIntent] = {}
    for event in map(event_of, entries):
        if isinstance(event, ev.StepIntent) and event.effect == "write":
            begun[event.step, event.element] = event
        elif isinstance(event, (ev.StepResult, ev.UnknownResolved)):
            begun.pop((event.step, event.element), None)
    return {id if n is None else f"{id}[{n}]": heddle.NotDone() for id, n in begun}


def outcome(result: Any) -> Any:
    """What must be the same."""
    steps = [(step.id, step.tool, step.status, step.value) for step in result.steps]
    return result.status, result.answer, steps


def after(entries: list[Any], kind: type[ev.Event], step: str) -> int:
    """How many events there are up to the first of a kind and step."""
    events = map(event_of, entries)
    found = (
        n for n, event in enumerate(events, 1) if isinstance(event, kind) and event.step == step
    )
    return next(found)


def json_plan(*steps: dict[str, Any], output: Any = None) -> Any:
    import json

    data: dict[str, Any] = {"heddle": 1, "steps": list(steps)}
    if output is not None:
        data["output"] = output
    plan = heddle.parse(json.dumps(data), dialect="json")
    assert not plan.findings
    return plan


def ref(id: str) -> dict[str, Any]:
    return {"$ref": id}


ITEM = {"$item": []}
PLANS = {
    "one of each effect": PLAN,
    "maps that follow each other": json_plan(
        {"id": "1", "tool": "all", "args": {"what": "a"}},
        {"id": "2", "tool": "look", "args": {"what": ITEM}, "over": ref("1")},
        {"id": "3", "tool": "send", "args": {"what": ITEM}, "over": ref("2")},
        {"id": "4", "tool": "pay", "args": {"what": ITEM}, "over": ref("3")},
    ),
    "a map that fails in part": json_plan(
        {"id": "1", "tool": "all", "args": {"what": "a"}},
        {"id": "2", "tool": "fails", "args": {"what": ITEM}, "over": ref("1")},
        {"id": "3", "tool": "send", "args": {"what": ITEM}, "over": ref("2")},
        {"id": "4", "tool": "twice", "args": {"what": "x"}, "after": ["1"]},
    ),
    "defaults and what is skipped": json_plan(
        {"id": "1", "tool": "fails", "args": {"what": "1"}, "default": "none"},
        {"id": "2", "tool": "send", "args": {"what": ref("1")}},
        {"id": "3", "tool": "fails", "args": {"what": "b1"}},
        {"id": "4", "tool": "send", "args": {"what": ref("3")}},
        {"id": "5", "tool": "pay", "args": {"what": ref("2")}},
    ),
    "a plan that came out as a result": json_plan(
        {"id": "1", "tool": "nested", "args": {"what": "a"}},
        {"id": "2", "tool": "expand", "args": {"plan": ref("1"), "dialect": "llmcompiler"}},
        {"id": "3", "tool": "send", "args": {"what": ref("2")}},
    ),
    "equal calls": json_plan(
        {"id": "1", "tool": "twice", "args": {"what": "a"}},
        {"id": "2", "tool": "look", "args": {"what": "a"}},
        {"id": "3", "tool": "look", "args": {"what": "a"}},
        {"id": "4", "tool": "send", "args": {"what": ref("3")}},
        {"id": "5", "tool": "twice", "args": {"what": "a"}, "after": ["4"]},
    ),
}


# -- cut off anywhere ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANS)
def test_a_run_that_was_cut_off_after_any_event_ends_as_if_it_had_not_been(name: str) -> None:
    plan = PLANS[name]

    async def main() -> None:
        whole, entries = await recorded(plan)
        for n in range(2, len(entries)):
            why = f"after {n} events, the last being {event_of(entries[n - 1])}"
            world, store = World(), cut_after(entries, n)
            result = await heddle.resume(
                "r", world.tools(), journal=store, resolve=in_doubt(entries[:n])
            )
            assert outcome(result) == outcome(whole), why
            assert_nothing_twice([event_of(entry) for entry in entries[:n]], result, why)
            again = await heddle.resume("r", World().tools(), journal=store)
            assert outcome(again) == outcome(whole), why

    run_virtual(main())


def test_a_plan_that_was_accepted_is_not_judged_again_unless_tools_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = heddle.parse('1. look("a")\n2. twice($1)\n', dialect="llmcompiler")
    plan.findings.append(Finding("odd", "warning", "a remark of its reader"))

    async def main() -> None:
        whole, entries = await recorded(plan)
        cut = after(entries, ev.StepReady, "2")
        judged: list[Any] = []
        check = Verifier.check

        def counted(verifier: Verifier, plan: Any) -> Any:
            judged.append(plan)
            return check(verifier, plan)

        monkeypatch.setattr(Verifier, "check", counted)
        result = await heddle.resume("r", World().tools(), journal=cut_after(entries, cut))
        assert outcome(result) == outcome(whole)
        assert (result.findings, result.plans[0].findings) == (
            whole.findings, whole.plans[0].findings
        )  # fmt: skip
        assert not judged
        tools = World().tools()[:-1]  # one that the plan does not name is missing
        options: Any = {"journal": cut_after(entries, cut), "allow_tool_change": True}
        assert outcome(await heddle.resume("r", tools, **options)) == outcome(whole)
        assert judged

    run_virtual(main())


def assert_nothing_twice(past: list[Any], result: Any, why: str) -> None:
    """What had a value was not called again, and no key is another's."""
    had = {(event.step, event.element) for event in past if isinstance(event, ev.StepResult)}
    had |= {(event.step, None) for event in past if isinstance(event, ev.StepEnded)}
    now = result.events[len(past) :]
    assert not any(
        (event.step, event.element) in had for event in now if isinstance(event, ev.StepStarted)
    ), why
    intents = [event for event in result.events if isinstance(event, ev.StepIntent)]
    assert len({(e.step, e.element) for e in intents}) == len({e.key for e in intents}), why
    ends = Counter(event.step for event in result.events if isinstance(event, ev.StepEnded))
    assert set(ends.values()) <= {1}, why
    results = Counter(
        (event.step, event.element) for event in result.events if isinstance(event, ev.StepResult)
    )
    assert set(results.values()) <= {1}, why


@pytest.mark.parametrize("name", ["one of each effect", "a plan that came out as a result"])
def test_a_resume_that_is_cut_off_is_gone_on_with_too(name: str) -> None:
    async def main() -> None:
        whole, entries = await recorded(PLANS[name])
        for n in range(2, len(entries), 3):
            store = cut_after(entries, n)
            await heddle.resume("r", World().tools(), journal=store, resolve=in_doubt(entries[:n]))
            second = await entries_of(store, "r")
            for m in range(n + 1, len(second), 2):
                twice = cut_after(second, m, token=2)
                result = await heddle.resume(
                    "r", World().tools(), journal=twice, resolve=in_doubt(second[:m])
                )
                assert outcome(result) == outcome(whole), (n, m)

    run_virtual(main())


def test_a_run_that_is_over_is_read_and_nothing_is_called(tmp_path: Path) -> None:
    place, world = tmp_path / "journal.db", World()

    async def main() -> None:
        first = await heddle.execute(PLAN, world.tools(), journal=place, run_id="r")
        calls = list(world.calls)
        again = await heddle.resume("r", [], journal=place)
        assert world.calls == calls
        assert outcome(again) == outcome(first)

    run_virtual(main())


def test_the_clock_goes_on_from_the_last_event() -> None:
    async def main() -> None:
        whole, entries = await recorded(PLAN)
        n = after(entries, ev.StepResult, "2")
        await asyncio.sleep(1000)
        result = await heddle.resume("r", World().tools(), journal=cut_after(entries, n))
        assert result.timing.total_s == whole.timing.total_s == 2

    run_virtual(main())


# -- writes in doubt -------------------------------------------------------------------------------


def cut_in_mid_write(entries: list[Any]) -> MemoryStore:
    return cut_after(entries, after(entries, ev.StepIntent, "3"))


def statuses(result: Any) -> dict[str, str]:
    return {step.id: step.status for step in result.steps}


def test_a_write_whose_outcome_nobody_saw_is_not_repeated() -> None:
    async def main() -> None:
        _, entries = await recorded(PLAN)
        world = World()
        result = await heddle.resume("r", world.tools(), journal=cut_in_mid_write(entries))
        assert (result.status, result.exit_status) == ("unresolved", 7)
        assert "send a" not in world.calls
        assert statuses(result) == {
            "1": "done", "2": "done", "3": "unknown", "4": "done", "5": "skipped",
        }  # fmt: skip

    run_virtual(main())


@pytest.mark.parametrize(
    ("says", "sent", "third", "fifth"),
    [
        (heddle.Done("it was sent"), 0, "done", "it was sentit was sent"),
        (heddle.NotDone(), 1, "done", "sent asent a"),
        (heddle.Unsure(), 0, "unknown", None),
        (ValueError("no connection"), 0, "unknown", None),
        ("nonsense", 0, "unknown", None),
    ],
)
def test_the_tools_probe_says_what_became_of_it(
    says: Any, sent: int, third: str, fifth: str | None
) -> None:
    async def main() -> None:
        _, entries = await recorded(PLAN)
        world = World()
        world.says = says
        result = await heddle.resume(
            "r", world.tools(probed=True), journal=cut_in_mid_write(entries)
        )
        assert world.calls.count("send a") == sent
        assert statuses(result)["3"] == third
        assert result.steps[4].value == fifth
        (intent,) = {e.key for e in result.events if isinstance(e, ev.StepIntent) and e.step == "3"}
        assert world.probes == [intent]

    run_virtual(main())


@pytest.mark.parametrize("says", [heddle.Done("by hand"), heddle.NotDone(), heddle.Failed("no")])
def test_a_run_that_ended_unresolved_goes_on_once_somebody_knows(says: Any) -> None:
    async def main() -> None:
        _, entries = await recorded(PLAN)
        store, world = cut_in_mid_write(entries), World()
        first = await heddle.resume("r", world.tools(), journal=store)
        assert first.status == "unresolved"
        same = await heddle.resume("r", world.tools(), journal=store)
        assert outcome(same) == outcome(first)
        calls = list(world.calls)
        result = await heddle.resume("r", world.tools(), journal=store, resolve={"3": says})
        failed = isinstance(says, heddle.Failed)
        assert result.status == ("partial" if failed else "succeeded")
        assert statuses(result)["5"] == ("skipped" if failed else "done")
        new = world.calls[len(calls) :]
        assert new.count("send a") == isinstance(says, heddle.NotDone)
        assert not [call for call in new if call.startswith("look")]
        (by,) = [event.by for event in result.events if isinstance(event, ev.UnknownResolved)]
        assert by == "human"
        assert outcome(await heddle.resume("r", [], journal=store)) == outcome(result)

    run_virtual(main())


def test_one_element_of_a_map_may_be_in_doubt_and_be_resolved() -> None:
    async def main() -> None:
        whole, entries = await recorded(PLANS["maps that follow each other"])
        n = after(entries, ev.StepIntent, "3")
        store = cut_after(entries, n)
        first = await heddle.resume("r", World().tools(), journal=store)
        assert (first.status, statuses(first)["3"]) == ("unresolved", "unknown")
        world = World()
        result = await heddle.resume(
            "r", world.tools(), journal=store, resolve={"3[0]": heddle.Done("sent a0")}
        )
        assert outcome(result) == outcome(whole)
        assert world.calls == []
        assert list(world.keys.values()) == ["sent a0"]

    run_virtual(main())


def test_a_resume_that_is_cut_off_before_its_maps_are_over_leaves_no_element_skipped() -> None:
    async def main() -> None:
        whole, entries = await recorded(PLANS["maps that follow each other"])
        cut = after(entries, ev.StepIntent, "3")
        store = cut_after(entries, cut)
        first = await heddle.resume("r", World().tools(), journal=store)
        assert first.status == "unresolved"
        entries = await entries_of(store, "r")
        for n in range(cut, len(entries)):
            store = cut_after(entries, n)
            result = await heddle.resume(
                "r", World().tools(), journal=store, resolve=in_doubt(entries[:n])
            )
            assert outcome(result) == outcome(whole), n

    run_virtual(main())


@pytest.mark.parametrize(
    ("name", "says"),
    [("1", "it is done"), ("9", "there is no such step"), ("3[0]", "element 0 of step 3")],
)
def test_what_is_not_in_doubt_cannot_be_resolved(name: str, says: str) -> None:
    async def main() -> None:
        _, entries = await recorded(PLAN)
        world = World()
        with pytest.raises(JournalError, match=says) as caught:
            await heddle.resume(
                "r", world.tools(), journal=cut_in_mid_write(entries),
                resolve={name: heddle.NotDone()},
            )  # fmt: skip
        assert (caught.value.code, caught.value.hint) == ("not-unknown", "in doubt: 3")
        assert not world.calls

    run_virtual(main())


def test_a_name_of_no_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no step"):
        run_virtual(heddle.resume("r", journal=MemoryStore(), resolve={"3[x": heddle.NotDone()}))


def test_a_write_in_doubt_is_unknown_also_where_the_runs_time_is_up_before_it_is_reached() -> None:
    async def main() -> None:
        entries = await one_that_was_late()
        store = cut_after(entries, after(entries, ev.StepStarted, "last"))
        result = await heddle.resume("r", World().tools(), journal=store)
        assert (result.status, statuses(result)["last"]) == ("unresolved", "unknown")
        result = await heddle.resume(
            "r", World().tools(), journal=store, resolve={"last": heddle.Done("sent a")}
        )
        assert statuses(result)["last"] == "done"

    run_virtual(main())


@pytest.mark.parametrize("says", [heddle.NotDone(), heddle.Done("sent a")])
def test_what_ended_before_the_runs_time_was_up_is_as_it_was(says: Any) -> None:
    async def main() -> None:
        entries = await one_that_was_late()
        world = World()
        store = cut_after(entries, after(entries, ev.StepEnded, "last"))
        result = await heddle.resume("r", world.tools(), journal=store)
        assert (statuses(result)["last"], world.calls) == ("done", [])
        store = cut_after(entries, after(entries, ev.StepStarted, "last"))
        result = await heddle.resume("r", world.tools(), journal=store, resolve={"last": says})
        assert "send a" not in world.calls

    run_virtual(main())


# -- interrupted -----------------------------------------------------------------------------------


def test_a_run_that_was_interrupted_is_gone_on_with() -> None:
    async def main() -> None:
        whole, _ = await recorded(PLAN)
        store, world = MemoryStore(), World()
        run = asyncio.create_task(heddle.execute(PLAN, world.tools(), journal=store, run_id="r"))
        await asyncio.sleep(0.5)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        result = await heddle.resume("r", world.tools(), journal=store)
        assert outcome(result) == outcome(whole)

    run_virtual(main())


def test_a_write_that_was_interrupted_is_in_doubt() -> None:
    async def main() -> None:
        whole, _ = await recorded(PLAN)
        store, world = MemoryStore(), World()
        run = asyncio.create_task(heddle.execute(PLAN, world.tools(), journal=store, run_id="r"))
        await asyncio.sleep(1.5)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert world.calls.count("send a") == 1
        result = await heddle.resume("r", world.tools(), journal=store)
        assert (result.status, statuses(result)["3"]) == ("unresolved", "unknown")
        result = await heddle.resume(
            "r", world.tools(), journal=store, resolve={"3": heddle.Done("sent a")}
        )
        assert outcome(result) == outcome(whole)
        assert world.calls.count("send a") == 1

    run_virtual(main())


def test_what_a_write_has_come_to_is_in_the_store_at_once() -> None:
    async def main() -> None:
        store, world = MemoryStore(), World()
        plan = heddle.parse('1. send("a")\n2. look("b")\n3. look("c")', dialect="llmcompiler")
        run = asyncio.create_task(heddle.execute(plan, world.tools(), journal=store, run_id="r"))
        await asyncio.sleep(1 + GROUP_S / 10)
        assert ev.StepResult(1.0, "1", 1, "sent a") in map(event_of, await entries_of(store, "r"))
        await run

    run_virtual(main())


@pytest.mark.parametrize("over", [False, True])
def test_a_write_that_was_interrupted_before_its_call_is_made_later(over: bool) -> None:
    async def main() -> None:
        store, world = SlowStore(), World()
        step = {"id": "1", "tool": "send", "args": {"what": {"$item": []} if over else "a"}}
        plan = json_plan(step | ({"over": ["a"]} if over else {}))
        run = asyncio.create_task(heddle.execute(plan, world.tools(), journal=store, run_id="r"))
        for _ in range(2):  # the second time it is no first attempt any more
            await asyncio.sleep(0.5)  # its intent is on its way to the disk
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            assert not world.calls
            run = asyncio.create_task(heddle.resume("r", world.tools(), journal=store))
        assert (await run).status == "succeeded"
        assert world.calls == ["send a"]
        found = audit(map(event_of, await entries_of(store, "r")))
        assert (found.violations, found.unresolved) == ([], [])

    run_virtual(main())


# -- who may go on, and with what ------------------------------------------------------------------


def test_a_run_whose_process_is_alive_is_refused() -> None:
    async def main() -> None:
        store, world = MemoryStore(), World()
        run = asyncio.create_task(heddle.execute(PLAN, world.tools(), journal=store, run_id="r"))
        await asyncio.sleep(0.5)
        with pytest.raises(JournalError) as caught:
            await heddle.resume("r", world.tools(), journal=store)
        assert caught.value.code == "run-leased"
        assert (await run).status == "succeeded"

    run_virtual(main())


def test_of_two_that_resume_at_once_one_is_refused() -> None:
    async def main() -> None:
        whole, entries = await recorded(PLAN)
        store, world = cut_after(entries, 5), World()
        both = [heddle.resume("r", world.tools(), journal=store) for _ in range(2)]
        one, other = await asyncio.gather(*both, return_exceptions=True)
        assert outcome(one) == outcome(whole)
        assert isinstance(other, JournalError)
        assert other.code == "run-leased"

    run_virtual(main())


def test_a_process_that_lost_the_run_calls_nothing_more() -> None:
    async def main() -> None:
        store, world = MemoryStore(), World()
        run = asyncio.create_task(heddle.execute(PLAN, world.tools(), journal=store, run_id="r"))
        await asyncio.sleep(0.5)
        store.die("r")
        await store.lease("r", "another", 30)
        result = await run
        assert (result.status, result.error.code) == ("failed", "lease-lost")
        assert not [call for call in world.calls if call.startswith("send")]
        assert not world.keys

    run_virtual(main())


def test_a_resume_that_finds_nothing_to_do_leaves_the_run_to_the_next() -> None:
    async def main() -> None:
        _, entries = await recorded(PLAN)
        store = cut_in_mid_write(entries)
        first = await heddle.resume("r", World().tools(), journal=store)
        again = await heddle.resume("r", World().tools(), journal=store)
        assert (first.status, again.status) == ("unresolved", "unresolved")
        says = {"3": heddle.Done("it was sent")}
        result = await heddle.resume("r", World().tools(), journal=store, resolve=says)
        assert result.status == "succeeded"

    run_virtual(main())


def test_other_tools_are_refused_by_name() -> None:
    async def main() -> None:
        _, entries = await recorded(PLAN)

        @heddle.tool(effect="read")
        async def send(what: str) -> str:
            return what

        tools = [tool for tool in World().tools() if tool.spec.name not in ("send", "pay")]
        with pytest.raises(JournalError, match=r"send \(changed\), pay \(missing\)") as caught:
            await heddle.resume("r", [*tools, send], journal=cut_after(entries, 12))
        assert caught.value.code == "tools-changed"

    run_virtual(main())


def test_a_tool_that_was_not_begun_may_change_if_that_is_allowed() -> None:
    async def main() -> None:
        _, entries = await recorded(PLAN)

        @heddle.tool(effect="pure")
        async def twice(what: str) -> str:
            """Another description."""
            return what * 3

        tools = [*(tool for tool in World().tools() if tool.spec.name != "twice"), twice]
        n = after(entries, ev.StepResult, "3")
        result = await heddle.resume(
            "r", tools, journal=cut_after(entries, n), allow_tool_change=True
        )
        assert result.steps[4].value == "sent a" * 3
        late = cut_after(entries, after(entries, ev.StepStarted, "5"))
        with pytest.raises(JournalError) as caught:
            await heddle.resume("r", tools, journal=late, allow_tool_change=True)
        assert caught.value.code == "tools-changed"

    run_virtual(main())


def test_a_run_that_is_not_there_and_one_that_was_never_written() -> None:
    async def main() -> None:
        store = MemoryStore()
        with pytest.raises(JournalError) as caught:
            await heddle.resume("r", journal=store)
        assert caught.value.code == "run-unknown"
        await store.create("r", "", "somebody", 30)
        store.die("r")
        with pytest.raises(JournalError) as caught:
            await heddle.resume("r", journal=store)
        assert caught.value.code == "run-empty"

    run_virtual(main())


def test_a_run_that_was_never_written_is_begun_again_under_its_id(tmp_path: Path) -> None:
    async def main() -> None:
        store, world = SQLiteStore(tmp_path / "j.db"), World()
        lease = await store.create("r", "", this_process(), 30)
        with pytest.raises(JournalError) as caught:
            await heddle.execute(PLAN, world.tools(), journal=store, run_id="r")
        assert caught.value.code == "run-leased"
        await store.release(lease)
        result = await heddle.execute(PLAN, world.tools(), journal=store, run_id="r")
        assert result.status == "succeeded"
        with pytest.raises(JournalError) as caught:
            await heddle.execute(PLAN, world.tools(), journal=store, run_id="r")
        assert caught.value.code == "run-exists"
        assert (await heddle.resume("r", world.tools(), journal=store)).answer == result.answer
        await store.aclose()

    run_virtual(main())


def test_a_plan_that_was_approved_is_not_asked_about_again() -> None:
    async def main() -> None:
        asked: list[str] = []

        def approve(plan: Any, effects: Any) -> bool:
            asked.append("asked")
            return True

        whole, entries = await recorded(PLAN, approve=approve)
        n = next(
            n for n, entry in enumerate(entries, 1) if isinstance(event_of(entry), ev.Approval)
        )
        with pytest.raises(ConfigError) as caught:
            await heddle.resume("r", World().tools(), journal=cut_after(entries, n))
        assert caught.value.code == "no-approver"
        result = await heddle.resume(
            "r", World().tools(), journal=cut_after(entries, n), approve=approve
        )
        assert outcome(result) == outcome(whole)
        assert len(asked) == 1
        await heddle.resume(
            "r", World().tools(), journal=cut_after(entries, n - 1), approve=approve
        )
        assert len(asked) == 2

    run_virtual(main())
