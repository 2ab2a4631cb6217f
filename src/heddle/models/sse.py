r"""Server-sent events: the data of each event, from bytes that arrive in pieces of any size.

State is the unfinished line and the data lines of the unfinished event; both are bounded. Fields
other than `data` are ignored, comments too. Lines end in \n, \r or \r\n, mixed at will.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".

>>> reader = EventReader()
>>> reader.feed(b'data: {"a"')
[]
>>> reader.feed(b': 1}\r\n\r\ndata:[DONE]\n\n')
[b'{"a": 1}', b'[DONE]']
"""

from __future__ import annotations

__all__ = ["EventReader", "EventTooLarge"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event, or one line, is larger than the reader's bound."""


class EventReader:
    """One reading of one stream. The same events come out however the bytes are cut.

    Args:
        max_bytes: the most that one line, or the data of one event, may hold.

    Cost: linear over all calls, one byte or a megabyte at a time.
    """

    __slots__ = ("_after_return", "_data", "_data_size", "_max", "_rest", "_rest_size", "_started")

    def __init__(self, max_bytes: int = 8 * 1024 * 1024) -> None:
        self._max = max_bytes
        self._rest: list[bytes] = []  # the unfinished line, joined once, at its end
        self._rest_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._after_return = False  # a \n that comes next belongs to the \r before it
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; give back the data of the events that they complete.

        Raises:
            EventTooLarge: a line or an event is over the bound.
        """
        if self._after_return and chunk:
            self._after_return = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        lines = chunk.splitlines()  # of bytes: at \n, \r and \r\n, and nowhere else
        last = chunk[-1]
        rest = b"" if last == 10 or last == 13 else lines.pop()
        self._after_return = last == 13
        events: list[bytes] = []
        if lines:
            if self._rest or not self._started:
                lines[0] = self._finish(lines[0])
            self._read(lines, events)
        if rest:
            self._hold(rest)
        return events

    def close(self) -> list[bytes]:
        """The stream has ended; give back the event that no empty line closed, if there is one.

        Raises:
            EventTooLarge: that event is over the bound.
        """
        events: list[bytes] = []
        self._read([self._finish(b""), b""], events)
        return events

    def _hold(self, rest: bytes) -> None:
        self._rest.append(rest)
        self._rest_size += len(rest)
        if self._rest_size > self._max:
            raise self._too_large()

    def _finish(self, end: bytes) -> bytes:
        """The whole line that `end` is the end of."""
        line = b"".join((*self._rest, end))
        self._rest.clear()
        self._rest_size = 0
        if not self._started:
            self._started = True
            line = line.removeprefix(BYTE_ORDER_MARK)
        return line

    def _read(self, lines: list[bytes], events: list[bytes]) -> None:
        data = self._data
        for line in lines:
            if not line:
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
                    self._data_size = 0
            elif len(line) > self._max:
                raise self._too_large()
            else:
                if line[:5] == b"data:":
                    data.append(line[6:] if line[5:6] == b" " else line[5:])
                elif line == b"data":
                    data.append(b"")
                else:
                    continue
                self._data_size += len(line)
                if self._data_size > self._max:
                    raise self._too_large()

    def _too_large(self) -> EventTooLarge:
        return EventTooLarge(f"an event is larger than {self._max} bytes")
