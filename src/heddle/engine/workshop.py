"""The workshop: the parts of one run, wired.

A complete plan is run in one (`execution`), and so are all rounds of an agent (`conversation`).
"""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from heddle.engine.asking import Asker
from heddle.engine.breaker import BreakerSlots
from heddle.engine.budget import budget_of
from heddle.engine.elements import INTERRUPTED
from heddle.engine.events import (
    LeaseTaken,
    RunCreated,
    RunFinished,
    StepReopened,
)
from heddle.engine.executor import LocalExecutor
from heddle.engine.expanding import Expander
from heddle.engine.given import plain_inputs, refuse_used, sound_id
from heddle.engine.log import EventLog
from heddle.engine.parts import Terms
from heddle.engine.purse import Purse
from heddle.engine.reckoning import cut_replies_at, refuse_unpriced
from heddle.engine.result import RunError, batched, judged, result_of
from heddle.engine.retrying import Waits
from heddle.engine.round import Round, cone, output_ids, sinks
from heddle.engine.scheduler import Scheduler
from heddle.engine.settings import tool_hashes
from heddle.engine.slots import LocalSlots
from heddle.errors import ToolFailed
from heddle.plan import verify
from heddle.plan.canonical import hash_of
from heddle.plan.ir import Plan, Ref
from heddle.plan.limits import Limits
from heddle.tools.builtin.compute import compute
from heddle.tools.builtin.expand import EXPAND_SPEC
from heddle.tools.builtin.later import later
from heddle.tools.builtin.llm import LLM_SPEC, llm_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.engine.budget import Budget
    from heddle.engine.estimates import Estimates
    from heddle.engine.events import Event
    from heddle.engine.executor import Executor
    from heddle.engine.gate import Gate
    from heddle.engine.journal.store import RunLease
    from heddle.engine.past import Past, Place
    from heddle.engine.result import RunResult, RunStatus
    from heddle.engine.round import Approve
    from heddle.engine.slots import Slots
    from heddle.errors import HeddleError
    from heddle.models.protocol import Model
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Step
    from heddle.plan.spec import ToolSpec
    from heddle.tools.function import Tool
    from heddle.tools.probes import Resolution

__all__ = ["Workshop", "specs_of"]


_LANGUAGE = {tool.spec.name: tool for tool in (compute, later)}
"""Tools that are part of the language: every plan may call them."""


