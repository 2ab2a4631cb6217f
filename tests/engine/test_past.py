"""What a journal remembers, as those ask it who go on with the run."""

from __future__ import annotations

from heddle.engine import events as ev
from heddle.engine.past import Outcome, Past
from heddle.plan.ir import Step

ORIGIN = ev.EffectOrigin("r", 1, 1, "00")
CREATED = ev.RunCreated(0.0, "r", "", {"kind": "plan"}, {}, {}, "", "", 0)
AGENT = CREATED._replace(config={"kind": "agent"})


def begun(*ids: str, created: ev.RunCreated = CREATED, round: int = 1) -> list[ev.Event]:
    steps = [ev.StepAccepted(0.0, round, n, Step(id, "send")) for n, id in enumerate(ids, 1)]
    return [created, ev.LeaseTaken(0.0, "me", 1), ev.PlanProposed(0.0, round, ""), *steps]


def intent(step: str, attempt: int = 1, element: int | None = None) -> ev.StepIntent:
    return ev.StepIntent(1.0, step, element, attempt, "write", "", "key", None, ORIGIN, 1)


def test_an_effect_without_an_outcome_is_doubtful_and_has_its_attempt() -> None:
    past = Past([*begun("1"), intent("1", 2)])
    assert past.doubtful == {("1", None): intent("1", 2)}
    assert past.attempts == {("1", None): 2}
    assert past.ended("1") is None


def test_a_result_whose_end_was_lost_is_how_the_step_ends() -> None:
    past = Past([*begun("1"), intent("1"), ev.StepResult(2.0, "1", 1, "v")])
    assert not past.doubtful
    assert past.ending == {("1", None): Outcome("done", "v")}


def test_a_write_that_timed_out_is_unknown_wherever_the_record_breaks_off() -> None:
    events = [
        *begun("1"), intent("1"), ev.StepUnknown(2.0, "1", 1, "timed-out"),
        ev.StepError(2.0, "1", 1, "timed-out", "late"), ev.StepEnded(2.0, "1", "unknown"),
    ]  # fmt: skip
    for n in range(len(events) - 2, len(events)):
        assert Past(events[:n]).ending["1", None].status == "unknown"
    assert set(Past(events).unknown) == {("1", None)}


def test_a_late_value_settles_it_and_what_it_cost_does_not() -> None:
    events = [*begun("1"), intent("1"), ev.StepUnknown(2.0, "1", 1, "x")]
    events.append(ev.StepEnded(2.0, "1", "unknown", "x"))
    assert not Past([*events, ev.LateResult(3.0, "1", 1, "v")]).unknown
    assert Past([*events, ev.LateResult(3.0, "1", 1, None, failed=True)]).unknown


def test_a_plan_that_was_being_written_is_forgotten_unless_it_was_handed_over() -> None:
    started = ev.StepStarted(1.0, "1", 1)
    assert not Past([*begun("1", created=AGENT), started]).state.steps
    assert not Past([*begun("1", created=AGENT), started]).attempts
    kept = Past([*begun("1"), started])
    assert kept.state.steps["1"].status == "waiting"
    assert kept.said(ev.PlanProposed(9.0, 1, ""))


def test_its_number_is_not_given_again() -> None:
    assert Past(begun("1", created=AGENT, round=7)).last_round == 7


def test_each_decision_answers_one_question() -> None:
    past = Past([*begun("1"), ev.Approval(1.0, "h", "granted", "caller")])
    assert (past.approved("h"), past.approved("h"), past.approved("g")) == (True, None, None)
