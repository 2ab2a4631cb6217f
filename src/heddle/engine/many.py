"""Making many objects at once: Python's garbage collector does not look through them meanwhile."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["many_objects"]


@contextmanager
def many_objects() -> Generator[None]:
    """A stretch of code that makes many objects which all stay, and that hardly waits.

    Stretches may overlap: the collector is back, at the latest, when the last of them is over.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
