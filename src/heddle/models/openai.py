"""OpenAI-compatible chat completions, streamed, straight on httpx2.

One client a model, so that connections stay open between calls; httpx2 is imported at the first
call. Nothing is retried here: one layer retries, and it is not this one.

Source: the OpenAI API reference, "Create chat completion" and "Streaming".
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from heddle.errors import ConfigError, HeddleError
from heddle.models.call_deltas import CallReader
from heddle.models.chat_body import body_of, sent_names
from heddle.models.chat_reply import MAX_ERROR_BYTES, Reply
from heddle.models.http_faults import Voice
from heddle.models.protocol import estimated_usage
from heddle.models.quota import quota
from heddle.models.sse import EventReader, EventTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import httpx2

    from heddle.models.protocol import Request, ToolCall, Usage
    from heddle.models.quota import Quota

__all__ = ["OpenAIModel", "ollama", "openai", "openrouter", "vllm"]

EVENT_STREAM: Final = "text/event-stream"
CONNECT_TIMEOUT_S: Final = 10.0
DRAIN_S: Final = 0.25  # how long a finished reply's connection may take to become free again
PARALLEL: Final = b"parallel_tool_calls"
MAX_BODY_BYTES: Final = 8 * 1024 * 1024


class OpenAIModel:
    """A model behind an OpenAI-compatible server.

    Args:
        name: the server's name for the model.
        provider: whose slots and prices hold.
        base_url: up to and without "/chat/completions".
        api_key: sent as a bearer token; "" for none. It shows in no text of ours.
        key_variable: where a person would look for the key, for hints.
        stall_timeout_s: seconds that a stream may be silent; a backstop, whoever asks has a
            bound of its own (`Limits.stall_timeout_s`).

    Attributes:
        quota: what the server said last of its limits; None if it said nothing.

    Raises:
        ConfigError: `bad-base-url` or `bad-key`, for what cannot be sent at all.
    """

    def __init__(
        self,
        name: str,
        *,
        provider: str = "openai",
        base_url: str = "https://api.openai.com/v1",
        api_key: str = "",
        key_variable: str = "OPENAI_API_KEY",
        stall_timeout_s: float = 600.0,
    ) -> None:
        self.name = name
        self.provider = provider
        self.quota: Quota | None = None
        self._url = f"{base_url.strip().rstrip('/')}/chat/completions"
        self._key = _sendable(api_key.strip(), key_variable)
        self._stall_s = stall_timeout_s
        self._voice = Voice(provider, name, _shown(base_url.strip()), key_variable, self._key)
        self._say_parallel = True
        self._open: tuple[asyncio.AbstractEventLoop, httpx2.AsyncClient] | None = None

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, provider={self.provider!r}, at {self._voice.address})"

    async def stream(self, request: Request) -> AsyncGenerator[str | ToolCall | Usage]:
        """The reply's text as it arrives, each call as it is complete, then one `Usage`.

        A reply that ends because it is too long (`finish_reason: length`) ends like any other.

        Raises:
            ModelError: see `heddle.models.http_faults`.
        """
        import httpx2

        names = sent_names(request.tools)
        own = {sent: name for name, sent in names.items()}
        earlier = sum(len(message.calls) for message in request.messages)
        reply = Reply(self._voice, CallReader(own, earlier))
        try:
            async with aclosing(self._answer(request, names)) as answers:
                response = await anext(answers)
                async with aclosing(_pieces(response, reply)) as pieces:
                    async for piece in pieces:
                        yield piece
        except (httpx2.RequestError, httpx2.InvalidURL, UnicodeError) as error:
            if not reply.finished:  # what fails after the model's last word is no loss
                raise self._fault(error, reply) from None
        for call in reply.rest():
            yield call
        reply.check()
        yield reply.usage or estimated_usage(request, reply.characters)

    async def _answer(
        self, request: Request, names: Mapping[str, str]
    ) -> AsyncGenerator[httpx2.Response]:
        """The open answer with status 200; closed with the generator.

        A model that does not know `parallel_tool_calls` (OpenAI's o3 and o4-mini) is asked again
        without it, now and from now on: they may call in parallel by default.

        Raises:
            ModelError: the answer is no reply.
        """
        while True:
            said_parallel = self._say_parallel and bool(request.tools)
            body = body_of(request, self.name, names, say_parallel=said_parallel)
            async with self._client().stream("POST", self._url, content=body) as response:
                self.quota = quota(response.headers)
                if response.status_code == 200:
                    yield response
                    return
                words = await _beginning(response, MAX_ERROR_BYTES)
            if not (said_parallel and response.status_code == 400 and PARALLEL in words):
                raise self._voice.answered(
                    response.status_code, response.headers, words, tools=bool(request.tools)
                )
            self._say_parallel = False

    async def aclose(self) -> None:
        """Close the connections; a later `stream` opens new ones."""
        opened, self._open = self._open, None
        if opened is not None and opened[0] is asyncio.get_running_loop():
            await opened[1].aclose()

    def _fault(self, error: Exception, reply: Reply) -> HeddleError:
        import httpx2

        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
            return self._voice.unreachable(error)
        if isinstance(error, httpx2.TimeoutException):
            return self._voice.stalled(self._stall_s)
        if isinstance(error, httpx2.TransportError):
            return self._voice.cut(reply.progress)
        if isinstance(error, httpx2.RequestError):
            return self._voice.garbage(f"unreadable content: {self._voice.said(str(error))}")
        return _bad_address(self._voice.address, self._voice.said(str(error)))

    def _client(self) -> httpx2.AsyncClient:
        """The client of the running event loop; connections of another loop are of no use."""
        loop = asyncio.get_running_loop()
        if self._open is None or self._open[0] is not loop:
            self._open = (loop, self._connect())
        return self._open[1]

    def _connect(self) -> httpx2.AsyncClient:
        import httpx2

        headers = {"content-type": "application/json", "accept": EVENT_STREAM}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        try:
            return httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(self._stall_s, connect=CONNECT_TIMEOUT_S, pool=None),
                # how many calls are in flight is the slots' business, not the client's
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            )
        except (ValueError, ImportError, httpx2.InvalidURL) as error:
            raise ConfigError(
                f"the HTTP client cannot be set up: {self._voice.said(str(error))}",
                code="bad-proxy",
                hint="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
            ) from None


async def _pieces(response: httpx2.Response, reply: Reply) -> AsyncGenerator[str | ToolCall]:
    """Text and calls of an answer with status 200, as they come; faults are noted in the reply."""
    kind = response.headers.get("content-type", EVENT_STREAM).partition(";")[0].strip().lower()
    if kind == "application/json":  # the whole reply, though a stream was asked for
        for piece in reply.take([await _beginning(response, MAX_BODY_BYTES), b"[DONE]"]):
            yield piece
        return
    if kind != EVENT_STREAM:
        reply.garbage(f"the answer is {kind}, not an event stream")
        return
    reader = EventReader()
    async with aclosing(response.aiter_bytes()) as chunks:
        try:
            async for chunk in chunks:
                for piece in reply.take(reader.feed(chunk)):
                    yield piece
                if reply.done or reply.fault:
                    break
            else:
                for piece in _last(reader, reply):
                    yield piece
        except EventTooLarge as error:
            reply.garbage(str(error))
        if reply.done:
            await _drain(chunks)


def _last(reader: EventReader, reply: Reply) -> list[str | ToolCall]:
    """What is in an event that the end of the stream left open; one that is broken was cut."""
    pieces = reply.take(reader.close())
    if not reply.finished:
        reply.fault = None
    return pieces


async def _drain(chunks: AsyncGenerator[bytes]) -> None:
    """Read to the end of a finished reply, if it is near: then the connection can be used again."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in chunks:
                pass


async def _beginning(response: httpx2.Response, max_bytes: int) -> bytes:
    """A body, or as much of it as comes and is allowed."""
    import httpx2

    body = bytearray()
    with suppress(httpx2.TransportError):
        async with aclosing(response.aiter_bytes()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= max_bytes:
                    break
    return bytes(body[:max_bytes])


def _sendable(key: str, variable: str) -> str:
    """A key, if it can stand in an HTTP header.

    Raises:
        ConfigError: it cannot; the key is not shown.
    """
    if key.isascii() and key.isprintable():
        return key
    raise ConfigError(
        "the API key holds characters that no key has",
        code="bad-key",
        hint=f"set {variable} again, without line breaks or curly quotes",
    )


def _shown(base_url: str) -> str:
    """An address without user, password and query, as error messages may show it.

    Raises:
        ConfigError: it is no HTTP address.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_address("", str(error)) from None
    if parts.scheme not in ("http", "https") or not host:
        raise _bad_address("", "it does not begin with http:// or https:// and a host")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


def _bad_address(shown: str, reason: str) -> ConfigError:
    return ConfigError(
        f"the server's address{shown and f' {shown}'} cannot be used: {reason}",
        code="bad-base-url",
        hint="write it as in https://api.openai.com/v1",
    )


@dataclass(frozen=True, slots=True)
class Server:
    """Where a provider's server is, and what it asks for.

    Attributes:
        base_url: its usual address.
        key_needed: whether the server at the usual address wants a key; another one may not.

    The variables that say otherwise are NAME_BASE_URL and NAME_API_KEY.
    """

    provider: str
    base_url: str
    key_needed: bool = False

    def __call__(self, model: str, environment: Mapping[str, str]) -> OpenAIModel:
        """A model of this server.

        Raises:
            ConfigError: `no-key`, `bad-key` or `bad-base-url`.
        """
        prefix = self.provider.upper()
        key_variable, url_variable = f"{prefix}_API_KEY", f"{prefix}_BASE_URL"
        key = environment.get(key_variable, "").strip()
        base_url = environment.get(url_variable, "").strip()
        if self.key_needed and not key and not base_url:
            raise ConfigError(
                f"no API key for {self.provider}:{model}",
                code="no-key",
                hint=f"set {key_variable}, or {url_variable} for a local server that needs none",
            )
        return OpenAIModel(
            model,
            provider=self.provider,
            base_url=base_url or self.base_url,
            api_key=key,
            key_variable=key_variable,
        )


openai = Server("openai", "https://api.openai.com/v1", key_needed=True)
openrouter = Server("openrouter", "https://openrouter.ai/api/v1", key_needed=True)
ollama = Server("ollama", "http://localhost:11434/v1")
vllm = Server("vllm", "http://localhost:8000/v1")
