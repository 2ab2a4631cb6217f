"""A provider that is not there: a real HTTP/1.1 server on loopback, as fast and as bad as asked.

It speaks OpenAI chat completions, streamed or whole, with native tool calls, and `/v1/models`. A
reply comes at a chosen pace, one word piece (about a token) of text or of a call's arguments an
event; what goes wrong with it is a `Fault`.

    async with SimulatedProvider(["1. search()"], time_to_first_token_s=0.2) as provider:
        model = OpenAIModel("any", base_url=provider.base_url)

State: requests seen, replies not yet given, faults not yet struck. Everything stops with the
`async with`: no task and no socket is left.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal, Self, TypeAlias, cast

import h11

from heddle.models.protocol import ToolCall, Usage
from heddle.models.replay import Row, found_in
from heddle.testing.chat_reply import Body, Reply, Turn, pieces_of
from heddle.testing.chat_request import Prompt, PromptCache, four_characters
from heddle.testing.http_connection import Connection
from heddle.testing.limited import ProviderLimits

__all__ = ["Fault", "FaultKind", "Reply", "SimulatedProvider", "pieces_of"]

Wait: TypeAlias = Literal["none", "seconds", "ms", "date"]
FaultKind: TypeAlias = Literal[
    "rate-limited",  # 429, with the wait that the fault asks for
    "status",  # another status, with an error body
    "close",  # the connection ends before a byte of the answer
    "cut",  # ... or in the middle of the reply
    "stall",  # silence in the middle of the reply, until the client goes
    "garbage",  # an event that is not JSON, in the middle
    "error-event",  # an error object, in the middle
    "no-tools",  # a request that offers tools is refused: this model cannot call them
    "wrong-type",  # status 200 and a web page
    "whole",  # a JSON reply though a stream was asked for
    "no-usage",
    "no-done",  # the body ends without [DONE]
    "no-finish",  # ... and without finish_reason either
    "bytes",  # one byte a chunk
    "burst",  # everything in one chunk
    "crlf",
    "comments",
    "multi-line",  # the JSON of an event over several data lines
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one request.

    Attributes:
        after: pieces of the reply that come before it, for those in the middle.
        status: the HTTP status of a "status".
        wait: how a 429 says how long to wait.
        wait_s: how long that is, in seconds.
    """

    kind: FaultKind
    after: int = 3
    status: int = 500
    wait: Wait = "seconds"
    wait_s: float = 1.0


Answer: TypeAlias = Reply | str | Row
Answers: TypeAlias = str | Sequence[Answer] | Callable[[Body], Answer]
Faults: TypeAlias = Sequence[Fault | FaultKind | None] | Mapping[Fault | FaultKind, float]
Choice: TypeAlias = tuple[Fault | FaultKind | None, float]


