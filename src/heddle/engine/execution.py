"""Running a complete plan: check it, run it, read the result. No planner."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heddle.engine.events import (
    FindingReported,
    PlanProposed,
    PlanRejected,
)
from heddle.engine.keeping import kept
from heddle.engine.result import RunError
from heddle.engine.settings import handed_over, title_of, tool_hashes
from heddle.engine.workshop import Workshop, specs_of
from heddle.errors import ConfigError, HeddleError, InternalError
from heddle.plan import verify
from heddle.plan.ir import Plan
from heddle.plan.limits import Limits
from heddle.tools.toolbox import toolbox

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from heddle.engine.journal.places import Place
    from heddle.engine.log import EventLog
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve, Round
    from heddle.engine.slots import Slots
    from heddle.models.protocol import Model
    from heddle.plan.findings import Finding
    from heddle.plan.spec import ToolSpec

__all__ = [
    "carried_out", "check", "execute", "execute_sync", "models_of", "refuse_without_model",
    "run_now",
]  # fmt: skip


_LEAVING_S = 0.1
"""Seconds for tasks to end once a run is over; tools have had their grace before."""


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
    journal: Place | None = None,
    run_id: str | None = None,
    caller: Mapping[str, Any] | None = None,
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
        journal: where the run is kept, so that `resume` can go on with it: a path, a URL, or a
            store; in memory only by default.
        run_id: the run's id; drawn by default.
        caller: what the caller wants to find again in the journal; JSON.

    Returns:
        The result; failing steps and a rejected plan are in it and are not raised.

    Raises:
        ConfigError: a tool or an input that cannot be used, or an `llm` step and no model.
        JournalError: the run cannot be kept there.
    """
    limits = limits or Limits()
    models = models_of(model)
    box = toolbox(tools)
    refuse_without_model(plan, specs_of(box), models)
    config = None
    if journal is not None:  # else nobody will go on with it
        config = handed_over(plan, asks=approve is not None, caller=caller)
    workshop = Workshop(
        box, models=models, limits=limits, inputs=inputs, slots=slots, log=log, seed=seed,
        run_id=run_id, config=config,
    )  # fmt: skip
    async with kept(workshop, journal, title_of(plan)):
        result = await carried_out(workshop, plan, approve)
    return workshop.as_kept(result)


async def carried_out(workshop: Workshop, plan: Plan, approve: Approve | None) -> RunResult:
    """The result of a plan, from its beginning or from where its past ends."""
    async with workshop:
        verifier = verify.Verifier(
            workshop.specs,
            inputs=workshop.inputs.keys(),
            coming=[entry.id for entry in plan.entries],
        )
        findings: list[Finding] = []
        if not _judged(workshop, plan):
            findings = verifier.check(plan)
            findings += verify.too_dear(plan, workshop.specs, workshop.limits)
        if any(finding.severity == "error" for finding in findings):
            return _reject(workshop, plan, findings)
        try:
            answer, error = await _carry_out(workshop, plan, verifier, findings, approve), None
        except HeddleError as caught:
            answer, error = None, _error(caught)
    return workshop.finish(answer, error)


def _judged(workshop: Workshop, plan: Plan) -> bool:
    """Whether the plan was found clean before the run was resumed, and for these very tools."""
    past = workshop.past
    if past is None or past.created is None:
        return False
    clean = any(round.round == plan.round and round.accepted for round in past.state.rounds)
    return clean and past.created.config["tools"] == tool_hashes(workshop.specs)


async def _carry_out(
    workshop: Workshop,
    plan: Plan,
    verifier: verify.Verifier,
    findings: Sequence[Finding],
    approve: Approve | None,
) -> Any:
    """Take a checked plan in and wait for its answer."""
    limits = workshop.limits
    running = Plan(output=plan.output, round=plan.round, text=plan.text, dialect=plan.dialect)
    round = workshop.begin(running, bounded=False, checked=verifier)
    workshop.deadline(limits.run_timeout_s)
    if _judged(workshop, plan):
        assert workshop.past is not None
        plan.findings = workshop.past.state.numbered(plan.round).findings  # as they were reported
        await round.recall(plan, accepted=True)
    else:
        await _take_in(round, plan, _by_step(findings))
    await workshop.release(round, approve)
    await workshop.wait_for_output(running)
    return workshop.output(running)


async def _take_in(round: Round, plan: Plan, remarks: Mapping[str, Sequence[Finding]]) -> None:
    """Hand a checked plan over, step by step, and close it."""
    for place, step in enumerate(plan.steps):
        round.take_checked(step, remarks.get(step.id, ()))
        if place % 1000 == 999:
            await asyncio.sleep(0)  # a long plan must not hold up what already runs
    for finding in dict.fromkeys(plan.findings):  # remarks of its reader
        if finding not in round.plan.findings:
            round.take(finding)
    if not round.close():
        raise InternalError("a plan that was checked is not clean")


def _by_step(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.step, []).append(finding)
    return found


def _reject(workshop: Workshop, plan: Plan, findings: list[Finding]) -> RunResult:
    """The result of a plan that is not run."""
    now = workshop.log.now()
    workshop.say(PlanProposed(now, plan.round, plan.dialect))
    for finding in findings:
        workshop.say(FindingReported(now, plan.round, finding))
    workshop.say(PlanRejected(now, plan.round, tuple(dict.fromkeys(f.code for f in findings))))
    first = next(finding for finding in findings if finding.severity == "error")
    error = RunError(first.code, f"plan rejected: {first.message}", first.hint, 3)
    result = workshop.finish(None, error, "rejected", findings)
    return replace(result, plans=[plan])


def refuse_without_model(
    plan: Plan, specs: Mapping[str, ToolSpec], models: Mapping[str, Model]
) -> None:
    """Refuse a plan that asks a model where there is none.

    Raises:
        ConfigError: `no-model`.
    """
    if models:
        return
    for step in plan.steps:
        if step.tool in specs and specs[step.tool].asks_model:
            raise ConfigError(
                f"step {step.id} asks a model and none was given",
                code="no-model",
                hint="pass model=… in Python, or --model PROVIDER:NAME on the command line",
            )


def models_of(model: str | Model | None) -> dict[str, Model]:
    """Models by role; none for None.

    Raises:
        ConfigError: there is no such model.
    """
    if model is None:
        return {}
    if isinstance(model, str):
        from heddle.models import model_named

        return {"": model_named(model)}
    return {"": model}


def _error(error: HeddleError) -> RunError:
    return RunError(error.code, error.message, error.hint, error.exit_status)


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
