"""Going on with a run: its journal is folded, and what has not ended is done.

    frames ──verified──▶ events ──▶ Past ──▶ the same engine, which finds what has ended ended

A plan is data, so nothing is replayed but the plan: finished steps keep their values and are never
called again. A run that is over is not begun again; its result is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heddle.engine.execution import carried_out, models_of, refuse_without_model
from heddle.engine.given import places_of, refuse_used
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.reading import packed, read
from heddle.engine.journal.writer import LEASE_S
from heddle.engine.keeping import kept_on, store_at
from heddle.engine.log import EventLog
from heddle.engine.many import many_objects
from heddle.engine.past import Past
from heddle.engine.reopening import refuse_known, to_reopen
from heddle.engine.retold import retold
from heddle.engine.settings import limits_of, tool_hashes
from heddle.engine.workshop import Workshop, specs_of
from heddle.errors import ConfigError, JournalError
from heddle.tools.toolbox import toolbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from heddle.engine.estimates import Estimates
    from heddle.engine.events import Entry, RunCreated
    from heddle.engine.journal.places import Place
    from heddle.engine.journal.store import Head, Store
    from heddle.engine.past import Place as StepPlace
    from heddle.engine.result import RunResult
    from heddle.engine.round import Approve
    from heddle.engine.slots import Slots
    from heddle.engine.state import RunState
    from heddle.models.protocol import Model
    from heddle.tools.function import Tool
    from heddle.tools.probes import Resolution

__all__ = ["go_on", "left_by", "remember", "resume", "workshop_of"]


async def remember(store: Store, run_id: str) -> tuple[Past, Head | None]:
    """What the journal of a run remembers, and where it ends. Cost: linear.

    Raises:
        JournalError: `run-unknown`; `journal-damaged`, `journal-newer`; what the store says.
    """
    entries: list[Entry] = []
    head: Head | None = None
    with many_objects():
        async for page in read(store, run_id):
            entries += page.entries
            head = page.head
        return Past(entries), head


async def left_by(store: Store, run_id: str) -> RunResult | None:
    """The result of a run that is over and has left a snapshot; None of any other.

    Cost: linear, a tenth of what `remember` takes. Frames that the snapshot stands for are
    verified by their hashes, and decoded when somebody looks at events or plans.

    Raises:
        JournalError: as `remember`.
    """
    if (await store.run(run_id)).status in ("running", "unresolved"):
        return None
    found = await packed(store, run_id)
    if found is None or not _is_over(found[0]):  # the row is for looking, the events say it
        return None
    state, events = found
    with many_objects():
        return retold(events, state)


def _is_over(state: RunState) -> bool:
    """Whether nothing is left to do, unless somebody knows more than the journal."""
    return state.finished is not None and state.finished.status != "unresolved"


async def resume(
    run_id: str,
    tools: Iterable[Any] = (),
    *,
    journal: Place,
    model: str | Model | None = None,
    approve: Approve | None = None,
    slots: Slots | None = None,
    log: EventLog | None = None,
    resolve: Mapping[str, Resolution] | None = None,
    allow_tool_change: bool = False,
) -> RunResult:
    """Go on with the run of a plan; one that is over is not run again, its result is read.

    Args:
        run_id: the run's.
        tools: the same as before.
        journal: where it is kept: a path, a URL, or a store.
        model: what `llm` steps ask, as "provider:name" or a Model.
        approve: asked before the plan's effects, unless it was asked already.
        slots: allowances shared with other runs.
        log: takes the events, those of the past first.
        resolve: what became of writes that are unknown, by step: "3", or "3[0]" for an element.
        allow_tool_change: whether tools may differ from those before; those of steps that have
            been begun may not.

    Returns:
        The result of the whole run, what was before included.

    Raises:
        ConfigError: a tool that cannot be used, or an `llm` step and no model.
        JournalError: there is no such run, another process runs it, its journal cannot be read or
            written, the tools are others; or a resolution is for a step that is not unknown.
    """
    box, models = toolbox(tools), models_of(model)

    def wire(past: Past, log: EventLog) -> Workshop:
        refuse_without_model(past.handed, specs_of(box), models)
        return workshop_of(past, box, log, models=models, slots=slots, resolve=resolve)

    async def run(workshop: Workshop, past: Past) -> RunResult:
        return await carried_out(workshop, past.handed, approve)

    return await go_on(
        run_id, journal, "plan", wire, run, log or EventLog(), asked=approve is not None,
        changes=allow_tool_change, resolve=resolve,
    )  # fmt: skip


async def go_on(
    run_id: str,
    place: Place,
    kind: str,
    wire: Callable[[Past, EventLog], Workshop],
    run: Callable[[Workshop, Past], Awaitable[RunResult]],
    log: EventLog,
    *,
    asked: bool,
    changes: bool,
    resolve: Mapping[str, Resolution] | None,
) -> RunResult:
    """Go on with a run of any kind.

    Args:
        run_id: the run's.
        place: where it is kept.
        kind: what it has to be.
        wire: makes the run's parts, given what is known of it and the log.
        run: goes on with it.
        log: takes the events.
        asked: whether there is somebody who approves.
        changes: whether tools may differ, but for those of steps that have been begun.
        resolve: what became of writes that are unknown, by step.

    Raises:
        ConfigError: `no-approver`, `bad-resolution`, `log-used`; what `wire` says.
        JournalError: see `resume`.
    """
    places = places_of(resolve or {})
    refuse_used(log)
    async with store_at(place) as store:
        if not resolve and (result := await left_by(store, run_id)) is not None:
            return result
        past, head = await remember(store, run_id)
        if not resolve and _is_over(past.state):
            return retold(past.events, past.state)
        lease = await store.lease(run_id, this_process(), LEASE_S)
        try:
            if (await store.run(run_id)).head != head:  # somebody has gone on until now
                past, head = await remember(store, run_id)
            created = _begun(past, kind)
            if created.config["asks"] and not asked:
                raise _nobody_approves(run_id)
            log.recall(past.events.kept, past.last_s)
            workshop = wire(past, log)
            _refuse_others(created, past, workshop, changes=changes)
            open_again = _reopen(past, workshop, places)
        except BaseException:  # no lease is left taken; raised again
            await store.release(lease)
            raise
        if past.state.finished is not None and not open_again:
            await store.release(lease)
            return retold(past.events, past.state)
        async with kept_on(workshop, store, lease, head):
            result = await run(workshop, past)
        return workshop.as_kept(result)


def _reopen(past: Past, workshop: Workshop, resolved: Mapping[StepPlace, Resolution]) -> list[str]:
    """Take back what ended only because something was unknown, or was interrupted.

    Raises:
        JournalError: `not-unknown`.
    """
    refuse_known(past, resolved)
    tools = workshop.tools.items()
    say = {name for name, tool in tools if tool.probe is not None or tool.spec.on_unknown}

    def resolvable(place: StepPlace) -> bool:
        return place in resolved or past.tool_of(place[0]) in say

    ids = to_reopen(past, resolvable)
    for place in [place for place in past.unknown if resolvable(place)]:
        past.doubt(place)
    past.reopen(ids)
    return ids


def _begun(past: Past, kind: str) -> RunCreated:
    """How the run began.

    Raises:
        JournalError: `run-empty`, `run-other`.
    """
    created = past.created
    if created is None:
        raise JournalError(
            "the run died before anything of it was written down",
            code="run-empty",
            hint="nothing of it has happened: start it again",
        )
    if past.state.kind != kind:
        is_plan = past.state.kind == "plan"
        raise JournalError(
            f"run {created.run_id} "
            + ("was handed a plan" if is_plan else "answers a question: it was handed no plan"),
            code="run-other",
            hint="use heddle.resume" if is_plan else "use Agent.resume",
        )
    return created


def _nobody_approves(run_id: str) -> ConfigError:
    return ConfigError(
        f"somebody was to be asked before run {run_id} changes anything, and nobody is there",
        code="no-approver",
        hint="pass approve=… as before, or --yes on the command line",
    )


def workshop_of(
    past: Past,
    tools: Mapping[str, Tool],
    log: EventLog,
    *,
    models: Mapping[str, Model],
    slots: Slots | None = None,
    estimates: Estimates | None = None,
    resolve: Mapping[str, Resolution] | None = None,
) -> Workshop:
    """The parts of a run that is gone on with, as they were; its log has the past.

    Raises:
        ConfigError: a name in `resolve` is no step's.
    """
    created = past.created
    assert created is not None
    return Workshop(
        tools, models=models, limits=limits_of(created.limits), inputs=created.config["inputs"],
        slots=slots, estimates=estimates, log=log, seed=created.seed, run_id=created.run_id,
        past=past, resolved=places_of(resolve or {}),
    )  # fmt: skip


def _refuse_others(created: RunCreated, past: Past, workshop: Workshop, *, changes: bool) -> None:
    """Refuse tools that are not those that the run began with.

    Raises:
        JournalError: `tools-changed`, which says which.
    """
    before, now = created.config["tools"], tool_hashes(workshop.specs)
    others = [name for name, hash in before.items() if now.get(name) != hash]
    if changes:
        begun = {past.tool_of(step) for step, _ in past.attempts}
        others = [name for name in others if name in begun]
    if others:
        which = ", ".join(f"{name} ({'changed' if name in now else 'missing'})" for name in others)
        raise JournalError(
            f"the tools are not those that the run began with: {which}",
            code="tools-changed",
            hint="steps that were begun rely on them: pass the same tools"
            if changes
            else "pass the same tools, or allow_tool_change=True if no step of them was begun",
        )
