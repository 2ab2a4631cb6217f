"""One provider's allowance, or one model's: all that bounds its calls, in one place."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from heddle.engine.allowances.concurrency import Concurrency
from heddle.engine.allowances.pace import Pace
from heddle.engine.allowances.pause import Pause
from heddle.engine.allowances.window import Window
from heddle.engine.costs import Cost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heddle.engine.costs import Outcome
    from heddle.models.quota import Grant, Quota

__all__ = ["Allowance", "Bounds", "Hold"]

_KINDS = ("requests", "input_tokens", "output_tokens")
_UNSAID = Cost(1, 1_000, 500)
"""What a call takes that does not say, until others have shown it."""

_ALIKE = 0.2
"""How much the last call weighs in what the next one is expected to take."""


class Bounds(NamedTuple):
    """What is known of an allowance beforehand; None for what has no bound.

    Attributes:
        slots: calls in flight.
        requests: in any minute; so are the tokens.
        adaptive: whether refusals, failures and the provider's headers are listened to.
    """

    slots: int | None = None
    requests: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    adaptive: bool = True


class Hold:
    """A call's part of an allowance, from before it begins until it is over."""

    __slots__ = ("began", "cost", "probe")

    def __init__(self, began: float, cost: Cost, probe: bool) -> None:
        self.began = began
        self.cost = cost
        self.probe = probe


