"""Random plans under random budgets: the campaign of `bench.reliability`, in small."""

from __future__ import annotations

from bench.reliability import budgets


def test_no_budget_is_gone_above_and_every_join_is_paid_for() -> None:
    found = {figure.name: figure for figure in budgets.figures(short=True, seed=7)}
    assert [name for name, figure in found.items() if not figure.met] == []
