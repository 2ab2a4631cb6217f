"""How far a run is, as its row says it."""

from __future__ import annotations

import pytest

from heddle.engine.elements import ItemFault
from heddle.engine.events import (
    MapExpanded,
    PlanProposed,
    RunFinished,
    StepAccepted,
    StepEnded,
    StepReopened,
    StepUnknown,
)
from heddle.engine.journal.progress import Progress, progress_of, said, unknown_places
from heddle.engine.log import EventLog
from heddle.engine.state import fold
from heddle.plan.ir import Step

BEGUN = [
    PlanProposed(0.0, 1, "json"),
    StepAccepted(0.0, 1, 1, Step("1", "look", {})),
    StepAccepted(0.0, 1, 2, Step("2", "send", {})),
]
DOUBT = [StepUnknown(2.0, "2", 1, "process-lost"), StepEnded(2.0, "2", "unknown", "process-lost")]
OVER = RunFinished(3.0, "unresolved", None, "process-lost", "")


def test_it_counts_what_is_done_and_what_there_is() -> None:
    done = [*BEGUN, (3, 1.0, "1", "done", "")]
    assert said(progress_of(fold(done))) == Progress(1, 2, [])
    assert said(progress_of(fold([*done, StepReopened(2.0, "1")]))) == Progress(0, 2, [])


def test_at_the_end_it_names_the_writes_that_are_unknown() -> None:
    assert said(progress_of(fold([*BEGUN, *DOUBT]))) == Progress(0, 2, [])
    assert said(progress_of(fold([*BEGUN, *DOUBT, OVER]))) == Progress(0, 2, ["2"])


def test_an_element_of_a_map_is_named_by_its_index() -> None:
    state = fold([*BEGUN, MapExpanded(1.0, "2", 3, "00")])
    elements = state.steps["2"].map
    assert elements is not None
    elements.faults[1] = ItemFault(1, "unknown", "process-lost", "")
    state.turn(state.steps["2"], "unknown")
    assert unknown_places(state) == ["2[1]"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["1", 2, []]', "nonsense", "[" * 100_000])
def test_what_says_nothing_is_no_progress(text: str) -> None:
    assert said(text) is None


def test_a_logs_state_goes_on_with_its_events() -> None:
    log = EventLog()
    for event in [*BEGUN, (0, 1.0, "1"), *DOUBT, OVER]:
        log.emit(event)
        assert log.state() == fold(log.events)
