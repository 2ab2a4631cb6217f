"""Writes whose outcome nobody saw, and what a tool's policy makes of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import heddle
from heddle.engine import events as ev
from heddle.engine.audit import audit
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
