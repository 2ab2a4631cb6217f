"""Isolated tools: a call that can be killed, and that takes nobody with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import isolated_tools as tools
import pytest

import heddle
from heddle import Limits, Plan, Step
from heddle.engine.events import StepIntent
from heddle.engine.executor import LocalExecutor
from heddle.engine.isolation import Workers
from heddle.errors import ConfigError, ToolFailed

ONCE = Limits(max_attempts=1)


def run(*steps: Step, limits: Limits = ONCE) -> Any:
    names = {step.tool for step in steps}
    return heddle.execute_sync(
        Plan(list(steps)), [getattr(tools, name) for name in names], limits=limits
    )


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def written(marker: Path) -> None:
    """Wait for what another process writes."""
    while not marker.exists() or not marker.read_text():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)


def test_a_call_is_made_in_another_process_which_is_kept_for_the_next() -> None:
    result = run(Step("1", "where"), Step("2", "where", after=("1",)))
    first, second = (step.value for step in result.steps)
    assert first == second != os.getpid()
    assert not alive(first)  # it ended with the run


def test_values_are_json_and_asynchronous_functions_run_to_their_end() -> None:
    assert run(Step("1", "twice", {"items": [1, 2.5]})).answer == [2.0, 5.0]


def test_as_many_processes_as_allowed_and_no_more() -> None:
    steps = [Step(str(n), "where", {"x": n}) for n in range(6)]
    result = run(*steps, limits=Limits(worker_processes=2))
    assert len({step.value for step in result.steps}) <= 2


def test_a_call_out_of_time_is_killed_and_its_slot_is_free(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    started = time.monotonic()
    result = run(
        Step("1", "spin", {"marker": str(marker)}, timeout_s=2.0),
        Step("2", "twice", {"items": [1]}),
        limits=Limits(concurrency=1, max_attempts=1, grace_s=60),
    )
    assert [step.status for step in result.steps] == ["failed", "done"]
    assert result.steps[0].error.code == "timed-out"
    assert not alive(int(marker.read_text()))
    assert time.monotonic() - started < 30  # nobody was waited for


def test_a_write_that_was_killed_is_unknown(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    result = run(Step("1", "spin_and_write", {"marker": str(marker)}, timeout_s=2.0))
    assert (result.status, result.exit_status) == ("unresolved", 7)
    assert not alive(int(marker.read_text()))


def test_a_cancelled_call_leaves_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "pid"

    async def main() -> None:
        executor = LocalExecutor({"spin": tools.spin})
        call = asyncio.ensure_future(executor.call("spin", {"marker": str(marker)}, 1))
        await written(marker)
        assert alive(int(marker.read_text()))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not alive(int(marker.read_text()))
        executor.close()

    asyncio.run(main())


async def gone(pid: int) -> None:
    """Wait until a process that is not our own child has ended."""
    while running(pid):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def running(pid: int) -> bool:
    """Whether it is there, and no zombie that its new parent has not looked after yet."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("hang", [True, False])
def test_what_a_call_has_started_ends_with_its_worker(tmp_path: Path, hang: bool) -> None:
    marker = tmp_path / "pid"

    async def main() -> None:
        executor = LocalExecutor({"spawn": tools.spawn})
        args = {"marker": str(marker), "hang": hang}
        call = asyncio.ensure_future(executor.call("spawn", args, 1))
        await written(marker)
        child = int(marker.read_text())
        assert running(child)
        if hang:
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            assert await call == child
            executor.close()
        async with asyncio.timeout(10):
            await gone(child)
        executor.close()

    asyncio.run(main())


def test_a_worker_that_was_killed_while_it_had_nothing_to_do_costs_no_call() -> None:
    async def main() -> None:
        workers = Workers(1)
        assert tools.change.home is not None
        first = await workers.call(tools.change.home, {})
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
        assert await workers.call(tools.change.home, {}) != first
        workers.close()

    asyncio.run(main())


def test_a_queued_call_that_is_cancelled_is_never_made(tmp_path: Path) -> None:
    async def main() -> None:
        workers = Workers(1)
        assert tools.spin.home is not None
        first = asyncio.ensure_future(
            workers.call(tools.spin.home, {"marker": str(tmp_path / "a")})
        )
        second = asyncio.ensure_future(
            workers.call(tools.spin.home, {"marker": str(tmp_path / "b")})
        )
        await written(tmp_path / "a")
        for call in (second, first):
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        workers.close()
        assert not (tmp_path / "b").exists()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "how"), [(3, "exit status 3"), (-11, "SIGSEGV"), (-9, "SIGKILL")]
)
def test_a_call_that_ends_its_process_fails_and_the_next_has_another(status: int, how: str) -> None:
    result = run(Step("1", "end", {"status": status}), Step("2", "where"))
    assert [step.status for step in result.steps] == ["failed", "done"]
    assert result.steps[0].error.code == "tool-crashed"
    assert how in result.steps[0].error.message


def test_a_write_that_ended_its_process_is_unknown() -> None:
    result = run(Step("1", "end_and_write", {"status": 1}))
    assert (result.status, result.exit_status) == ("unresolved", 7)


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("own", "sold-out", "sold out"),
        ("exit", "tool-failed", "SystemExit: 3"),
        ("x", "tool-failed", "KeyError: 'x'"),
    ],
)
def test_what_a_call_raises_is_its_failure(kind: str, code: str, message: str) -> None:
    error = run(Step("1", "fail", {"kind": kind})).steps[0].error
    assert (error.code, error.message) == (code, message)


def test_bad_arguments_are_found_there_too() -> None:
    async def main() -> None:
        executor = LocalExecutor({"twice": tools.twice})
        with pytest.raises(ToolFailed, match="items") as caught:
            await executor.call("twice", {"items": "no"}, 1)
        assert caught.value.code == "bad-argument"
        executor.close()

    asyncio.run(main())


def test_the_key_of_an_effect_reaches_the_process() -> None:
    result = run(Step("1", "key"))
    intents = [event for event in result.events if isinstance(event, StepIntent)]
    assert [result.answer] == [intent.key for intent in intents]


def test_what_a_call_cost_comes_back_with_its_value() -> None:
    result = run(Step("1", "metered"))
    assert (result.answer, result.usage.input_tokens, result.usage.cost_usd) == (7, 10, 0.25)


def test_a_function_that_no_other_process_could_find_is_refused() -> None:
    def inner(x: int) -> int:
        return x

    for function in (inner, lambda: 1):
        with pytest.raises(ConfigError, match="no other process could find"):
            heddle.tool(name="inner", isolate=True)(function)


def test_an_isolated_tool_has_no_batch_form() -> None:
    with pytest.raises(ConfigError, match="no batch form"):
        heddle.tool(isolate=True, batch=lambda items: items)


TOOLS = """
import os, heddle

@heddle.tool(effect="read", isolate=True)
def where() -> int:
    "The process."
    print("noise")
    return os.getpid()
"""


def test_it_works_from_a_tools_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heddle.tools.loading import load_tools

    monkeypatch.setattr(sys, "path", sys.path.copy())  # the file's folder is added to it
    (tmp_path / "kept_apart.py").write_text(TOOLS)
    found = load_tools(str(tmp_path / "kept_apart.py"))
    result = heddle.execute_sync(Plan([Step("1", "where")]), found)
    assert isinstance(result.answer, int)
    assert result.answer != os.getpid()
