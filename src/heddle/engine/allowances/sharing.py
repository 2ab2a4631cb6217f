"""The parts of one allowance that several processes hold.

A process holds **slots**, which it may use for one call after another, and **permits** for so many
requests and tokens, which last half a second. With each exchange it says what it has used, gets its
permits anew, and learns what the others have found out. So there is no transaction a call; what is
held by anybody counts as taken, and what was used counts from the exchange on, which is late rather
than early: the sum over all processes is never above the allowance.

A process that died is found out by the next exchange of another one: its slots are free again, its
permits count as used, since nobody knows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from heddle.engine.allowances.allowance import Allowance, Bounds
from heddle.engine.costs import Cost
from heddle.models.quota import Grant, Quota

__all__ = ["PERMIT_S", "TICK_S", "Permits", "Refusal", "Report", "exchange"]

PERMIT_S = 0.5
"""So long permits may be used."""

TICK_S = 0.25

_LEASE_S = 30.0
"""A process that was not heard of for so long is taken for dead, wherever it runs."""

_SOONEST_S, _LATEST_S = 0.02, 0.5

Dead: TypeAlias = Callable[[str], bool]
"""Whether a member is known to be dead."""


class Refusal(NamedTuple):
    """A call that was refused, or failed as overloaded servers fail.

    Attributes:
        age_s: how long before the report it began.
    """

    age_s: float
    throttled: bool
    retry_after_s: float | None
    probe: bool


class Report(NamedTuple):
    """What a process says of itself.

    Attributes:
        member: who it is; see `heddle.engine.journal.owners`.
        busy: calls in flight.
        held: output tokens reserved for them.
        calls: how many more it would begin, and `each` what one of them takes.
        used: since the last report: requests and input tokens begun with, output tokens at the end.
        unneeded: input tokens of calls that took less than was reserved: how long before the report
            each began, and how many.
        done: calls that came back well since.
        probed: what became of the call that tried: "well", "badly" (or it never began), "" for
            nothing yet; a refusal is among `refusals`.
        leaving: whether it does not come back.
    """

    member: str
    busy: int = 0
    held: int = 0
    calls: int = 0
    each: Cost = Cost()
    used: Cost = Cost(0)
    unneeded: tuple[tuple[float, int], ...] = ()
    done: int = 0
    refusals: tuple[Refusal, ...] = ()
    probed: str = ""
    quota: Quota | None = None
    leaving: bool = False


class Permits(NamedTuple):
    """What a process may do until the next exchange.

    Attributes:
        slots: calls in flight; fewer than there are, where some have to be left to others.
        calls: calls that may begin within `PERMIT_S`.
        each: what one of them may take; tokens are 0 where they are not bounded.
        probe: whether the next call is the one that tries, after a refusal.
        again_s: when to ask again if this is not enough.
    """

    slots: float
    calls: int
    each: Cost
    probe: bool
    again_s: float


class _Member(NamedTuple):
    """A process's part, as it is kept."""

    until: float
    slots: int
    calls: int  # permits
    input_tokens: int
    output_tokens: int  # for permits, and for calls in flight
    wants: bool
    probing: bool


def exchange(
    bounds: Bounds, kept: Any, now: float, report: Report, dead: Dead
) -> tuple[Any, Permits]:
    """Take a report in, and give permits out.

    Args:
        bounds: what is known of the allowance.
        kept: the document; None where there is none.
        now: the store's time.
        report: of the process that asks.
        dead: tells members that do not live any more.

    Returns:
        The next document, and the permits.

    Cost: O(members + ticks in a minute).
    """
    allowance = Allowance(bounds, random.Random(f"{report.member} {now}"), TICK_S)
    members: dict[str, _Member] = {}
    if kept is not None:
        allowance.restore(kept["allowance"])
        members = {name: _Member(*member) for name, member in kept["members"].items()}
        _hold_back(allowance, kept["allowance"]["windows"], members.values())
    for name in [
        n for n, m in members.items() if n != report.member and (m.until < now or dead(n))
    ]:
        _bury(allowance, now, members.pop(name))
    mine = members.pop(report.member, None)
    _settle(allowance, now, mine, report)
    allowance.in_flight = report.busy + sum(member.slots for member in members.values())
    known = tuple(allowance.windows)
    _learn(allowance, now, report)
    _hold_back(allowance, known, members.values())
    permits = _grant(allowance, now, report, sum(member.wants for member in members.values()))
    if not report.leaving:
        members[report.member] = _hold(allowance, now, mine, report, permits)
    return {"allowance": allowance.state(), "members": members}, permits


