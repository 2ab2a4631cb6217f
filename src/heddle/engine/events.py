"""Everything that can happen in a run: a closed, versioned list.

State is the fold of these; journal, terminal, report, resume and tests read nothing else. An
event is an immutable tuple; `at` counts seconds from the start of the run on the loop's clock.
Its sequence number is its position in the log. Fields that a later floor fills (labels, leases,
ceiling) may be empty.

Invariant: a step has one StepEnded, and after it no event but LateResult and UnknownResolved, until
StepReopened takes that end back. An element of a map that gives a value has one StepResult; one
that ends otherwise has one ElementEnded, unless the whole map was stopped before the element began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.models.protocol import Usage
    from heddle.plan.findings import Finding
    from heddle.plan.ir import Hole, Step

__all__ = [
    "ENDED",
    "EVENTS",
    "FREQUENT",
    "READY",
    "RESULT",
    "SCHEMA",
    "STARTED",
    "TERMINAL",
    "Approval",
    "BudgetDelta",
    "CallAbandoned",
    "CancelRequested",
    "EffectOrigin",
    "EffectReused",
    "ElementEnded",
    "Entry",
    "Event",
    "FindingReported",
    "HedgeEnded",
    "HedgeStarted",
    "HoleFilled",
    "HoleOpened",
    "JoinResult",
    "JoinStarted",
    "LateResult",
    "LeaseTaken",
    "MapExpanded",
    "ModelCall",
    "ModelStarted",
    "PlanAccepted",
    "PlanProposed",
    "PlanRejected",
    "ReplanRequested",
    "RunCreated",
    "RunFinished",
    "SnapshotRef",
    "SpeculationEnded",
    "SpeculationStarted",
    "Status",
    "StepAccepted",
    "StepEnded",
    "StepError",
    "StepIntent",
    "StepReady",
    "StepReopened",
    "StepResult",
    "StepStarted",
    "StepUnknown",
    "StrategyChosen",
    "UnknownResolved",
]

SCHEMA = 3

Status: TypeAlias = Literal[
    "waiting", "ready", "running", "done", "failed", "skipped", "cancelled", "denied", "unknown"
]
TERMINAL: frozenset[str] = frozenset(
    ("done", "failed", "skipped", "cancelled", "denied", "unknown")
)


class EffectOrigin(NamedTuple):
    """Why an effect may happen: the place in an accepted plan that asked for it.

    Attributes:
        run: the run's id.
        round: the plan's round.
        n: how many steps of the plan, this one included, the hash covers.
        hash: h(n), the prefix hash of the plan up to this step.
        element: the index of a map's element; None outside one.
    """

    run: str
    round: int
    n: int
    hash: str
    element: int | None = None


# -- the run -------------------------------------------------------------------------------------


class RunCreated(NamedTuple):
    """A run begins.

    Attributes:
        config: what it takes to go on with the run: `kind` ("plan" or "agent"), `plan` (canonical
            JSON) with its `dialect` and `text`, or `question` with `strategy`, `join` and `chains`;
            `inputs`; and `caller`, which only the caller reads (tool and model names).
    """

    at: float
    run_id: str
    question_hash: str
    config: Mapping[str, Any]
    limits: Mapping[str, Any]
    ceiling: Mapping[str, Any]
    tools_hash: str
    version: str
    seed: int


class StrategyChosen(NamedTuple):
    """The strategy of the rounds to come, and why."""

    at: float
    strategy: str
    reasons: tuple[str, ...]


class CancelRequested(NamedTuple):
    """Somebody or something wants a step, or the run (scope ""), to stop."""

    at: float
    scope: str
    reason: str


class RunFinished(NamedTuple):
    """The run is over; nothing else says so."""

    at: float
    status: str
    answer: Any
    code: str
    message: str


class LeaseTaken(NamedTuple):
    """A process owns the run, from its beginning or from here on.

    What began before and has no end was cut off: a model call, a round, an attempt.
    """

    at: float
    owner: str
    token: int


class SnapshotRef(NamedTuple):
    """The state up to `seq` is stored under `ref`."""

    at: float
    seq: int
    ref: str


class BudgetDelta(NamedTuple):
    """Some of a run's budget was booked (negative: came back); only where there are budgets.

    Attributes:
        scope: the account; "" for the run's own. What is booked on one is booked around it, too.
        amounts: by kind; see `budget`.
        reason: who calls.
    """

    at: float
    scope: str
    amounts: Mapping[str, Any]
    reason: str


# -- plans ---------------------------------------------------------------------------------------


class PlanProposed(NamedTuple):
    """A plan begins to arrive, or has been handed over.

    Attributes:
        parent: the step that expands it; "" for a plan of the run itself.
        element: the element of that step, where it is a map.
    """

    at: float
    round: int
    dialect: str
    parent: str = ""
    element: int | None = None


class StepAccepted(NamedTuple):
    """A step passed the verifier and is in the plan, as its n-th entry."""

    at: float
    round: int
    n: int
    step: Step


class FindingReported(NamedTuple):
    """The reader or the verifier found a fault."""

    at: float
    round: int
    finding: Finding


class HoleOpened(NamedTuple):
    """A bad line's id is reserved, as the plan's n-th entry, or takes the place of a step."""

    at: float
    round: int
    n: int
    hole: Hole


class HoleFilled(NamedTuple):
    """A later line or a repair put a step in the place of a hole."""

    at: float
    round: int
    step: Step


class PlanAccepted(NamedTuple):
    """The plan is closed, clean, and complete: effects may start."""

    at: float
    round: int
    plan_hash: str
    steps: int
    output: Any
    parent_hash: str
    taint: str
    bounds: Mapping[str, Any]


class PlanRejected(NamedTuple):
    """The plan is closed and not clean: its effects will not start."""

    at: float
    round: int
    codes: tuple[str, ...]


class Approval(NamedTuple):
    """A decision on what a plan is about to do, bound to its hash."""

    at: float
    subject_hash: str
    decision: str
    who: str


class ReplanRequested(NamedTuple):
    """The joiner, or a failed round, wants another round."""

    at: float
    round: int
    reason: str
    summary_hash: str


# -- steps ---------------------------------------------------------------------------------------


class StepReady(NamedTuple):
    """All inputs of a step are there; it wants a slot."""

    at: float
    step: str


class StepIntent(NamedTuple):
    """An effect is about to be attempted; durable before it is."""

    at: float
    step: str
    element: int | None
    attempt: int
    effect: str
    args_hash: str
    key: str
    deadline: float | None
    origin: EffectOrigin
    lease: int


class StepStarted(NamedTuple):
    """An attempt holds its slots and its tool is being called, or was: see `speculation`."""

    at: float
    step: str
    attempt: int
    element: int | None = None


class StepResult(NamedTuple):
    """An attempt gave a value; usage and cost are those of the models that its tool asked."""

    at: float
    step: str
    attempt: int
    value: Any
    element: int | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    label: str = ""


class StepError(NamedTuple):
    """An attempt gave none.

    Attributes:
        retryable: another attempt follows; the step is ready again, and has not ended.
        not_sent: the tool knows that nothing has happened.
        retry_after_s: the provider's own wish, a floor.
    """

    at: float
    step: str
    attempt: int
    code: str
    message: str
    element: int | None = None
    retryable: bool = False
    not_sent: bool = False
    retry_after_s: float | None = None


class StepEnded(NamedTuple):
    """A step is over; `code` is the finer cause of a status other than done."""

    at: float
    step: str
    status: Status
    code: str = ""


class StepUnknown(NamedTuple):
    """A write was begun and its outcome was not seen."""

    at: float
    step: str
    attempt: int
    reason: str
    element: int | None = None


class LateResult(NamedTuple):
    """An attempt that was given up gave a value after all.

    That of a write which is unknown says that it is done; any other is recorded and not used. One
    that failed after it had asked models gives no value, and what they counted. Usage and cost
    are those of StepResult.
    """

    at: float
    step: str
    attempt: int
    value: Any
    element: int | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    failed: bool = False


class CallAbandoned(NamedTuple):
    """The run is over, and a call that was cancelled still goes on; it held its slot until now."""

    at: float
    step: str
    tool: str
    attempt: int
    element: int | None = None


class UnknownResolved(NamedTuple):
    """A probe, a person or its tool's policy says what became of a write.

    Attributes:
        by: "probe", "human" or "policy"; the last knows nothing, and lets nobody wait.
        outcome: "done": StepResult follows with what it gave; "not-done": it has not happened, and
            is tried again; "failed": it counts as failed, and is not tried again.
    """

    at: float
    step: str
    by: str
    outcome: str
    element: int | None = None


class StepReopened(NamedTuple):
    """How a step ended is taken back, since a write that was unknown is to be resolved.

    It is the write itself, or was skipped because of it; elements that have a value keep it.
    """

    at: float
    step: str


class EffectReused(NamedTuple):
    """A replan asks for an effect that was done: its step takes that result, and does nothing."""

    at: float
    step: str
    element: int | None
    source: str
    source_element: int | None


class MapExpanded(NamedTuple):
    """The number of a map's elements is known.

    Attributes:
        items_hash: the hash of its list; "" where the elements of another map come one by one.
    """

    at: float
    step: str
    n: int
    items_hash: str


class ElementEnded(NamedTuple):
    """A map's element is over and gave no value; `code` is the finer cause."""

    at: float
    step: str
    element: int
    status: Status
    code: str


