"""What draws beside a run ends with it, and takes nothing with it."""

from __future__ import annotations

import asyncio

import pytest

from heddle.cli.alongside import alongside
from heddle.testing.clock import run_virtual


async def draw(frames: list[float], fails: BaseException | None = None) -> None:
    while True:
        frames.append(asyncio.get_running_loop().time())
        if fails is not None and len(frames) == 2:
            raise fails
        await asyncio.sleep(1)


async def watched(frames: list[float], fails: BaseException | None = None) -> str:
    async with alongside(draw(frames, fails)):
        await asyncio.sleep(3.5)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return "the result"


def test_it_draws_until_the_context_is_left() -> None:
    frames: list[float] = []
    assert run_virtual(watched(frames)) == "the result"
    assert [at - frames[0] for at in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize("gone", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_terminal_that_has_gone_ends_nothing_else(gone: Exception) -> None:
    frames: list[float] = []
    assert run_virtual(watched(frames, gone)) == "the result"
    assert len(frames) == 2


def test_a_bug_in_the_picture_is_not_lost() -> None:
    with pytest.raises(KeyError):
        run_virtual(watched([], KeyError("no such pane")))


def test_what_ends_the_run_goes_before_what_ends_the_picture() -> None:
    async def main() -> None:
        async with alongside(draw([], KeyError("no such pane"))):
            await asyncio.sleep(3.5)
            raise LookupError("the run's own")

    with pytest.raises(LookupError, match="own"):
        run_virtual(main())
