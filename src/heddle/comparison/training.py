"""Training rows: what a planner, a decomposer and a solver would have to learn from runs.

    plan        question, tools → the plan, and what came of it
    decomposer  question, tools → the sub-questions of the plan's steps
    solver      question, evidence → answer; of a step that asked a model: instruction, context →
                result

No result of a tool is in a row of the first two kinds, so that a model trained on them learns to
plan and no facts.

Source: planner specialisation of ReWOO (arXiv 2305.18323, section 3.3); separate decomposers and
    solvers of Divide-or-Conquer (arXiv 2402.15000); chains that are kept only if their answer is
    right, as in Chain-of-Abstraction (arXiv 2401.17464).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

from heddle.comparison.subquestions import said
from heddle.plan.canonical import hash_of, plan_to_json
from heddle.plan.convert import convert
from heddle.plan.ir import Plan, dependencies
from heddle.plan.signature import signature
from heddle.plan.spec import spec_to_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from heddle.plan.ir import Step
    from heddle.plan.spec import ToolSpec
    from heddle.scoring import Score

__all__ = ["KINDS", "REASONS", "Kind", "LeftOut", "Planned", "Source", "training_rows"]

Kind: TypeAlias = Literal["plan", "decomposer", "solver"]

KINDS: tuple[Kind, ...] = ("plan", "decomposer", "solver")

REASONS = {
    "no-plan": "the run, or the row, holds no plan",
    "no-trace": "the results file is of before plans were kept",
    "no-question": "the text of the question is not known: pass --questions",
    "no-steps": "the plan has no step that could be read",
    "step-by-step": "it was written after results had been read",
    "given-up": "the answer came step by step after it: it was cut off, or was not enough",
    "later-round": "it was written after another plan had been tried",
    "bad-lines": "lines of the plan could not be read",
    "answered-by-plan": "the plan itself says the answer: no model came to it",
    "no-answer": "there is no answer",
    "value-too-large": "a result was too large to be kept",
    "not-correct": "the answer is wrong (--only correct)",
    "not-judged": "nobody said whether it is right (--only correct)",
    "not-clean": "the plan has an error finding (--only)",
    "replanned": "another plan was needed after it (--only correct)",
    "duplicate": "the same row was there before",
    "no-prompt": "no strategy asks for plans in this dialect (--format chat)",
}
"""Why something gave no row."""

_TURNS = frozenset(("react", "native"))
_STEP_BY_STEP = frozenset(("react", "parallel", "direct"))
_CIRCUMSTANCES = frozenset(("id", "strategy", "repeat", "written", "verdict"))


class LeftOut(NamedTuple):
    """Something that gave no row of a kind, and why: a key of `REASONS`."""

    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan as it was written.

    Attributes:
        plan: what it was read as, its bad lines repaired; None where some were not.
        errors: whether its text had an error finding.
        findings: codes of all findings.
    """

    dialect: str
    text: str
    plan: Plan | None
    errors: bool
    findings: tuple[str, ...]
    round: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A question, the plans that were written for it, and what came of them.

    Attributes:
        question: what the planner read; "" where it is not known.
        inputs: type names of the caller's data, by name.
        ran: whether the plans were run, so that there are steps and an answer.
        steps: {"status", "value" | "too_large" | "code"} by id.
        asked: {"step", "instruction", "context", "value"} of steps that asked a model.
        correct: None where nobody said.
        missing: why nothing can be made of it: a key of `REASONS`; "" where something can.
    """

    id: str
    question: str
    tools: Sequence[ToolSpec]
    plans: Sequence[Planned]
    inputs: Mapping[str, str]
    ran: bool = False
    strategy: str = ""
    repeat: int = 1
    status: str = ""
    answer: Any = None
    steps: Mapping[str, Mapping[str, Any]] | None = None
    asked: Sequence[Mapping[str, Any]] = ()
    correct: bool | None = None
    score: Score | None = None
    missing: str = ""


def training_rows(
    sources: Iterable[Source], kinds: Collection[Kind] = KINDS, only: str = ""
) -> Iterator[dict[str, Any] | LeftOut]:
    """The rows of these kinds, each different one once, and what gave none.

    Args:
        sources: runs, or plans that were only written.
        kinds: which rows.
        only: "correct" for those whose answer is right, and whose plan was clean and enough;
            "clean" for plans without an error finding; "" for all.

    Cost: linear in the sources.
    """
    seen: set[str] = set()
    wanted: list[Kind] = [kind for kind in KINDS if kind in kinds]
    for source in sources:
        for kind in wanted:
            if source.missing:
                yield LeftOut(kind, source.missing)
                continue
            for found in _ROWS[kind](source):
                yield found if isinstance(found, LeftOut) else _judged(found, source, only, seen)


def _judged(
    row: dict[str, Any], source: Source, only: str, seen: set[str]
) -> dict[str, Any] | LeftOut:
    """The row, if it is wanted and new."""
    kind = cast("Kind", row["kind"])
    if only and row["verdict"].get("clean") is False:
        return LeftOut(kind, "not-clean")
    if only == "correct" and not source.correct:
        return LeftOut(kind, "not-judged" if source.correct is None else "not-correct")
    if only == "correct" and kind != "solver" and _tried(source) > 1:
        return LeftOut(kind, "replanned")
    content = {name: value for name, value in row.items() if name not in _CIRCUMSTANCES}
    digest = hash_of([content, source.correct])
    if digest in seen:
        return LeftOut(kind, "duplicate")
    seen.add(digest)
    return row


def _tried(source: Source) -> int:
    return sum(planned.dialect not in _TURNS for planned in source.plans)


def _verdict(source: Source, planned: Planned | None = None) -> dict[str, Any]:
    verdict: dict[str, Any] = {"correct": source.correct}
    if planned is not None:
        verdict |= {"clean": not planned.errors, "findings": list(planned.findings)}
    if source.ran:
        verdict["status"] = source.status
    if source.score is not None:
        verdict |= asdict(source.score)
    return verdict


def _head(kind: Kind, source: Source) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": source.id,
        "strategy": source.strategy,
        "repeat": source.repeat,
        "question": source.question,
    }


# -- plans and their sub-questions ---------------------------------------------------------------


def _plan_rows(source: Source) -> Iterator[dict[str, Any] | LeftOut]:
    for planned in _ahead(source, "plan"):
        if isinstance(planned, LeftOut):
            yield planned
            continue
        yield {
            **_head("plan", source),
            "tools": [_tool(spec) for spec in source.tools],
            "inputs": dict(source.inputs),
            "dialect": planned.dialect,
            "plan": _target(planned),
            "canonical": planned.plan and plan_to_json(planned.plan, notes=True),
            "written": planned.text,
            "verdict": _verdict(source, planned),
        }


def _decomposer_rows(source: Source) -> Iterator[dict[str, Any] | LeftOut]:
    for planned in _ahead(source, "decomposer"):
        if isinstance(planned, LeftOut):
            yield planned
        elif planned.plan is None:
            yield LeftOut("decomposer", "bad-lines")
        else:
            yield {
                **_head("decomposer", source),
                "tools": [_tool(spec) for spec in source.tools],
                "subquestions": [_subquestion(step) for step in planned.plan.steps],
                "verdict": _verdict(source, planned),
            }


def _ahead(source: Source, kind: Kind) -> Iterator[Planned | LeftOut]:
    """The plans that were written before any result was read."""
    if not source.question:
        yield LeftOut(kind, "no-question")
    elif not source.plans:
        yield LeftOut(kind, "no-plan")
    for planned in source.plans if source.question else ():
        if planned.dialect == "react" or (source.ran and planned.dialect in _TURNS):
            yield LeftOut(kind, "step-by-step")
        elif _given_up(source):
            yield LeftOut(kind, "given-up")
        elif planned.round > 1:
            yield LeftOut(kind, "later-round")
        elif planned.plan is not None and not planned.plan.steps:
            yield LeftOut(kind, "no-steps")
        else:
            yield planned


def _given_up(source: Source) -> bool:
    """Whether the answer came step by step, whatever was planned before."""
    turned = any(planned.dialect in _TURNS for planned in source.plans)
    return source.ran and (turned or source.strategy in _STEP_BY_STEP)


def _tool(spec: ToolSpec) -> dict[str, Any]:
    return {"signature": signature(spec), **spec_to_json(spec)}


def _target(planned: Planned) -> str:
    """The plan without what its writer said around it, or that where the dialect cannot say it."""
    if planned.plan is None:
        return planned.text
    try:
        return convert(planned.plan, planned.dialect).text
    except ValueError:
        return planned.text


def _subquestion(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "tool": step.tool,
        "question": said(step),
        "needs": list(dependencies(step)),
    }


# -- answers -------------------------------------------------------------------------------------


def _solver_rows(source: Source) -> Iterator[dict[str, Any] | LeftOut]:
    if not source.ran:
        return
    yield _answered(source)
    for call in source.asked:
        if call.get("too_large"):
            yield LeftOut("solver", "value-too-large")
        elif not isinstance(call.get("value"), str):
            yield LeftOut("solver", "no-answer")
        else:
            yield {
                **_head("solver", source),
                "task": "step",
                "step": call["step"],
                "instruction": call["instruction"],
                "context": call["context"],
                "answer": call["value"],
                "verdict": _verdict(source),
            }


def _answered(source: Source) -> dict[str, Any] | LeftOut:
    """The row of a join: the question, every step's result, the answer."""
    plans = [planned for planned in source.plans if planned.plan is not None]
    steps = [step for planned in plans if planned.plan for step in planned.plan.steps]
    reason = _unanswered(source, steps, plans)
    if reason:
        return LeftOut("solver", reason)
    evidence = [_evidence(step, (source.steps or {}).get(step.id, {})) for step in steps]
    return {
        **_head("solver", source),
        "task": "answer",
        "evidence": evidence,
        "answer": source.answer,
        "verdict": _verdict(source),
    }


def _unanswered(source: Source, steps: Sequence[Step], plans: Sequence[Planned]) -> str:
    """Why there is nothing to learn from how the results were joined; "" if there is."""
    kept = source.steps or {}
    if not source.plans:
        return "no-plan"
    if any(planned.dialect in _TURNS for planned in source.plans):
        return "step-by-step"
    if not steps:
        return "no-steps"
    if plans[-1].plan is not None and plans[-1].plan.output is not None:
        return "answered-by-plan"
    if source.answer is None:
        return "no-answer"
    large = any(kept.get(step.id, {}).get("too_large") for step in steps)
    return "value-too-large" if large else ""


def _evidence(step: Step, came: Mapping[str, Any]) -> dict[str, Any]:
    found = {"id": step.id, "tool": step.tool, "question": said(step)}
    if came.get("status") == "done":
        return {**found, "value": came.get("value")}
    return {**found, "error": came.get("code") or came.get("status", "unknown")}


_ROWS = {"plan": _plan_rows, "decomposer": _decomposer_rows, "solver": _solver_rows}