class SimulatedProvider:
    """An OpenAI-compatible server on loopback, for real sockets and real time.

    Args:
        replies: one text for every request; a list, of which each request takes the first unused
            one (a replay row only where its `contains` is in a message; a row's role and round do
            not travel over HTTP and are not asked for); or a function of the request's JSON.
        time_to_first_token_s: seconds before the first piece.
        tokens_per_second: pieces a second after that.
        faults: one a request, in order, None for none; or chances by fault, drawn by `seed`.
        rate_limit: requests a minute, at most so many at once; more get a real 429. Or
            `ProviderLimits`, which may have tokens as well, change at any time, and tell headers.
        api_key: refuse requests that bring another.
        count: tokens of a text, for the usage: it is given the whole prompt (offered tools,
            messages and their calls: as many characters as `Request.characters`), what of it is
            cached, and the whole reply. With `len` every character is a token, and counts add up.
        cache_block: cached tokens, those of the longest beginning that a prompt has in common with
            an earlier one, are rounded down to a multiple of this; 1 for the exact number.
        models: what `/v1/models` lists.

    Attributes:
        requests: the JSON of every chat request, in order of arrival; refused ones included.
        peak_in_flight: the most requests that were in work at once.
        connections: how many were opened.
    """

    def __init__(
        self,
        replies: Answers = "ok",
        *,
        time_to_first_token_s: float = 0.0,
        tokens_per_second: float = math.inf,
        faults: Faults = (),
        seed: int = 0,
        rate_limit: float | ProviderLimits | None = None,
        api_key: str = "",
        count: Callable[[str], int] = four_characters,
        cache_block: int = 64,
        models: Sequence[str] = ("simulated",),
    ) -> None:
        self.requests: list[Body] = []
        self.in_flight = 0
        self.peak_in_flight = 0
        self.connections = 0
        self._replies = replies if callable(replies) or isinstance(replies, str) else list(replies)
        self._first_s = time_to_first_token_s
        self._rate = tokens_per_second
        self._draw = _drawing(faults, random.Random(seed))
        fixed = isinstance(rate_limit, (int, float))
        self._limits = ProviderLimits(rate_limit) if fixed else rate_limit
        self._api_key = api_key
        self._models = models
        self._count = count
        self._cache = PromptCache(count, cache_block)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def base_url(self) -> str:
        """Where it listens, up to and with "/v1"."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(Connection(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection) -> None:
        """Answer the requests of one connection until it ends."""
        try:
            while (asked := await connection.receive()) is not None:
                self.in_flight += 1
                self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
                try:
                    await self._answer(connection, *asked)
                finally:
                    self.in_flight -= 1
                if not connection.reusable():
                    break
        except (ConnectionError, h11.ProtocolError):
            pass  # the client has gone, or talks nonsense
        except asyncio.CancelledError:
            connection.abort()
            raise
        finally:
            await connection.aclose()

    async def _answer(self, connection: Connection, request: h11.Request, body: bytes) -> None:
        target = request.target.decode().partition("?")[0]
        if target == "/v1/models" and request.method == b"GET":
            listed = [{"id": name, "object": "model"} for name in self._models]
            return await connection.send_json(200, {"object": "list", "data": listed})
        if target != "/v1/chat/completions" or request.method != b"POST":
            return await connection.send_json(404, _error(f"nothing at {target}"))
        try:
            asked = json.loads(body)
            prompt = Prompt.read(asked)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            return await connection.send_json(400, _error(f"cannot read the request: {error!r}"))
        self.requests.append(asked)
        given = dict(request.headers).get(b"authorization", b"").decode()
        if self._api_key and given != f"Bearer {self._api_key}":
            echo = f"Incorrect API key provided: {given.removeprefix('Bearer ')}."
            return await connection.send_json(401, _error(echo))
        said: list[tuple[str, str]] = []
        if self._limits is not None:
            now = asyncio.get_running_loop().time()
            wait_s = self._limits.ask(now, self._count(prompt.text))
            said = [*self._limits.headers(now, wait_s).items()]
            if wait_s:
                return await connection.send_json(429, _error("slow down"), said)
        fault = self._draw()
        if fault is not None and await _refused(connection, fault, asked):
            return None
        await self._reply(connection, asked, prompt, fault, said)

    async def _reply(
        self,
        connection: Connection,
        asked: Body,
        prompt: Prompt,
        fault: Fault | None,
        said: list[tuple[str, str]],
    ) -> None:
        try:
            reply = self._next(asked, prompt)
        except Exception as error:  # the test's own function
            return await connection.send_json(500, _error(f"`replies` raised {error!r}"))
        if reply is None:
            return await connection.send_json(400, _error("the simulated provider has no reply"))
        turn = Turn(str(asked.get("model", "")), reply, self._usage(prompt, reply))
        kind = fault.kind if fault is not None else None
        if not asked.get("stream") or kind == "whole":
            await asyncio.sleep(self._due_s(reply, len(turn.deltas())))
            return await connection.send_json(200, turn.whole(), said)
        await connection.begin(200, [("Content-Type", "text/event-stream"), *said])
        await self._stream(connection, turn, fault, counted=_counted(asked) and kind != "no-usage")

    async def _stream(
        self, connection: Connection, turn: Turn, fault: Fault | None, *, counted: bool
    ) -> None:
        deltas = turn.deltas()
        kind, after = (fault.kind, min(fault.after, len(deltas))) if fault else (None, -1)
        write = _Framing(kind, connection)
        now = asyncio.get_running_loop().time
        began = now()
        for number, delta in enumerate(deltas):
            if number == after and await _broken(connection, write, kind):
                return
            late_s = began + self._due_s(turn.reply, number) - now()
            if late_s > 0:
                await asyncio.sleep(late_s)
            await write.event(turn.event(delta))
        if after == len(deltas) and await _broken(connection, write, kind):
            return
        if kind != "no-finish":
            await write.event(turn.end())
        if counted:
            await write.event(turn.count())
        if kind not in ("no-done", "no-finish"):
            await write.event("[DONE]")
        await write.flush()
        await connection.end()

    def _due_s(self, reply: Reply, number: int) -> float:
        """When a piece is due, in seconds after the request."""
        first_s, rate = reply.time_to_first_token_s, reply.tokens_per_second
        return (self._first_s if first_s is None else first_s) + number / (rate or self._rate)

    def _next(self, asked: Body, prompt: Prompt) -> Reply | None:
        replies = self._replies
        if isinstance(replies, str):
            return Reply(replies)
        if callable(replies):
            return _reply_of(replies(asked))
        for place, answer in enumerate(replies):
            wanted = answer.contains if isinstance(answer, Row) else None
            if wanted is None or found_in(wanted, prompt.messages):
                return _reply_of(replies.pop(place))
        return None

    def _usage(self, prompt: Prompt, reply: Reply) -> Usage:
        cached = self._cache.cached_tokens(prompt)
        return reply.usage or Usage(self._count(prompt.text), cached, self._count(reply.said))


class _Framing:
    """How events become bytes: line ends, comments and chunk sizes, as a fault wants them."""

    def __init__(self, kind: FaultKind | None, connection: Connection) -> None:
        self._kind = kind
        self._connection = connection
        self._held: list[bytes] = []

    async def event(self, content: Body | str) -> None:
        indent = 1 if self._kind == "multi-line" else None
        text = content if isinstance(content, str) else json.dumps(content, indent=indent)
        lines = "".join(f"data: {line}\n" for line in text.split("\n"))
        if self._kind == "comments":
            lines = f": still here\nevent: message\n{lines}"
        await self._send(f"{lines}\n".replace("\n", "\r\n" if self._kind == "crlf" else "\n"))

    async def _send(self, text: str) -> None:
        data = text.encode()
        if self._kind == "burst":
            self._held.append(data)
        elif self._kind == "bytes":
            for byte in data:
                await self._connection.send(bytes((byte,)))
        else:
            await self._connection.send(data)

    async def flush(self) -> None:
        if self._held:
            await self._connection.send(b"".join(self._held))


async def _refused(connection: Connection, fault: Fault, asked: Body) -> bool:
    """Strike with a fault that takes the place of a reply; False if it is another kind."""
    if fault.kind == "rate-limited":
        limited = _error("Rate limit reached", "rate_limit_exceeded")
        await connection.send_json(429, limited, _wait(fault.wait, fault.wait_s))
    elif fault.kind == "status":
        await connection.send_json(fault.status, _error(f"simulated status {fault.status}"))
    elif fault.kind == "no-tools" and asked.get("tools"):
        await connection.send_json(400, _error(f"{asked.get('model')} does not support tools"))
    elif fault.kind == "wrong-type":
        await connection.send_whole(200, "text/html", b"<html>Please log in</html>")
    else:
        return fault.kind == "close"
    return True


async def _broken(connection: Connection, write: _Framing, kind: FaultKind | None) -> bool:
    """Strike in the middle of a reply; True if nothing may follow."""
    if kind == "stall":
        await connection.gone()
    elif kind == "garbage":
        await write.event("{not json")
    elif kind == "error-event":
        await write.event(_error("the model ran out of memory", "server_error"))
    return kind in ("stall", "cut")


def _counted(asked: Body) -> bool:
    """Whether a request wants its usage reported in the stream."""
    options = asked.get("stream_options")
    return isinstance(options, dict) and bool(cast("Body", options).get("include_usage"))


def _drawing(faults: Faults, dice: random.Random) -> Callable[[], Fault | None]:
    """A function that gives the fault of the next request."""
    if isinstance(faults, Mapping):
        choices: list[Choice] = [*faults.items(), (None, max(0.0, 1 - sum(faults.values())))]
        kinds, weights = zip(*choices, strict=True)
        return lambda: _fault_of(dice.choices(kinds, weights)[0])
    left = deque(faults)
    return lambda: _fault_of(left.popleft()) if left else None


def _fault_of(fault: Fault | FaultKind | None) -> Fault | None:
    return Fault(fault) if isinstance(fault, str) else fault


def _reply_of(answer: Answer) -> Reply:
    if isinstance(answer, Row):
        texts = tuple(part for part in answer.chunks if isinstance(part, str))
        calls = tuple(part for part in answer.chunks if isinstance(part, ToolCall))
        return Reply(answer.text, pieces=texts, calls=calls, usage=answer.usage)
    return Reply(answer) if isinstance(answer, str) else answer


def _wait(form: Wait, wait_s: float) -> list[tuple[str, str]]:
    """The header that says how long to wait."""
    if form == "ms":
        return [("retry-after-ms", str(math.ceil(wait_s * 1000)))]
    if form == "seconds":
        return [("Retry-After", f"{wait_s:g}")]
    if form == "date":
        until = datetime.now(UTC) + timedelta(seconds=wait_s)
        return [("Retry-After", format_datetime(until, usegmt=True))]
    return []


def _error(message: str, code: str = "simulated") -> Body:
    return {"error": {"message": message, "type": code, "code": code}}
