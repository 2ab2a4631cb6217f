"""Whose fault it is that a process died, as far as a journal tells."""

from __future__ import annotations

from typing import Any

from heddle.engine import events as ev
from heddle.engine.killers import Deaths, deaths_of

EFFECT = ev.StepIntent(
    0.0, "5", None, 1, "idempotent", "", "", None, ev.EffectOrigin("r", 1, 1, "", None), 1
)  # fmt: skip


def lease() -> Any:
    return ev.LeaseTaken(0.0, "somebody", 1)


def started(step: str, element: int | None = None) -> Any:
    return ev.STARTED, 0.0, step, 1, element


def ended(step: str) -> Any:
    return ev.ENDED, 0.0, step, "done", ""


def failed(step: str, *, retryable: bool) -> Any:
    return ev.StepError(0.0, step, 1, "raised", "", retryable=retryable)


def deaths(*entries: Any, nested: Any = ()) -> Deaths:
    return deaths_of(entries, nested)


def test_a_run_that_has_not_begun_has_no_deaths() -> None:
    assert deaths() == (0, {})


def test_what_was_alone_under_way_is_counted() -> None:
    assert deaths(lease(), started("1"), lease(), started("1")) == (2, {("1", None): 2})
    assert deaths(lease(), EFFECT, started("5")) == (1, {("5", None): 1})
    assert deaths(lease(), EFFECT) == (1, {("5", None): 1})
    assert deaths(lease(), started("1", 3)) == (1, {("1", 3): 1})


def test_nobody_is_of_two_or_more() -> None:
    assert deaths(lease(), started("1"), started("2")) == (1, {})
    assert deaths(lease(), started("1", 0), started("1", 1)) == (1, {})


def test_a_process_that_has_brought_the_run_further_ends_the_row() -> None:
    before = lease(), started("1"), lease()
    for further in (
        (ev.RESULT, 0.0, "2", 1, 7, None, None, None, ""),
        ended("2"),
        ev.ElementEnded(0.0, "2", 1, "failed", "raised"),
        ev.RunFinished(0.0, "unresolved", None, "", ""),
        ev.CancelRequested(0.0, "", "the run was interrupted"),
    ):
        assert deaths(*before, started("1"), further) == (0, {})
        assert deaths(*before, further, lease(), started("1")) == (1, {("1", None): 1})


def test_one_that_wrote_nothing_is_in_the_row_and_nobodys_fault() -> None:
    row = lease(), started("1"), lease(), lease(), started("1")
    assert deaths(*row) == (3, {("1", None): 2})


def test_an_attempt_that_has_come_to_nothing_is_not_under_way_any_more() -> None:
    one = started("1"), failed("1", retryable=True)
    assert deaths(lease(), *one, started("2")) == (1, {("2", None): 1})
    assert deaths(lease(), *one, started("1")) == (1, {("1", None): 1})
    assert deaths(lease(), *one) == (1, {})


def test_what_expands_a_plan_calls_nothing_itself() -> None:
    row = lease(), started("1"), started("1.1")
    assert deaths(*row, nested={("1", None): 2}) == (1, {("1.1", None): 1})
