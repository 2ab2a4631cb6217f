"""A conversation: one run of an agent, as its strategy sees it.

question ─▶ strategy ─messages─▶ planner ─text, streaming─▶ dialect ─Step─▶ verifier
▲                                                                          │
└── join: answer | replan ◀── state = fold(events) ◀── events ◀── scheduler ─▶ tools
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from heddle.engine.events import (
    ElementEnded,
    JoinResult,
    JoinStarted,
    ReplanRequested,
    StepEnded,
    StepError,
    StepResult,
    StrategyChosen,
)
from heddle.engine.intake import Intake
from heddle.engine.replaying import Replay, failed
from heddle.engine.result import RunError
from heddle.engine.round import output_ids, sinks
from heddle.engine.state import RunState
from heddle.errors import BudgetExceeded, ConfigError, HeddleError, ModelError, PlanRejected
from heddle.models.protocol import Message, Request, ToolCall, Usage
from heddle.plan.canonical import hash_of
from heddle.plan.dialects import dialect_named
from heddle.plan.ir import Plan, Step
from heddle.strategies import Reply, Verdict
from heddle.strategies.experience import Experience
from heddle.strategies.joiner import VERDICT_SCHEMA, joiner_messages, verdict_of
from heddle.strategies.wording import prompt, tools_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from heddle.engine.events import Event, ModelCall
    from heddle.engine.joining import JoinPolicy
    from heddle.engine.round import Approve, Round
    from heddle.engine.state import StepState
    from heddle.engine.workshop import Workshop
    from heddle.plan.dialects import Reader
    from heddle.plan.ir import Hole
    from heddle.plan.spec import ToolSpec
    from heddle.strategies import Messages, Strategy

__all__ = ["Conversation"]


class Conversation:
    """One run of an agent: the `Rounds` of its strategy.

    Args:
        workshop: the parts of the run.
        question: the user's.
        policy: what a join needs.
        approve: asked once per plan, before its effects.
        chains: how many times the question is planned, where a strategy votes.
        experience: what earlier runs were like.
    """

    def __init__(
        self,
        workshop: Workshop,
        question: str,
        *,
        policy: JoinPolicy,
        approve: Approve | None = None,
        chains: int = 1,
        experience: Experience | None = None,
    ) -> None:
        self.question = question
        self.inputs = {name: _kind(value) for name, value in workshop.inputs.items()}
        self.max_steps = workshop.limits.max_steps
        self.max_rounds = workshop.limits.max_rounds
        self.max_turns = workshop.limits.max_turns
        self.chains = chains
        self.experience = experience or Experience()
        self.specs = {name: spec for name, spec in workshop.specs.items() if not spec.implicit}
        self.turns = 0
        self._shop = workshop
        self._limits = workshop.limits
        self._policy = policy
        self._approve = approve
        self._state = RunState()
        self._seen = 0
        self._heard = False
        self._plans = 0
        self._first_prompt = 0  # characters
        self._deadline: float | None = None  # run time at which no model is asked for a plan
        self._end: float | None = None  # ... and for an answer
        past = workshop.past
        self._replay = Replay(past.events if past is not None else ())
        if past is not None:
            if past.reopened:
                self._replay.ask_last_again()
            workshop.asker.recall(self._replay, past.model_calls)

    # -- what a strategy sees --------------------------------------------------------------------

    @property
    def next_round(self) -> int:
        """The number of the round that `read` would begin."""
        return self._replay.next_round or self._shop.next_round

    @property
    def replaying(self) -> bool:
        """Whether the run was resumed, and its program has not come to where it was cut off."""
        return self._replay.going

    @property
    def foretold(self) -> str:
        """The strategy that was chosen next before the run was cut off; "" if none was."""
        return self._replay.foretold

    @property
    def last_round(self) -> bool:
        """Whether no further plan may be asked for, by number or by time."""
        return self.late or self._plans >= self._limits.max_rounds

    @property
    def last_turn_next(self) -> bool:
        """Whether the next turn is the last, by number or by time."""
        return self.late or self.turns + 1 >= self.max_turns

    @property
    def late(self) -> bool:
        """Whether so little time or budget is left that there is no more than an answer to come."""
        purse = self._shop.asker.purse
        if purse is not None and not self.replaying and purse.low:
            return True
        return self._deadline is not None and self._now() >= self._deadline

    @property
    def spent(self) -> Usage:
        """Tokens of all that models were asked so far."""
        return sum((call.usage for call in self._folded().calls), Usage())

    @property
    def tokens_per_character(self) -> float:
        """What the provider counts for a character of a prompt; a quarter, until it has counted."""
        read = [call.usage.input_tokens for call in self._folded().calls if call.role == "planner"]
        first = read[0] if read else 0
        return first / self._first_prompt if first and self._first_prompt else 0.25

    @property
    def heard(self) -> bool:
        """Whether any tool has returned anything in this run, be it a failure or an element."""
        self._folded()
        return self._heard

    def steps(self) -> list[StepState]:
        """All steps so far, in plan order."""
        return list(self._folded().steps.values())

    def chose(self, strategy: str, *reasons: str) -> None:
        """Say which strategy goes on from here, and why."""
        if self._replay.passed("chose") is None:
            log = self._shop.log
            log.emit(StrategyChosen(log.now(), strategy, reasons))

    async def plan(self, messages: Messages, dialect: str) -> Plan:
        """Ask the planner; run what it writes while it writes; return when it has all ended."""
        plan = (await self.read(messages, dialect)).plan
        await self.settle(plan)
        return plan

    async def read(
        self,
        messages: Messages,
        dialect: str,
        *,
        native: bool = False,
        may_answer: bool = False,
        effects: bool = True,
        stop: Sequence[str] = (),
        drop: Callable[[Plan], bool] | None = None,
    ) -> Reply:
        """Ask for a plan, start what is written while it is written; return when it is whole."""
        last = may_answer and self.last_turn_next
        self._plans += not may_answer
        self.turns += may_answer
        plan = Plan(round=self._replay.claim() or self._shop.claim_round(), dialect=dialect)
        if (call := self._replay.closed(plan.round)) is not None:
            tools = self._note_prompt(messages, native=native)
            self._shop.asker.paid_before(messages, call, tools)
            return await self._recalled(
                plan, call, native=native, may_answer=may_answer, effects=effects
            )
        reader = self._reader(plan)
        begin = self._beginning(plan, replan=not may_answer)
        intake = Intake(begin, reader, self._limits, drop and self._giving_up(drop))
        until = self._end if may_answer else self._deadline  # a turn may be the answer
        stream = self._stream(
            messages, plan.round, native=native, stop=stop, until=until, last=last
        )
        cut = await intake.read(stream, native=native)
        plan.text, plan.output = intake.text, reader.output
        if intake.round is None and may_answer:
            if cut is not None:
                raise cut
            return Reply(plan, intake.said)
        round = intake.begun()
        if intake.dropped:
            self._plans -= 1  # one that was given up is none
        elif not (may_answer or round.failed or cut):
            await self._repair(round)
        intake.close(cut)
        await self._release(round, effects=effects and not intake.dropped)
        if cut is not None and (may_answer or not plan.steps):
            await self.settle(plan)
            raise cut
        return Reply(plan, intake.said, tuple(intake.calls), intake.dropped)

    def _reader(self, plan: Plan) -> Reader:
        earlier = self._earlier_names(plan.round)
        return dialect_named(plan.dialect).reader(round=plan.round, earlier=earlier)

    def _beginning(self, plan: Plan, *, replan: bool) -> Callable[[], Round]:
        """What begins the round of a plan; one that is planned anew does not repeat effects."""
        schemas, first = self._earlier_schemas(), not self._shop.plans

        def begin() -> Round:
            round = self._shop.begin(plan, bounded=True, earlier=schemas)
            round.gate.replan = plan.round if replan and not first else 0
            return round

        return begin

    def _giving_up(self, drop: Callable[[Plan], bool]) -> Callable[[Plan], bool]:
        """Stop what was started in the moment in which a plan is given up: nothing returns then."""

        def drops(plan: Plan) -> bool:
            given_up = drop(plan)
            if given_up:
                self._stop_draft()
            return given_up

        return drops

    def _stop_draft(self) -> None:
        scheduler = self._shop.scheduler
        if not scheduler.idle:
            scheduler.cancel("the calls are made step by step", code="not-needed")

    def _stream(
        self, messages: Messages, round: int, *, native: bool, stop: Sequence[str],
        until: float | None, last: bool,
    ) -> AsyncGenerator[str | ToolCall]:  # fmt: skip
        return self._shop.asker.stream(
            messages, role="planner", round=round, stop=stop, deadline=self._on_loop(until),
            tools=self._note_prompt(messages, native=native), last=last,
        )  # fmt: skip

    def _note_prompt(self, messages: Messages, *, native: bool) -> tuple[ToolSpec, ...]:
        """Remember how long the first prompt is; the tools that are offered beside it."""
        tools = tuple(self.specs.values()) if native else ()
        if not self._first_prompt:
            self._first_prompt = Request(tuple(messages), tools=tools).characters
        return tools

    def _on_loop(self, run_s: float | None) -> float | None:
        """A time of the run's clock as one of the loop's."""
        if run_s is None:
            return None
        return asyncio.get_running_loop().time() + run_s - self._shop.log.now()

    async def _recalled(
        self, plan: Plan, call: ModelCall, *, native: bool, may_answer: bool, effects: bool
    ) -> Reply:
        """A plan that was closed before the run was resumed: its steps as the journal has them."""
        past = self._shop.past
        assert past is not None
        state, recorded = past.state.numbered(plan.round), past.plan(plan.round)
        reader, text = self._reader(plan), call.reply["text"]
        if not native:  # for what it says, and not for what it calls
            deque((*reader.feed(text), *reader.close()), maxlen=0)
        plan.text, plan.output = text, recorded.output if state.accepted else reader.output
        round = self._beginning(plan, replan=not may_answer)()
        await round.recall(recorded, accepted=state.accepted)
        if state.given_up:
            self._plans -= not may_answer
            self._stop_draft()
        await self._release(round, effects=effects and not state.given_up)
        cut = any(finding.code == "plan-cut" for finding in plan.findings)
        if cut and (may_answer or not plan.steps):
            await self.settle(plan)
            raise failed(call)
        calls = tuple(ToolCall(*said) for said in call.reply["calls"])
        return Reply(plan, getattr(reader, "said", text), calls, state.given_up)

    async def _release(self, round: Round, *, effects: bool = True) -> None:
        """Let the effects of a clean plan start, or say that nobody has decided for them."""
        if round.clean and effects:
            await self._shop.release(round, self._approve)
        elif round.clean:
            self._shop.scheduler.withhold("skipped", "undecided")

    async def settle(self, *plans: Plan) -> None:
        """Wait for what the join needs, by the plan's output and the join policy."""
        if len(plans) != 1:
            await self._shop.scheduler.wait([entry.id for plan in plans for entry in plan.entries])
            return
        plan = plans[0]
        if plan.output is not None and output_ids(plan):
            await self._shop.wait_for_output(plan)
            return
        scheduler = self._shop.scheduler
        enough = self._policy.enough(ends := sinks(plan))
        if enough is not None and not any(map(self._shop.may_change, plan.steps)):
            await scheduler.wait(ends, enough)
            if not scheduler.idle:
                scheduler.cancel("enough results are there", code="not-needed")
        await scheduler.wait([entry.id for entry in plan.entries])

    async def ask(self, messages: Messages, role: str) -> str:
        """A model's reply that is no plan."""
        return await self._shop.asker.ask(
            messages, role=role, round=max(1, len(self._shop.plans)),
            deadline=self._on_loop(self._end), last=role == "joiner",
        )  # fmt: skip

    async def join(self, plan: Plan, messages: Messages | None = None) -> Verdict:
        """Join the results: by the plan's own output, or by asking the joiner."""
        ends = output_ids(plan) or sinks(plan)  # what is joined, and no more
        known = self._folded().steps  # an output may name steps that were never read
        done = sum(id in known and known[id].status == "done" for id in ends)
        if not plan.steps or (_failed(plan) and not self.last_round):
            return self._replan(plan, _why_rejected(plan))
        if not self._policy.met(done, ends):
            raise BudgetExceeded(
                f"{done} of {len(ends)} results are there, which the join policy does not accept",
                code="join-policy",
                hint="pass join='best-effort' to answer with what there is",
            )
        verdict = await self._joined(plan, messages)
        return self._replan(plan, verdict.reason) if verdict.decision == "replan" else verdict

    async def _joined(self, plan: Plan, messages: Messages | None) -> Verdict:
        """What the join says, or has said before the run was resumed."""
        log, steps = self._shop.log, self.steps()
        if self._replay.passed("join", plan.round) is None:
            inputs = tuple((step.id, hash_of(step.value)) for step in steps if step.has_value)
            missing = tuple(step.id for step in steps if not step.has_value)
            log.emit(JoinStarted(log.now(), plan.round, inputs, missing))
        elif (said := self._replay.joined(plan.round)) is not None:
            finish = said.decision == "finish"
            return Verdict("finish" if finish else "replan", said.answer, said.reason)
        verdict = await self._verdict(plan, steps, messages)
        log.emit(JoinResult(log.now(), plan.round, *verdict))
        return verdict

    # -- repair ----------------------------------------------------------------------------------

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
                    deadline=self._on_loop(self._deadline),
                )
            except (ModelError, ConfigError, BudgetExceeded):
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
            round=plan.round, earlier={**self._earlier_names(plan.round), **names}
        )
        pieces = (*reader.feed(reply), *reader.close())
        steps = [piece for piece in pieces if isinstance(piece, Step)]
        return steps[0] if len(steps) == 1 and steps[0].id == hole.id else None

    # -- the join --------------------------------------------------------------------------------

    async def _verdict(
        self, plan: Plan, steps: Sequence[StepState], messages: Messages | None
    ) -> Verdict:
        if messages is not None:
            return Verdict("finish", (await self.ask(messages, "joiner")).strip())
        if plan.output is not None:
            return Verdict("finish", self._shop.output(plan))
        if not self.last_round:
            verdict = await self._asked_early(steps)
            if verdict is not None and not (verdict.decision == "replan" and self.last_round):
                return verdict  # else what it took was the room for another round
        return await self._asked_to_join(steps, last=True)

    async def _asked_early(self, steps: Sequence[StepState]) -> Verdict | None:
        """What a joiner says that may ask for another round; None where only the last is paid."""
        try:
            return await self._asked_to_join(steps, last=False)
        except BudgetExceeded:
            return None

    async def _asked_to_join(self, steps: Sequence[StepState], *, last: bool) -> Verdict:
        asker = self._shop.asker
        room = None if asker.purse is None else asker.purse.prompt_room(asker.model("joiner"))
        reply = await asker.ask(
            joiner_messages(self.question, steps, last=last, room=room),
            role="joiner",
            round=len(self._shop.plans),
            schema=VERDICT_SCHEMA,
            deadline=self._on_loop(self._end),
            last=last,
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
        if self._replay.passed("replan", plan.round) is None:
            log = self._shop.log
            log.emit(ReplanRequested(log.now(), plan.round, reason[:500], hash_of(reason)))
        return Verdict("replan", None, reason)

    # -- the run ---------------------------------------------------------------------------------

    async def outcome(self, strategy: Strategy) -> tuple[Verdict | None, RunError | None]:
        """Run a strategy: what it found, or why there is no answer."""
        limits = self._limits
        if self._shop.budget is not None:
            self._shop.budget.keep_for_join(limits.budget_join_share)
        if limits.run_timeout_s is not None:
            self._end = limits.run_timeout_s
            reserve = min(limits.join_reserve_s, limits.run_timeout_s / 2)
            self._deadline = self._end - reserve
            self._shop.deadline(limits.run_timeout_s - reserve)
        try:
            return await strategy.strategy(self), None
        except HeddleError as error:
            return None, RunError(error.code, error.message, error.hint, _exit_status(error))

    def _now(self) -> float:
        """The run's clock; that of the record while there is one."""
        ahead = self._replay.ahead
        return self._shop.log.now() if ahead is None else self._shop.log.events[ahead.place].at

    def _folded(self) -> RunState:
        """The state up to now, or up to where the record is; each event is folded once."""
        events, ahead = self._shop.log.events, self._replay.ahead
        while self._seen < (len(events) if ahead is None else ahead.place):
            event = events[self._seen]
            self._state.apply(event)
            self._heard = self._heard or self._tells(event)
            self._seen += 1
        return self._state

    def _tells(self, event: Event) -> bool:
        """Whether an event is what came of a call, unless the call is of the language itself."""
        if isinstance(event, StepEnded):
            if event.status not in ("done", "failed"):
                return False
        elif not isinstance(event, (StepResult, StepError, ElementEnded)):
            return False
        step = self._state.steps[event.step].step
        spec = self._shop.specs.get(step.tool) if step is not None else None
        return spec is None or not (spec.implicit and spec.effect == "pure")

    def _earlier_names(self, round: int) -> dict[str, str]:
        """Ids of earlier rounds by the name that a planner would use; the latest wins."""
        before = (plan for plan in self._shop.plans if plan.round < round)
        ids = (entry.id for plan in before for entry in plan.entries)
        return {id.rpartition(".")[2]: id for id in ids}

    def _earlier_schemas(self) -> dict[str, Any]:
        return {
            step.id: self._shop.specs[step.tool].result
            for plan in self._shop.plans
            for step in plan.steps
        }


def _failed(plan: Plan) -> bool:
    """Whether a plan had more bad lines than it may have."""
    return any(finding.code == "too-many-holes" for finding in plan.findings)


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
