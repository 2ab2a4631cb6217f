"""Allowances over random schedules of calls, outcomes and clocks: never above, never stuck."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle.engine.allowances.allowance import Allowance, Bounds, Hold
from heddle.engine.allowances.concurrency import Concurrency
from heddle.engine.allowances.pace import Pace
from heddle.engine.allowances.pause import Pause
from heddle.engine.allowances.turns import Turns, Waiter
from heddle.engine.allowances.window import TRAVEL_S, Window
from heddle.engine.costs import ONE, Cost, Outcome
from heddle.models.quota import Grant, Quota
from heddle.testing.limited import ProviderLimits

KINDS = ("ok", "throttled", "failed", "dropped", "unused")

grants = st.none() | st.builds(Grant, st.integers(1, 99), st.integers(0, 99), st.floats(0, 60))
outcomes = st.builds(
    Outcome,
    st.sampled_from(KINDS),
    st.none() | st.builds(Cost, st.just(1), st.integers(0, 60), st.integers(0, 40)),
    st.none() | st.floats(0, 90),
    st.none() | st.builds(Quota, grants, grants, grants),
)
moves = st.lists(
    st.tuples(st.sampled_from(["take", "give", "wait"]), st.floats(0.001, 40), outcomes),
    max_size=120,
)
bounds = st.builds(
    Bounds,
    st.none() | st.integers(1, 9),
    st.none() | st.sampled_from([0.5, 3.0, 20.5]),
    st.none() | st.sampled_from([50.0, 600.0]),
    st.none() | st.sampled_from([40.0, 400.0]),
    st.booleans(),
)


def rough(dice_seed: int = 0) -> random.Random:
    return random.Random(dice_seed)


def allowance(**given: float) -> Allowance:
    return Allowance(Bounds(**given), rough())


# -- windows ---------------------------------------------------------------------------------------


@given(st.floats(0.3, 200), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=80))
def test_no_minute_wherever_it_begins_sees_more_than_the_allowance(
    rate: float, wishes: list[tuple[float, int]]
) -> None:
    window, now = Window(rate), 0.0
    spent: list[tuple[float, int]] = []
    for wait_s, wanted in wishes:
        now += wait_s
        taken = min(wanted, window.free(now))
        window.spend(now, taken)
        spent.append((now, taken))
    for begin, _ in spent:
        within = sum(n for at, n in spent if begin <= at < begin + window.period_s)
        assert within <= window.amount <= max(1.0, rate)


@given(
    st.lists(st.tuples(st.floats(0, 9), st.integers(1, 30)), min_size=1, max_size=40),
    st.integers(1, 90),
)
def test_a_wish_fits_when_it_was_said_to_fit_and_not_before(
    wishes: list[tuple[float, int]], wanted: int
) -> None:
    window, now = Window(60), 0.0
    for wait_s, n in wishes:
        now += wait_s
        window.spend(now, min(n, window.free(now)))
    free, at = window.free(now), window.fits_at(now, wanted)
    assert (at == now) == (free >= min(wanted, window.amount))
    assert window.free(at) >= min(wanted, window.amount)


calls = st.tuples(st.floats(0, 8), st.integers(1, 300), st.floats(0, 1), st.floats(0, 90))


@settings(max_examples=200)
@given(st.sampled_from([0.0, 0.25]), st.lists(calls, max_size=60))
def test_what_is_given_back_late_lets_no_minute_see_more_than_the_allowance(tick_s, wishes) -> None:
    window, now = Window(600, tick_s), 0.0
    used: list[tuple[float, int]] = []
    back: list[tuple[float, float, int]] = []
    for wait_s, wanted, share, latency_s in wishes:
        now += wait_s
        for at, began, unneeded in [each for each in back if each[0] <= now]:
            window.refund(unneeded, began)
            back.remove((at, began, unneeded))
        taken = min(wanted, window.free(now))
        window.spend(now, taken)
        used.append((now, taken - int(share * taken)))
        back.append((now + latency_s, now, int(share * taken)))
    for begin, _ in used:
        assert sum(n for at, n in used if begin <= at < begin + 60) <= 600


def test_what_is_given_back_is_the_calls_own_and_not_what_comes_back_soon_anyway() -> None:
    window = Window(600)
    window.spend(0, 300)
    window.spend(50, 300)
    window.refund(200, 50)
    assert window.free(50) == 200
    assert window.free(60 + TRAVEL_S) == 500


def test_amounts_of_one_tick_come_back_together_and_never_early() -> None:
    window = Window(240, tick_s=0.25)
    for n in range(1, 11):
        window.spend(n * 0.01, 1)
    assert window.free(60 + TRAVEL_S) == 230
    assert window.free(60.75) == 240
    window.spend(100, 240)
    assert window.free(160.5) == 10
    assert window.free(160.75) == 20


@pytest.mark.parametrize("tick_s", [0.0, 0.25])
def test_what_was_taken_at_once_comes_back_on_a_slope(tick_s: float) -> None:
    window = Window(600, tick_s)
    for _ in range(600):
        window.spend(0, 1)
    assert window.free(60 + TRAVEL_S - 0.01) == 0
    assert window.free(61 + TRAVEL_S - 0.01) == pytest.approx(100, abs=25)
    assert window.free(66 + TRAVEL_S + tick_s) == 600


def test_what_is_taken_evenly_comes_back_in_its_own_time() -> None:
    window = Window(600)
    for n in range(1_200):
        assert window.free(n * 0.11) > 0
        window.spend(n * 0.11, 1)
    assert window.fits_at(1_200 * 0.11, 600) == pytest.approx(1_199 * 0.11 + 60 + TRAVEL_S)


def test_what_is_given_back_does_not_put_off_the_rest() -> None:
    window = Window(600)
    for _ in range(100):
        window.spend(0, 400)
        window.refund(399)
    assert window.free(0) == 500
    assert window.fits_at(0, 600) == pytest.approx(60 + TRAVEL_S + 0.99)


def test_what_others_took_of_a_provider_is_gone_here_too() -> None:
    window = Window(100)
    window.spend(0, 10)
    window.heard(1, remaining=40, reset_s=20)
    assert window.free(1) == 40
    assert window.free(21.1) == 90
    assert window.free(61) == 100


# -- concurrency -----------------------------------------------------------------------------------


def test_one_round_trip_cuts_once_and_by_three_tenths() -> None:
    slots = Concurrency(20)
    for _ in range(5):
        slots.overloaded(10.0, began=9.0, in_flight=20)
    assert slots.limit == 14
    slots.overloaded(12.0, began=10.5, in_flight=14)
    assert slots.limit == 9
    for n in range(20):
        slots.overloaded(20.0 + n, began=20.0 + n, in_flight=9)
    assert slots.limit == 1


def test_a_limit_grows_by_one_for_each_limit_of_successes_while_it_is_used() -> None:
    slots = Concurrency(20)
    slots.overloaded(0, began=0, in_flight=20)
    slots.succeeded(13, in_flight=7)
    assert slots.limit == 14
    slots.succeeded(1, in_flight=7)
    assert slots.limit == 15
    slots.succeeded(100, in_flight=7)  # less than half of it is in use
    assert slots.limit == 15
    slots.succeeded(1_000, in_flight=15)
    assert slots.limit == 20


def test_without_a_ceiling_the_first_cut_starts_from_what_was_in_flight() -> None:
    slots = Concurrency(None)
    assert slots.limit == math.inf
    slots.overloaded(0, began=0, in_flight=100)
    assert slots.limit == 70


# -- pauses ----------------------------------------------------------------------------------------


@given(st.floats(0, 300), st.integers(0, 50), st.integers(0, 99))
def test_the_providers_wish_is_a_floor_then_one_call_tries_then_four(
    wish_s: float, in_flight: int, seed: int
) -> None:
    pause = Pause(rough(seed))
    pause.refused(100.0, wish_s, probe=False)
    assert 100 + wish_s <= pause.until <= 100 + wish_s + min(0.2 * wish_s, 30) + 1e-9
    assert pause.free(99.0 + wish_s, in_flight) == 0
    assert pause.free(pause.until, in_flight) == 1
    pause.probing = True
    assert pause.free(pause.until + 999, in_flight) == 0
    back = pause.until + 1
    pause.came_back(back, in_flight, well=True)
    assert pause.free(back, in_flight) == 4
    assert pause.free(back + 2.001, in_flight) == 8
    assert pause.free(back + 60, in_flight) == math.inf


def test_a_probe_that_did_not_come_back_well_leaves_the_next_one_to_try() -> None:
    pause = Pause(rough())
    pause.refused(0, 1.0, probe=False)
    pause.probing = True
    pause.came_back(2, 0, well=False)
    assert pause.free(2, 0) == 1


def test_pauses_double_where_the_provider_says_nothing() -> None:
    pause, ends = Pause(rough()), []
    now = 0.0
    for _ in range(8):
        pause.refused(now, None, probe=now > 0)
        ends.append(pause.until - now)
        now = pause.until
    assert ends[0] >= 1
    assert ends[2] >= 4
    assert 10 <= ends[-1] <= 12


class Loaded(random.Random):
    """Dice that always show the same."""

    def __init__(self, shows: float) -> None:
        super().__init__(0)
        self.shows = shows

    def random(self) -> float:
        return self.shows


@pytest.mark.parametrize(
    ("wish_s", "most_s"), [(0.0, 0.0), (None, 0.2), (10.0, 2.0), (20.0, 4.0), (100.0, 4.0)]
)
def test_a_pause_is_longer_than_the_wish_by_a_fifth_at_most_and_never_by_more_than_four_seconds(
    wish_s: float | None, most_s: float
) -> None:
    for shows in (0.0, 0.5, 1.0):
        pause = Pause(Loaded(shows))
        pause.refused(100.0, wish_s, probe=False)
        least_s = 1.0 if wish_s is None else wish_s
        assert pause.until == pytest.approx(100 + least_s + shows * most_s)


def test_pauses_of_a_silent_provider_last_one_two_four_eight_and_then_ten_seconds() -> None:
    pause, lasted = Pause(Loaded(0.0)), []
    for _ in range(9):
        now = max(0.0, pause.until)
        pause.refused(now, None, probe=pause.waits)
        lasted.append(pause.until - now)
    assert lasted == [1, 2, 4, 8, 10, 10, 10, 10, 10]


def test_calls_that_began_before_the_pause_neither_double_nor_shorten_it() -> None:
    pause = Pause(Loaded(0.0))
    pause.refused(0.0, 5.0, probe=False)
    pause.refused(1.0, 1.0, probe=False)
    assert pause.until == 5
    pause.refused(5.0, None, probe=True)
    assert pause.until == 7  # the second that counts


def test_a_pause_opens_when_it_said_and_then_waits_for_its_probe() -> None:
    pause = Pause(Loaded(0.0))
    assert pause.opens_at(3.0, 50) == 3
    pause.refused(0.0, 5.0, probe=False)
    assert [pause.opens_at(now, 0) for now in (1.0, 9.0)] == [5, 9]
    pause.probing = True
    assert pause.opens_at(6.0, 0) == math.inf
    pause.refused(6.0, 2.0, probe=True)
    assert not pause.probing
    assert pause.opens_at(6.0, 0) == 8


@pytest.mark.parametrize("before", [0, 3])
def test_on_the_slope_a_call_opens_just_when_it_is_free(before: int) -> None:
    pause = Pause(Loaded(0.0))
    pause.refused(0.0, 1.0, probe=False)
    pause.came_back(100.0, before, well=True)
    for more in range(4):
        assert pause.opens_at(100.0, before + more) == 100
    for more in (4, 7, 8, 100):
        opens = pause.opens_at(100.0, before + more)
        assert pause.free(opens, before + more) >= 1
        assert pause.free(opens - 0.01, before + more) == 0
    assert pause.opens_at(100.0, before + 100_000) == 120
    assert pause.free(119.99, before + 100_000) == 0
    assert pause.free(120.0, before + 100_000) == math.inf
    assert pause.opens_at(121.0, before + 100_000) == 121


def test_the_next_pause_is_a_short_one_only_when_the_slope_has_ended_well() -> None:
    pause = Pause(Loaded(0.0))
    pause.refused(0.0, None, probe=False)
    pause.came_back(1.0, 0, well=True)
    pause.calm(20.9)
    pause.refused(20.9, None, probe=False)
    assert pause.until == 22.9
    pause.calm(60.0)  # of a call that began before it
    pause.came_back(60.0, 0, well=True)
    pause.calm(80.0)
    pause.refused(80.0, None, probe=False)
    assert pause.until == 81


# -- paces -----------------------------------------------------------------------------------------


def refused_at(per_s: int, seconds: int) -> Pace:
    """A pace whose provider granted so many a second, and then refused one."""
    pace = Pace()
    for second in range(seconds):
        pace.granted(float(second), per_s)
    pace.refused(float(seconds), float(seconds))
    return pace


def test_a_pace_is_unbounded_until_a_call_is_refused() -> None:
    pace = Pace()
    pace.took(0.0, 1_000)
    assert (pace.rate, pace.free(0.0), pace.opens_at(0.0)) == (math.inf, math.inf, 0.0)


@pytest.mark.parametrize(
    ("per_s", "seconds", "known"),
    [(1, 20, 1.0), (2, 20, 2.0), (10, 20, 10.0), (10, 60, 10.0), (1, 4, 1.0), (30, 1, 30.0)],
)
def test_a_first_refusal_tells_what_was_granted_of_late(
    per_s: int, seconds: int, known: float
) -> None:
    assert refused_at(per_s, seconds).known == pytest.approx(0.98 * known)


def test_a_provider_that_counts_by_the_minute_is_measured_over_one() -> None:
    pace = Pace()
    pace.granted(1.0, 600)
    pace.granted(41.0, 16)
    pace.refused(61.0, 61.0)
    assert pace.known == pytest.approx(0.98 * 616 / 60)
    later = Pace()
    later.granted(1.0, 600)
    later.granted(41.0, 16)
    later.refused(61.5, 61.5)
    assert later.known == pytest.approx(0.98 * 16 / 20.5)


def test_a_refusal_after_next_to_nothing_takes_off_as_much_again() -> None:
    pace = refused_at(10, 20)
    pace.granted(20.0, 7)
    rate = pace.rate
    pace.refused(21.0, 20.5)
    assert pace.known == pytest.approx(0.98 * 0.85 * rate)
    pace.granted(21.0, 8)
    pace.refused(22.0, 21.5)
    assert pace.known == pytest.approx(0.98 * 45 / 5)  # what was granted since second 17


def test_calls_that_began_before_the_last_refusal_say_nothing_new() -> None:
    pace = refused_at(10, 20)
    pace.refused(21.0, 19.9)
    assert pace.known == pytest.approx(9.8)
    pace.refused(21.0, 20.0)
    assert pace.known == pytest.approx(9.8 * 0.98 * 0.85)


@pytest.mark.parametrize(("well", "share"), [(50, 1.03), (290, 2.0)])
def test_a_pace_is_three_per_cent_up_after_fifty_calls_and_doubled_after_290(
    well: int, share: float
) -> None:
    pace = refused_at(10, 20)
    pace.granted(21.0, well)
    assert pace.rate == pytest.approx(9.8 * share, rel=0.01)


def test_what_was_granted_more_than_a_minute_ago_is_forgotten() -> None:
    pace = Pace()
    for second in range(500):
        pace.granted(float(second), 1)
    assert len(pace.state()[-1]) <= 62


def test_half_a_second_of_requests_may_begin_at_once_and_then_one_at_a_time() -> None:
    pace = refused_at(10, 20)
    assert pace.free(20.0) == 4
    pace.took(20.0, 4)
    assert pace.free(20.0) == 0
    opens = pace.opens_at(20.0)
    assert pace.free(opens) == 1
    assert pace.free(opens - 0.001) == 0
    pace.gave_back(1)
    assert pace.free(20.0) == 1
    assert pace.opens_at(30.0) == 30
    assert pace.free(100.0) > 100  # it has been idle


def test_where_the_pace_is_slow_one_may_begin() -> None:
    pace = refused_at(1, 20)
    assert pace.free(20.0) == 1
    pace.took(20.0, 1)
    assert pace.free(20.9) == 0
    assert pace.opens_at(20.9) == pytest.approx(20 + 1 / 0.98)
    assert pace.free(21.1) == 1


def test_an_allowance_without_bounds_settles_at_what_is_granted() -> None:
    limits, learned = ProviderLimits(600), allowance()
    now = 0.0
    while now < 600:
        hold = learned.take(now, ONE)
        if hold is not None:
            wait_s = limits.ask(now)
            kind = Outcome("throttled", retry_after_s=wait_s) if wait_s else Outcome()
            learned.give_back(now, hold, kind)
        now += 0.01
    late = sum(at >= 120 for at in limits.granted)
    assert late == pytest.approx(480 * 10, rel=0.05)
    assert len(limits.refused) <= 0.05 * len(limits.granted)


def test_a_pace_grows_slowly_near_the_known_rate_and_faster_far_above_it() -> None:
    pace = Pace()
    for second in range(60):
        pace.granted(second, 10)
    pace.refused(60, 60)
    assert pace.rate == pytest.approx(10, rel=0.05)
    pace.granted(65, 50)
    assert pace.rate == pytest.approx(10, rel=0.05)
    pace.granted(90, 250)
    assert pace.rate > 19


# -- all together ----------------------------------------------------------------------------------


@dataclass
class World:
    """An allowance under random use, and what it has let through."""

    allowance: Allowance
    given: Bounds
    now: float = 0.0
    holds: list[Hold] = field(default_factory=list)
    begun: list[Hold] = field(default_factory=list)

    def move(self, kind: str, amount: float, outcome: Outcome) -> None:
        if kind == "wait":
            self.now += amount
        elif kind == "give" and self.holds:
            hold = self.holds.pop(int(amount * 7) % len(self.holds))
            used = outcome.used
            if used is not None:  # a call that says what it takes at most
                used = Cost(1, min(used.input_tokens, 30), min(used.output_tokens, 20))
            if outcome.kind == "unused":
                self.begun.remove(hold)
            self.allowance.give_back(self.now, hold, outcome._replace(used=used))
        elif kind == "take":
            hold = self.allowance.take(self.now, Cost(1, 30, 20))
            if hold is not None:
                self.holds.append(hold)
                self.begun.append(hold)

    def check(self) -> None:
        assert self.allowance.in_flight == len(self.holds)
        assert len(self.holds) <= (self.given.slots or math.inf)
        for window in self.allowance.windows.values():
            assert window.held >= 0
            assert 0 <= window.free(self.now) <= window.amount
        if self.given.requests is not None:
            burst = max(1, int(self.given.requests))
            period_s = 60 * burst / self.given.requests
            times = [hold.began for hold in self.begun]
            late = times[burst:]
            assert all(b - a >= period_s - 1e-6 for a, b in zip(times, late, strict=False))


@settings(max_examples=300)
@given(bounds, moves)
def test_whatever_happens_bounds_hold_and_the_allowance_opens_again(given, steps) -> None:
    world = World(Allowance(given, rough()), given)
    for kind, amount, outcome in steps:
        world.move(kind, amount, outcome)
        world.check()
    for _ in range(len(world.holds)):
        world.move("give", 0.0, Outcome("dropped"))
    for _ in range(200):  # by time alone, for nobody is in flight
        at = world.allowance.opens_at(world.now, Cost(1, 30, 20))
        assert at < math.inf
        world.now = max(at, world.now + 0.001)
        hold = world.allowance.take(world.now, Cost(1, 30, 20))
        if hold is not None:
            break
    else:
        pytest.fail(f"it never opens: {world.allowance.state()}")


@given(bounds, moves)
def test_an_allowance_that_was_kept_as_json_goes_on_as_before(given, steps) -> None:
    world = World(Allowance(given, rough()), given)
    for kind, amount, outcome in steps:
        world.move(kind, amount, outcome)
    kept = json.loads(json.dumps(world.allowance.state()))
    again = Allowance(given, rough())
    again.restore(kept)
    again.in_flight = world.allowance.in_flight
    assert json.loads(json.dumps(again.state())) == kept
    assert again.opens_at(world.now, ONE) == world.allowance.opens_at(world.now, ONE)


def test_a_call_reserves_its_most_and_gives_back_what_it_did_not_use() -> None:
    tokens = allowance(input_tokens=100, output_tokens=100)
    first = tokens.take(0, Cost(1, 60, 80))
    assert first is not None
    assert tokens.take(0, Cost(1, 10, 30)) is None
    tokens.give_back(5, first, Outcome(used=Cost(1, 50, 10)))
    assert tokens.windows["output_tokens"].free(5) == 90
    assert tokens.windows["input_tokens"].free(5) == 50
    assert tokens.take(5, Cost(1, 50, 90)) is not None


def test_a_call_that_does_not_say_takes_what_the_last_ones_took() -> None:
    tokens = allowance(output_tokens=1_000)
    first = tokens.take(0, ONE)
    assert first is not None
    assert first.cost.output_tokens == 500
    tokens.give_back(1, first, Outcome(used=Cost(1, 5, 40)))
    assert tokens.reserved(ONE).output_tokens == 40


def test_each_kind_that_a_provider_names_is_bounded_whatever_it_leaves_out() -> None:
    limits = allowance()
    limits.heard(0, Quota(None, None, Grant(1_000, 300, 42.0)))
    assert set(limits.windows) == {"output_tokens"}
    assert limits.windows["output_tokens"].free(0) == 300


def test_what_a_call_is_expected_to_take_rises_at_once_and_falls_by_a_fifth() -> None:
    tokens = allowance(input_tokens=100_000, output_tokens=100_000)
    for used, expected in (((100, 40), (100, 40)), ((50, 140), (90, 140)), ((200, 40), (200, 120))):
        hold = tokens.take(0.0, ONE)
        assert hold is not None
        tokens.give_back(0.0, hold, Outcome(used=Cost(1, *used)))
        now = tokens.reserved(ONE)
        assert (now.input_tokens, now.output_tokens) == expected


@pytest.mark.parametrize(
    ("kind", "slots"),
    [("ok", 10), ("dropped", 10), ("unused", 10), ("failed", 7), ("throttled", 7)],
)
def test_slots_are_cut_by_failures_and_refusals_and_by_nothing_else(kind: Any, slots: int) -> None:
    calls = allowance(slots=10)
    hold = calls.take(0.0, ONE)
    assert hold is not None
    calls.give_back(1.0, hold, Outcome(kind))
    assert calls.concurrency.limit == slots


def test_headers_make_bounds_but_never_widen_those_that_were_given() -> None:
    limits = allowance(requests=60)
    limits.heard(0, Quota(Grant(600, 599, 0.1), Grant(1_000, 400, 36.0)))
    assert limits.windows["requests"].amount == 60
    assert limits.windows["input_tokens"].free(0) == 400


# -- turns -----------------------------------------------------------------------------------------


def test_runs_are_served_by_their_weight_however_many_of_their_calls_wait() -> None:
    turns, weights = Turns(), {"a": 1.0, "b": 3.0}
    served: list[str] = []
    waiters = {name: Waiter(lambda: True, ONE) for name in weights}
    for name, count in (("a", 500), ("b", 100)):
        for _ in range(count):
            turns.add(name, waiters[name])
    for _ in range(80):
        waiter = turns.pop()
        name = next(name for name in weights if waiters[name] is waiter)
        turns.went(name, weights[name])
        served.append(name)
    assert served.count("b") == pytest.approx(60, abs=2)


def test_a_run_that_was_idle_is_not_owed_anything() -> None:
    turns = Turns()
    for _ in range(100):
        turns.add("busy", Waiter(lambda: True, ONE))
        turns.pop()
        turns.went("busy", 1.0)
    late, busy = Waiter(lambda: True, ONE), Waiter(lambda: True, ONE)
    for _ in range(10):
        turns.add("late", late)
        turns.add("busy", busy)
    first: list[Waiter] = []
    for _ in range(10):
        waiter = turns.pop()
        first.append(waiter)
        turns.went("late" if waiter is late else "busy", 1.0)
    assert 4 <= sum(waiter is late for waiter in first) <= 6
