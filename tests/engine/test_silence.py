"""A bound on silence: one timer, however much is heard."""

from __future__ import annotations

import asyncio

import pytest

from heddle.engine.silence import Silence
from heddle.testing.clock import run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def test_who_waits_too_long_gets_a_timeout_at_the_time_that_was_said_last() -> None:
    async def wait() -> None:
        with Silence(5) as silence:
            await asyncio.sleep(4)
            await silence.heard()
            silence.wait(now() + 5)
            await asyncio.sleep(100)

    async def main() -> float:
        with pytest.raises(TimeoutError):
            await wait()
        return now()

    assert run_virtual(main()) == pytest.approx(9)


def test_nobody_is_cancelled_while_the_reader_has_what_was_heard() -> None:
    async def main() -> float:
        with Silence(5) as silence:
            await silence.heard()
            await asyncio.sleep(100)
            silence.wait(now() + 5)
            await asyncio.sleep(4)
        await asyncio.sleep(100)
        return now()

    assert run_virtual(main()) == pytest.approx(204)


def test_a_thousand_pieces_set_one_timer_and_not_a_thousand() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        call_at, rung = loop.call_at, []

        def counted(when: float, callback: object, *args: object, **options: object) -> object:
            rung.append(callback)
            return call_at(when, callback, *args, **options)  # type: ignore[arg-type]

        loop.call_at = counted  # type: ignore[method-assign,assignment]
        with Silence(now() + 60) as silence:
            for _ in range(1_000):
                await silence.heard()
                silence.wait(now() + 60)
        return len(rung)

    assert run_virtual(main()) == 1


def test_a_cancellation_from_outside_stays_one() -> None:
    async def main() -> None:
        async def wait() -> None:
            with Silence(now() + 60):
                await asyncio.sleep(100)

        task = asyncio.create_task(wait())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_a_piece_that_comes_as_the_time_is_up_does_not_let_the_reader_be_cancelled() -> None:
    async def main() -> list[str]:
        happened: list[str] = []
        arrived = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_at(5, arrived.set_result, None)
        try:
            with Silence(5) as silence:
                await arrived
                await silence.heard()
                happened.append("read")
                await asyncio.sleep(1)
                happened.append("read on")
        except TimeoutError:
            happened.append("timeout")
        await asyncio.sleep(1)
        return happened

    assert run_virtual(main()) in (["timeout"], ["read", "read on"])


def test_without_an_end_nothing_rings() -> None:
    async def main() -> float:
        with Silence(float("inf")) as silence:
            await asyncio.sleep(1e6)
            await silence.heard()
        return now()

    assert run_virtual(main()) == pytest.approx(1e6)
