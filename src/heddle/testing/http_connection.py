"""The server's side of one HTTP/1.1 connection, read and framed by h11 (a part of httpx2)."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

import h11

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Connection"]

MAX_BODY_BYTES: Final = 64 * 1024 * 1024


class Connection:
    """One client's connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def receive(self) -> tuple[h11.Request, bytes] | None:
        """The next request with its body; None when the client has gone."""
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(64 * 1024))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    return None
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, bytes(body)
            else:
                return None

    async def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Send the head of an answer."""
        date = ("Date", format_datetime(datetime.now(UTC), usegmt=True))
        await self._put(h11.Response(status_code=status, headers=[date, *headers]))

    async def send(self, data: bytes) -> None:
        """Send a part of the body, as one chunk."""
        await self._put(h11.Data(data=data))

    async def end(self) -> None:
        """The answer is whole."""
        await self._put(h11.EndOfMessage())

    async def send_json(
        self, status: int, content: Mapping[str, Any], headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Send a whole answer."""
        await self.send_whole(status, "application/json", json.dumps(content).encode(), headers)

    async def send_whole(
        self, status: int, kind: str, data: bytes, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Send a whole answer of a content type."""
        own = [("Content-Type", kind), ("Content-Length", str(len(data)))]
        await self.begin(status, [*own, *headers])
        await self.send(data)
        await self.end()

    def reusable(self) -> bool:
        """Make ready for the next request, if the last answer left the connection whole."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def gone(self) -> None:
        """Wait until the client goes."""
        while await self._reader.read(64 * 1024):
            pass

    def abort(self) -> None:
        """Drop the socket and what is still to be sent."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Send what is still to be sent, and close the socket."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass
        except asyncio.CancelledError:
            self.abort()
            raise

    async def _put(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        if data := self._http.send(event):
            self._writer.write(data)
            await self._writer.drain()
