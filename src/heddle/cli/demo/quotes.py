"""Quotes: an HTTP service on loopback over SQLite, slow on purpose, and the tool that asks it.

The prices are invented and always the same, so that what is recorded stays true.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from heddle.cli.demo.recordings import data_text
from heddle.errors import ToolFailed
from heddle.tools.function import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Generator

    import httpx2

__all__ = ["PROVIDER", "price_tool", "quote_service", "seeded_prices"]

PROVIDER = "quotes"
"""The name whose slots a call of `price` uses."""


def seeded_prices() -> dict[str, float]:
    """The invented prices in USD, by ticker."""
    rows = csv.DictReader(io.StringIO(data_text("quotes.csv")))
    return {row["ticker"]: float(row["price"]) for row in rows}


@contextmanager
def quote_service(call_s: float) -> Generator[str]:
    """Serve `/quote?ticker=AAPL` while the context lasts; gives the service's address.

    Args:
        call_s: seconds until a call is answered, however many come at once.
    """
    with TemporaryDirectory(prefix="heddle-demo-") as folder:
        path = Path(folder) / "quotes.db"
        _seed(path)
        server = _Service(path, call_s)
        thread = Thread(target=server.serve_forever, args=(0.02,), name="quotes", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.stopping.set()
            server.shutdown()
            server.server_close()
            thread.join()


def price_tool(address: str, client: httpx2.AsyncClient) -> Tool:
    """The tool `price(ticker) -> float`, over a quote service at that address."""

    @tool(effect="read", provider=PROVIDER)
    async def price(ticker: str) -> float:
        """Latest price of a share, in USD.

        Args:
            ticker: the share's symbol, as in "AAPL".
        """
        response = await client.get(f"{address}/quote", params={"ticker": ticker})
        if response.status_code != 200:
            raise ToolFailed(response.json()["error"], code="no-quote")
        return response.json()["price"]

    return price


def _seed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE quotes (ticker TEXT PRIMARY KEY, price REAL NOT NULL)")
        connection.executemany("INSERT INTO quotes VALUES (?, ?)", seeded_prices().items())


class _Service(ThreadingHTTPServer):
    """One thread a connection; the queue is longer than the demo has calls in flight."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, call_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.path = path
        self.call_s = call_s
        self.stopping = Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers may hang up in the midst of a call: Ctrl-C does."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open between calls
    disable_nagle_algorithm = True
    server: _Service  # type: ignore[reportIncompatibleVariableOverride]  # it is made by this one only

    def do_GET(self) -> None:  # the name that http.server looks for
        url = urlsplit(self.path)
        if url.path != "/quote":
            self._send(404, {"error": f"there is no {url.path}; ask /quote?ticker=AAPL"})
            return
        ticker = parse_qs(url.query).get("ticker", [""])[-1]
        price = self._price(ticker)
        self.server.stopping.wait(self.server.call_s)
        if price is None:
            self._send(404, {"error": f"no quote for {ticker!r:.40}"})
        else:
            self._send(200, {"ticker": ticker, "price": price})

    def _price(self, ticker: str) -> float | None:
        uri = f"{self.server.path.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            row = connection.execute(
                "SELECT price FROM quotes WHERE ticker = ?", (ticker,)
            ).fetchone()
        return row[0] if row else None

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the screen belongs to the demo."""