class SpeculationStarted(NamedTuple):
    """A call was begun before the plan asked for it; it is invisible until adopted."""

    at: float
    key: str
    tool: str
    args_hash: str


class SpeculationEnded(NamedTuple):
    """A speculation was adopted by a step, or discarded (step "").

    Attributes:
        outcome: see `speculation`; `contradicted` is a step that had been started before the plan's
            text took it back, and which has no SpeculationStarted.
    """

    at: float
    key: str
    outcome: str
    step: str


class HedgeStarted(NamedTuple):
    """A second copy of an attempt's call is made: it has been out for `after_s` seconds.

    Attributes:
        copy: its number, from 1; an attempt may get more than one.
    """

    at: float
    step: str
    attempt: int
    element: int | None
    copy: int
    after_s: float


class HedgeEnded(NamedTuple):
    """A copy has answered first and given the attempt its value, or nobody waits for it."""

    at: float
    step: str
    attempt: int
    element: int | None
    copy: int
    won: bool


# -- models and joining --------------------------------------------------------------------------


class ModelStarted(NamedTuple):
    """A model was asked; `call` counts the run's model calls from 1."""

    at: float
    call: int
    role: str
    round: int
    model: str
    prompt_hash: str


class ModelCall(NamedTuple):
    """A model call is over.

    Attributes:
        first_token_at: when the first text came; None if none did.
        cost_usd: None where the price is not known.
        code: "" when the reply is whole, else the model error's code.
        reply: what it said until then, as {"text": …, "calls": [[id, name, arguments], …]}, so that
            nobody pays for it twice.
    """

    at: float
    call: int
    role: str
    round: int
    model: str
    started_at: float
    first_token_at: float | None
    usage: Usage
    cost_usd: float | None
    code: str
    reply: Any = None


