"""The agent: a question in, an answer out. The only file that knows everyone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from heddle.conversation import Conversation
from heddle.engine.estimates import Estimates
from heddle.engine.execution import check, run_now
from heddle.engine.joining import JoinPolicy
from heddle.engine.keeping import kept
from heddle.engine.log import EventLog
from heddle.engine.resuming import go_on, workshop_of
from heddle.engine.settings import asked_for
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
    from heddle.engine.journal.places import Place
    from heddle.engine.past import Past
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve
    from heddle.engine.slots import Slots
    from heddle.models.protocol import Model
    from heddle.plan.ir import Plan
    from heddle.tools.probes import Resolution

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
        journal: where runs are kept, so that `resume` can go on with them: a path, a URL, or a
            store; in memory only by default.

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
        journal: Place | None = None,
    ) -> None:
        self.journal = journal
        self.limits = limits or Limits()
        self.tools = toolbox(tools)
        self.models = _models_of(model)
        self.strategy = strategy
        self._strategy = strategy_named(strategy)
        self.chains = chains
        self.approve = approve
        self.join = join
        JoinPolicy(join)  # refused now, if it is none
        self.slots: Slots = LocalSlots.of(self.limits)
        self.estimates = Estimates()
        self.experience = Experience()

    async def run(
        self,
        question: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        log: EventLog | None = None,
        run_id: str | None = None,
        seed: int | None = None,
        caller: Mapping[str, Any] | None = None,
    ) -> RunResult:
        """Answer a question.

        Args:
            question: what the user wants to know; it must not be empty.
            inputs: data for the tools, by name; no planner sees more than names and types.
            log: takes the events; pass one to follow the run while it lasts.
            run_id: the run's id; drawn by default.
            seed: of what the run leaves to chance; drawn by default.
            caller: what the caller wants to find again in the journal; JSON.

        Returns:
            The result. Whatever fails on the way is in it, and is not raised.

        Raises:
            ConfigError: the question is empty, or not valid Unicode.
            JournalError: the run cannot be kept in the journal.
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
            run_id=run_id,
            seed=seed,
            config=asked_for(
                question, strategy=self.strategy, join=self.join, chains=self.chains,
                asks=self.approve is not None, caller=caller,
            ),
        )  # fmt: skip
        async with kept(workshop, self.journal, question):
            result = await self._answer(workshop, question, self.strategy, self.join, self.chains)
        return workshop.as_kept(result)

    async def resume(
        self,
        run_id: str,
        *,
        log: EventLog | None = None,
        resolve: Mapping[str, Resolution] | None = None,
        allow_tool_change: bool = False,
    ) -> RunResult:
        """Go on with a run that was cut off; one that is over is not run again, its result is read.

        Strategy, limits, join policy and chains are those that the run began with; models, tools
        and who approves are this agent's.

        Args:
            run_id: the run's.
            log: takes the events, those of the past first.
            resolve: what became of writes that are unknown, by step; see `heddle.resume`.
            allow_tool_change: whether tools may differ from those before; those of steps that have
                been begun may not.

        Returns:
            The result of the whole run, what was before included.

        Raises:
            ConfigError: this agent has no journal; somebody was to approve, and nobody is there.
            JournalError: as for `heddle.resume`.
        """
        if self.journal is None:
            raise ConfigError(
                "this agent keeps no journal",
                code="no-journal",
                hint="pass journal=… to the Agent: the place where the run was kept",
            )

        def wire(past: Past, log: EventLog) -> Workshop:
            return workshop_of(
                past, self.tools, log, models=self.models, slots=self.slots,
                estimates=self.estimates, resolve=resolve,
            )  # fmt: skip

        async def run(workshop: Workshop, past: Past) -> RunResult:
            assert past.created is not None
            said = past.created.config
            return await self._answer(
                workshop, said["question"], said["strategy"], said["join"], said["chains"]
            )

        return await go_on(
            run_id, self.journal, "agent", wire, run, log or EventLog(),
            asked=self.approve is not None, changes=allow_tool_change, resolve=resolve,
        )  # fmt: skip

    async def _answer(
        self, workshop: Workshop, question: str, strategy: str, join: str, chains: int
    ) -> RunResult:
        """The result of a question, from its beginning or from where its past ends."""
        async with workshop:
            conversation = Conversation(
                workshop, question, policy=JoinPolicy(join), approve=self.approve, chains=chains,
                experience=self.experience,
            )  # fmt: skip
            if strategy != "auto":
                conversation.chose(strategy, "chosen by the caller")
            verdict, error = await conversation.outcome(strategy_named(strategy))
        answer = verdict.answer if verdict is not None else None
        status = "rejected" if error is not None and error.exit_status == 3 else None
        return workshop.finish(answer, error, status)

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
            conversation = Conversation(workshop, question, policy=JoinPolicy(self.join))
            messages = self._strategy.planner_messages(conversation)
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
