"""The simulator: a seed is a whole run with all that goes wrong in it, and the same run again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from heddle.engine.events import PlanProposed, ReplanRequested
from heddle.testing.simulation import Outcome, run_scenario, scenario_of, simulate
from heddle.testing.simulation.faults import KINDS, CrashAt, Faults
from heddle.testing.simulation.invariants import INVARIANTS
from heddle.testing.simulation.planners import STRATEGIES

SEEDS = 100


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """What came of some seeds."""
    return [simulate(seed) for seed in range(SEEDS)]


def test_no_promise_is_broken_in_any_seed(outcomes: list[Outcome]) -> None:
    broken = {outcome.seed: outcome.violations for outcome in outcomes if outcome.violations}
    assert broken == {}


@pytest.mark.parametrize(
    "seed",
    [
        41,
        90,
        164,
        1272,
        1557,
        1649,
        3022,
        3115,
        3366,
        3605,
        3637,
        4604,
        4743,
        5001,
        1000923,
        1000929,
    ],
)
def test_what_once_broke_a_promise_breaks_none(seed: int) -> None:
    """Interruptions, choices among what they skipped, a person who spoke during a call."""
    assert simulate(seed).violations == []


@pytest.mark.parametrize("seed", [108, 823, 2278, 2573, 3668, 1000128, 1000448])
def test_what_once_broke_a_promise_to_an_agent_breaks_none(seed: int) -> None:
    """Plans that were cut off and written anew; replies that broke off; deaths in a row."""
    assert simulate(seed).violations == []


def test_of_five_seeds_one_is_an_agents(outcomes: list[Outcome]) -> None:
    agents = [outcome for outcome in outcomes if scenario_of(outcome.seed).strategy]
    assert len(agents) == SEEDS / 5
    assert {scenario_of(outcome.seed).strategy for outcome in agents} == {*STRATEGIES}
    events = [event for outcome in agents for event in outcome.events]
    assert sum(isinstance(event, ReplanRequested) for event in events) >= 3
    assert any(isinstance(event, PlanProposed) and event.parent for event in events)


def test_every_run_comes_to_its_end(outcomes: list[Outcome]) -> None:
    assert all(outcome.status for outcome in outcomes)


def test_the_seeds_are_not_trivial(outcomes: list[Outcome]) -> None:
    assert sum(outcome.steps for outcome in outcomes) / SEEDS >= 20
    assert sum(bool(outcome.fired) for outcome in outcomes) / SEEDS >= 0.8
    assert {kind for outcome in outcomes for kind, _ in outcome.fired} >= {*KINDS} - {
        "takeover", "kill-any-time", "cancel",  # once in a seed: they are rare
    }  # fmt: skip
    assert sum(outcome.lives for outcome in outcomes) / SEEDS >= 2.5
    endings = {state for outcome in outcomes for state in outcome.states}
    assert endings >= {
        ("done", ""),
        ("failed", "timed-out"),
        ("failed", "items-failed"),
        ("failed", "refused"),
        ("skipped", "guard-false"),
        ("skipped", "upstream-failed"),
        ("skipped", "upstream-unknown"),
        ("unknown", "cut-off"),
        ("unknown", "timed-out"),
    }


def test_a_seed_replays_exactly() -> None:
    for seed in (1, 7, 28, 63, 90, 248):
        assert simulate(seed).trace() == simulate(seed).trace()


def test_faults_can_be_silenced_one_by_one() -> None:
    outcome = next(found for found in map(simulate, range(50)) if len(found.fired) > 3)
    silenced = simulate(outcome.seed, quiet=frozenset(outcome.fired[:1]))
    assert outcome.fired[0] not in silenced.fired


def test_a_kind_of_fault_is_active_in_a_quarter_of_the_seeds() -> None:
    active = sum("tool-error" in Faults(seed)._shares for seed in range(2_000))
    assert 0.2 < active / 2_000 < 0.3


def test_a_program_that_dies_at_a_given_point_goes_on_from_there() -> None:
    scenario = scenario_of(5, size=4)
    crash = CrashAt((3, 2))
    outcome = run_scenario(type(scenario)(**{**scenario.__dict__, "crash": crash}))
    assert outcome.violations == []
    assert [point for _, point in crash.fired] == [3, 2]


def test_every_promise_has_a_number_and_a_sentence() -> None:
    assert list(INVARIANTS) == [f"I{n}" for n in range(1, 16)]
    assert all(check.__doc__ for check in INVARIANTS.values())


def test_a_seed_is_replayed_from_the_command_line() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "heddle.testing.simulation", "3"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "RunCreated" in found.stdout
    assert "RunFinished" in found.stdout
