"""Running a complete plan: check it, run it, read the result. No planner.

`Workshop` wires the parts that one run needs; the agent uses the same one for its rounds.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from heddle.engine.asking import Asker
from heddle.engine.events import (
    FindingReported,
    PlanProposed,
    PlanRejected,
    RunCreated,
    RunFinished,
)
from heddle.engine.executor import LocalExecutor
from heddle.engine.expanding import Expander
from heddle.engine.log import EventLog
from heddle.engine.result import RunError, batched, result_of
from heddle.engine.round import Round, cone, output_ids, sinks
from heddle.engine.scheduler import Scheduler
from heddle.engine.slots import LocalSlots
from heddle.engine.state import fold
from heddle.errors import ConfigError, HeddleError, InternalError, ToolFailed
from heddle.plan import verify
from heddle.plan.canonical import hash_of
from heddle.plan.ir import Plan, Ref
from heddle.plan.limits import Limits
from heddle.tools.builtin.compute import compute
from heddle.tools.builtin.expand import EXPAND_SPEC
from heddle.tools.builtin.later import later
from heddle.tools.builtin.llm import LLM_SPEC, llm_tool
from heddle.tools.toolbox import toolbox
from heddle.tools.values import dumper

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from heddle.engine.estimates import Estimates
    from heddle.engine.executor import Executor
    from heddle.engine.gate import Gate
    from heddle.engine.result import RunResult, RunStatus
    from heddle.engine.round import Approve
    from heddle.engine.slots import Slots
    from heddle.models.protocol import Model
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Step
    from heddle.plan.spec import ToolSpec
    from heddle.tools.function import Tool

__all__ = ["Workshop", "check", "execute", "execute_sync", "run_now", "specs_of"]


_LANGUAGE = {tool.spec.name: tool for tool in (compute, later)}
"""Tools that are part of the language: every plan may call them."""

_LEAVING_S = 0.1
"""Seconds for tasks to end once a run is over; tools have had their grace before."""


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

    Raises:
        ConfigError: an input that has no JSON form.
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
    ) -> None:
        self.limits = limits or Limits()
        self.seed = random.getrandbits(32) if seed is None else seed
        self.inputs = _plain_inputs(inputs or {})
        self.log = log or EventLog()
        self.run_id = uuid.uuid4().hex[:12]
        self.plans: list[Plan] = []
        self.expansions: list[Plan] = []  # that came out as results, in the order of their rounds
        self.approve: Approve | None = None  # the one who was asked last
        self._asking = asyncio.Lock()  # whoever approves is asked for one plan at a time
        self.ceiling: Gate | None = None  # the write gate of the run's first plan
        self._rounds = 0
        self._until: float | None = None  # loop time at which what runs is ended
        worker = (models or {}).get("worker") or (models or {}).get("")
        self.tools = {**_LANGUAGE, **tools}
        if worker is not None and LLM_SPEC.name not in self.tools:
            stall_s = self.limits.stall_timeout_s
            self.tools[LLM_SPEC.name] = llm_tool(worker, stall_timeout_s=stall_s)
        self.specs = specs_of(self.tools)
        if LLM_SPEC.name not in self.tools:
            del self.specs[LLM_SPEC.name]  # nobody to ask: no plan may call it
        self.slots = slots or LocalSlots(self.limits.per_provider, self.limits.requests_per_minute)
        self._own = (
            None if executor else LocalExecutor(self.tools, threads=self.limits.sync_threads)
        )
        self.log.emit(self._created(question))
        self.scheduler = Scheduler(
            self.specs,
            executor or self._own,  # type: ignore[arg-type]  # one of the two is there
            self.log,
            limits=self.limits,
            slots=self.slots,
            inputs=self.inputs,
            estimates=estimates,
            run_id=self.run_id,
            seed=self.seed,
        )
        self.scheduler.expand_with(Expander(self).expand)
        self.asker = Asker(models or {}, self.log, self.slots, self.limits.stall_timeout_s)

    def _created(self, question: str) -> RunCreated:
        manifest = [
            [spec.name, spec.description, dict(spec.parameters), spec.effect]
            for spec in self.specs.values()
        ]
        return RunCreated(
            self.log.now(),
            self.run_id,
            hash_of(question),
            {},
            asdict(self.limits),
            {},
            hash_of(manifest),
            _version(),
            self.seed,
        )

    async def __aenter__(self) -> Workshop:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.scheduler.close()
        if self._own is not None:
            self._own.close()

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
    ) -> Round:
        """Begin a round.

        Args:
            plan: an empty plan, to be filled.
            bounded: whether the size bounds hold: they do for what a model wrote.
            earlier: declared result schemas of earlier rounds' steps, by id.
            parent: the step that expands the plan; "" for a plan of the run itself.
        """

        def verifier() -> verify.Verifier:
            return verify.Verifier(
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
            limits.max_width if bounded else None, parent,
        )  # fmt: skip
        self.ceiling = self.ceiling or round.gate
        return round

    def deadline(self, seconds: float | None) -> None:
        """End what runs so many seconds from now; None for never."""
        if seconds is not None:
            self._until = asyncio.get_running_loop().time() + max(0.0, seconds)
            self.scheduler.at(
                max(0.0, seconds),
                lambda: self.scheduler.cancel("the run's time is up", code="deadline", final=True),
            )

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
            shared = self.limits.per_provider.get(spec.provider)
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
        """Say that the run is over, and read its result from its events."""

        def read() -> RunResult:
            return result_of(
                fold(self.log.events), self.plans, self.log.events,
                slots=(self.limits.concurrency, self._allowances()), together=batched(self.specs),
                answer=answer, error=error, status=status, findings=findings,
                expansions=self.expansions,
            )  # fmt: skip

        now = read()
        code, message = (now.error.code, now.error.message) if now.error else ("", "")
        self.log.emit(RunFinished(self.log.now(), now.status, answer, code, message))
        return read()


def _plain_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's data as JSON, by the rules for what tools return; our own copy.

    Cost: linear in the data.

    Raises:
        ConfigError: an input that has no JSON form.
    """
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        try:
            found[name] = dumper(f"input {name!r}", Any)(value)
        except ToolFailed as error:
            raise ConfigError(
                error.message,
                code="bad-input",
                hint="pass text, numbers, true, false, None, and lists and dicts of them",
            ) from None
    return found


