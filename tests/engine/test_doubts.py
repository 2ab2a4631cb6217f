"""Writes whose outcome nobody saw, and what a tool's policy makes of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import heddle
from heddle.engine import events as ev
from heddle.engine.audit import audit
from heddle.engine.journal.writer import GROUP_S
from heddle.errors import JournalError
from heddle.testing.clock import run_virtual
from memory_store import MemoryStore, cut_after, entries_of

PLAN = heddle.parse('1. send("a")\n2. note($1)\n', dialect="llmcompiler")
MAPPED = heddle.parse(
    '{"heddle": 1, "steps": [{"id": "1", "tool": "send", "args": {"what": {"$item": []}},'
    ' "over": ["a", "lost", "c"]}]}',
    dialect="json",
)
FAILED = heddle.Failed("nobody saw it arrive")
DONE = heddle.Done("taken for sent")


class Post:
    """A tool that sends letters, and whose answers may get lost."""

    def __init__(self, says: Any = None, probe_says: Any = None) -> None:
        self.sent: list[str] = []
        self.noted: list[str] = []
        self.probed = 0
        self.says = says
        self.probe_says = probe_says

    def tools(self) -> list[Any]:
        async def look_up(what: str) -> Any:
            self.probed += 1
            return self.probe_says

        @heddle.tool(
            effect="write",
            timeout_s=5,
            on_unknown=self.says,
            probe=None if self.probe_says is None else look_up,
        )
        async def send(what: str) -> str:
            self.sent.append(what)
            if what == "lost":
                raise ConnectionResetError
            await asyncio.sleep(1 if what != "slow" else 9)
            return f"sent {what}"

        @heddle.tool(effect="pure")
        async def note(what: str) -> str:
            self.noted.append(what)
            return what

        return [send, note]


async def cut_in_mid_write(says: Any = None) -> MemoryStore:
    """A journal whose process died when its write had been begun."""
    store = MemoryStore()
    await heddle.execute(PLAN, Post(says).tools(), journal=store, run_id="r")
    entries = await entries_of(store, "r")
    last = next(n for n, entry in enumerate(entries) if isinstance(entry, ev.StepIntent))
    return cut_after(entries, last + 2)


def statuses(result: Any) -> dict[str, tuple[str, Any]]:
    return {step.id: (step.status, step.value) for step in result.steps}


def resolved(result: Any) -> list[tuple[str, str, int | None]]:
    found = [event for event in result.events if isinstance(event, ev.UnknownResolved)]
    return [(event.by, event.outcome, event.element) for event in found]


# -- on resume -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "status", "first", "second"),
    [
        (FAILED, "failed", ("failed", None), ("skipped", None)),
        (DONE, "succeeded", ("done", "taken for sent"), ("done", "taken for sent")),
        (heddle.Unsure(), "unresolved", ("unknown", None), ("skipped", None)),
    ],
)
def test_the_tools_policy_says_what_a_write_counts_as_that_was_cut_off(
    says: Any, status: str, first: Any, second: Any
) -> None:
    async def main() -> None:
        store, post = await cut_in_mid_write(says), Post(says)
        result = await heddle.resume("r", post.tools(), journal=store)
        assert result.status == status
        assert statuses(result) == {"1": first, "2": second}
        assert post.sent == []
        assert {by for by, *_ in resolved(result)} <= {"policy"}
        assert audit(result.events).violations == []
        again = await heddle.resume("r", post.tools(), journal=store)
        assert statuses(again) == statuses(result)

    run_virtual(main())


def test_what_it_gives_as_its_reason_is_what_the_step_says() -> None:
    async def main() -> None:
        result = await heddle.resume(
            "r", Post(FAILED).tools(), journal=await cut_in_mid_write(FAILED)
        )
        (error,) = [step.error for step in result.steps if step.status == "failed"]
        assert (error.code, error.message) == ("resolved-failed", "nobody saw it arrive")

    run_virtual(main())


@pytest.mark.parametrize("at", range(1, 9))
def test_a_resume_that_dies_itself_comes_to_the_same(at: int) -> None:
    async def main() -> None:
        store = await cut_in_mid_write(DONE)
        before = len(await entries_of(store, "r"))
        whole = await heddle.resume("r", Post(DONE).tools(), journal=store)
        entries = await entries_of(store, "r")
        cut = cut_after(entries, min(before + at, len(entries)), token=2)
        post = Post(DONE)
        result = await heddle.resume("r", post.tools(), journal=cut)
        assert statuses(result) == statuses(whole)
        assert post.sent == []
        assert audit(result.events).violations == []

    run_virtual(main())


def test_a_person_counts_more_than_the_probe_and_the_probe_more_than_the_policy() -> None:
    async def by(resolve: Any, probe_says: Any) -> list[str]:
        post = Post(FAILED, probe_says)
        result = await heddle.resume(
            "r", post.tools(), journal=await cut_in_mid_write(FAILED), resolve=resolve
        )
        return [who for who, *_ in resolved(result)]

    async def main() -> None:
        sure, unsure = heddle.Done("it was sent"), heddle.Unsure()
        assert await by({"1": sure}, sure) == ["human"]
        assert await by(None, sure) == ["probe"]
        assert await by(None, unsure) == ["policy"]
        assert await by({"1": unsure}, sure) == []

    run_virtual(main())


def test_a_policy_that_came_later_is_another_tool() -> None:
    async def main() -> None:
        with pytest.raises(JournalError) as caught:
            await heddle.resume("r", Post(FAILED).tools(), journal=await cut_in_mid_write())
        assert (caught.value.code, "send (changed)" in caught.value.message) == (
            "tools-changed",
            True,
        )

    run_virtual(main())


# -- in a run that goes on -------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["lost", "slow"])
@pytest.mark.parametrize(
    ("says", "status", "second"),
    [(FAILED, "failed", "skipped"), (DONE, "succeeded", "done"), (None, "unresolved", "skipped")],
)
def test_a_write_whose_answer_is_lost_counts_as_its_policy_says_at_once(
    what: str, says: Any, status: str, second: str
) -> None:
    async def main() -> None:
        plan = heddle.parse(f'1. send("{what}")\n2. note($1)\n', dialect="llmcompiler")
        post = Post(says)
        result = await heddle.execute(plan, post.tools())
        assert (result.status, statuses(result)["2"][0]) == (status, second)
        assert post.sent == [what]
        assert audit(result.events).violations == []

    run_virtual(main())


def test_so_does_an_element_of_a_map() -> None:
    async def main() -> None:
        result = await heddle.execute(MAPPED, Post(DONE).tools())
        assert statuses(result)["1"] == ("done", ["sent a", "taken for sent", "sent c"])
        assert resolved(result) == [("policy", "done", 1)]
        result = await heddle.execute(MAPPED, Post(FAILED).tools())
        assert statuses(result)["1"] == ("failed", ["sent a", None, "sent c"])
        assert resolved(result) == [("policy", "failed", 1)]
        assert audit(result.events).violations == []

    run_virtual(main())


def test_a_probe_is_asked_before_the_policy_and_only_once_the_call_cannot_come_through() -> None:
    async def main() -> None:
        plan = heddle.parse('1. send("lost")\n2. note($1)\n', dialect="llmcompiler")
        post, store = Post(FAILED, heddle.Done("it was sent")), MemoryStore()
        first = await heddle.execute(plan, post.tools(), journal=store, run_id="r")
        assert (first.status, post.probed) == ("unresolved", 0)
        result = await heddle.resume("r", post.tools(), journal=store)
        assert statuses(result) == {"1": ("done", "it was sent"), "2": ("done", "it was sent")}
        assert resolved(result) == [("probe", "done", None)]

    run_virtual(main())


def test_a_run_that_is_interrupted_leaves_its_write_in_doubt_all_the_same() -> None:
    async def main() -> None:
        store, post = MemoryStore(), Post(FAILED)
        run = asyncio.create_task(heddle.execute(PLAN, post.tools(), journal=store, run_id="r"))
        await asyncio.sleep(0.5)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        result = await heddle.resume(
            "r", post.tools(), journal=store, resolve={"1": heddle.Done("I have seen it")}
        )
        assert statuses(result)["1"] == ("done", "I have seen it")

    run_virtual(main())


# -- who kills -------------------------------------------------------------------------------------


class Killer:
    """Tools of which one kills the process at once that calls it.

    Args:
        effect: of that tool.
        limits: of the run.
    """

    def __init__(self, effect: Any, **limits: Any) -> None:
        self.effect = effect
        self.limits = heddle.Limits(concurrency=8, **limits)
        self.called = asyncio.Event()
        self.calls: list[str] = []

    def tools(self) -> list[Any]:
        """The one that kills, and one that takes some seconds."""

        @heddle.tool(effect=self.effect)
        async def kill(what: str) -> str:
            self.calls.append("kill")
            self.called.set()
            await asyncio.sleep(1_000)
            return what

        @heddle.tool(effect="read", timeout_s=1_000)
        async def look(what: str, seconds: float = 0.0) -> str:
            self.calls.append(f"look {what}")
            await asyncio.sleep(seconds)
            return what

        return [kill, look]

    async def live(self, plan: Any, store: MemoryStore | None) -> Any:
        """One life: its result, or the store that it leaves when it dies."""
        self.called.clear()
        first = store is None
        store = store or MemoryStore()
        if first:
            run = heddle.execute(plan, self.tools(), journal=store, run_id="r", limits=self.limits)
        else:
            run = heddle.resume("r", self.tools(), journal=store)
        life, died = asyncio.create_task(run), asyncio.create_task(self.called.wait())
        await asyncio.wait([life, died], return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            died.cancel()
            return life.result()
        if first:  # else there is nothing to go on with
            await asyncio.sleep(2 * GROUP_S)
        left = await entries_of(store, "r")
        life.cancel()
        await asyncio.wait([life])
        return cut_after(left, len(left), token=store.kept["r"].token)

    async def live_on(self, plan: Any, most: int = 20) -> tuple[Any, int]:
        """The result, and how many lives were lost for it."""
        left: Any = None
        for lives in range(most):
            left = await self.live(plan, left)
            if not isinstance(left, MemoryStore):
                return left, lives
        raise AssertionError("it never ends")


ALONE = heddle.parse('1. kill("a")\n', dialect="llmcompiler")


@pytest.mark.parametrize("effect", ["pure", "read", "idempotent"])
@pytest.mark.parametrize("most", [2, 5])
def test_a_step_that_kills_whoever_calls_it_is_not_begun_for_ever(effect: Any, most: int) -> None:
    async def main() -> None:
        killer = Killer(effect, max_deaths=most)
        result, lives = await killer.live_on(ALONE)
        (step,) = result.steps
        assert (step.status, step.error.code) == ("failed", "poisoned")
        assert f"{most} processes in a row" in step.error.message
        assert len(killer.calls) == lives
        assert most <= lives <= most + 2  # before one goes warily, not all is on the disk
        assert audit(result.events).violations == []

    run_virtual(main())


def test_nobody_is_blamed_who_ran_beside_it() -> None:
    async def main() -> None:
        plan = heddle.parse(
            '1. look("a")\n2. kill($1)\n3. look("b", 1)\n4. look("c", 1)\n5. look($2)\n',
            dialect="llmcompiler",
        )
        killer = Killer("read", max_deaths=3)
        result, lives = await killer.live_on(plan)
        assert [step.status for step in result.steps] == [
            "done", "failed", "done", "done", "skipped",
        ]  # fmt: skip
        assert result.steps[1].error.code == "poisoned"
        assert lives <= 3 + 2 + 3  # it alone, before one goes warily, and those that got somewhere

    run_virtual(main())


def test_so_it_is_within_a_map_and_within_a_plan_that_came_out_as_a_result() -> None:
    inner, lines = '1. kill("x")\n2. look("y")\n', "llmcompiler"
    plans: list[list[dict[str, Any]]] = [
        [{"id": "2", "tool": "kill", "args": {"what": {"$item": []}}, "over": ["x", "y", "z"]}],
        [
            {"id": "1", "tool": "look", "args": {"what": inner}},
            {"id": "2", "tool": "expand", "args": {"plan": {"$ref": "1"}, "dialect": lines}},
        ],
    ]

    async def main() -> None:
        for steps in plans:
            plan = heddle.parse(json.dumps({"heddle": 1, "steps": steps}), dialect="json")
            result, _ = await Killer("read", max_deaths=2).live_on(plan)
            errors = [event for event in result.events if isinstance(event, ev.StepError)]
            assert {error.code for error in errors} >= {"poisoned"}
            assert result.status in ("failed", "partial")

    run_virtual(main())
