"""The audit: a sound run has no violations, and each broken promise is named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import heddle
from heddle.engine import events as ev
from heddle.engine.audit import audit
from heddle.engine.events import EffectOrigin, Event, StepIntent
from heddle.testing import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.audit import Audit

PLAN = """{"heddle": 1, "steps": [
    {"id": "1", "tool": "look", "args": {"name": "bob"}},
    {"id": "2", "tool": "send", "args": {"to": {"$ref": "1"}}},
    {"id": "3", "tool": "put", "over": ["a", "b"], "args": {"key": {"$item": []}}, "after": ["2"]},
    {"id": "4", "tool": "put", "over": {"$ref": "3"}, "args": {"key": {"$item": []}}}]}"""


@heddle.tool(effect="read")
async def look(name: str) -> str:
    """An address."""
    return f"{name}@example.org"


@heddle.tool(effect="write")
async def send(to: str) -> str:
    """A message."""
    return f"sent to {to}"


@heddle.tool(effect="idempotent")
async def put(key: str) -> str:
    """Store it."""
    return key * 2


def sound() -> list[Event]:
    """The events of a run with a read, a write and two maps, one following the other."""
    plan = heddle.parse(PLAN)
    result = run_virtual(heddle.execute(plan, [look, send, put]))
    assert result.status == "succeeded"
    return list(result.events)


def rules(found: Audit) -> set[str]:
    return {violation.rule for violation in found.violations}


def place(events: list[Event], kind: type[Event], step: str, element: int | None = None) -> int:
    return next(
        place
        for place, event in enumerate(events)
        if isinstance(event, kind)
        and getattr(event, "step", None) == step
        and getattr(event, "element", None) == element
    )


def intent_of(events: list[Event], step: str, element: int | None = None) -> StepIntent:
    event = events[place(events, StepIntent, step, element)]
    assert isinstance(event, StepIntent)
    return event


def changed(events: list[Event], at: int, **fields: Any) -> list[Event]:
    return [*events[:at], events[at]._replace(**fields), *events[at + 1 :]]


def test_a_sound_run_has_no_violation_and_its_effects_are_counted() -> None:
    found = audit(sound())
    assert found.violations == []
    assert (found.effects, found.attempts, found.orphans) == (5, 5, 0)
    assert found.unresolved == []
    assert found.finished == "succeeded"


def test_an_effect_that_no_plan_asked_for_is_an_orphan() -> None:
    events = sound()
    stray = intent_of(events, "2")._replace(step="9")
    found = audit([*events[:-1], stray])
    assert "no-origin" in rules(found)
    assert found.orphans == 1


@pytest.mark.parametrize(
    "origin",
    [
        lambda origin: origin._replace(hash="0" * 64),
        lambda origin: origin._replace(n=1),
        lambda origin: origin._replace(run="another"),
        lambda origin: origin._replace(element=7),
    ],
)
def test_an_effect_must_come_from_where_it_says(
    origin: Callable[[EffectOrigin], EffectOrigin],
) -> None:
    events = sound()
    at = place(events, StepIntent, "2")
    broken = changed(events, at, origin=origin(intent_of(events, "2").origin))
    assert rules(audit(broken)) == {"wrong-origin"}


def test_a_plan_that_was_changed_behind_its_hash_is_found() -> None:
    events = sound()
    at = next(place for place, event in enumerate(events) if isinstance(event, ev.StepAccepted))
    first = events[at]
    assert isinstance(first, ev.StepAccepted)
    broken = changed(events, at, step=replace(first.step, args={"name": "eve"}))
    assert rules(audit(broken)) == {"wrong-origin"}


def test_a_second_attempt_of_a_write_is_a_violation_whatever_became_of_the_first() -> None:
    events = sound()
    at = place(events, StepIntent, "2")
    again = intent_of(events, "2")._replace(attempt=2)
    assert rules(audit([*events[: at + 1], again, *events[at + 1 :]])) == {"repeated-write"}
    failed = ev.StepError(1.0, "2", 1, "tool-failed", "it broke")
    assert "repeated-write" in rules(audit([*events[: at + 2], failed, again, *events[at + 2 :]]))


def test_a_write_that_surely_did_not_happen_may_be_attempted_again() -> None:
    events = sound()
    at = place(events, StepIntent, "2") + 1
    again = intent_of(events, "2")._replace(attempt=2)
    refused = ev.StepError(1.0, "2", 1, "refused", "not sent", retryable=True, not_sent=True)
    assert audit([*events[:at], refused, again, *events[at:]]).violations == []


def test_all_attempts_carry_the_key_of_their_place() -> None:
    events = sound()
    at = place(events, StepIntent, "3", 1)
    again = intent_of(events, "3", 1)._replace(attempt=2, key="another")
    assert rules(audit([*events[: at + 1], again, *events[at + 1 :]])) == {"changed-key"}
    assert rules(audit(changed(events, at, key="made up"))) == {"changed-key"}


def test_nothing_begins_before_what_it_depends_on() -> None:
    events = sound()
    end = place(events, ev.StepEnded, "1")
    early = [*events[:end], *events[end + 1 :]]
    assert rules(audit(early)) == {"too-early"}


def test_an_element_may_follow_its_own_element_and_no_other() -> None:
    events = sound()
    gave = place(events, ev.StepResult, "3", 1)
    ended = place(events, ev.StepEnded, "3")
    without = [event for at, event in enumerate(events) if at not in (gave, ended)]
    found = audit(without)
    assert rules(found) == {"too-early"}
    assert {(violation.step, violation.element) for violation in found.violations} == {("4", 1)}


def test_a_second_result_and_a_second_end_are_found() -> None:
    events = sound()
    twice = events[place(events, ev.StepResult, "2")]
    assert rules(audit([*events, twice])) == {"second-result", "after-done"}


def test_an_effect_that_began_without_being_written_down_is_found() -> None:
    events = sound()
    at = place(events, StepIntent, "4", 1)
    assert rules(audit([*events[:at], *events[at + 1 :]])) == {"no-intent"}


def test_a_process_without_the_lease_must_not_begin_anything() -> None:
    events = sound()
    leases = [ev.LeaseTaken(0.0, "one", 1), ev.LeaseTaken(0.0, "two", 2)]
    found = audit([events[0], *leases, *events[1:]])
    assert rules(found) == {"not-leased"}
    assert found.processes == 2
    assert rules(audit([events[0], *reversed(leases)])) == {"not-leased"}


def test_a_plan_that_was_denied_and_a_run_that_is_over_begin_nothing() -> None:
    events = sound()
    at = place(events, StepIntent, "2")
    accepted = next(event for event in events if isinstance(event, ev.PlanAccepted))
    denied = ev.Approval(0.0, accepted.plan_hash, "denied", "caller")
    assert rules(audit([*events[:at], denied, *events[at:]])) == {"not-approved"}
    over = ev.RunFinished(0.0, "failed", None, "", "")
    assert "after-the-end" in rules(audit([*events[:at], over, *events[at:]]))


def test_a_write_without_an_outcome_is_unresolved_until_somebody_says() -> None:
    events = sound()
    at = place(events, StepIntent, "2") + 1
    cut = [
        *events[:at],
        ev.StepUnknown(1.0, "2", 1, "cut-off"),
        ev.StepError(1.0, "2", 1, "cut-off", "nobody saw what came of it"),
        ev.StepEnded(1.0, "2", "unknown", "cut-off"),
    ]
    assert audit(cut).unresolved == [("2", None)]
    cut.append(ev.StepReopened(2.0, "2"))
    assert audit(cut).unresolved == [("2", None)]
    said = audit([*cut, ev.UnknownResolved(2.0, "2", "human", "done")])
    assert said.unresolved == []
    assert said.resolved == {"human": 1}
    again = intent_of(events, "2")._replace(attempt=2)
    not_done = ev.UnknownResolved(2.0, "2", "probe", "not-done")
    assert audit([*cut, not_done, again]).violations == []
    done = ev.UnknownResolved(2.0, "2", "probe", "done")
    assert rules(audit([*cut, done, again])) == {"repeated-write"}


def test_it_reads_as_json() -> None:
    at = place(sound(), StepIntent, "2") + 1
    data = audit(sound()[:at]).to_json()
    assert data["unresolved"] == [{"step": "2", "element": None}]
    assert data["violations"] == []
