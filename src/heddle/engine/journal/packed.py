"""Packed frames: the events of a long run, as bytes until somebody looks at them.

A frame takes a sixth of the memory of the entries that it stands for, and a run that is over is
mostly looked at for its result.

>>> from heddle.engine.journal.frames import encode
>>> body, large = encode([(0, 1.5, "1"), (3, 2.0, "1", "done", "")])
>>> packed = Packed(0, 2, body, large)
>>> len(packed), packed.entries()[1]
(2, (3, 2.0, '1', 'done', ''))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.engine.journal.frames import damaged, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.engine.events import Entry

__all__ = ["Packed"]


class Packed:
    """The body of a frame whose hash was verified; a `Stretch` of a record.

    Args:
        number: the frame's.
        events: how many events it holds.
        body: its body.
        large: the values that it names, by hash.
    """

    __slots__ = ("_body", "_events", "_large", "_number")

    def __init__(self, number: int, events: int, body: bytes, large: Mapping[str, bytes]) -> None:
        self._number, self._events = number, events
        self._body, self._large = body, large

    def __len__(self) -> int:
        return self._events

    def entries(self) -> list[Entry]:
        """The events.

        Raises:
            JournalError: `journal-damaged`, `journal-newer`: it is not what this version reads.
        """
        entries = decode(self._body, self._large)
        if len(entries) != self._events:
            raise damaged(f"frame {self._number} does not hold {self._events} events")
        return entries
