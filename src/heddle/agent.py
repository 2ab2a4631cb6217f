"""The agent: a question in, an answer out. The only file that knows everyone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from heddle.conversation import Conversation
from heddle.engine.estimates import Estimates
from heddle.engine.execution import check, run_now
from heddle.engine.joining import JoinPolicy
from heddle.engine.log import EventLog
from heddle.engine.slots import LocalSlots
from heddle.engine.workshop import Workshop
from heddle.errors import ConfigError
from heddle.models import model_named
from heddle.plan.dialects import parse
from heddle.plan.limits import Limits
from heddle.strategies import strategy_named
from heddle.strategies.experience import Experience
from heddle.tools.toolbox import toolbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from heddle.engine.events import Event
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve
    from heddle.models.protocol import Model
    from heddle.plan.ir import Plan

__all__ = ["Agent"]


class Agent:
    """Answers questions by planning first, and running the plan while it is being written.

    Args:
        model: "provider:name", a Model, or a mapping of roles (planner, joiner, worker, repair;
            "" for all others) to either.
        tools: typed callables, `Tool`s, or anything with a name, a schema and a callable.
        strategy: a name from `heddle.strategies.STRATEGIES`; "auto" chooses by the question.
        limits: bounds of each run; slots and requests per minute are shared by its runs.
        approve: asked once per plan, before its effects; False denies them.
        join: see `JoinPolicy`.
        chains: how many times a question is planned, where a strategy takes a vote.

    Raises:
        ConfigError: an unknown model, strategy or join policy, or a tool that cannot be used.
    """

    def __init__(
        self,
        model: str | Model | Mapping[str, str | Model],
        tools: Iterable[Any] = (),
        *,
        strategy: str = "auto",
        limits: Limits | None = None,
        approve: Approve | None = None,
        join: str = "best-effort",
        chains: int = 1,
    ) -> None:
        self.limits = limits or Limits()
        self.tools = toolbox(tools)
        self.models = _models_of(model)
        self.strategy = strategy
        self._strategy = strategy_named(strategy)
        self.chains = chains
        self.approve = approve
        self.join = JoinPolicy(join)
        self.slots = LocalSlots.of(self.limits)
        self.estimates = Estimates()
        self.experience = Experience()

    async def run(
        self,
        question: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        log: EventLog | None = None,
    ) -> RunResult:
        """Answer a question.

        Args:
            question: what the user wants to know; it must not be empty.
            inputs: data for the tools, by name; no planner sees more than names and types.
            log: takes the events; pass one to follow the run while it lasts.

        Returns:
            The result. Whatever fails on the way is in it, and is not raised.

        Raises:
            ConfigError: the question is empty, or not valid Unicode.
        """
        _refuse_unusable(question)
        workshop = Workshop(
            self.tools,
            models=self.models,
            limits=self.limits,
            inputs=inputs,
            slots=self.slots,
            estimates=self.estimates,
            log=log,
            question=question,
        )
        async with workshop:
            conversation = self._conversation(workshop, question)
            if self.strategy != "auto":
                conversation.chose(self.strategy, "chosen by the caller")
            verdict, error = await conversation.outcome(self._strategy)
        answer = verdict.answer if verdict is not None else None
        status = "rejected" if error is not None and error.exit_status == 3 else None
        return workshop.finish(answer, error, status)

    def _conversation(self, workshop: Workshop, question: str) -> Conversation:
        return Conversation(
            workshop, question, policy=self.join, approve=self.approve, chains=self.chains,
            experience=self.experience,
        )  # fmt: skip

    def run_sync(self, question: str, *, inputs: Mapping[str, Any] | None = None) -> RunResult:
        """`run`, from code that is not asynchronous.

        Raises:
            RuntimeError: an event loop is running already.
            ConfigError: the question is empty, or not valid Unicode.
        """
        return run_now(self._run_once(question, inputs))

    async def _run_once(self, question: str, inputs: Mapping[str, Any] | None) -> RunResult:
        try:
            return await self.run(question, inputs=inputs)
        finally:
            await self.aclose()  # connections belong to this loop, which ends here

    async def stream(
        self, question: str, *, inputs: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Event]:
        """Answer a question; give every event as it happens, RunFinished last.

        Leaving the loop early stops the run.

        Raises:
            ConfigError: the question is empty, or not valid Unicode.
        """
        _refuse_unusable(question)
        log = EventLog()
        run = asyncio.create_task(self.run(question, inputs=inputs, log=log))
        run.add_done_callback(lambda _: log.close())
        try:
            async for event in log.follow():
                yield event
            await run  # an error of ours is not lost
        finally:
            run.cancel()
            await asyncio.wait([run])

    async def plan(self, question: str, *, inputs: Mapping[str, Any] | None = None) -> Plan:
        """Ask for a plan and stop. Its findings, those of the verifier included, are in it.

        Raises:
            ConfigError: the question is empty, or not valid Unicode; or the strategy plans nothing
                before it has read something.
            ModelError: the planner failed.
        """
        _refuse_unusable(question)
        dialect = self._strategy.DIALECT
        if dialect is None:
            raise ConfigError(
                f"the strategy {self.strategy!r} writes no plan beforehand",
                code="no-plan",
                hint="ask one that plans first, such as llmcompiler",
            )
        workshop = Workshop(
            self.tools, models=self.models, limits=self.limits, inputs=inputs, question=question
        )
        async with workshop:
            messages = self._strategy.planner_messages(self._conversation(workshop, question))
            text = await workshop.asker.ask(messages, role="planner", round=1)
        plan = parse(text, dialect)
        names = set(inputs or {})
        plan.findings = check(plan, self.tools.values(), inputs=names, limits=self.limits)
        return plan

    async def __aenter__(self) -> Agent:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the models' connections; leaving `async with agent:` does it too."""
        for model in {id(model): model for model in self.models.values()}.values():
            await model.aclose()


def _refuse_unusable(question: str) -> None:
    if not question.strip():
        raise ConfigError(
            "the question is empty", code="empty-question", hint="say what you want to know"
        )
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"the question is not valid Unicode at character {error.start + 1}",
            code="bad-text",
            hint="is it in the encoding of your terminal? UTF-8 is expected",
        ) from None


def _models_of(model: str | Model | Mapping[str, str | Model]) -> dict[str, Model]:
    by_role = {"": model} if isinstance(model, str) or hasattr(model, "stream") else dict(model)  # type: ignore[arg-type]
    found: dict[str, Model] = {}
    made: dict[str, Model] = {}
    for role, choice in cast("dict[str, str | Model]", by_role).items():
        if isinstance(choice, str):
            found[role] = made.setdefault(choice, model_named(choice))
        else:
            found[role] = choice
    return found
