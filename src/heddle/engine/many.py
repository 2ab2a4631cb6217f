"""Making many objects at once: Python's garbage collector does not look through them meanwhile."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["many_objects"]


MANY = 100_000
"""Objects from which on they are made old."""


@contextmanager
def many_objects() -> Generator[None]:
    """A stretch of code that makes many objects which all stay, and that hardly waits.

    Stretches may overlap: the collector is back, at the latest, when the last of them is over. If
    many were made, they are then old to it, so that it does not look through all of that at once.
    Of few that is not said: it would make whatever else is there old too, and what is old and not
    needed any more is seldom looked for.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            many = gc.get_count()[0] >= MANY
            if many and not gc.get_freeze_count():  # else what somebody has frozen would thaw
                gc.freeze()
                gc.unfreeze()
            gc.enable()
