"""Asking models: one place that takes slots, keeps time, counts tokens and says so in the log.

What a run asks of its own accord is tried again here, as steps are by the scheduler and nowhere
else, and only while nothing of the reply was passed on: whoever reads it may have acted on it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

from heddle.engine.breaker import BreakerSlots
from heddle.engine.costs import DROPPED, Cost, Outcome
from heddle.engine.endings import used_of
from heddle.engine.events import ModelCall, ModelStarted
from heddle.engine.faults import fault_of, outcome_of
from heddle.engine.replaying import replayed
from heddle.engine.retrying import Waits
from heddle.engine.silence import Silence
from heddle.errors import ConfigError, ModelError
from heddle.models.prices import cost_usd, read_table
from heddle.models.protocol import Request, ToolCall, Usage, allowance_of, estimated_usage
from heddle.plan.canonical import hash_of, sound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from heddle.engine.log import EventLog
    from heddle.engine.purse import Booking, Purse
    from heddle.engine.replaying import Replay
    from heddle.engine.slots import Lease, Slots
    from heddle.models.protocol import Message, Model
    from heddle.plan.spec import ToolSpec

__all__ = ["Asker", "cost_of"]

STALLED: Final = Outcome("failed")
ANSWERED: Final = Outcome()


class Asker:
    """Asks the models of one run.

    Args:
        models: by role; the role "" stands for all that are not named.
        log: takes ModelStarted and ModelCall.
        slots: allowances by provider.
        stall_s: seconds of silence after which a stream is given up.
        waits: before further attempts.
        max_attempts: how many a call has.
        purse: pays for the calls; None where no budget bounds them.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        log: EventLog,
        slots: Slots,
        stall_s: float,
        waits: Waits | None = None,
        max_attempts: int = 1,
        purse: Purse | None = None,
    ) -> None:
        self.purse = purse
        self._waits = waits or Waits(0)
        self._max_attempts = max_attempts
        self._models = models
        self._log = log
        self._slots = BreakerSlots.before(slots)
        self._stall_s = stall_s
        self._calls = 0
        self._replay: Replay | None = None

    def recall(self, replay: Replay, calls: int) -> None:
        """Some replies were paid for before the run was resumed: those are not asked for again.

        Args:
            replay: has them.
            calls: how many model calls there were.
        """
        self._replay, self._calls = replay, calls

    def paid_before(
        self, messages: Sequence[Message], call: ModelCall, tools: Sequence[ToolSpec] = ()
    ) -> None:
        """A call is on record: what it took says what the next one may take."""
        if self.purse is not None:
            request = Request(messages=tuple(messages), role=call.role, tools=tuple(tools))
            self.purse.remember(self.model(call.role), request, call.usage)

    def model(self, role: str) -> Model:
        """The model of a role.

        Raises:
            ConfigError: there is none.
        """
        found = self._models.get(role) or self._models.get("")
        if found is None:
            raise ConfigError(
                f"no model was given for the role {role!r}",
                code="no-model",
                hint="pass model=… in Python, or --model PROVIDER:NAME on the command line",
            )
        return found

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        role: str,
        round: int,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        tools: Sequence[ToolSpec] = (),
        deadline: float | None = None,
        last: bool = False,
    ) -> AsyncGenerator[str | ToolCall]:
        """The reply as it arrives: its text, and each native call once it is complete.

        Args:
            messages: the conversation so far.
            role: planner, joiner, repair or worker.
            round: the round of the plan that this is about.
            schema: JSON schema of the wanted reply.
            stop: texts before which the reply ends.
            tools: offered in the provider's own form.
            deadline: loop time at which the reply is given up.
            last: whether it may use what budgets keep for joining: nothing is asked after it.

        Raises:
            ModelError: the model failed; `stalled` after silence, `deadline` when time is up.
            BudgetExceeded: the run's budget has no room for it.
        """
        model = self.model(role)
        if self._replay is not None:
            prompt_hash = hash_of([_plain(message) for message in messages])
            paid = self._replay.reply(role, round, prompt_hash)
            if paid is not None:
                self.paid_before(messages, paid, tools)
                for piece in replayed(paid):
                    yield piece
                return
        request = Request(
            messages=tuple(messages), role=role, round=round, schema=schema,
            stop=tuple(stop), tools=tuple(tools),
        )  # fmt: skip
        attempt, said = 1, False
        while True:
            try:
                attempted = self._attempt(model, request, deadline, last=last)
                async with aclosing(attempted) as pieces:
                    async for piece in pieces:
                        said = True
                        yield piece
                return
            except ModelError as error:
                wait_s = None if said else self._wait_s(model, error, attempt, deadline)
                if wait_s is None:
                    raise
            attempt += 1
            await asyncio.sleep(wait_s)

    def _wait_s(
        self, model: Model, error: ModelError, attempt: int, deadline: float | None
    ) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        fault = fault_of(error)
        if attempt >= self._max_attempts or not fault.transient:
            return None
        now, until = asyncio.get_running_loop().time(), inf if deadline is None else deadline
        at: float | None = now + self._waits.seconds(fault, attempt)
        if fault.kind != "throttled":
            at = self._slots.budget(allowance_of(model)).book(now, at - now, until)
        return at - now if at is not None and at < until else None

    async def _attempt(
        self, model: Model, request: Request, deadline: float | None, *, last: bool
    ) -> AsyncGenerator[str | ToolCall]:
        """One reply as it arrives, and what the log is told of it."""
        booking = None
        if self.purse is not None:
            booking = await self._paid(self.purse, model, request, deadline, last=last)
            request = booking.request
        self._calls += 1
        call, started = self._calls, self._log.now()
        prompt_hash = hash_of([_plain(message) for message in request.messages])
        name = f"{model.provider}:{model.name}"
        self._log.emit(ModelStarted(started, call, request.role, request.round, name, prompt_hash))
        read_table()
        usage, first, code, size = None, None, "cancelled", 0
        said: list[str] = []
        calls: list[list[str]] = []
        try:
            async with aclosing(self._timed(model, request, deadline)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Usage):
                        usage = piece
                        continue
                    first = self._log.now() if first is None else first
                    if isinstance(piece, ToolCall):
                        size += len(piece.name) + len(piece.arguments)
                        calls.append([piece.id, piece.name, piece.arguments])
                        yield piece
                        continue
                    size += len(piece)
                    said.append(sound(piece))
                    yield said[-1]
            code = ""
        except ModelError as error:
            code = error.code
            raise
        except GeneratorExit:
            code = "stopped"
            raise
        finally:
            if usage is None:  # it broke off: what was said until then was paid for
                usage = estimated_usage(request, size) if size else Usage()
            cost = cost_usd(model.provider, model.name, usage)
            if booking is not None:
                booking.settle(usage, cost)
            self._log.emit(
                ModelCall(
                    self._log.now(), call, request.role, request.round, name, started, first,
                    usage, cost, code, {"text": "".join(said), "calls": calls},
                )
            )  # fmt: skip

    async def _paid(
        self, purse: Purse, model: Model, request: Request, deadline: float | None, *, last: bool
    ) -> Booking:
        """Pay for a call, unless the deadline comes before there is room for it."""
        try:
            async with asyncio.timeout_at(deadline):
                return await purse.pay(model, request, joining=last)
        except TimeoutError:
            raise _late(model) from None

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        role: str,
        round: int,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        deadline: float | None = None,
        last: bool = False,
    ) -> str:
        """The whole text of the reply; see `stream`.

        Raises:
            ModelError: the model failed.
            BudgetExceeded: the run's budget has no room for it.
        """
        stream = self.stream(
            messages, role=role, round=round, schema=schema, stop=stop, deadline=deadline, last=last
        )
        return "".join([piece async for piece in stream if isinstance(piece, str)])

    async def _timed(
        self, model: Model, request: Request, deadline: float | None
    ) -> AsyncGenerator[str | ToolCall | Usage]:
        """A model's stream, given up after silence or at the deadline."""
        now = asyncio.get_running_loop().time
        latest = inf if deadline is None else deadline
        lease, outcome = await self._slot(model, request, latest), DROPPED
        try:
            with Silence(min(now() + self._stall_s, latest)) as silence:
                stream = model.stream(request)
                try:
                    async for piece in stream:
                        await silence.heard()  # it must not ring in whoever reads us
                        if isinstance(piece, Usage):
                            outcome = Outcome(used=used_of(piece))
                        yield piece
                        silence.wait(min(now() + self._stall_s, latest))
                    if outcome is DROPPED:  # it has said all, and not counted it
                        outcome = ANSWERED
                finally:  # an iterator need not have it, a generator that is left early does
                    if hasattr(stream, "aclose"):
                        await cast("AsyncGenerator[Any]", stream).aclose()
        except ModelError as error:
            outcome = outcome_of(error)
            raise
        except TimeoutError:
            if now() >= latest:
                raise _late(model) from None
            outcome = STALLED
            raise ModelError(
                f"no text for {self._stall_s:g} s",
                code="stalled",
                provider=model.provider,
                hint="raise limits.stall_timeout_s, or look at the provider's status",
                retryable=True,
            ) from None
        finally:
            lease.release(outcome._replace(quota=getattr(model, "quota", None)))

    async def _slot(self, model: Model, request: Request, latest: float) -> Lease:
        """A slot for a call, after waiting for one: that is not the model's silence."""
        name = allowance_of(model)
        if self._slots.opens_at(name) >= latest:
            raise _left_alone(model)
        if asyncio.get_running_loop().time() >= latest:
            raise _late(model)
        try:
            async with asyncio.timeout_at(latest if latest < inf else None):
                return await self._slots.acquire(name, cost_of(request))
        except TimeoutError:
            raise _late(model) from None


def _left_alone(model: Model) -> ModelError:
    name = allowance_of(model)
    return ModelError(
        f"{name} keeps failing, and is not asked again before the run's time is up",
        code="breaker-open",
        provider=model.provider,
        hint="look at the provider's status; raise limits.run_timeout_s (--timeout) to wait longer",
    )


def cost_of(request: Request) -> Cost:
    """What a request takes of an allowance at most, as far as it can be known beforehand."""
    prompt = estimated_usage(request, 0).input_tokens
    return Cost(input_tokens=prompt, output_tokens=request.max_output_tokens or 0)


def _late(model: Model) -> ModelError:
    return ModelError(
        "the run's time is up",
        code="deadline",
        provider=model.provider,
        hint="raise limits.run_timeout_s (--timeout)",
    )


def _plain(message: Message) -> list[Any]:
    """A message as JSON, for its hash."""
    calls = [[call.id, call.name, call.arguments] for call in message.calls]
    return [message.role, message.content, calls, message.call_id]