def specs_of(tools: Mapping[str, Tool]) -> dict[str, ToolSpec]:
    """What the verifier sees of these tools, and of those that are always known."""
    known = {LLM_SPEC.name: LLM_SPEC, EXPAND_SPEC.name: EXPAND_SPEC}
    return known | {name: tool.spec for name, tool in {**_LANGUAGE, **tools}.items()}


def check(
    plan: Plan, tools: Iterable[Any] = (), *, inputs: Iterable[str] | None = None,
    limits: Limits | None = None,
) -> list[Finding]:  # fmt: skip
    """Check a plan; nothing runs.

    Args:
        plan: from `parse`, or built by a program.
        tools: typed callables, `Tool`s, or anything with a name, a schema and a callable.
        inputs: names of the inputs that will be passed; None if that is not known yet.
        limits: size bounds to check against; none for a plan that a person wrote.

    Returns:
        What the text's reader found and what the verifier found, by position; [] when clean.

    Raises:
        ConfigError: a tool that cannot be used.
    """
    names = None if inputs is None else set(inputs)
    return verify.check(plan, specs_of(toolbox(tools)), limits=limits, inputs=names)


async def execute(
    plan: Plan,
    tools: Iterable[Any] = (),
    *,
    inputs: Mapping[str, Any] | None = None,
    model: str | Model | None = None,
    limits: Limits | None = None,
    approve: Approve | None = None,
    slots: Slots | None = None,
    log: EventLog | None = None,
    seed: int | None = None,
) -> RunResult:
    """Run a complete plan. A plan with an error finding is rejected: nothing of it runs.

    Args:
        plan: from `parse`, or built by a program.
        tools: typed callables, `Tool`s, or anything with a name, a schema and a callable.
        inputs: the caller's data; JSON values.
        model: what `llm` steps ask, as "provider:name" or a Model.
        limits: bounds on concurrency and time.
        approve: asked once, before the effects of the plan; False denies them.
        slots: allowances shared with other runs.
        log: takes the events; pass one to follow the run while it lasts.
        seed: of what the run leaves to chance, which is how long it waits; drawn by default.

    Returns:
        The result; failing steps and a rejected plan are in it and are not raised.

    Raises:
        ConfigError: a tool or an input that cannot be used, or an `llm` step and no model.
    """
    limits = limits or Limits()
    models = _models(model)
    box = toolbox(tools)
    _refuse_without_model(plan, specs_of(box), models)
    workshop = Workshop(
        box, models=models, limits=limits, inputs=inputs, slots=slots, log=log, seed=seed
    )  # fmt: skip
    async with workshop:
        findings = verify.check(plan, workshop.specs, inputs=workshop.inputs.keys())
        findings += verify.too_dear(plan, workshop.specs, limits)
        if any(finding.severity == "error" for finding in findings):
            return _reject(workshop, plan, findings)
        try:
            answer, error = await _carry_out(workshop, plan, approve), None
        except HeddleError as caught:
            answer, error = None, _error(caught)
    return workshop.finish(answer, error)


