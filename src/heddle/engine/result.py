"""What a run gives its caller, read from the state and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from heddle.engine.record import Record
from heddle.errors import BudgetExceeded, ModelError
from heddle.plan.ir import dependencies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heddle.engine.events import Event
    from heddle.engine.state import RunState, StepState
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Plan
    from heddle.plan.spec import ToolSpec

__all__ = [
    "ItemError",
    "RunError",
    "RunResult",
    "RunStatus",
    "RunUsage",
    "StepOutcome",
    "Timing",
    "batched",
    "judged",
    "result_of",
]

Slots: TypeAlias = "tuple[int, Mapping[str, Sequence[tuple[str, int]]]]"
"""Steps in flight in all; and by tool, the names and numbers of slots that its calls share."""

RunStatus: TypeAlias = Literal[
    "succeeded", "partial", "failed", "rejected", "denied", "cancelled", "unresolved"
]

_BUDGETS = frozenset(("deadline", "expired", "max-rounds", "over-budget"))


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why an element of a map has no result of its own."""

    index: int
    code: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {"index": self.index, "code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run, or a step of it, did not succeed.

    Attributes:
        exit_status: the command line's exit status for it.
        items: of a map, the elements that failed or were skipped for a failure, in order. In its
            value they are the default if they failed and there is one, else null.
    """

    code: str
    message: str
    hint: str = ""
    exit_status: int = 1
    items: tuple[ItemError, ...] = ()


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of a step. Times are seconds from the start of the run; None if never.

    A map is one outcome: its value is the list in the order of its elements, also where it failed.
    """

    id: str
    tool: str
    status: str
    value: Any
    error: RunError | None
    attempts: int
    ready_s: float | None
    started_s: float | None
    finished_s: float | None

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        error: dict[str, Any] | None = None
        if self.error is not None:
            error = {"code": self.error.code, "message": self.error.message}
            if self.error.items:
                error["items"] = [item.to_json() for item in self.error.items]
        return {
            "id": self.id,
            "tool": self.tool,
            "status": self.status,
            "value": self.value,
            "error": error,
            "attempts": self.attempts,
            "ready_s": self.ready_s,
            "started_s": self.started_s,
            "finished_s": self.finished_s,
        }


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What models were asked, and what it cost.

    Attributes:
        cost_usd: None where a model's price is not known.
        estimated: whether any token count is an estimate, not the provider's own.
    """

    model_calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "model_calls": self.model_calls,
            "input_tokens": self.input_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "estimated": self.estimated,
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, in seconds.

    Attributes:
        planning_s: while a planner wrote.
        makespan_s: from the first step's start to the last step's end; to the last event where a
            step has not ended.
        joining_s: while results were joined.
        critical_path_s: the longest chain of steps, as long as they really ran.
        lower_bound_s: no schedule of these steps with this many slots can be shorter.
        sequential_s: the steps one after the other.
    """

    planning_s: float = 0.0
    makespan_s: float = 0.0
    joining_s: float = 0.0
    total_s: float = 0.0
    critical_path_s: float = 0.0
    lower_bound_s: float = 0.0
    sequential_s: float = 0.0

    def to_json(self) -> dict[str, float]:
        """As the command line prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunResult:
    """The answer, and the proof beside it.

    Its `repr` has no steps, plans or events: asyncio makes one of whatever `asyncio.run` returns.

    Attributes:
        answer: a JSON value; None where there is none.
        steps: in plan order, over all rounds.
        plans: all rounds' plans.
        nested: the rounds of the plans that came out as results.
        events: everything that happened; each is made when it is looked at, out of less.
        strategy: the one that came to the answer; "" where nobody planned.
        reasons: why it was chosen.
    """

    run_id: str
    status: RunStatus
    answer: Any
    error: RunError | None
    findings: list[Finding]
    steps: list[StepOutcome] = field(repr=False)
    usage: RunUsage
    timing: Timing
    plans: Sequence[Plan] = field(default_factory=list["Plan"], repr=False)
    nested: frozenset[int] = frozenset()
    events: Sequence[Event] = field(default_factory=list["Event"], repr=False)
    strategy: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def plan(self) -> Plan | None:
        """The last round's plan, those aside that came out as results."""
        own = (plan for plan in reversed(self.plans) if plan.round not in self.nested)
        return next(own, None)

    @property
    def exit_status(self) -> int:
        """The command line's exit status."""
        if self.error is not None:
            return self.error.exit_status
        return 0 if self.status == "succeeded" else 1

    def to_json(self) -> dict[str, Any]:
        """The one object that `--json` prints; `strategy` is in it where a question was asked."""
        error = self.error
        chosen = {"strategy": {"name": self.strategy, "reasons": list(self.reasons)}}
        return {
            "run_id": self.run_id,
            "status": self.status,
            "answer": self.answer,
            "error": error and {"code": error.code, "message": error.message, "hint": error.hint},
            "findings": [finding_to_json(finding) for finding in self.findings],
            "steps": [step.to_json() for step in self.steps],
            "usage": self.usage.to_json(),
            "timing": self.timing.to_json(),
            **(chosen if self.strategy else {}),
        }


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding as the command line prints it."""
    names = ("code", "severity", "line", "column", "message", "hint")
    return {name: getattr(finding, name) for name in names}


def batched(specs: Mapping[str, ToolSpec]) -> dict[str, int]:
    """How many calls one slot may hold at once, of the tools that have a batch form."""
    return {name: spec.max_batch for name, spec in specs.items() if spec.max_batch > 1}


def result_of(
    state: RunState,
    plans: Sequence[Plan],
    events: Sequence[Event],
    *,
    slots: Slots,
    together: Mapping[str, int] | None = None,
    answer: Any,
    error: RunError | None,
    status: RunStatus | None = None,
    findings: Sequence[Finding] = (),
    expansions: Sequence[Plan] = (),
) -> RunResult:
    """Read a finished run's result from its state.

    Args:
        state: the fold of all events.
        plans: the plans of all rounds.
        events: the log.
        slots: how many steps could be in flight, for the lower bound: in all, and for each tool
            the names and numbers of further slots that its calls share.
        together: calls that one slot may hold at once, of tools with a batch form.
        answer: what the join gave.
        error: why there is no full answer, if the caller knows; else the steps tell.
        status: set where the steps do not tell (rejected).
        findings: findings that are in none of the plans.
        expansions: plans that came out as results.
    """
    every = sorted([*plans, *expansions], key=lambda plan: plan.round)
    found = [*findings, *(finding for plan in every for finding in plan.findings)]
    steps = [_outcome(step, state) for step in state.steps.values()]
    judged_status, judged_error = judged(state, answer, error)
    return RunResult(
        run_id=state.run_id,
        status=status or judged_status,
        answer=answer,
        error=judged_error,
        findings=found,
        steps=steps,
        usage=_usage(state),
        timing=_timing(state, slots, together or {}),
        plans=every,
        nested=frozenset(round.round for round in state.rounds if round.parent),
        events=events.copy() if isinstance(events, Record) else Record(events),
        strategy=state.strategy,
        reasons=state.reasons,
    )


def _outcome(state: StepState, run: RunState) -> StepOutcome:
    error = None
    if state.code:
        cause = _cause(state, run)
        items = tuple(
            ItemError(fault.element, fault.code, fault.message or cause)
            for fault in (state.map.failed_items if state.map is not None else ())
        )
        error = RunError(state.code, state.message or cause, items=items)
    return StepOutcome(
        id=state.id,
        tool=state.step.tool if state.step else "",
        status=state.status,
        value=_value(state),
        error=error,
        attempts=state.attempts,
        ready_s=state.ready_s,
        started_s=state.started_s,
        finished_s=state.finished_s,
    )


def _value(step: StepState) -> Any:
    """What a step gave; of a map a list of its own, since that of the state may go on."""
    if step.map is not None:
        return list(step.map.values)
    return step.value if step.has_value else None


def _cause(state: StepState, run: RunState) -> str:
    """Why a step that never started did not: the first of its inputs that came to nothing."""
    if state.code == "over-budget":
        return "the run's budget has no room for it"
    before = dependencies(state.step) if state.step is not None else {}
    sources = (run.steps[id] for id in before if id in run.steps)
    lacking = (source for source in sources if not source.has_value)
    return next((f"step {source.id} {source.status}" for source in lacking), "")


def judged(
    state: RunState, answer: Any, error: RunError | None
) -> tuple[RunStatus, RunError | None]:
    """Status and error of a run: the most serious of what went wrong, by the exit statuses.

    A later round makes good what failed in an earlier one, and the round that was elected what
    failed in others, but not an effect that was denied or whose outcome nobody saw.
    """
    steps = list(state.steps.values())
    nested = {round.round for round in state.rounds if round.parent}
    last = state.answered or max({step.round for step in steps} - nested, default=1)
    lacking = _lacking(state)
    bad = [step for step in lacking if step.round == last or step.status in ("unknown", "denied")]
    worst = min(bad, key=_rank_of, default=None)
    faults = [error, _cut(state), worst and _step_error(worst), _fault(state)]
    known = [fault for fault in faults if fault is not None]
    if not known:
        return "succeeded", None
    found = min(known, key=lambda fault: _SERIOUS.index(fault.exit_status))
    some = answer is not None or any(_gave_something(step) for step in steps)
    return _STATUSES.get(found.exit_status, "partial" if some else "failed"), found


def _gave_something(step: StepState) -> bool:
    return step.status == "done" or (step.map is not None and step.map.given > 0)


def _lacking(state: RunState) -> list[StepState]:
    """The steps without a value, those excused whose lack the plan or the join meant."""
    found: dict[str, StepState] = {}
    for step in state.steps.values():
        if step.status == "done":
            continue
        excused = step.code in _HARMLESS
        if step.code == "upstream-skipped" and step.step is not None:
            excused = found.keys().isdisjoint(dependencies(step.step))
        if not (step.has_value or excused):
            found[step.id] = step
    return list(found.values())


_SERIOUS = (130, 70, 2, 7, 6, 3, 5, 4, 1)
"""Exit statuses of what can go wrong, the most serious first."""

_STATUSES: dict[int, RunStatus] = {
    130: "cancelled", 70: "failed", 2: "failed", 7: "unresolved", 6: "denied",
}  # fmt: skip
"""The run's status where the exit status says it."""


def _exit_of(step: StepState) -> int:
    """The command line's exit status for a step that lacks its value."""
    if step.code in ("upstream-unknown", "repeats-unknown"):
        return 7  # also where its outcome came too late: the run can be gone on with
    by_status = {"unknown": 7, "denied": 6}
    return by_status.get(step.status, 5 if step.code in _BUDGETS else 1)


def _rank_of(step: StepState) -> tuple[int, bool]:
    """The more serious step first, a cause before its consequences."""
    return _SERIOUS.index(_exit_of(step)), step.status == "skipped"


def _cut(state: RunState) -> RunError | None:
    """The last planner broke off: what came of its plan is partial.

    It is the provider's fault, or nobody's where the run's time was up.
    """
    findings = last.findings if (last := state.last_round) else []
    cut = next((finding for finding in findings if finding.code == "plan-cut"), None)
    if cut is None:
        return None
    planners = [call.code for call in state.calls if call.role == "planner"]
    if planners[-1:] == ["deadline"]:
        return RunError("deadline", cut.message, cut.hint, BudgetExceeded.exit_status)
    return RunError(cut.code, cut.message, cut.hint, ModelError.exit_status)


def _fault(state: RunState) -> RunError | None:
    """An error in the last plan that no step's failure shows."""
    last = state.last_round
    if last is None or last.accepted or last.given_up:
        return None
    errors = (item for item in last.findings if item.severity == "error")
    first = next(errors, None)
    return first and RunError(first.code, first.message, first.hint)


_HARMLESS = frozenset(("guard-false", "nothing-to-choose", "not-needed"))
"""Codes of steps that did not run because the plan said so, or nobody needed them."""


def _step_error(step: StepState) -> RunError:
    tool = f" ({step.step.tool})" if step.step else ""
    message = f"step {step.id}{tool} {step.status}: {step.message or step.code}"
    return RunError(step.code, message, _HINTS.get(step.code, ""), _exit_of(step))


_HINTS = {
    "timed-out": "give the step or its tool a larger timeout_s, or find out why it hangs",
    "deadline": "raise limits.run_timeout_s (--timeout), or ask for less",
    "expired": "raise limits.queue_timeout_s, or the limits on what runs at once",
    "breaker-open": "look at the provider's status, or raise limits.run_timeout_s to wait longer",
    "poisoned": "it would come again: look at the step's arguments and its tool; with isolate=True "
    "a tool's calls have processes of their own",
    "over-budget": "raise the limit that begins with budget_ (--max-calls, --max-tokens, "
    "--max-cost), or ask for less",
    "not-approved": "nothing was changed; approve the plan to run its effects",
    "plan-unclean": "the plan has findings; its effects were held back",
}


def _usage(state: RunState) -> RunUsage:
    asked = [*state.calls, *state.metered]
    usages = [item.usage for item in asked if item.usage is not None]
    costs = [item.cost_usd for item in asked]
    known = [cost for cost in costs if cost is not None]
    return RunUsage(
        model_calls=len(usages),
        input_tokens=sum(usage.input_tokens for usage in usages),
        cached_input_tokens=sum(usage.cached_input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        cost_usd=sum(known) if known and len(known) == len(costs) else None,
        estimated=any(usage.estimated for usage in usages),
    )


def _timing(state: RunState, slots: Slots, together: Mapping[str, int]) -> Timing:
    ran = [step for step in state.steps.values() if step.started_s is not None]
    work = [step.work_s for step in ran]
    held = work
    if together:
        by_step = zip(ran, work, strict=True)
        held = [seconds / together.get(_tool_of(step), 1) for step, seconds in by_step]
    starts = [step.started_s for step in ran if step.started_s is not None]
    ends = [state.last_s if step.finished_s is None else step.finished_s for step in ran]
    critical = state.critical_path_s()
    planners = [call for call in state.calls if call.role in ("planner", "repair")]
    return Timing(
        planning_s=sum(call.at - call.started_at for call in planners),
        makespan_s=max(ends, default=0.0) - min(starts, default=0.0),
        joining_s=sum((end or state.last_s) - start for start, end in state.joins),
        total_s=state.last_s,
        critical_path_s=critical,
        lower_bound_s=max(
            critical,
            sum(held) / slots[0],
            *_shared_bounds(ran, held, slots[1]),
        ),
        sequential_s=sum(work),
    )


def _tool_of(step: StepState) -> str:
    return step.step.tool if step.step is not None else ""


def _shared_bounds(
    steps: Sequence[StepState],
    held: Sequence[float],
    shared: Mapping[str, Sequence[tuple[str, int]]],
) -> Iterator[float]:
    """For each shared allowance, the time that the calls through it need at least.

    Args:
        steps: those that ran.
        held: for each, the seconds for which it holds slots at least.
        shared: the allowances, by tool.
    """
    work: dict[tuple[str, int], float] = {}
    for step, seconds in zip(steps, held, strict=True) if shared else ():
        for allowance in shared.get(_tool_of(step), ()):
            work[allowance] = work.get(allowance, 0.0) + seconds
    yield from (seconds / slots for (_, slots), seconds in work.items())
