"""Planted bugs: mistakes that engines are prone to, put into the real code for a while.

A simulator that finds nothing proves little until it is seen to find something. Each of these is a
patch of one function; nothing in the engine knows of them. `hunt` says in which seed one is found.

>>> with planted("a write is tried again"):
...     pass
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from heddle.engine import attempts, resuming, scheduler, slots
from heddle.engine.beginnings import Beginnings
from heddle.engine.budget import Account
from heddle.engine.doubts import Doubts
from heddle.engine.events import RunFinished
from heddle.engine.journal.frames import Chain
from heddle.engine.journal.writer import Journal
from heddle.engine.log import EventLog
from heddle.engine.maps import Maps
from heddle.engine.retrying import Retrying
from heddle.engine.workshop import Workshop
from heddle.errors import JournalError
from heddle.testing.simulation.run import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from heddle.testing.simulation.run import Outcome

__all__ = ["PLANTED", "hunt", "planted"]

Patch = tuple[Any, str, "Callable[[Any], Any]"]
"""Whose attribute, its name, and what to put in its place, given what is there."""


def _not_durable(real: Any) -> Any:
    async def durable(self: EventLog, seq: int) -> None:
        pass

    return durable


def _fencing_ignored(real: Any) -> Any:
    async def durable(self: Journal, seq: int) -> None:
        try:
            await real(self, seq)
        except JournalError as error:
            if error.code != "lease-lost":
                raise

    return durable


def _loss_ignored(real: Any) -> Any:
    def lose(self: Workshop, error: Any) -> None:
        if error.code != "lease-lost":
            real(self, error)

    return lose


def _wrong_element(real: Any) -> Any:
    def succeeded(self: Maps, element: Any, value: Any, started: float) -> None:
        before = element.map.values[element.element - 1] if element.element else None
        real(self, element, value if before is None else before, started)

    return succeeded


def _always_repeatable(real: Any) -> Any:
    def repeatable(self: Any, node: Any, fault: Any) -> bool:
        return True

    return repeatable


def _no_doubt(real: Any) -> Any:
    def take(self: Any, node: Any) -> bool:
        self._past.doubtful.pop((node.id, node.element), None)
        return real(self, node)

    return take


def _fewer_edges(real: Any) -> Any:
    def edges(step: Any) -> Any:
        strict, tolerant = real(step)
        for id in step.after:
            strict.pop(id, None)
        return strict, tolerant

    return edges


def _released_twice(real: Any) -> Any:
    def release(self: Any, outcome: Any = None) -> None:
        gate = self._gate
        real(self, outcome)
        if gate is not None:
            self._gate = gate
            real(self, outcome)

    return release


def _another_key(real: Any) -> Any:
    numbers = count()

    def hash_of(value: Any) -> str:
        return real([*value, next(numbers)] if isinstance(value, list) else value)

    return hash_of


def _inferred(real: Any) -> Any:
    async def remember(store: Any, run_id: str) -> Any:
        past, head = await real(store, run_id)
        if not any(step.status in ("ready", "running") for step in past.state.steps.values()):
            past.state.finished = RunFinished(past.last_s, "succeeded", None, "", "")
        return past, head

    return remember


def _anything_follows(real: Any) -> Any:
    def fault(self: Any, frame: Any) -> str:
        behind = self._head is not None and self.number >= self._head.number
        return "" if behind else real(self, frame)

    return fault


def _nobody_told(real: Any) -> Any:
    def tell_followers(self: Any, leader: Any) -> None:
        pass

    return tell_followers


def _always_room(real: Any) -> Any:
    def verdict(self: Account, amounts: Any, *, joining: bool = False) -> str:
        return "now"

    return verdict


PLANTED: Final[dict[str, tuple[Patch, ...]]] = {
    "an effect does not wait for its intent": ((EventLog, "durable", _not_durable),),
    "a process goes on that has lost its lease": (
        (Journal, "durable", _fencing_ignored),
        (Workshop, "lose", _loss_ignored),
    ),
    "a result is recorded for another element": ((Maps, "succeeded", _wrong_element),),
    "a write is tried again": ((Retrying, "_repeatable", _always_repeatable),),
    "a write in doubt counts as not done": ((Doubts, "take", _no_doubt),),
    "a step starts before its input": ((scheduler, "edges", _fewer_edges),),
    "a slot is given back twice": ((slots._GateLease, "release", _released_twice),),  # pyright: ignore[reportPrivateUsage]
    "each attempt has a key of its own": ((attempts, "hash_of", _another_key),),
    "a run in which nothing is under way counts as finished": ((resuming, "remember", _inferred),),
    "what lies behind the head counts": ((Chain, "_fault", _anything_follows),),
    "those who share a call are not told": ((Beginnings, "tell_followers", _nobody_told),),
    "there is always room in the budget": ((Account, "verdict", _always_room),),
}
"""The bugs by what they do."""


@contextmanager
def planted(name: str) -> Generator[None]:
    """A bug is in the engine until the block is left.

    Raises:
        KeyError: there is none of that name.
    """
    patches = PLANTED[name]
    real = [getattr(owner, attribute) for owner, attribute, _ in patches]
    for (owner, attribute, patch), before in zip(patches, real, strict=True):
        setattr(owner, attribute, patch(before))
    try:
        yield
    finally:
        for (owner, attribute, _), before in zip(patches, real, strict=True):
            setattr(owner, attribute, before)


def hunt(name: str, most: int = 10_000, first: int = 0, **changed: Any) -> Outcome | None:
    """The first seed that finds a planted bug; None if so many do not.

    Args:
        name: the bug's.
        most: seeds that are tried.
        first: where to begin.
        changed: see `simulate`.
    """
    with planted(name):
        for seed in range(first, first + most):
            outcome = simulate(seed, **changed)
            if outcome.violations:
                return outcome
    return None
