"""`python -m bench.reliability`: figures, bars, bounds."""

from __future__ import annotations

import doctest
import json
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from bench.reliability import __main__ as campaigns
from bench.reliability import figure as figures
from bench.reliability.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_bar_is_a_ceiling_or_a_floor() -> None:
    assert Figure("lost", 0, bar=0).met
    assert not Figure("lost", 1, bar=0).met
    assert Figure("kills", 60, bar=60, at_least=True).met
    assert not Figure("kills", 59, bar=60, at_least=True).met
    assert Figure("share", 0.5).met


def test_none_of_so_many_has_a_bound_and_something_has_none() -> None:
    assert Figure("lost", 0, bar=0, of=2_000).bound == pytest.approx(0.0015)
    assert Figure("lost", 1, bar=0, of=2_000).bound is None
    assert Figure("lost", 0, bar=0).bound is None


def test_lines_read_as_their_examples_say() -> None:
    assert doctest.testmod(figures).failed == 0


class Campaign:
    """A module that stands in for a campaign."""

    @staticmethod
    def figures(*, short: bool, seed: int) -> Iterator[Figure]:
        yield Figure("seed", seed, bar=3)
        yield Figure("short", short)


@pytest.fixture
def one_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaigns, "CAMPAIGNS", {"one": "a stand-in"})
    monkeypatch.setattr(campaigns, "import_module", lambda name: Campaign)


@pytest.mark.usefixtures("one_campaign")
def test_the_exit_status_says_whether_all_bars_were_met() -> None:
    assert campaigns.main(["--seed", "3"]) == 0
    assert campaigns.main(["--seed", "4", "--short"]) == 1


@pytest.mark.usefixtures("one_campaign")
def test_json_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    campaigns.main(["--json", "--only", "one", "--seed", "2", "--short"])
    rows = json.loads(capsys.readouterr().out)["one"]
    assert [(row["name"], row["value"], row["met"]) for row in rows] == [
        ("seed", 2, True),
        ("short", True, True),
    ]


@pytest.mark.parametrize("name", campaigns.CAMPAIGNS)
def test_every_campaign_that_is_listed_is_there(name: str) -> None:
    assert callable(import_module(f"bench.reliability.{name}").figures)
