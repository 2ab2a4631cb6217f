"""What every store refuses, and in what words."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from heddle.engine.journal.owners import spoken
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.engine.journal.store import Frame, RunRow

__all__ = ["exists", "gap", "leased", "lost", "require_chain", "unknown"]


def exists(run: str, place: object) -> JournalError:
    """A run with that id is there."""
    return JournalError(
        f"there is a run {run!r} in {place} already",
        code="run-exists",
        hint="resume that one, or begin one with another id",
    )


def unknown(run: str, place: object) -> JournalError:
    """No such run is there."""
    return JournalError(
        f"there is no run {run!r} in {place}",
        code="run-unknown",
        hint="`heddle runs` lists them; --journal says where to look",
    )


def leased(row: RunRow, ends: str) -> JournalError:
    """Another process holds the run's lease; `ends` says when it ends."""
    return JournalError(
        f"run {row.run} is in the hands of another process: {spoken(row.owner)}",
        code="run-leased",
        hint=f"stop that one, or wait: {ends}",
    )


def lost(row: RunRow) -> JournalError:
    """A lease is not held any more."""
    by = f"{spoken(row.owner)} has taken it over" if row.owner else "it was given back"
    return JournalError(
        f"run {row.run} is not ours any more: {by}",
        code="lease-lost",
        hint="this process was too slow, or was thought dead; the other one goes on",
    )


def gap(row: RunRow) -> JournalError:
    """Frames do not follow the run's head."""
    end = "has no frames" if row.head is None else f"ends at frame {row.head.number}"
    return JournalError(
        f"run {row.run} {end}, and what should be added does not follow that",
        code="journal-gap",
        hint="something else has written to it, or durable frames were lost",
    )


def require_chain(frames: Sequence[Frame]) -> None:
    """Refuse frames that do not follow each other.

    Raises:
        JournalError: `journal-gap`.
    """
    for before, frame in pairwise(frames):
        if frame.number != before.number + 1 or frame.prev != before.hash:
            raise JournalError(
                f"frame {frame.number} does not follow frame {before.number}", code="journal-gap"
            )
