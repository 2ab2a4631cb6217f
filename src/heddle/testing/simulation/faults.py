"""Faults: what can go wrong at a point of a run, and whether it does there in this seed.

A kind of fault is active in a quarter of the seeds, and then fires at some of its points: in one
seed few kinds of things go wrong, and those often enough to meet each other.

>>> faults, again = (Faults(3, kinds={"tool-error"}, active=1.0) for _ in range(2))
>>> all(faults.fires("tool-error") == again.fires("tool-error") for _ in range(99))
True
>>> faults.fires("disk-full")
False

Source: FoundationDB's "buggify" (Zhou et al., SIGMOD 2021, §4).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["DEATHS", "KINDS", "CrashAt", "Faults", "NoFaults"]

TOOL_KINDS: Final = (
    "tool-error", "tool-refusal", "tool-hang", "tool-slow", "tool-deaf", "tool-huge",
    "tool-base-exception", "tool-exit", "tool-cancelled", "throttled", "throttled-until",
    "lost-before", "lost-after", "not-sent",
)  # fmt: skip
"""What a tool or its provider does: raises, does not answer, answers late, much, or not at all.

`lost-before` and `lost-after` are connections that break before and after the effect; `not-sent` is
a tool that knows that nothing has happened; `tool-deaf` one that does not stop when it is told.
"""

DISK_KINDS: Final = ("disk-slow", "disk-full", "disk-locked", "disk-error", "clock-jump")
"""What the store does; after `disk-error` it takes nothing more in this life of the program."""

DEATHS: Final = (
    "kill-before-append", "kill-after-append", "kill-before-call", "kill-after-call",
    "kill-any-time", "power-cut", "kill-in-reply",
)  # fmt: skip
"""How a life of the program ends. `power-cut` says of a death that un-synced frames are lost."""

_PLAN_KINDS: Final = (*TOOL_KINDS, *DISK_KINDS, *DEATHS[:-1], "cancel", "takeover")

_MODEL_KINDS: Final = ("model-refusal", "model-cut", "kill-in-reply")
"""What a model's provider does: refuses, or breaks off; and a death while it speaks."""

KINDS: Final = (*_PLAN_KINDS, *_MODEL_KINDS)
"""All of them. `takeover` is another process that goes on with a run whose own is still alive."""

_ONCE = frozenset(
    ("disk-full", "disk-locked", "disk-error", "cancel", "kill-any-time", "takeover", "tool-huge")
)
"""Kinds that fire once in a seed; a huge value comes up again in all that is made of it."""


class NoFaults:
    """Nothing goes wrong."""

    def fires(self, kind: str) -> bool:
        """Whether this fault happens here and now: never."""
        return False


class Faults(NoFaults):
    """Which faults happen in a seed.

    Args:
        seed: decides.
        kinds: what may go wrong.
        active: the share of seeds in which a kind is active, from 0 to 1.
        deaths: lives of the program that may end early.
        quiet: faults that do not happen, as (kind, number of the point): a smaller schedule.

    Attributes:
        fired: what has happened, in order, as (kind, number of the point).
    """

    def __init__(
        self,
        seed: int,
        *,
        kinds: Collection[str] = KINDS,
        active: float = 0.25,
        deaths: int = 3,
        quiet: Collection[tuple[str, int]] = (),
    ) -> None:
        random = Random(seed ^ 0x5EED)
        chosen = [kind for kind in _PLAN_KINDS if random.random() < active]
        share = random.choice((0.03, 0.1, 0.25))
        chosen += [kind for kind in _MODEL_KINDS if random.random() < active]
        self._shares = dict.fromkeys((kind for kind in chosen if kind in kinds), share)
        self._draws = {kind: Random(seed ^ crc32(kind.encode())) for kind in self._shares}
        self._points = dict.fromkeys(self._shares, 0)
        self._deaths = deaths
        self._quiet = frozenset(quiet)
        self.fired: list[tuple[str, int]] = []

    def fires(self, kind: str) -> bool:
        """Whether this fault happens here and now. Cost: O(1)."""
        share = self._shares.get(kind)
        if share is None:
            return False
        self._points[kind] += 1
        point = kind, self._points[kind]
        if self._draws[kind].random() >= share or point in self._quiet:
            return False
        if kind in DEATHS and kind != "power-cut":
            if not self._deaths:
                return False
            self._deaths -= 1
        if kind in _ONCE:
            del self._shares[kind]
        self.fired.append(point)
        return True


class CrashAt(NoFaults):
    """The program dies at given points of its lives, and nothing else goes wrong.

    Args:
        points: for each life of the program, the number of the point at which it ends.
        power: whether un-synced frames are lost then.

    Attributes:
        seen: how many points each life so far has had.
    """

    def __init__(self, points: Collection[int], *, power: bool = False) -> None:
        self._points = list(points)
        self._power = power
        self.seen: list[int] = [0]
        self.fired: list[tuple[str, int]] = []

    def fires(self, kind: str) -> bool:
        """Whether the program dies here."""
        if kind == "power-cut":
            return self._power
        if not kind.startswith("kill-") or kind == "kill-any-time":
            return False
        life = len(self.seen) - 1
        self.seen[life] += 1
        if life >= len(self._points) or self.seen[life] != self._points[life]:
            return False
        self.seen.append(0)
        self.fired.append((kind, self._points[life]))
        return True
