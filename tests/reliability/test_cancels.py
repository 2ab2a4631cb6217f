"""Runs that are cancelled at random moments: the campaign of `bench.reliability`, in small."""

from __future__ import annotations

from bench.reliability import cancels


def test_nothing_is_left_running_and_stopping_is_quick() -> None:
    found = {figure.name: figure for figure in cancels.figures(short=True, seed=7, count=500)}
    assert found["tasks left running"].value == 0
    assert found["runs that were not over yet"].met
    assert found["from cancel to stop, p99, run's clock"].met
