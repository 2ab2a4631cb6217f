"""Asking models: slots, silence, deadlines and counts, each in one place."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from heddle.engine.asking import Asker
from heddle.engine.breaker import BreakerSlots
from heddle.engine.costs import Outcome
from heddle.engine.events import ModelCall, ModelStarted
from heddle.engine.log import EventLog
from heddle.engine.retrying import Waits
from heddle.engine.slots import LocalSlots
from heddle.errors import ConfigError, ModelError
from heddle.models.protocol import Message, Request, Usage
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import STALL, ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ASK = [Message("user", "hello")]


def make(replies: Any, *, stall_s: float = 60.0, slots: LocalSlots | None = None) -> Asker:
    log = EventLog()
    return Asker({"": ScriptedModel(replies)}, log, slots or LocalSlots(), stall_s)


def calls(asker: Asker) -> list[Any]:
    return [event for event in asker._log.events if isinstance(event, (ModelStarted, ModelCall))]


async def ask(asker: Asker, **options: Any) -> str:
    return await asker.ask(ASK, role="worker", round=1, **options)


def test_a_reply_is_counted_with_its_first_token_and_its_usage() -> None:
    async def main() -> None:
        asker = make([[(2.0, "hel"), (3.0, "lo"), Usage(10, 4, 2)]])
        assert await ask(asker) == "hello"
        started, ended = calls(asker)
        assert (started.call, started.role, started.model) == (1, "worker", "scripted:scripted")
        assert (ended.started_at, ended.first_token_at, ended.at, ended.code) == (0, 2, 5, "")
        assert ended.usage == Usage(10, 4, 2)

    run_virtual(main())


@pytest.mark.parametrize("pieces", [[STALL], ["a", (5.0, "b"), STALL]])
def test_silence_is_given_up_after_its_bound_and_not_before(pieces: Any) -> None:
    async def main() -> None:
        asker = make([pieces], stall_s=10.0)
        with pytest.raises(ModelError) as caught:
            await ask(asker)
        assert (caught.value.code, caught.value.retryable) == ("stalled", True)
        assert asyncio.get_running_loop().time() == (10 if len(pieces) == 1 else 15)
        assert calls(asker)[-1].code == "stalled"

    run_virtual(main())


def test_a_reply_may_take_long_as_long_as_it_is_not_silent() -> None:
    async def main() -> None:
        asker = make([[(9.0, "x")] * 100], stall_s=10.0)
        assert await ask(asker) == "x" * 100

    run_virtual(main())


def test_the_deadline_ends_a_reply_that_is_not_silent() -> None:
    async def main() -> None:
        asker = make([[(1.0, "x")] * 100])
        with pytest.raises(ModelError) as caught:
            await ask(asker, deadline=30.5)
        assert caught.value.code == "deadline"
        assert asyncio.get_running_loop().time() == 30.5

    run_virtual(main())


def test_a_reader_that_takes_its_time_is_not_the_models_silence() -> None:
    async def main() -> None:
        asker = make([["a", "b", "c"]], stall_s=10.0)
        got = []
        async for piece in asker.stream(ASK, role="planner", round=1):
            got.append(piece)
            await asyncio.sleep(100)
        assert got == ["a", "b", "c"]

    run_virtual(main())


def test_waiting_for_a_slot_is_nobodys_silence_and_the_deadline_ends_it() -> None:
    async def main() -> None:
        slots = LocalSlots({"scripted": 1})
        asker = make("x", stall_s=10.0, slots=slots)
        held = await slots.acquire("scripted")
        with pytest.raises(ModelError) as caught:
            await ask(asker, deadline=100.0)
        loop = asyncio.get_running_loop()
        assert (caught.value.code, loop.time()) == ("deadline", 100.0)
        loop.call_at(200.0, held.release)
        assert await ask(asker, deadline=300.0) == "x"
        assert slots.try_acquire("scripted") is not None

    run_virtual(main())


class Uncounted:
    """A model that does not say how many tokens it took."""

    name, provider = "plain", "own"

    def __init__(self) -> None:
        self.peak = self._asked = 0

    async def stream(self, request: Request) -> AsyncGenerator[str]:
        """A word, after a second."""
        self._asked += 1
        self.peak = max(self.peak, self._asked)
        await asyncio.sleep(1.0)
        self._asked -= 1
        yield "word"


def test_a_reply_that_was_not_counted_is_an_answer_all_the_same() -> None:
    async def main() -> None:
        slots, model = BreakerSlots.before(LocalSlots(adaptive=True)), Uncounted()
        for _ in range(5):
            lease = await slots.acquire("own:plain")
            lease.release(Outcome("failed"))
        asker = Asker({"": model}, EventLog(), slots, 60.0)  # type: ignore[dict-item]
        await asyncio.gather(*(ask(asker) for _ in range(100)))
        assert model.peak > 8  # the first was the probe, and has closed the breaker
        assert asyncio.get_running_loop().time() < 30.0

    run_virtual(main())


def test_leaving_a_reply_early_gives_the_slot_back_and_says_so() -> None:
    async def main() -> None:
        slots = LocalSlots({"scripted": 1})
        asker = make([["a", STALL]], slots=slots)
        async with aclosing(asker.stream(ASK, role="planner", round=1)) as stream:
            async for _ in stream:
                break
        assert slots.try_acquire("scripted") is not None
        assert calls(asker)[-1].code == "stopped"

    run_virtual(main())


def test_cancelling_gives_the_slot_back_and_says_so() -> None:
    async def main() -> None:
        slots = LocalSlots({"scripted": 1})
        asker = make([[STALL]], slots=slots)
        task = asyncio.create_task(ask(asker))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert slots.try_acquire("scripted") is not None
        assert calls(asker)[-1].code == "cancelled"

    run_virtual(main())


def test_an_error_of_the_model_goes_through_with_its_code() -> None:
    async def main() -> None:
        asker = make([["a", ModelError("no", code="cut", provider="p")]])
        with pytest.raises(ModelError):
            await ask(asker)
        assert calls(asker)[-1].code == "cut"

    run_virtual(main())


def test_a_role_without_a_model_is_the_callers_mistake() -> None:
    async def main() -> None:
        asker = Asker({"planner": ScriptedModel("x")}, EventLog(), LocalSlots(), 60.0)
        with pytest.raises(ConfigError) as caught:
            await asker.ask(ASK, role="joiner", round=1)
        assert caught.value.code == "no-model"

    run_virtual(main())


@pytest.mark.parametrize(
    ("reply", "tokens"),
    [
        (["12345678", ModelError("no", code="cut", provider="p")], 2),
        (["12345678", STALL], 2),
        ([ModelError("no", code="connection", provider="p")], 0),
    ],
    ids=["cut", "stall", "nothing came"],
)
def test_a_reply_that_broke_off_is_counted_for_what_was_said(reply: Any, tokens: int) -> None:
    async def main() -> None:
        asker = make([reply])
        with pytest.raises(ModelError):
            await ask(asker)
        usage = calls(asker)[-1].usage
        assert (usage.output_tokens, usage.estimated) == (tokens, tokens > 0)
        assert bool(usage.input_tokens) == bool(tokens)

    run_virtual(main())


def test_a_reply_that_was_left_early_is_counted_for_what_was_said() -> None:
    async def main() -> None:
        asker = make([["12345678", STALL]])
        async with aclosing(asker.stream(ASK, role="planner", round=1)) as stream:
            async for _ in stream:
                break
        assert calls(asker)[-1].usage == Usage(2, 0, 2, estimated=True)

    run_virtual(main())


def test_halves_of_surrogate_pairs_do_not_get_past_a_model() -> None:
    async def main() -> None:
        asker = make([["a\ud800b", "\udc80", "\ud83d\ude00 é"]])
        assert await ask(asker) == "a\ufffdb\ufffd\U0001f600 é"

    run_virtual(main())


# -- further attempts ----------------------------------------------------------------------------


def fault(code: str, *, retryable: bool = True, wait_s: float | None = None) -> ModelError:
    return ModelError("no", code=code, provider="p", retryable=retryable, retry_after_s=wait_s)


def patient(replies: Any, attempts: int = 4) -> Asker:
    return Asker(
        {"": ScriptedModel(replies)}, EventLog(), LocalSlots(), 60.0, Waits(1), attempts
    )  # fmt: skip


def test_a_model_that_could_not_answer_is_asked_again_and_each_attempt_is_written_down() -> None:
    async def main() -> None:
        asker = patient([[fault("server-error")], [fault("rate-limited", wait_s=9.0)], "hello"])
        assert await ask(asker) == "hello"
        ended = [event for event in calls(asker) if isinstance(event, ModelCall)]
        assert [event.code for event in ended] == ["server-error", "rate-limited", ""]
        assert ended[2].started_at - ended[1].at >= 9.0

    run_virtual(main())


def test_it_is_not_asked_more_often_than_the_limit_says() -> None:
    async def main() -> None:
        asker = patient([[fault("cut")]] * 9, attempts=3)
        with pytest.raises(ModelError):
            await ask(asker)
        assert len(calls(asker)) == 2 * 3

    run_virtual(main())


@pytest.mark.parametrize(
    "script", [["a", fault("cut")], [fault("unauthorized", retryable=False)], ["a", STALL]]
)
def test_it_is_not_asked_again_after_text_nor_where_that_is_no_use(script: Any) -> None:
    async def main() -> None:
        asker = patient([script, "hello"])
        with pytest.raises(ModelError):
            await ask(asker)
        assert len(calls(asker)) == 2

    run_virtual(main())


def test_a_wait_that_the_deadline_does_not_allow_is_not_begun() -> None:
    async def main() -> None:
        asker = patient([[fault("rate-limited", wait_s=60.0)], "hello"])
        with pytest.raises(ModelError) as caught:
            await ask(asker, deadline=30.0)
        assert caught.value.code == "rate-limited"
        assert asyncio.get_running_loop().time() == 0.0

    run_virtual(main())
