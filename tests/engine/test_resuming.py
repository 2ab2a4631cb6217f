"""Going on with a run: nothing that has ended is done again, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from memory_store import MemoryStore, cut_after, entries_of

import heddle
from heddle.engine.events import StepIntent, StepResult
from heddle.engine.record import event_of
from heddle.testing.clock import run_virtual

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


class World:
    """Tools that are counted, one of each effect, and what happened."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.keys: list[str] = []
        self.cut_at = ""

    def _count(self, name: str) -> None:
        self.calls.append(name)
        if name == self.cut_at:
            self.cut_at = ""
            raise KeyboardInterrupt

    def tools(self) -> list[Any]:
        @heddle.tool(effect="read")
        async def look(what: str) -> str:
            await asyncio.sleep(1)
            self._count(f"look {what}")
            return what

        @heddle.tool(effect="write")
        async def send(what: str) -> str:
            await asyncio.sleep(1)
            self._count(f"send {what}")
            return f"sent {what}"

        @heddle.tool(effect="idempotent")
        async def pay(what: str) -> str:
            await asyncio.sleep(1)
            self.keys.append(heddle.current_call().key)
            self._count(f"pay {what}")
            return f"paid {what}"

        @heddle.tool(effect="pure")
        async def twice(what: str) -> str:
            self._count(f"twice {what}")
            return what + what

        return [look, send, pay, twice]


def test_a_run_that_is_over_is_read_and_nothing_is_called(tmp_path: Path) -> None:
    place = tmp_path / "journal.db"
    world = World()

    async def main() -> None:
        first = await heddle.execute(PLAN, world.tools(), journal=place, run_id="r")
        calls = list(world.calls)
        again = await heddle.resume("r", world.tools(), journal=place)
        assert world.calls == calls
        assert again.status == first.status == "succeeded"
        assert [step.value for step in again.steps] == [step.value for step in first.steps]

    run_virtual(main())


async def recorded(world: World, **options: Any) -> tuple[Any, list[Any]]:
    """The plan run to its end, and all that its journal has."""
    store = MemoryStore()
    result = await heddle.execute(PLAN, world.tools(), journal=store, run_id="r", **options)
    return result, await entries_of(store, "r")


def begun_writes(entries: list[Any]) -> set[str]:
    """Writes that were begun, and whose outcome is not there."""
    begun: set[str] = set()
    for event in map(event_of, entries):
        if isinstance(event, StepIntent) and event.effect == "write":
            begun.add(event.step)
        elif isinstance(event, StepResult):
            begun.discard(event.step)
    return begun


def test_a_run_that_was_cut_off_anywhere_ends_as_if_it_had_not_been() -> None:
    async def main() -> None:
        first = World()
        whole, entries = await recorded(first)
        for n in range(2, len(entries)):
            world = World()
            in_doubt = begun_writes(entries[:n])
            resolve = {step: heddle.Done("sent a") for step in in_doubt}
            result = await heddle.resume(
                "r", world.tools(), journal=cut_after(entries, n), resolve=resolve
            )
            assert result.status == "succeeded", n
            values = [step.value for step in result.steps]
            assert values == [step.value for step in whole.steps], n
            past = [event_of(entry) for entry in entries[:n]]
            done = {event.step for event in past if isinstance(event, StepResult)}
            assert not {step.id for step in whole.steps if step.id in done} & repeated(world, n)
            assert set(world.keys) <= set(first.keys)

    run_virtual(main())


def repeated(world: World, n: int) -> set[str]:
    """The steps whose tools were called."""
    ids = {"look a": "1", "look b": "2", "send a": "3", "pay b": "4", "twice sent a": "5"}
    assert len(set(world.calls)) == len(world.calls), n
    return {ids[call] for call in world.calls}


def test_a_write_whose_outcome_nobody_saw_is_not_repeated() -> None:
    async def main() -> None:
        _, entries = await recorded(World())
        n = 1 + next(
            n for n, entry in enumerate(entries)
            if isinstance(entry, StepIntent) and entry.step == "3"
        )  # fmt: skip
        world = World()
        result = await heddle.resume("r", world.tools(), journal=cut_after(entries, n))
        assert result.status == "unresolved"
        assert result.exit_status == 7
        assert "send a" not in world.calls
        assert {step.id: step.status for step in result.steps} == {
            "1": "done", "2": "done", "3": "unknown", "4": "done", "5": "skipped",
        }  # fmt: skip

    run_virtual(main())
