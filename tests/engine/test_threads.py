"""Synchronous tools: bounded threads that outlive nobody."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from rig import Loom

from heddle.engine.events import LateResult
from heddle.engine.threads import Threads
from heddle.plan.ir import Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual


class InThreads:
    """An executor that calls plain functions in threads."""

    def __init__(self, threads: Threads, **functions: Any) -> None:
        self.threads = threads
        self.functions = functions

    async def call(self, tool: str, args: dict[str, Any], attempt: int) -> Any:
        return await self.threads.run(lambda: self.functions[tool](**args))


def test_a_value_comes_back_from_another_thread_with_the_callers_context() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def main() -> None:
        threads = Threads(2)
        who.set("me")
        value, name = await threads.run(lambda: (who.get(), threading.current_thread().name))
        assert value == "me"
        assert name.startswith("heddle-tool-")
        threads.shutdown()

    asyncio.run(main())


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), StopIteration(3)], ids=repr
)
def test_whatever_a_function_raises_comes_back(error: BaseException) -> None:
    def raises() -> None:
        raise error

    async def main() -> BaseException:
        threads = Threads(1)
        try:
            await threads.run(raises)
        except RuntimeError as wrapped:  # what Python makes of a StopIteration in a coroutine
            return wrapped.__cause__ or wrapped
        except BaseException as raised:  # whatever was raised must come back
            return raised
        finally:
            assert await threads.run(lambda: 1) == 1  # the thread is still there
            threads.shutdown()
        raise AssertionError

    assert asyncio.run(main()) is error


def test_no_more_threads_than_calls_and_never_more_than_the_size() -> None:
    async def main() -> None:
        threads = Threads(4)
        for number in range(20):
            assert await threads.run(lambda n=number: n) == number
        assert threads._threads == 1
        barrier = threading.Barrier(4)
        await asyncio.gather(*(threads.run(barrier.wait, 5) for _ in range(4)))
        assert threads._threads == 4
        seen = await asyncio.gather(
            *(threads.run(lambda: threading.current_thread().name) for _ in range(100))
        )
        assert threads._threads == 4
        assert len(set(seen)) <= 4
        assert threads.busy == 0
        threads.shutdown()

    asyncio.run(main())


def test_nine_calls_that_block_run_at_the_same_time_whatever_the_cores() -> None:
    barrier = threading.Barrier(9)

    async def main() -> None:
        tools = InThreads(Threads(64), meet=lambda: barrier.wait(10) >= 0)
        spec = ToolSpec("meet", effect="pure", fuse=False)
        async with Loom(tools, specs=[spec]) as loom:
            state = await loom.run(*(Step(str(n), "meet") for n in range(9)))
            assert {step.status for step in state.steps.values()} == {"done"}
        tools.threads.shutdown()

    asyncio.run(main())


def test_a_thread_keeps_its_slot_after_the_deadline_and_its_late_value_is_recorded() -> None:
    free = threading.Event()

    async def main() -> None:
        tools = InThreads(Threads(8), hang=lambda: free.wait(10) and "late", quick=lambda: "quick")
        specs = [ToolSpec(name, effect="pure") for name in ("hang", "quick")]
        limits = Limits(concurrency=1)
        async with Loom(tools, specs=specs, limits=limits) as loom:
            loom.add(Step("1", "hang", timeout_s=0.02), Step("2", "quick"))
            await loom.scheduler.wait(["1"])
            assert loom.statuses() == {"1": ("failed", "timed-out")}
            assert loom.scheduler.status("2") == "ready"
            assert tools.threads.busy == 1
            free.set()
            await loom.scheduler.wait()
            assert loom.statuses()["2"] == ("done", "")
            assert [late.value for late in loom.events(LateResult)] == ["late"]
        tools.threads.shutdown()

    asyncio.run(main())


def test_a_queued_call_whose_caller_gave_up_is_never_made() -> None:
    free, calls = threading.Event(), []

    async def main() -> None:
        tools = InThreads(Threads(1), hang=lambda: free.wait(10), write=lambda: calls.append(1))
        specs = [ToolSpec("hang", effect="pure"), ToolSpec("write", effect="write")]
        async with Loom(tools, specs=specs) as loom:
            loom.add(Step("1", "hang"), Step("2", "write", timeout_s=0.02))
            await loom.scheduler.wait(["2"])
            await asyncio.sleep(0)
            assert loom.scheduler.in_flight == 1  # nothing was begun, so nothing is waited for
            free.set()
            await loom.scheduler.wait()
            await tools.threads.run(lambda: None)
        tools.threads.shutdown()

    asyncio.run(main())
    assert calls == []


def test_threads_work_under_the_virtual_clock_which_stands_still_meanwhile() -> None:
    async def main() -> float:
        threads = Threads(1)
        await asyncio.sleep(5)
        await threads.run(time.sleep, 0.01)
        threads.shutdown()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 5.0


HANGS = """
import asyncio, threading
from heddle.engine.executor import LocalExecutor
from heddle.engine.log import EventLog
from heddle.engine.parts import Terms
from heddle.engine.scheduler import Scheduler
from heddle.plan.ir import Step
from heddle.plan.limits import Limits
from heddle.tools.function import tool

@tool(effect="pure")
def hang() -> int:
    threading.Event().wait()
    return 1

async def main():
    executor = LocalExecutor({"hang": hang})
    limits = Limits(grace_s=0.05)
    scheduler = Scheduler({"hang": hang.spec}, executor, EventLog(), Terms(limits=limits))
    scheduler.add(Step("1", "hang", timeout_s=0.05))
    await scheduler.wait()
    await scheduler.close()
    executor.close()
    print(scheduler.status("1"), scheduler.abandoned)

asyncio.run(main())
"""


def test_the_process_exits_although_a_thread_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("failed 1\n", "", 0)


LATE = HANGS.replace("threading.Event().wait()", "__import__('time').sleep(0.3)").replace(
    "asyncio.run(main())", "asyncio.run(main()); __import__('time').sleep(0.5)"
)


def test_a_thread_that_returns_after_the_loop_has_closed_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("failed 1\n", "", 0)
