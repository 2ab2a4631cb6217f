"""The result of a run: of all that went wrong, the most serious decides status and exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heddle.engine import events as ev
from heddle.engine.result import RunError, RunResult, result_of
from heddle.engine.state import fold
from heddle.models.protocol import Usage
from heddle.plan.findings import Finding
from heddle.plan.ir import Ref, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

Ended = tuple[str, str]


def ended(round: int, *steps: Ended) -> list[Any]:
    """The events of a round whose steps ended with these statuses and codes."""
    found: list[Any] = [ev.PlanProposed(0, round, "")]
    for n, (status, code) in enumerate(steps, 1):
        id = f"{round}.{n}"
        found.append(ev.StepAccepted(0, round, n, Step(id, "look")))
        found.append(ev.StepEnded(1, id, status, code))  # type: ignore[arg-type]
    return [*found, ev.PlanAccepted(1, round, "", len(steps), None, "", "", {})]


def judged(events: Sequence[Any], answer: Any = "x", error: RunError | None = None) -> RunResult:
    return result_of(fold(events), [], events, slots=(1, {}), answer=answer, error=error)


def verdict(result: RunResult) -> tuple[str, int]:
    return result.status, result.exit_status


WORST_FIRST = [
    (("unknown", "timed-out"), ("unresolved", 7)),
    (("denied", "not-approved"), ("denied", 6)),
    (("cancelled", "deadline"), ("partial", 5)),
    (("failed", "tool-failed"), ("partial", 1)),
    (("skipped", "upstream-failed"), ("partial", 1)),
    (("skipped", "guard-false"), ("succeeded", 0)),
    (("done", ""), ("succeeded", 0)),
]


@pytest.mark.parametrize("worst", range(len(WORST_FIRST)))
def test_the_most_serious_ending_decides_wherever_it_stands(worst: int) -> None:
    steps = [ending for ending, _ in WORST_FIRST[worst:]]
    assert verdict(judged(ended(1, *steps))) == WORST_FIRST[worst][1]
    assert verdict(judged(ended(1, *reversed(steps)))) == WORST_FIRST[worst][1]


@pytest.mark.parametrize(
    ("step", "exit_status", "expected"),
    [
        (("unknown", "x"), 130, ("cancelled", 130)),
        (("unknown", "x"), 70, ("failed", 70)),
        (("unknown", "x"), 2, ("failed", 2)),
        (("unknown", "x"), 3, ("unresolved", 7)),
        (("denied", "x"), 3, ("denied", 6)),
        (("cancelled", "deadline"), 3, ("partial", 3)),
        (("cancelled", "deadline"), 4, ("partial", 5)),
        (("failed", "x"), 5, ("partial", 5)),
        (("failed", "x"), 4, ("partial", 4)),
    ],
)
def test_an_error_of_the_run_is_weighed_against_those_of_its_steps(
    step: Ended, exit_status: int, expected: tuple[str, int]
) -> None:
    error = RunError("code", "message", exit_status=exit_status)
    assert verdict(judged(ended(1, step), error=error)) == expected


def test_a_cause_is_named_before_its_consequences() -> None:
    result = judged(ended(1, ("skipped", "upstream-failed"), ("failed", "tool-failed")))
    assert result.error is not None
    assert result.error.code == "tool-failed"


def test_a_later_round_makes_good_a_failure_but_no_denial() -> None:
    good = ended(2, ("done", ""))
    assert verdict(judged([*ended(1, ("failed", "tool-failed")), *good])) == ("succeeded", 0)
    assert verdict(judged([*ended(1, ("denied", "not-approved")), *good])) == ("denied", 6)


def chain(code: str) -> list[Any]:
    """A step of round 1 that ended without value; one of round 2 that was skipped for it."""
    steps = [Step("1", "look"), Step("2", "look", {"x": Ref("1")}), Step("2.3", "look", {}, ("2",))]
    return [
        ev.PlanProposed(0, 1, ""),
        *(ev.StepAccepted(0, 1, n, step) for n, step in enumerate(steps[:2], 1)),
        ev.StepEnded(0, "1", "skipped", code),
        ev.StepEnded(0, "2", "skipped", "upstream-skipped"),
        ev.PlanProposed(0, 2, ""),
        ev.StepAccepted(0, 2, 1, steps[2]),
        ev.StepEnded(0, "2.3", "skipped", "upstream-skipped"),
        ev.PlanAccepted(1, 2, "", 1, None, "", "", {}),
    ]


@pytest.mark.parametrize(
    ("code", "expected"), [("guard-false", ("succeeded", 0)), ("upstream-failed", ("partial", 1))]
)
def test_a_skipped_step_is_excused_if_what_it_lacks_is(
    code: str, expected: tuple[str, int]
) -> None:
    assert verdict(judged(chain(code))) == expected


def test_nothing_done_and_no_answer_is_a_failure() -> None:
    assert judged(ended(1, ("failed", "tool-failed")), None).status == "failed"


@pytest.mark.parametrize(("code", "exit_status"), [("deadline", 5), ("stalled", 4)])
def test_a_planner_that_broke_off_at_the_deadline_ran_out_of_a_budget(
    code: str, exit_status: int
) -> None:
    cut = Finding("plan-cut", "error", "the planner broke off")
    events = [
        ev.PlanProposed(0, 1, ""),
        ev.ModelCall(1, 1, "planner", 1, "p:m", 0, None, Usage(), None, code),
        ev.FindingReported(1, 1, cut),
        ev.PlanRejected(1, 1, ("plan-cut",)),
    ]
    assert verdict(judged(events)) == ("partial", exit_status)
