"""OpenAI-compatible chat completions, streamed, straight on httpx2.

One client a model, so that connections stay open between calls; httpx2 is imported at the first
call. Nothing is retried here: one layer retries, and it is not this one.

Source: the OpenAI API reference, "Create chat completion" and "Streaming".
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from heddle.errors import ConfigError, HeddleError, ModelError
from heddle.models.http_faults import Foreign, Voice
from heddle.models.protocol import Usage, estimated_usage
from heddle.models.sse import EventReader, EventTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import httpx2

    from heddle.models.protocol import Request

__all__ = ["OpenAIModel", "ollama", "openai", "openrouter", "vllm"]

EVENT_STREAM: Final = "text/event-stream"
CONNECT_TIMEOUT_S: Final = 10.0
DRAIN_S: Final = 0.25  # how long a finished reply's connection may take to become free again
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024


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
        self._url = f"{base_url.strip().rstrip('/')}/chat/completions"
        self._key = _sendable(api_key.strip(), key_variable)
        self._stall_s = stall_timeout_s
        self._voice = Voice(provider, name, _shown(base_url.strip()), key_variable, self._key)
        self._open: tuple[asyncio.AbstractEventLoop, httpx2.AsyncClient] | None = None

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, provider={self.provider!r}, at {self._voice.address})"

    async def stream(self, request: Request) -> AsyncGenerator[str | Usage]:
        """The reply's text as it arrives, then one `Usage`.

        A reply that ends because it is too long (`finish_reason: length`) ends like any other.

        Raises:
            ModelError: see `heddle.models.http_faults`.
        """
        import httpx2

        reply = _Reply(self._voice)
        try:
            async with self._client().stream(
                "POST", self._url, content=self._body(request)
            ) as response:
                if response.status_code != 200:
                    body = await _beginning(response, MAX_ERROR_BYTES)
                    raise self._voice.answered(response.status_code, response.headers, body)
                async with aclosing(_texts(response, reply)) as texts:
                    async for text in texts:
                        yield text
        except (httpx2.RequestError, httpx2.InvalidURL, UnicodeError) as error:
            if not reply.finished:  # what fails after the model's last word is no loss
                raise self._fault(error, reply) from None
        reply.check()
        yield reply.usage or estimated_usage(request, reply.characters)

    async def aclose(self) -> None:
        """Close the connections; a later `stream` opens new ones."""
        opened, self._open = self._open, None
        if opened is not None and opened[0] is asyncio.get_running_loop():
            await opened[1].aclose()

    def _fault(self, error: Exception, reply: _Reply) -> HeddleError:
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

    def _body(self, request: Request) -> bytes:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": turn.role, "content": turn.content} for turn in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": request.schema},
            }
        if request.max_output_tokens is not None:
            body["max_completion_tokens"] = request.max_output_tokens
        if request.stop:
            body["stop"] = list(request.stop)
        # lone surrogates, which UTF-8 cannot hold, travel as escapes
        return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()


class _Reply:
    """What has arrived of one reply."""

    __slots__ = ("_voice", "begun", "characters", "done", "fault", "finished", "refusal", "usage")

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self.characters = 0
        self.usage: Usage | None = None
        self.begun = False  # there is an answer, if only an empty one
        self.finished = False  # the model has said its last word
        self.done = False  # nothing more will come
        self.fault: ModelError | None = None
        self.refusal: str = ""

    @property
    def progress(self) -> str:
        """How far it got, to go after "the connection was closed"."""
        return f"after {self.characters} characters" if self.characters else "before any text"

    def take(self, events: list[bytes]) -> str:
        """The text in some events; notes the end, the usage and a refusal.

        A bad event is noted as `fault`, so that the text before it is not lost.
        """
        texts: list[str] = []
        for data in events:
            if data == b"[DONE]":
                self.finished = self.done = True
                break
            try:
                texts.append(self._text(data))
            except ModelError as fault:
                self.fault = fault
                break
        text = "".join(texts)
        self.characters += len(text)
        return text

    def check(self) -> None:
        """The stream has ended: refuse what is no reply.

        Raises:
            ModelError: `cut`, `garbage`, `refused`, or the fault that was noted.
        """
        if self.fault is not None:
            raise self.fault
        if not self.finished:
            raise self._voice.cut(self.progress)
        if self.refusal:
            raise self._voice.refused(self.refusal)
        if not self.begun:
            raise self._voice.garbage("a reply without choices")

    def garbage(self, what: str) -> None:
        """Note that what came is no reply."""
        self.fault = self._voice.garbage(self._voice.said(what))

    def _text(self, data: bytes) -> str:
        try:
            event = json.loads(data.decode())
            if event.get("error"):
                raise self._voice.failed_within(event["error"])
            if event.get("usage"):
                self.usage = _usage(event["usage"])
            choices = event.get("choices")
            return self._said(choices[0]) if choices else ""
        except (ValueError, RecursionError):
            raise self._nonsense("an event that is not JSON", data) from None
        except (AttributeError, TypeError, LookupError):
            raise self._nonsense("an event of an unknown form", data) from None

    def _said(self, choice: Foreign) -> str:
        self.begun = True
        if choice.get("finish_reason"):
            self.finished = True
            if choice["finish_reason"] == "content_filter":
                self.refusal = "the provider's content filter stopped it"
        delta: Foreign = choice.get("delta") or choice.get("message") or {}
        if delta.get("refusal"):
            self.refusal += delta["refusal"]
        text = delta.get("content")
        if text is not None and not isinstance(text, str):
            raise TypeError("content is not text")
        return text or ""

    def _nonsense(self, what: str, data: bytes) -> ModelError:
        shown = self._voice.said(data[:MAX_ERROR_BYTES].decode(errors="replace"))
        return self._voice.garbage(f"{what}: {shown}")


async def _texts(response: httpx2.Response, reply: _Reply) -> AsyncGenerator[str]:
    """The text of a reply with status 200, as it arrives; faults are noted in the reply."""
    kind = response.headers.get("content-type", EVENT_STREAM).partition(";")[0].strip().lower()
    if kind == "application/json":  # the whole reply, though a stream was asked for
        yield reply.take([await _beginning(response, MAX_BODY_BYTES), b"[DONE]"])
        return
    if kind != EVENT_STREAM:
        reply.garbage(f"the answer is {kind}, not an event stream")
        return
    reader = EventReader()
    async with aclosing(response.aiter_bytes()) as chunks:
        try:
            async for chunk in chunks:
                if text := reply.take(reader.feed(chunk)):
                    yield text
                if reply.done or reply.fault:
                    break
            else:
                if text := _last(reader, reply):
                    yield text
        except EventTooLarge as error:
            reply.garbage(str(error))
        if reply.done:
            await _drain(chunks)


def _last(reader: EventReader, reply: _Reply) -> str:
    """The text of an event that the end of the stream left open; one that is broken was cut."""
    text = reply.take(reader.close())
    if not reply.finished:
        reply.fault = None
    return text


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


def _usage(reported: Foreign) -> Usage | None:
    """A usage as reported; None where it does not say what it must."""
    details: Foreign = reported.get("prompt_tokens_details") or {}
    counts: tuple[Foreign, ...] = (
        reported.get("prompt_tokens"),
        details.get("cached_tokens") or 0,
        reported.get("completion_tokens"),
    )
    if all(type(count) is int and count >= 0 for count in counts):
        return Usage(*counts)
    return None


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