class Workshop:
    """The parts of one run, wired: log, slots, executor, scheduler and whoever asks models.

    Use it as an asynchronous context manager: leaving it stops everything that still runs.

    Args:
        tools: by name.
        models: by role; the role "" stands for all others.
        limits: bounds of the run.
        inputs: the caller's data; JSON values.
        slots: allowances shared with other runs; the run's own by default.
        estimates: durations learned by other runs.
        log: takes the events.
        question: for the record.
        seed: of what the run leaves to chance, which is how long it waits; drawn by default.
        run_id: its id; drawn by default.
        config: what it takes to go on with it; see `RunCreated`.
        past: what its journal remembers, if it is gone on with; the log has its events already.
        resolved: what a person says of writes whose outcome nobody saw.

    Attributes:
        lost: why its journal keeps nothing more or nobody may call anything, which has stopped the
            run; it is not over, and may be gone on with.

    Raises:
        ConfigError: an input that has no JSON form, an id that no run can have, or a used log.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        models: Mapping[str, Model] | None = None,
        limits: Limits | None = None,
        inputs: Mapping[str, Any] | None = None,
        slots: Slots | None = None,
        estimates: Estimates | None = None,
        log: EventLog | None = None,
        executor: Executor | None = None,
        question: str = "",
        seed: int | None = None,
        run_id: str | None = None,
        config: Mapping[str, Any] | None = None,
        past: Past | None = None,
        resolved: Mapping[Place, Resolution] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.past = past
        self.lost: HeddleError | None = None
        self.seed = random.getrandbits(32) if seed is None else seed
        self.inputs = plain_inputs(inputs or {})
        self.log = log or EventLog()
        if past is None:
            refuse_used(self.log)
        self.run_id = sound_id(run_id) if run_id else uuid.uuid4().hex[:12]
        self.plans: list[Plan] = []
        self.expansions: list[Plan] = []  # that came out as results, in the order of their rounds
        self.approve: Approve | None = None  # the one who was asked last
        self._asking = asyncio.Lock()  # whoever approves is asked for one plan at a time
        self.ceiling: Gate | None = None  # the write gate of the run's first plan
        self._rounds = past.last_round if past is not None else 0
        self._until: float | None = None  # loop time at which what runs is ended
        worker = (models or {}).get("worker") or (models or {}).get("")
        self.tools = {**_LANGUAGE, **tools}
        slots = slots or LocalSlots.of(self.limits, self.seed)
        if worker is not None and LLM_SPEC.name not in self.tools:
            self.tools[LLM_SPEC.name] = llm_tool(
                worker,
                stall_timeout_s=self.limits.stall_timeout_s,
                max_output_tokens=cut_replies_at(self.limits),
                heard=getattr(slots, "heard", None),
            )
        self.specs = specs_of(self.tools)
        if LLM_SPEC.name not in self.tools:
            del self.specs[LLM_SPEC.name]  # nobody to ask: no plan may call it
        self.slots = BreakerSlots.before(_for_run(slots, self.limits.weight))
        self.slots.failed = self.lose
        self._own = (
            None
            if executor
            else LocalExecutor(
                self.tools,
                threads=self.limits.sync_threads,
                processes=self.limits.worker_processes,
            )
        )
        if past is None:
            self.log.emit(self._created(question, config or {}))
        asks = {name: tool.asks for name, tool in self.tools.items() if tool.asks is not None}
        self.budget = self._budgeted([*(models or {}).values(), *(m for m, _ in asks.values())])
        self.scheduler = Scheduler(
            self.specs,
            executor or self._own,  # type: ignore[arg-type]  # one of the two is there
            self.log,
            Terms(
                limits=self.limits,
                slots=self.slots,
                inputs=self.inputs,
                estimates=estimates,
                run_id=self.run_id,
                seed=self.seed,
                past=past,
                resolved=resolved or {},
                budget=self.budget,
                asks=asks,
            ),
        )
        self.scheduler.expand_with(Expander(self).expand)
        self.asker = Asker(
            models or {}, self.log, self.slots, self.limits.stall_timeout_s,
            Waits(self.seed), self.limits.max_attempts,
            Purse(self.budget, self.limits) if self.budget is not None else None,
        )  # fmt: skip

    def _budgeted(self, models: Sequence[Model]) -> Budget | None:
        """What the run may use up; of one that goes on, less what it has used."""
        budget = budget_of(self.limits, self.log)
        if budget is not None:
            refuse_unpriced(self.limits, models)
            budget.recall(self.log.events)
        return budget

    def _created(self, question: str, config: Mapping[str, Any]) -> RunCreated:
        tools = tool_hashes(self.specs)
        return RunCreated(
            self.log.now(),
            self.run_id,
            hash_of(question),
            {**config, "inputs": self.inputs, "tools": tools},
            asdict(self.limits),
            {},
            hash_of(tools),
            _version(),
            self.seed,
        )

    async def __aenter__(self) -> Workshop:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self.scheduler.close(interrupted=kind is not None)
        finally:
            if self._own is not None:
                self._own.close()

    def owned(self, lease: RunLease) -> None:
        """The run is ours from here on: its effects carry the lease's token."""
        self.scheduler.own(lease.token)
        now = self.log.now()
        self.log.emit(LeaseTaken(now, lease.owner, lease.token))
        for id in self.past.reopened if self.past is not None else ():
            self.log.emit(StepReopened(now, id))

    def lose(self, error: HeddleError) -> None:
        """The journal keeps nothing more, or there are no slots: no further tool is called."""
        self.lost = self.lost or error
        self.scheduler.cancel(error.message, code=INTERRUPTED, final=True)

    def _loss(self) -> RunError | None:
        lost = self.lost
        return lost and RunError(lost.code, lost.message, lost.hint, lost.exit_status)

    def as_kept(self, result: RunResult) -> RunResult:
        """A result once its journal is closed: it has failed if its end could not be kept."""
        loss = self._loss()
        return result if loss is None else replace(result, status="failed", error=loss)

    def say(self, event: Event) -> None:
        """Tell the log of a plan's event, unless the journal has it already."""
        if self.past is None or not self.past.said(event):
            self.log.emit(event)

    @property
    def next_round(self) -> int:
        """The number that the next round gets."""
        return self._rounds + 1

    def claim_round(self) -> int:
        """A number that no other round has or gets."""
        self._rounds += 1
        return self._rounds

    def begin(
        self,
        plan: Plan,
        *,
        bounded: bool,
        earlier: Mapping[str, Any] | None = None,
        parent: str = "",
        element: int | None = None,
        checked: verify.Verifier | None = None,
    ) -> Round:
        """Begin a round.

        Args:
            plan: an empty plan, to be filled.
            bounded: whether the size bounds hold: they do for what a model wrote.
            earlier: declared result schemas of earlier rounds' steps, by id.
            parent: the step that expands the plan; "" for a plan of the run itself.
            element: the element of that step, where it is a map.
            checked: has seen the whole of what will fill it.
        """

        def verifier() -> verify.Verifier:
            return checked or verify.Verifier(
                self.specs,
                limits=self.limits if bounded else None,
                inputs=self.inputs.keys(),
                earlier=earlier,
            )

        (self.expansions if parent else self.plans).append(plan)
        self._rounds = max(self._rounds, plan.round)
        limits = self.limits
        round = Round(
            plan, verifier, self.scheduler, self.log, limits.max_holes,
            limits.max_width if bounded else None, parent, element, self.past,
        )  # fmt: skip
        self.ceiling = self.ceiling or round.gate
        return round

    def deadline(self, seconds: float | None) -> None:
        """End what runs at so many seconds of the run's clock; None for never."""
        if seconds is not None:
            seconds -= self.log.now()
            self._until = asyncio.get_running_loop().time() + max(0.0, seconds)
            self.scheduler.end_in(max(0.0, seconds))

    async def release(self, round: Round, approve: Approve | None) -> None:
        """Let a round's effects start once they are approved; nobody is asked past the deadline."""
        self.approve = approve
        watch = asyncio.timeout_at(self._until)
        try:
            async with watch:
                await round.release(approve and self._in_turn(approve))
        except TimeoutError:
            if not watch.expired():
                raise

    def _in_turn(self, approve: Approve) -> Approve:
        async def ask(plan: Plan, effects: Sequence[Step]) -> bool:
            async with self._asking:
                answer = approve(plan, effects)
                return answer if isinstance(answer, bool) else await answer

        return ask

    def may_change(self, step: Step) -> bool:
        """Whether a step may change the world; one that expands a plan may where the ceiling does.

        Cost: linear in the first plan, for a step that expands one.
        """
        if step.tool != EXPAND_SPEC.name:
            return self.specs[step.tool].effectful
        return any(self.specs[first.tool].effectful for first in self.plans[0].steps)

    async def wait_for_output(self, plan: Plan) -> None:
        """Wait for what the plan's output and its effects need; stop the rest, which nobody needs.

        A plan without output needs all of its steps.
        """
        goals = output_ids(plan)
        if plan.output is None or not goals:
            await self.scheduler.wait([step.id for step in plan.steps])
            return
        effects = [step.id for step in plan.steps if self.may_change(step)]
        await self.scheduler.wait(cone(plan, [*goals, *effects]))
        if not self.scheduler.idle:
            self.scheduler.cancel("the answer needs no more", code="not-needed")

    def output(self, plan: Plan) -> Any:
        """The plan's answer by its own rule: its output, or the value of its only sink, or None.

        It is None also where a step that the output refers to has no value: that step says why.

        Raises:
            ToolFailed: the output cannot be rendered; a path in it leads nowhere (`bad-path`).
        """
        value = plan.output
        if value is None:
            ends = sinks(plan)
            value = Ref(ends[0]) if len(ends) == 1 else None
        try:
            return self.scheduler.render(value)
        except KeyError:
            return None
        except ToolFailed as error:
            raise ToolFailed(
                f"the plan's output: {error.message}",
                code=error.code,
                hint=error.hint or "refer to a part that the result has, or to the whole of it",
            ) from None

    def _allowances(self) -> dict[str, list[tuple[str, int]]]:
        """By tool, the slots that its calls share with others."""
        found: dict[str, list[tuple[str, int]]] = {}
        for name, spec in self.specs.items():
            own = self.limits.per_tool.get(name, spec.concurrency)
            shared = self.limits.slots_of(spec.provider)
            found[name] = [("tool:" + name, own)] if own else []
            found[name] += [("provider:" + spec.provider, shared)] if shared else []
        return found

    def finish(
        self,
        answer: Any,
        error: RunError | None = None,
        status: RunStatus | None = None,
        findings: Sequence[Finding] = (),
    ) -> RunResult:
        """Say that the run is over, unless it was only stopped; read its result from its events."""
        error = self._loss() or error

        def read() -> RunResult:
            return result_of(
                self.log.state(), self.plans, self.log.events,
                slots=(self.limits.concurrency, self._allowances()), together=batched(self.specs),
                answer=answer, error=error, status=status, findings=findings,
                expansions=self.expansions,
            )  # fmt: skip

        if self.lost is None:
            seen, fault = judged(self.log.state(), answer, error)
            code, message = (fault.code, fault.message) if fault else ("", "")
            self.log.emit(RunFinished(self.log.now(), status or seen, answer, code, message))
        return read()


def specs_of(tools: Mapping[str, Tool]) -> dict[str, ToolSpec]:
    """What the verifier sees of these tools, and of those that are always known."""
    known = {LLM_SPEC.name: LLM_SPEC, EXPAND_SPEC.name: EXPAND_SPEC}
    return known | {name: tool.spec for name, tool in {**_LANGUAGE, **tools}.items()}


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("heddle-run")
    except PackageNotFoundError:
        return "unknown"


def _for_run(slots: Slots, weight: float) -> Slots:
    """Slots as this run sees them, where they know runs."""
    return slots.for_run(weight) if hasattr(slots, "for_run") else slots  # type: ignore[union-attr, attr-defined]