class JoinStarted(NamedTuple):
    """Results are being joined: (step, hash of its value) in plan order, and what is missing."""

    at: float
    round: int
    inputs: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]


class JoinResult(NamedTuple):
    """The join's decision, `finish` with an answer or `replan` with a reason."""

    at: float
    round: int
    decision: str
    answer: Any
    reason: str


Event: TypeAlias = (
    RunCreated
    | StrategyChosen
    | CancelRequested
    | RunFinished
    | LeaseTaken
    | SnapshotRef
    | BudgetDelta
    | PlanProposed
    | StepAccepted
    | FindingReported
    | HoleOpened
    | HoleFilled
    | PlanAccepted
    | PlanRejected
    | Approval
    | ReplanRequested
    | StepReady
    | StepIntent
    | StepStarted
    | StepResult
    | StepError
    | StepEnded
    | StepUnknown
    | LateResult
    | CallAbandoned
    | UnknownResolved
    | StepReopened
    | EffectReused
    | MapExpanded
    | ElementEnded
    | SpeculationStarted
    | SpeculationEnded
    | HedgeStarted
    | HedgeEnded
    | ModelStarted
    | ModelCall
    | JoinStarted
    | JoinResult
)

READY, STARTED, RESULT, ENDED = range(4)
FREQUENT: tuple[type[Event], ...] = (StepReady, StepStarted, StepResult, StepEnded)
"""The events that each step has, by their numbers."""

Entry: TypeAlias = "Event | tuple[Any, ...]"
"""An event, or one of FREQUENT as (its number, *all its fields), which costs less: see `record`."""

EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind  # type: ignore[misc]
    for kind in Event.__args__  # type: ignore[attr-defined]
}
"""Every event by its name in JSON."""
