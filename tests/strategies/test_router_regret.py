"""The regret of auto, on a small part of `python -m bench.router`: seeded, in virtual time."""

from __future__ import annotations

import pytest
from bench.router import Setting, sweep

WARM = Setting(depth=8, seeds=8)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_over_several_runs_auto_costs_little_more_than_the_better_way(share: float) -> None:
    row = sweep(WARM, share)
    assert set(row["right"].values()) == {1.0}
    assert row["regret"] <= 0.15
    assert row["regret_fixed"] <= 0.15


def test_it_plans_first_at_one_end_and_goes_step_by_step_at_the_other() -> None:
    assert sweep(WARM, 0.0)["plans_first"] == 1
    assert sweep(WARM, 1.0)["plans_first"] == 0


def test_the_ends_are_ends_for_there_each_way_is_the_better_one() -> None:
    assert sweep(WARM, 0.0)["better"] == {"llmcompiler": 1.0, "parallel": 0.0}
    assert sweep(WARM, 1.0)["better"] == {"llmcompiler": 0.0, "parallel": 1.0}


def test_where_the_provider_keeps_what_it_has_read_that_is_learned_and_turns_the_choice() -> None:
    kept, fresh = (sweep(Setting(seeds=12, cached=cached), 0.2) for cached in (True, False))
    assert kept["better"]["parallel"] == fresh["better"]["llmcompiler"] == 1
    assert kept["plans_first"] <= 0.5
    assert kept["regret"] <= 0.3
    assert fresh["plans_first"] == 1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_process_that_knows_nothing_pays_for_a_draft_and_no_more(share: float) -> None:
    row = sweep(Setting(depth=8, seeds=6, fresh=True), share)
    assert set(row["right"].values()) == {1.0}
    assert row["regret"] <= 0.2


def test_tools_that_fail_make_it_no_worse_than_one_way_for_all() -> None:
    row = sweep(Setting(depth=3, width=4, seeds=8, failing=0.15), 0.0)
    assert row["plans_first"] == 1
    assert row["regret_fixed"] <= 0.05
