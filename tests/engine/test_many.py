"""Making many objects: the collector rests meanwhile, and is back afterwards."""

from __future__ import annotations

import gc
from contextlib import ExitStack

import pytest

from heddle.engine.many import many_objects


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
