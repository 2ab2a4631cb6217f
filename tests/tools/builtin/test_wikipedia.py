"""The Wikipedia tool, against a wiki on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from heddle.errors import ToolFailed
from heddle.tools.builtin.wikipedia import Article, search

if TYPE_CHECKING:
    from collections.abc import Iterator


class Wiki(ThreadingHTTPServer):
    """Says what it is told to, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.status, self.body = 200, b"{}"
        self.asked: list[dict[str, list[str]]] = []
        self.agents: list[str] = []

    def says(self, value: Any, status: int = 200) -> None:
        self.status = status
        self.body = value if isinstance(value, bytes) else json.dumps(value).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/w/api.php"


class _Answering(BaseHTTPRequestHandler):
    server: Wiki

    def do_GET(self) -> None:
        self.server.asked.append(parse_qs(urlsplit(self.path).query))
        self.server.agents.append(self.headers["User-Agent"])
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def wiki(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiki]:
    server = Wiki()
    monkeypatch.setenv("HEDDLE_WIKIPEDIA_URL", server.url)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def found(query: str) -> Article:
    return asyncio.run(search.__wrapped__(query))


def refused(query: str) -> ToolFailed:
    with pytest.raises(ToolFailed) as caught:
        found(query)
    return caught.value


EVEREST = {"query": {"pages": [{"title": "Mount Everest", "extract": " It is 8,849 m high.\n"}]}}


def test_the_first_articles_title_and_introduction(wiki: Wiki) -> None:
    wiki.says(EVEREST)
    assert found(" Mount Everest & co ") == Article("Mount Everest", "It is 8,849 m high.")
    (asked,) = wiki.asked
    assert asked["gsrsearch"] == ["Mount Everest & co"]
    assert asked["explaintext"] == ["1"]
    assert "heddle" in wiki.agents[0]


def test_words_cannot_become_other_parameters(wiki: Wiki) -> None:
    wiki.says(EVEREST)
    found("x&action=delete#?")
    assert wiki.asked[0]["action"] == ["query"]
    assert wiki.asked[0]["gsrsearch"] == ["x&action=delete#?"]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"batchcomplete": True},
        [],
        None,
        {"query": {"pages": []}},
        {"query": {"pages": [{"title": "Empty", "extract": " "}, "odd", {"title": 3}]}},
    ],
)
def test_nothing_found_is_said_as_such(wiki: Wiki, answer: Any) -> None:
    wiki.says(answer)
    assert refused("zzz").code == "not-found"


def test_no_words_ask_nobody(wiki: Wiki) -> None:
    assert refused("  ").code == "bad-query"
    assert wiki.asked == []


def test_what_goes_wrong_at_the_wiki_is_the_steps_error(wiki: Wiki) -> None:
    wiki.says({"error": {"code": "x", "info": "too many words"}})
    assert "too many words" in refused("x").message
    wiki.says(b"<html>")
    assert refused("x").code == "bad-answer"
    wiki.says({}, status=503)
    assert "503" in refused("x").message
    wiki.says({}, status=429)
    assert refused("x").code == "rate-limited"


def test_a_wiki_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDDLE_WIKIPEDIA_URL", "http://127.0.0.1:9/")
    assert refused("x").code == "unreachable"
