"""Virtual time: exact, ordered, quick, and a dead end is found at once."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle.testing.clock import VirtualClockLoop, run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def test_hours_pass_in_a_moment() -> None:
    async def main() -> float:
        for _ in range(1_000):
            await asyncio.sleep(86_400 * 30)
        return now()

    began = time.perf_counter()
    assert run_virtual(main()) == pytest.approx(86_400 * 30_000)
    assert time.perf_counter() - began < 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_timers_ring_in_order_and_never_early(pauses: list[float]) -> None:
    rung: list[tuple[float, float]] = []

    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds)
        rung.append((seconds, now()))

    async def main() -> None:
        await asyncio.gather(*map(nap, pauses))

    run_virtual(main())
    assert [seconds for seconds, _ in rung] == sorted(pauses)
    assert all(at == pytest.approx(seconds, abs=1e-6) for seconds, at in rung)


def test_timeouts_are_exact() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        return now()

    assert run_virtual(main()) == 2.5


def test_a_run_is_the_same_each_time() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def step(number: int) -> None:
            for _ in range(5):
                await asyncio.sleep((number * 7919) % 13 / 10)
                order.append(number)

        await asyncio.gather(*map(step, range(20)))
        return order

    assert run_virtual(main()) == run_virtual(main())


def test_a_dead_end_is_an_error_at_once_and_says_what_it_is() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="virtual time stands still"):
        run_virtual(main())


def test_time_stands_still_while_a_thread_works() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        free = threading.Event()
        watch = loop.call_later(3600, free.set)  # would ring at once if time could jump
        threading.Timer(0.02, free.set).start()
        assert await loop.run_in_executor(None, free.wait, 10)
        assert now() == 0
        watch.cancel()
        await asyncio.sleep(1)
        return now()

    assert run_virtual(main()) == 1


def test_call_soon_from_another_thread_is_heard() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[str] = loop.create_future()

        def speak() -> None:
            loop.call_soon_threadsafe(heard.set_result, "hello")

        await loop.run_in_executor(None, speak)
        return await heard

    assert run_virtual(main()) == "hello"


def test_a_failing_thread_gives_its_error_and_time_goes_on() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def main() -> float:
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(fail)
        await asyncio.sleep(2)
        return now()

    assert run_virtual(main()) == 2


def test_the_value_and_the_error_of_the_coroutine_come_out() -> None:
    async def gives() -> int:
        return 7

    async def raises() -> None:
        raise KeyError("x")

    assert run_virtual(gives()) == 7
    with pytest.raises(KeyError):
        run_virtual(raises())


def test_a_loop_can_be_made_by_hand() -> None:
    loop = VirtualClockLoop()
    assert loop.run_until_complete(asyncio.sleep(5, "done")) == "done"
    assert loop.time() == 5
    loop.close()
