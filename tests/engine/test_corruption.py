"""A journal that was changed by anything but heddle is read as it was, or refused."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from bench.reliability.corruption import MUTATIONS, SPECIMEN, corruption, mutated

from heddle.engine.journal import frames, reading

if TYPE_CHECKING:
    from collections.abc import Callable


def test_no_damage_is_taken_for_the_truth_and_none_crashes() -> None:
    found = corruption(800, seed=7)
    assert found["crashed"] == 0
    assert found["accepted silently"] == 0
    assert found["refused"] > 300
    assert found["read as written"] > 20
    assert found["read up to an earlier append"] > 5


def _always(answer: object) -> Callable[..., object]:
    return lambda *_: answer


@pytest.mark.parametrize(
    ("where", "name", "blind"),
    [
        (frames.Chain, "_fault", _always("")),
        (frames.Chain, "end", _always(None)),
        (frames, "digest_of", _always("00" * 32)),
        (reading, "_fits", _always(True)),
    ],
    ids=["chain", "end", "hashes", "snapshots"],
)
def test_the_campaign_finds_a_reader_that_does_not_look(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, blind: Callable[..., object]
) -> None:
    monkeypatch.setattr(where, name, blind)
    found = corruption(400, seed=7)
    assert found["accepted silently"] + found["crashed"] > 0


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.__name__.strip("_"))
def test_each_kind_of_damage_changes_something(mutation: Callable[..., None]) -> None:
    chance = random.Random(3)
    assert any(mutated(SPECIMEN, chance, mutation) != SPECIMEN for _ in range(20))
