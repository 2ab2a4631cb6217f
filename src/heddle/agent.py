"""The agent: question → rounds → answer. The only file that knows everyone.

    question ─▶ strategy.messages ─▶ planner ─text, streaming─▶ dialect ─Step─▶ verifier
        ▲                                                                         │
        └── join: answer | replan ◀── state = fold(events) ◀── events ◀── scheduler ─▶ tools

A `_Conversation` is one run: it is what a strategy sees as `Rounds`.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from heddle.engine.estimates import Estimates
from heddle.engine.events import JoinResult, JoinStarted, ReplanRequested, StrategyChosen
from heddle.engine.execution import Workshop, check, run_now
from heddle.engine.joining import JoinPolicy
from heddle.engine.log import EventLog
from heddle.engine.result import RunError
from heddle.engine.round import output_ids, sinks
from heddle.engine.slots import LocalSlots
from heddle.engine.state import RunState
from heddle.errors import BudgetExceeded, ConfigError, HeddleError, ModelError, PlanRejected
from heddle.models import model_named
from heddle.models.protocol import Message
from heddle.plan.canonical import hash_of
from heddle.plan.dialects import dialect_named, parse
from heddle.plan.findings import Finding, Origin
from heddle.plan.ir import Plan, Step
from heddle.plan.limits import Limits
from heddle.strategies import Verdict, strategy_named
from heddle.strategies.joiner import VERDICT_SCHEMA, joiner_messages, verdict_of
from heddle.strategies.llmcompiler import DIALECT, planner_messages
from heddle.strategies.wording import prompt, tools_text
from heddle.tools.toolbox import toolbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from heddle.engine.events import Event
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve, Round
    from heddle.engine.state import StepState
    from heddle.models.protocol import Model
    from heddle.plan.dialects import Reader
    from heddle.plan.ir import Hole
    from heddle.plan.spec import ToolSpec
    from heddle.strategies import Messages

__all__ = ["Agent"]


class Agent:
    """Answers questions by planning first, and running the plan while it is being written.

    Args:
        model: "provider:name", a Model, or a mapping of roles (planner, joiner, worker, repair;
            "" for all others) to either.
        tools: typed callables, `Tool`s, or anything with a name, a schema and a callable.
        strategy: a name from `heddle.strategies.STRATEGIES`, or "auto".
        limits: bounds of each run; slots and requests per minute are shared by its runs.
        approve: asked once per plan, before its effects; False denies them.
        join: see `JoinPolicy`.

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
    ) -> None:
        self.limits = limits or Limits()
        self.tools = toolbox(tools)
        self.models = _models_of(model)
        self.strategy = strategy_named(strategy)
        self.approve = approve
        self.join = JoinPolicy(join)
        self.slots = LocalSlots(self.limits.per_provider, self.limits.requests_per_minute)
        self.estimates = Estimates()

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
            conversation = _Conversation(self, workshop, question)
            verdict, error = await conversation.outcome()
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
            ConfigError: the question is empty, or not valid Unicode.
            ModelError: the planner failed.
        """
        _refuse_unusable(question)
        workshop = Workshop(
            self.tools, models=self.models, limits=self.limits, inputs=inputs, question=question
        )
        async with workshop:
            conversation = _Conversation(self, workshop, question)
            messages = planner_messages(conversation)
            text = await workshop.asker.ask(messages, role="planner", round=1)
        plan = parse(text, DIALECT)
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


class _Conversation:
    """One run of an agent: the `Rounds` that its strategy sees."""

    def __init__(self, agent: Agent, workshop: Workshop, question: str) -> None:
        self._agent = agent
        self._shop = workshop
        self._state = RunState()
        self._seen = 0
        self.question = question
        self.inputs = {name: _kind(value) for name, value in workshop.inputs.items()}
        self.max_steps = agent.limits.max_steps
        self._deadline: float | None = None

    # -- what a strategy sees --------------------------------------------------------------------

    @property
    def specs(self) -> Mapping[str, ToolSpec]:
        """The tools."""
        return self._shop.specs

    @property
    def next_round(self) -> int:
        """The number of the round that `plan` would begin."""
        return len(self._shop.plans) + 1

    @property
    def last_round(self) -> bool:
        """Whether no further round may begin, by number or by time."""
        late = self._deadline is not None and self._now() >= self._deadline
        return late or self.next_round > self._agent.limits.max_rounds

    def steps(self) -> list[StepState]:
        """All steps so far, in plan order."""
        return list(self._folded().steps.values())

    async def plan(self, messages: Messages, dialect: str) -> Plan:
        """Ask the planner; run what it writes while it writes; return when it has all ended."""
        number = self.next_round
        plan = Plan(round=number, dialect=dialect)
        round = self._shop.begin(plan, bounded=True, earlier=self._earlier_schemas())
        reader = dialect_named(dialect).reader(round=number, earlier=self._earlier_names())
        cut = await self._read(round, reader, messages)
        plan.output = reader.output
        if not round.failed and cut is None:
            await self._repair(round)
        self._close(round, cut)
        if round.clean:
            await self._shop.release(round, self._agent.approve)
        await self._wait(plan)
        if cut is not None and not plan.steps:
            raise cut
        return plan

    async def join(self, plan: Plan) -> Verdict:
        """Join the results: by the plan's own output, or by asking the joiner."""
        ends = output_ids(plan) or sinks(plan)  # what is joined, and no more
        done = sum(self._shop.scheduler.status(id) == "done" for id in ends)
        if not plan.steps or (_failed(plan) and not self.last_round):
            return self._replan(plan, _why_rejected(plan))
        if not self._agent.join.met(done, ends):
            raise BudgetExceeded(
                f"{done} of {len(ends)} results are there, which the join policy does not accept",
                code="join-policy",
                hint="pass join='best-effort' to answer with what there is",
            )
        steps = self.steps()
        log = self._shop.log
        inputs = tuple((step.id, hash_of(step.value)) for step in steps if step.has_value)
        missing = tuple(step.id for step in steps if not step.has_value)
        log.emit(JoinStarted(log.now(), plan.round, inputs, missing))
        verdict = await self._ask_joiner(steps) if plan.output is None else self._by_output(plan)
        log.emit(JoinResult(log.now(), plan.round, *verdict))
        return self._replan(plan, verdict.reason) if verdict.decision == "replan" else verdict

    # -- a round ---------------------------------------------------------------------------------

    async def _read(self, round: Round, reader: Reader, messages: Messages) -> ModelError | None:
        """Feed the planner's reply to the reader and its steps to the round.

        Returns:
            Why the reply broke off, or None if it is whole or was long enough.
        """
        text: list[str] = []
        size = 0
        stream = self._shop.asker.stream(
            messages, role="planner", round=round.plan.round, deadline=self._deadline
        )
        cut: ModelError | None = None
        try:
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    text.append(chunk)
                    size += len(chunk)
                    if _take(round, reader.feed(chunk), self._agent.limits):
                        await asyncio.sleep(0)  # what has become ready starts now
                    if round.failed or _too_large(round, size, self._agent.limits):
                        break
        except ModelError as error:
            cut = error
        round.plan.text = "".join(text)
        _take(round, reader.close(), self._agent.limits)
        if not round.plan.entries and cut is None:
            round.take(_no_plan(round.plan.text))
        return cut

    def _close(self, round: Round, cut: ModelError | None) -> None:
        if cut is not None:
            round.take(
                Finding.at(None, "plan-cut", f"the planner broke off: {cut.message}", hint=cut.hint)
            )
        if round.failed:
            bound = self._agent.limits.max_holes
            round.take(
                Finding.at(None, "too-many-holes", f"more than {bound} lines cannot be used")
            )
        round.close()

    async def _repair(self, round: Round) -> None:
        """Ask once for each bad line; what comes back must be that line again."""
        for hole in round.repairable:
            if any(finding.code == "too-many-steps" for finding in hole.findings):
                continue  # no other wording of it would help
            try:
                reply = await self._shop.asker.ask(
                    self._repair_messages(round.plan, hole),
                    role="repair",
                    round=round.plan.round,
                    deadline=self._deadline,
                )
            except (ModelError, ConfigError):
                continue  # the hole stays and says why; there is one repair call, no second
            step = self._reread(round, hole, reply)
            if step is not None:
                round.fill(step)

    def _repair_messages(self, plan: Plan, hole: Hole) -> Messages:
        findings = "\n".join(f"- {item.message}. {item.hint}" for item in hole.findings)
        text = prompt(
            "repair",
            tools=tools_text(self.specs),
            plan=plan.text.strip(),
            line=hole.text,
            findings=findings,
        )
        return [Message("user", text)]

    def _reread(self, round: Round, hole: Hole, reply: str) -> Step | None:
        """The step that a repair gave, under the hole's own id."""
        plan = round.plan
        before = {entry.id for entry in plan.entries[: plan.place(hole.id)]}
        names = {id.rpartition(".")[2]: id for id in before}
        reader = dialect_named(plan.dialect).reader(
            round=plan.round, earlier={**self._earlier_names(), **names}
        )
        pieces = (*reader.feed(reply), *reader.close())
        steps = [piece for piece in pieces if isinstance(piece, Step)]
        return steps[0] if len(steps) == 1 and steps[0].id == hole.id else None

    async def _wait(self, plan: Plan) -> None:
        """Wait for what the join needs, by the plan's output and the join policy."""
        if plan.output is not None and output_ids(plan):
            await self._shop.wait_for_output(plan)
            return
        scheduler = self._shop.scheduler
        enough = self._agent.join.enough(ends := sinks(plan))
        if enough is not None and not any(self.specs[s.tool].effectful for s in plan.steps):
            await scheduler.wait(ends, enough)
            if not scheduler.idle:
                scheduler.cancel("enough results are there", code="not-needed")
        await scheduler.wait([entry.id for entry in plan.entries])

    # -- the join --------------------------------------------------------------------------------

    def _by_output(self, plan: Plan) -> Verdict:
        return Verdict("finish", self._shop.output(plan))

    async def _ask_joiner(self, steps: Sequence[StepState]) -> Verdict:
        reply = await self._shop.asker.ask(
            joiner_messages(self.question, steps, last=self.last_round),
            role="joiner",
            round=len(self._shop.plans),
            schema=VERDICT_SCHEMA,
            deadline=self._end,
        )
        return verdict_of(reply)

    def _replan(self, plan: Plan, reason: str) -> Verdict:
        """Another round is wanted; say so in the log if there can be one."""
        if self.last_round:
            if not plan.steps and plan.findings:
                raise PlanRejected(plan.findings, f"no usable plan came: {reason}")
            raise BudgetExceeded(
                f"no round is left: {reason}",
                code="max-rounds",
                hint="raise limits.max_rounds, or look at why the plans do not suffice",
            )
        log = self._shop.log
        log.emit(ReplanRequested(log.now(), plan.round, reason[:500], hash_of(reason)))
        return Verdict("replan", None, reason)

    # -- the run ---------------------------------------------------------------------------------

    async def outcome(self) -> tuple[Verdict | None, RunError | None]:
        """Run the strategy: what it found, or why there is no answer."""
        name, strategy, reason = self._agent.strategy
        log = self._shop.log
        log.emit(StrategyChosen(log.now(), name, (reason,)))
        limits = self._agent.limits
        self._end: float | None = None
        if limits.run_timeout_s is not None:
            self._end = self._now() + limits.run_timeout_s
            reserve = min(limits.join_reserve_s, limits.run_timeout_s / 2)
            self._deadline = self._end - reserve
            self._shop.deadline(limits.run_timeout_s - reserve)
        try:
            return await strategy(self), None
        except HeddleError as error:
            return None, RunError(error.code, error.message, error.hint, _exit_status(error))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _folded(self) -> RunState:
        """The state up to now; each event is folded once."""
        events = self._shop.log.events
        while self._seen < len(events):
            self._state.apply(events[self._seen])
            self._seen += 1
        return self._state

    def _earlier_names(self) -> dict[str, str]:
        """Ids of earlier rounds by the name that a planner would use; the latest wins."""
        ids = (entry.id for plan in self._shop.plans for entry in plan.entries)
        own = f"{len(self._shop.plans)}."
        return {id.rpartition(".")[2]: id for id in ids if not (own != "1." and id.startswith(own))}

    def _earlier_schemas(self) -> dict[str, Any]:
        return {
            step.id: self.specs[step.tool].result
            for plan in self._shop.plans
            for step in plan.steps
        }


