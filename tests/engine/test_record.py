"""The record: what is kept is small, what is seen are events."""

from __future__ import annotations

import gc

from heddle.engine.events import FREQUENT, RunFinished, StepEnded, StepReady
from heddle.engine.record import Record, event_of

END = RunFinished(2.0, "succeeded", None, "", "")


def filled() -> Record:
    made = Record()
    made.kept += [(0, 1.0, "1"), StepEnded(1.5, "1", "done"), (3, 1.7, "2", "failed", "x"), END]
    return made


def test_plain_entries_are_seen_as_events() -> None:
    assert list(filled()) == [
        StepReady(1.0, "1"), StepEnded(1.5, "1", "done"), StepEnded(1.7, "2", "failed", "x"), END
    ]  # fmt: skip
    assert [type(event) for event in filled()] == [StepReady, StepEnded, StepEnded, RunFinished]


def test_it_is_a_sequence() -> None:
    made = filled()
    assert (len(made), bool(made), bool(Record())) == (4, True, False)
    assert made[0] == StepReady(1.0, "1")
    assert made[-1] is END
    assert made[2:] == [StepEnded(1.7, "2", "failed", "x"), END]
    assert next(reversed(made)) is END
    assert made == filled() == list(made)
    assert made != filled()[1:]
    assert made != 3
    assert "StepReady(at=1.0, step='1')" in repr(made)


def test_what_not_every_step_has_is_found_without_the_rest() -> None:
    assert filled().rare == [StepEnded(1.5, "1", "done"), END]


def test_one_of_another_goes_its_own_way() -> None:
    first = filled()
    second = Record(first.kept)
    first.kept.append(END)
    assert len(second) == len(first) - 1


def test_what_comes_while_it_is_read_is_read_as_well() -> None:
    made = filled()
    seen = []
    for event in made:
        seen.append(event)
        if len(made) < 6:
            made.kept.append(END)
    assert len(seen) == 6


def test_each_frequent_event_has_the_number_of_its_place() -> None:
    for number, kind in enumerate(FREQUENT):
        fields = tuple(range(len(kind._fields)))
        assert event_of((number, *fields)) == kind(*fields)


def test_the_collector_forgets_entries_of_scalars() -> None:
    made = Record()
    made.kept.append((0, float(len(made)), "1"))
    made.kept.append(StepReady(1.0, "1"))
    gc.collect()
    assert [gc.is_tracked(entry) for entry in made.kept] == [False, True]
