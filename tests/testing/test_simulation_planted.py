"""Bugs that are put into the engine are found, each by the promise that it breaks."""

from __future__ import annotations

import pytest

from heddle.engine.log import EventLog
from heddle.testing.simulation.planted import PLANTED, hunt, planted

FOUND = {
    "an effect does not wait for its intent": ({"I1"}, 0),
    "a process goes on that has lost its lease": ({"I1", "I2"}, 187),
    "a result is recorded for another element": ({"I12"}, 5),
    "a write is tried again": ({"I1"}, 12),
    "a write in doubt counts as not done": ({"I1", "I2"}, 0),
    "a step starts before its input": ({"I1", "I4"}, 0),
    "a slot is given back twice": ({"I6"}, 0),
    "each attempt has a key of its own": ({"I1", "I3"}, 0),
    "a run in which nothing is under way counts as finished": ({"I10"}, 0),
    "what lies behind the head counts": ({"I10"}, 559),
    "those who share a call are not told": ({"I10"}, 8),
    "there is always room in the budget": ({"I8"}, 0),
}
"""The promises, one of which a bug breaks, and where the hunt begins."""


def test_there_is_a_line_for_every_bug() -> None:
    assert FOUND.keys() == PLANTED.keys()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    rules, first = FOUND[name]
    outcome = hunt(name, 100, first)
    assert outcome is not None
    assert rules & {found.rule for found in outcome.violations}


def test_a_bug_is_gone_when_its_block_is_left() -> None:
    before = EventLog.durable
    with planted("an effect does not wait for its intent"):
        assert EventLog.durable is not before
    assert EventLog.durable is before
