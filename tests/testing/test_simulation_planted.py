"""Bugs that are put into the engine are found, each by the promise that it breaks."""

from __future__ import annotations

import pytest

from heddle.engine.log import EventLog
from heddle.testing.simulation.faults import KINDS
from heddle.testing.simulation.planted import PLANTED, hunt, planted

APPENDS = frozenset(("kill-before-append", "kill-after-append", "power-cut"))
FOUND = {
    "an effect does not wait for its intent": ({"I1"}, 0, None),
    "a process goes on that has lost its lease": ({"I1", "I2"}, 187, None),
    "a result is recorded for another element": ({"I12"}, 5, None),
    "a write is tried again": ({"I1"}, 12, None),
    "a write in doubt counts as not done": ({"I1", "I2"}, 0, None),
    "a step starts before its input": ({"I1", "I4"}, 0, None),
    "a slot is given back twice": ({"I6"}, 0, None),
    "each attempt has a key of its own": ({"I1", "I3"}, 0, None),
    "a run in which nothing is under way counts as finished": ({"I10"}, 0, APPENDS),
    "what lies behind the head counts": ({"I10"}, 801, APPENDS),
    "those who share a call are not told": ({"I10"}, 8, None),
}
"""The promises, one of which a bug breaks; where the hunt begins; and what may go wrong besides."""


def test_there_is_a_line_for_every_bug() -> None:
    assert FOUND.keys() == PLANTED.keys()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    rules, first, kinds = FOUND[name]
    outcome = hunt(name, 100, first, kinds=frozenset(KINDS) if kinds is None else kinds)
    assert outcome is not None
    assert rules & {found.rule for found in outcome.violations}


def test_a_bug_is_gone_when_its_block_is_left() -> None:
    before = EventLog.durable
    with planted("an effect does not wait for its intent"):
        assert EventLog.durable is not before
    assert EventLog.durable is before