class Allowance:
    """What one provider grants.

    Args:
        bounds: what is known beforehand.
        dice: for jitter after a pause.
        tick_s: see `Window`.

    Attributes:
        in_flight: calls that hold a part.
        adaptive: see `Bounds`.
        windows: by "requests", "input_tokens", "output_tokens"; only what is bounded.

    Invariant: with calls that say what they take at most, no window is overspent; `in_flight` is
        never above the limit at the moment a call begins.
    """

    def __init__(
        self, bounds: Bounds, dice: random.Random | None = None, tick_s: float = 0.0
    ) -> None:
        self.in_flight = 0
        self.concurrency = Concurrency(bounds.slots)
        self.pause = Pause(dice or random.Random())
        self.pace = Pace()
        self.windows: dict[str, Window] = {}
        self._bounds = bounds
        self.adaptive = bounds.adaptive
        self._tick_s = tick_s
        self._usual: tuple[float, float] | None = None
        for kind in _KINDS:
            rate: float | None = getattr(bounds, kind)
            if rate is not None:
                self.windows[kind] = Window(rate, tick_s)

    # -- taking ---------------------------------------------------------------------------------

    def take(self, now: float, cost: Cost) -> Hold | None:
        """A call's part, or None if it has to wait. Cost: O(1) amortised."""
        if self.calls_free(now) < 1:
            return None
        wanted = self.reserved(cost)
        if any(window.free(now) < getattr(wanted, kind) for kind, window in self._windows()):
            return None
        self.in_flight += 1
        self.pace.took(now, wanted.requests)
        probe = self.pause.waits
        self.pause.probing |= probe
        for kind, window in self._windows():
            if kind == "output_tokens":
                window.hold(wanted.output_tokens)
            else:
                window.spend(now, getattr(wanted, kind))
        return Hold(now, wanted, probe)

    def calls_free(self, now: float) -> float:
        """Calls that may begin now, whatever they take of the windows."""
        free = self.concurrency.limit - self.in_flight
        if self.adaptive:
            free = min(free, self.pause.free(now, self.in_flight), self.pace.free(now))
        return free

    def opens_at(self, now: float, cost: Cost) -> float:
        """When a call may find its part if nobody else takes it.

        Infinite if that depends on a call that has to give its part back first.
        """
        if self.in_flight >= self.concurrency.limit:
            return math.inf
        wanted = self.reserved(cost)
        times = [window.fits_at(now, getattr(wanted, kind)) for kind, window in self._windows()]
        if self.adaptive:
            times += [self.pause.opens_at(now, self.in_flight), self.pace.opens_at(now)]
        return max(times, default=now)

    def reserved(self, cost: Cost) -> Cost:
        """What is reserved for a call: what it says, else what the last ones took.

        A call that wants more than a whole window gets the whole window; where there is no
        window, nothing is reserved.
        """
        if not self.windows:
            return Cost(cost.requests)
        usual_in, usual_out = self._usual or (_UNSAID.input_tokens, _UNSAID.output_tokens)
        said = Cost(
            cost.requests,
            cost.input_tokens or math.ceil(usual_in),
            cost.output_tokens or math.ceil(usual_out),
        )
        least = {kind: min(getattr(said, kind), w.amount) for kind, w in self._windows()}
        return Cost(cost.requests)._replace(**least)

    def _windows(self) -> Iterable[tuple[str, Window]]:
        return self.windows.items()

    # -- giving back ----------------------------------------------------------------------------

    def give_back(self, now: float, hold: Hold, outcome: Outcome) -> None:
        """A call is over, or has not begun after all."""
        self.in_flight -= 1
        if outcome.kind == "unused":
            self._undo(now, hold)
        else:
            self._correct(now, hold, outcome.used)
        if self.adaptive:
            self.learn(now, hold, outcome)

    def _undo(self, now: float, hold: Hold) -> None:
        self.pace.gave_back(hold.cost.requests)
        for kind, window in self._windows():
            if kind == "output_tokens":
                window.settle(now, hold.cost.output_tokens, 0)
            else:
                window.refund(getattr(hold.cost, kind), hold.began)

    def _correct(self, now: float, hold: Hold, used: Cost | None) -> None:
        """What a call has really taken, where somebody counted it."""
        if used is not None:
            self._remember(used)
        reserved = hold.cost
        taken = used or reserved
        if (window := self.windows.get("output_tokens")) is not None:
            window.settle(now, reserved.output_tokens, taken.output_tokens)
        if (window := self.windows.get("input_tokens")) is not None:
            window.refund(reserved.input_tokens - taken.input_tokens, hold.began)
            window.spend(now, taken.input_tokens - reserved.input_tokens)

    def _remember(self, used: Cost) -> None:
        now = float(used.input_tokens), float(used.output_tokens)
        old = self._usual or now
        self._usual = (
            old[0] + _ALIKE * (now[0] - old[0]) if now[0] < old[0] else now[0],
            old[1] + _ALIKE * (now[1] - old[1]) if now[1] < old[1] else now[1],
        )

    # -- learning -------------------------------------------------------------------------------

    def learn(self, now: float, hold: Hold, outcome: Outcome) -> None:
        """What a call's end says about the provider."""
        if outcome.quota is not None:
            self.heard(now, outcome.quota)
        refused = outcome.kind == "throttled" or outcome.retry_after_s is not None
        if (refused or outcome.kind == "failed") and not hold.probe:
            self.concurrency.overloaded(now, hold.began, self.in_flight + 1)
        if refused:
            if not hold.probe:  # which says no more than "not yet"
                self.pace.refused(now, hold.began)
            self.pause.refused(now, outcome.retry_after_s, probe=hold.probe)
            return
        well = outcome.kind == "ok"
        if hold.probe:
            self.pause.came_back(now, self.in_flight, well=well)
        if well:
            self.concurrency.succeeded(1, self.in_flight + 1)
            self.pace.granted(now, 1)
            self.pause.calm(now)

    def heard(self, now: float, quota: Quota) -> None:
        """The provider has said what its limits are; a bound that was given is not widened."""
        for kind in _KINDS:
            said: Grant | None = getattr(quota, kind)
            if said is None:
                continue
            rate = min(said.per_minute, getattr(self._bounds, kind) or math.inf)
            if kind not in self.windows:
                self.windows[kind] = Window(rate, self._tick_s)
            self.windows[kind].allow(rate)
            self.windows[kind].heard(now, said.remaining, said.reset_s)

    # -- keeping --------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What has to be kept of it, as JSON."""
        windows = {kind: [w.amount, w.period_s, w.state()] for kind, w in self._windows()}
        return {
            "concurrency": self.concurrency.state(), "pause": self.pause.state(),
            "pace": self.pace.state(), "windows": windows, "usual": self._usual,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a kept state; `in_flight` is not part of it."""
        self.concurrency.restore(state["concurrency"])
        self.pause.restore(state["pause"])
        self.pace.restore(state["pace"])
        self._usual = state["usual"] and tuple(state["usual"])
        for kind, (amount, period_s, kept) in state["windows"].items():
            rate = 60.0 * amount / period_s
            given = getattr(self._bounds, kind)
            rate = rate if given is None else min(rate, given)
            window = self.windows.setdefault(kind, Window(rate, self._tick_s))
            window.allow(rate)
            window.restore(kept)
