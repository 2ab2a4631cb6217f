"""Frames that are decoded once: each life of a program reads the journal of those before it.

The same bytes stand for the same events, so a simulation need not make them out again in each life.
Chain and hashes are looked at each time, and a frame of other bytes is another one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from heddle.engine.journal import reading

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from heddle.engine.events import Entry

__all__ = ["decoding_once"]


@contextmanager
def decoding_once() -> Generator[None]:
    """Keep the events of each frame that is read, until the block is left."""
    real = reading.decode
    known: dict[tuple[bytes, frozenset[str]], list[Entry]] = {}

    def decode(body: bytes, large: Mapping[str, bytes], *, strict: bool = False) -> list[Entry]:
        if strict:
            return real(body, large, strict=True)
        key = body, frozenset(large)  # a value that is kept out of band is named by its hash
        found = known.get(key)
        if found is None:
            found = known[key] = real(body, large)
        return list(found)

    reading.decode = decode
    try:
        yield
    finally:
        reading.decode = real