def _take(round: Round, pieces: Sequence[Any], limits: Limits) -> bool:
    """Take in what the reader gave, up to the first step too many: one chunk may hold thousands."""
    for piece in pieces:
        if len(round.plan) > limits.max_steps:
            break
        round.take(piece)
    return bool(pieces)


def _too_large(round: Round, size: int, limits: Limits) -> bool:
    """Whether a reply has grown past its bounds; the finding says so, and reading stops."""
    if size > limits.max_text_bytes:
        message = f"the reply is larger than {limits.max_text_bytes} bytes"
        round.take(Finding.at(None, "text-too-large", message))
        return True
    return len(round.plan) > limits.max_steps  # the verifier has said it


def _failed(plan: Plan) -> bool:
    """Whether a plan had more bad lines than it may have."""
    return any(finding.code == "too-many-holes" for finding in plan.findings)


def _no_plan(text: str) -> Finding:
    """A reply without a step: what the planner wrote instead."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return Finding.at(
        Origin(1, 1),
        "empty-plan",
        f"the reply holds no step; it begins {first[:80]!r}" if first else "the reply is empty",
        hint="see what the planner was asked, or try another model",
        snippet=first[:120],
    )


def _why_rejected(plan: Plan) -> str:
    errors = [finding for finding in plan.findings if finding.severity == "error"]
    return "; ".join(finding.message for finding in errors[:3]) or "the plan holds no step"


def _exit_status(error: HeddleError) -> int:
    """A deadline is a budget, whoever noticed it."""
    return BudgetExceeded.exit_status if error.code == "deadline" else error.exit_status


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {"str": "text", "bool": "true or false", "int": "number", "float": "number"}
    return names.get(type(value).__name__, "list" if isinstance(value, list) else "object")


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
