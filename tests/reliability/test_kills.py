"""Sixty kills of the real program, in the short form of the campaign."""

from __future__ import annotations

from bench.reliability import kills


def test_sixty_kills_lose_nothing_and_repeat_nothing() -> None:
    found = {figure.name: figure for figure in kills.figures(short=True, seed=1)}
    assert [figure for figure in found.values() if not figure.met] == []
    assert found["kills"].value >= kills.SHORT
    assert found["effects"].value > found["runs"].value
