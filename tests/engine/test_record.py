"""The record: what is kept is small, what is seen are events."""

from __future__ import annotations

import gc
from itertools import product
from typing import TYPE_CHECKING

import pytest

from heddle.engine.events import FREQUENT, RunFinished, StepEnded, StepReady
from heddle.engine.record import Record, event_of

if TYPE_CHECKING:
    from heddle.engine.events import Entry

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


# -- stretches -----------------------------------------------------------------------------------


class Written:
    """Entries that are made when somebody looks, and how often that was."""

    def __init__(self, entries: list[Entry]) -> None:
        self.made = 0
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[Entry]:
        self.made += 1
        return list(self._entries)


ALL: list[Entry] = [(0, float(at), str(at)) for at in range(9)]


def stretched() -> tuple[Record, Written, Written]:
    """Nine events: two stretches of three, and three that are kept."""
    made, first, second = Record(ALL[6:]), Written(ALL[:3]), Written(ALL[3:6])
    made.put(first)
    made.put(second)
    return made, first, second


def test_events_in_stretches_have_the_places_they_had() -> None:
    made, plain = stretched()[0], Record(ALL)
    assert len(made) == 9
    assert list(made) == list(plain)
    assert made == plain
    assert plain == made
    assert made.rare == []
    for place in range(-9, 9):
        assert made[place] == plain[place]
    for place in (-10, 9):
        with pytest.raises(IndexError):
            made[place]
    ends = [None, *range(-11, 12)]
    for first, last, pace in product(ends, ends, (None, 1, 2, -1, -3)):
        assert made[first:last:pace] == plain[first:last:pace]
    for first in range(11):
        assert list(made.entries(first)) == ALL[first:]
    assert list(reversed(made)) == list(reversed(plain))


def test_a_stretch_is_read_once_for_all_who_look_at_it_in_turn() -> None:
    made, first, second = stretched()
    _ = made[8], made[-1], len(made)
    assert (first.made, second.made) == (0, 0)
    _ = made[0], made[1], made[2], made[3], made[5]
    assert (first.made, second.made) == (1, 1)
    _ = made[0]
    assert (first.made, second.made) == (2, 1)


def test_a_copy_goes_its_own_way() -> None:
    made, _, _ = stretched()
    again = made.copy()
    made.kept.append(END)
    assert list(again) == list(Record(ALL))
    assert len(made) == 10


def test_what_comes_while_stretches_are_read_is_read_as_well() -> None:
    made, _, _ = stretched()
    seen = []
    for event in made:
        seen.append(event)
        if len(made) < 12:
            made.kept.append((0, float(len(made)), str(len(made))))
    assert [event.at for event in seen] == [float(at) for at in range(12)]