def _part(member: _Member, kind: str) -> int:
    """What a member holds of one window."""
    return member.calls if kind == "requests" else getattr(member, kind)


def _hold_back(allowance: Allowance, known: Iterable[str], members: Iterable[_Member]) -> None:
    """A window that was not there before: what members hold already counts in it as well."""
    for kind in allowance.windows.keys() - set(known):
        allowance.windows[kind].hold(sum(_part(member, kind) for member in members))


def _bury(allowance: Allowance, now: float, member: _Member) -> None:
    """A member is dead: what it was permitted may have been used."""
    for kind, window in allowance.windows.items():
        held = _part(member, kind)
        window.settle(now, held, held)
    if member.probing:
        allowance.pause.came_back(now, 0, well=False)


def _settle(allowance: Allowance, now: float, mine: _Member | None, report: Report) -> None:
    """What was used is spent; what else was held is free."""
    for kind, window in allowance.windows.items():
        used: int = getattr(report.used, kind)
        if mine is not None:
            window.settle(now, _part(mine, kind), 0)
        window.spend(now, used)
        window.refund(-used)
    if (window := allowance.windows.get("input_tokens")) is not None:
        for age_s, tokens in report.unneeded:
            window.refund(tokens, now - age_s)
    if mine is not None:
        allowance.pace.gave_back(max(0, mine.calls - report.used.requests))


def _learn(allowance: Allowance, now: float, report: Report) -> None:
    if not allowance.adaptive:
        return
    if report.quota is not None:
        allowance.heard(now, Quota(*(grant and Grant(*grant) for grant in report.quota)))
    if report.done:
        allowance.concurrency.succeeded(report.done, allowance.in_flight + report.done)
        allowance.pace.granted(now, report.done)
        allowance.pause.calm(now)
    for refusal in report.refusals:
        began = now - refusal.age_s
        if not refusal.probe:
            allowance.concurrency.overloaded(now, began, allowance.in_flight + 1)
            if refusal.throttled:
                allowance.pace.refused(now, began)
        if refusal.throttled:
            allowance.pause.refused(now, refusal.retry_after_s, probe=refusal.probe)
    if report.probed:
        allowance.pause.came_back(now, allowance.in_flight, well=report.probed == "well")


def _grant(allowance: Allowance, now: float, report: Report, others: int) -> Permits:
    """Slots and permits for one process, while so many others want some as well."""
    limit, taken = allowance.concurrency.limit, allowance.in_flight
    fair = max(1, int(limit / (1 + others))) if others and limit < math.inf else limit
    slots = min(report.busy + report.calls, fair, report.busy + max(0, limit - taken))
    each = allowance.reserved(report.each)
    free = [float(report.calls)]
    free += [
        _share(window.free(now) // getattr(each, kind), others)
        for kind, window in allowance.windows.items()
        if getattr(each, kind)
    ]
    if allowance.adaptive:
        free += [allowance.pause.free(now, taken), _share(allowance.pace.free(now), others)]
    calls = int(min(free)) if slots else 0
    slots = min(slots, report.busy + calls)
    probe = allowance.adaptive and allowance.pause.waits and calls > 0
    allowance.pause.probing |= probe
    again_s = allowance.opens_at(now, each) - now
    return Permits(
        slots, calls, each, probe, min(max(again_s, _SOONEST_S), _LATEST_S if others == 0 else 0.1)
    )


def _share(free: float, others: int) -> float:
    """A part of what is free, when others want some as well; at least one, if there is one."""
    return math.ceil(free / (1 + others)) if free < math.inf else free


def _hold(
    allowance: Allowance, now: float, mine: _Member | None, report: Report, permits: Permits
) -> _Member:
    """What a process holds from now on counts as taken."""
    each, calls = permits.each, permits.calls
    parts = {
        "requests": calls,
        "input_tokens": calls * each.input_tokens,
        "output_tokens": calls * each.output_tokens + report.held,
    }
    for kind, window in allowance.windows.items():
        window.hold(parts[kind])
    allowance.pace.took(now, calls)
    was_probing = mine is not None and mine.probing and not report.probed
    still = was_probing and not any(refusal.probe for refusal in report.refusals)
    return _Member(
        now + _LEASE_S, max(report.busy, int(permits.slots)), calls, parts["input_tokens"],
        parts["output_tokens"],
        report.calls > calls or report.busy + report.calls > permits.slots, permits.probe or still,
    )  # fmt: skip