async def _carry_out(workshop: Workshop, plan: Plan, approve: Approve | None) -> Any:
    """Take a checked plan in and wait for its answer."""
    limits = workshop.limits
    running = Plan(output=plan.output, round=plan.round, text=plan.text, dialect=plan.dialect)
    round = workshop.begin(running, bounded=False)
    workshop.deadline(limits.run_timeout_s)
    for place, step in enumerate(plan.steps):
        round.take(step)
        if place % 1000 == 999:
            await asyncio.sleep(0)  # a long plan must not hold up what already runs
    for finding in dict.fromkeys(plan.findings):  # remarks of its reader
        if finding not in running.findings:
            round.take(finding)
    if not round.close():
        raise InternalError("a plan that was checked is not clean")
    await workshop.release(round, approve)
    await workshop.wait_for_output(running)
    return workshop.output(running)


def _reject(workshop: Workshop, plan: Plan, findings: list[Finding]) -> RunResult:
    """The result of a plan that is not run."""
    log, now = workshop.log, workshop.log.now()
    log.emit(PlanProposed(now, plan.round, plan.dialect))
    for finding in findings:
        log.emit(FindingReported(now, plan.round, finding))
    log.emit(PlanRejected(now, plan.round, tuple(dict.fromkeys(f.code for f in findings))))
    first = next(finding for finding in findings if finding.severity == "error")
    error = RunError(first.code, f"plan rejected: {first.message}", first.hint, 3)
    result = workshop.finish(None, error, "rejected", findings)
    return replace(result, plan=plan, plans=[plan])


def _refuse_without_model(
    plan: Plan, specs: Mapping[str, ToolSpec], models: Mapping[str, Model]
) -> None:
    if models:
        return
    for step in plan.steps:
        if step.tool in specs and specs[step.tool].asks_model:
            raise ConfigError(
                f"step {step.id} asks a model and none was given",
                code="no-model",
                hint="pass model=… in Python, or --model PROVIDER:NAME on the command line",
            )


def _models(model: str | Model | None) -> dict[str, Model]:
    if model is None:
        return {}
    if isinstance(model, str):
        from heddle.models import model_named

        return {"": model_named(model)}
    return {"": model}


def _error(error: HeddleError) -> RunError:
    return RunError(error.code, error.message, error.hint, error.exit_status)


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("heddle-run")
    except PackageNotFoundError:
        return "unknown"


def run_now(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, from code that is not asynchronous.

    Raises:
        RuntimeError: an event loop is running already; the message says what to do instead.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_leaving_nothing(main))
    main.close()
    raise RuntimeError(
        "an event loop is already running (a notebook, perhaps): await the asynchronous form"
    )


async def _leaving_nothing(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine, then forget what does not stop, for which `asyncio.run` would wait for ever.

    A tool that swallows every cancellation is such a thing; the process must end all the same.
    """
    try:
        return await main
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        deaf = (await asyncio.wait(left, timeout=_LEAVING_S))[1] if left else ()
        for task in deaf:
            asyncio.tasks._unregister_task(task)  # pyright: ignore
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is no news


def execute_sync(plan: Plan, tools: Iterable[Any] = (), **options: Any) -> RunResult:
    """`execute`, from code that is not asynchronous; the same arguments.

    Raises:
        RuntimeError: an event loop is running already.
        ConfigError: as `execute`.
    """
    return run_now(execute(plan, tools, **options))
