"""Making many objects: the collector rests meanwhile, and is back afterwards."""

from __future__ import annotations

import gc
from contextlib import ExitStack

import pytest

from heddle.engine.many import MANY, many_objects


def test_the_collector_rests_and_is_back_after_a_fault_too() -> None:
    def fail() -> None:
        with many_objects():
            assert not gc.isenabled()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert gc.isenabled()


@pytest.mark.parametrize("first", [0, 1])
def test_stretches_may_overlap_and_end_in_any_order(first: int) -> None:
    stretches = [ExitStack(), ExitStack()]
    for stretch in stretches:
        stretch.enter_context(many_objects())
    stretches[first].close()
    stretches[1 - first].close()
    assert gc.isenabled()


def test_who_does_without_the_collector_goes_on_without() -> None:
    gc.disable()
    try:
        with many_objects():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_was_made_is_old_to_the_collector_when_it_is_back() -> None:
    with many_objects():
        made = [[] for _ in range(MANY)]
    assert len(gc.get_objects(generation=0)) < len(made)
    assert not gc.get_freeze_count(), "nothing is kept from it for ever"


def test_what_somebody_has_frozen_stays_so() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with many_objects():
            pass
        assert gc.get_freeze_count() == frozen > 0
    finally:
        gc.unfreeze()


def test_garbage_of_many_short_stretches_is_found() -> None:
    """A server that reads short run after short run must not keep what nobody needs."""
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(2_000):
        with many_objects():
            circles: list[list[object]] = [[] for _ in range(50)]
            for circle in circles:
                circle.append(circle)
    assert len(gc.get_objects()) - before < 50_000
