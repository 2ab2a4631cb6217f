"""What is handed in with a run is looked at before anything of it happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import heddle
from heddle.engine.given import places_of
from heddle.engine.log import EventLog
from heddle.errors import ConfigError
from heddle.testing.clock import run_virtual
from memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Coroutine

PLAN = heddle.parse('1. look("a")', dialect="llmcompiler")
calls: list[str] = []


@heddle.tool(effect="read")
async def look(what: str) -> str:
    calls.append(what)
    return what


def run(**options: Any) -> Coroutine[Any, Any, Any]:
    return heddle.execute(PLAN, [look], **options)


def refused(main: Coroutine[Any, Any, Any], code: str) -> ConfigError:
    calls.clear()
    with pytest.raises(ConfigError) as caught:
        run_virtual(main)
    assert (caught.value.code, calls) == (code, [])
    return caught.value


@pytest.mark.parametrize("run_id", ["last", "\ud800", "a\0b", "two\nlines", "x" * 201])
def test_an_id_by_which_no_run_could_be_found_again_is_refused(run_id: str) -> None:
    assert "run can have the id" in str(refused(run(run_id=run_id), "bad-run-id"))


@pytest.mark.parametrize(
    "value",
    [object(), float("nan"), "\ud800", 10**5000, {"\ud800": 1}],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    refused(run(inputs={"a": value}), "bad-input")
    refused(run(caller={"a": value}, journal=MemoryStore()), "bad-caller")
    resolved = heddle.resume("r", journal=MemoryStore(), resolve={"1": heddle.Done(value)})
    refused(resolved, "bad-resolution")


@pytest.mark.parametrize("journal", [None, MemoryStore()])
def test_a_log_holds_one_run(journal: Any) -> None:
    log = EventLog()
    run_virtual(run(log=log))
    refused(run(log=log, journal=journal), "log-used")
    refused(heddle.resume("r", [look], journal=MemoryStore(), log=log), "log-used")


@pytest.mark.parametrize(
    "resolve",
    ["3=done", ["3"], {"3": "done"}, {"3": heddle.Done}, {"3": None}, {"3[x]": heddle.NotDone()},
     {"3[": heddle.NotDone()}],
)  # fmt: skip
def test_what_does_not_say_what_became_of_a_step_is_refused(resolve: Any) -> None:
    error = refused(heddle.resume("r", journal=MemoryStore(), resolve=resolve), "bad-resolution")
    assert error.hint


def test_a_resolution_is_for_a_step_or_for_an_element() -> None:
    said = places_of({"3": heddle.Done((1, 2)), "4[12]": heddle.Failed("\ud800 no")})
    assert said == {("3", None): heddle.Done([1, 2]), ("4", 12): heddle.Failed("\ufffd no")}


def test_a_plan_whose_text_is_unsound_is_rejected_and_kept() -> None:
    plan = heddle.parse('Thought: \ud800\n1. look("\ud800")', dialect="llmcompiler")

    async def main() -> None:
        store = MemoryStore()
        result = await heddle.execute(plan, [look], journal=store, run_id="r")
        assert (result.status, result.error.code) == ("rejected", "bad-text")
        again = await heddle.resume("r", [look], journal=store)
        assert (again.status, again.error.message) == ("rejected", result.error.message)

    asyncio.run(main())
