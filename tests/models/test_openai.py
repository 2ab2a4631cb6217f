"""The OpenAI-compatible client against a provider that is as bad as providers get."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from heddle.errors import ConfigError, ModelError
from heddle.models.openai import OpenAIModel
from heddle.models.protocol import Message, Request, Usage
from heddle.testing.provider import Fault, Reply, SimulatedProvider

KEY = "sk-secret-key-0123456789"
TEXT = '1. search("naïve café – 東京 🧵")\r\n2. join($1)\n'
ASK = Request((Message("system", "Plan."), Message("user", "Which ticker?")))


async def heard(model: OpenAIModel, request: Request = ASK) -> tuple[str, Usage]:
    pieces = [piece async for piece in model.stream(request)]
    *texts, usage = pieces
    assert all(isinstance(text, str) and text for text in texts)
    assert isinstance(usage, Usage)
    return "".join(texts), usage


def at(provider: SimulatedProvider, **options) -> OpenAIModel:
    return OpenAIModel("m", base_url=provider.base_url, api_key=KEY, **options)


def asked(*, model_options=None, request=ASK, **options) -> tuple[str, Usage]:
    """One reply of a provider with these options."""

    async def run() -> tuple[str, Usage]:
        async with SimulatedProvider(options.pop("replies", TEXT), **options) as provider:
            model = at(provider, **(model_options or {}))
            try:
                return await heard(model, request)
            finally:
                await model.aclose()

    return asyncio.run(run())


def failure(fault, **options) -> ModelError:
    with pytest.raises(ModelError) as caught:
        asked(faults=[fault], **options)
    error = caught.value
    assert error.provider == "openai"
    assert error.hint
    assert KEY not in f"{error} {error!r} {error.hint} {error.__cause__!r} {error.__context__!r}"
    return error


@asynccontextmanager
async def listening(answer: bytes, *, hold: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a server that sends these bytes, and the request heads that it saw."""
    heads: list[bytes] = []
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        with suppress(ConnectionError):
            writer.write(answer)
            await writer.drain()
            if hold:
                await reader.read()
            writer.close()
            await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", heads
        await left.wait()


async def asked_at(url: str) -> tuple[str, Usage]:
    model = OpenAIModel("m", base_url=url, api_key=KEY, stall_timeout_s=30)
    try:
        return await heard(model)
    finally:
        await model.aclose()


async def answered(answer: bytes, *, hold: bool = False) -> tuple[str, Usage]:
    async with listening(answer, hold=hold) as (url, _):
        return await asked_at(url)


def served(answer: bytes) -> tuple[str, Usage]:
    """One reply of a server that sends these bytes, whatever it is asked, and closes."""
    return asyncio.run(answered(answer))


def stream_of(*events: object) -> bytes:
    """An answer of these events, ended by the closing of the connection."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return head + b"".join(b"data: " + line + b"\n\n" for line in lines)


def said(text: object, reason: str | None = None) -> dict:
    return {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}


def test_the_text_comes_as_it_was_sent_and_the_usage_after_it():
    usage = Usage(700, 640, 12)
    text, reported = asked(replies=[Reply(TEXT, usage=usage)])
    assert text == TEXT
    assert reported == usage
    assert not reported.estimated


def test_the_text_comes_while_it_is_being_written():
    async def run() -> None:
        reply = Reply("a b c d", pieces=("a ", "b ", "c ", "d"))
        async with SimulatedProvider([reply], tokens_per_second=100) as provider:
            model = at(provider)
            pieces = [piece async for piece in model.stream(ASK)]
            assert pieces[:-1] == ["a ", "b ", "c ", "d"]
            await model.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault", ["bytes", "burst", "crlf", "comments", "multi-line", "no-done", "whole"]
)
def test_an_odd_but_legal_stream_is_read_all_the_same(fault):
    text, usage = asked(faults=[fault])
    assert text == TEXT
    assert not usage.estimated


def test_a_reply_of_a_megabyte_in_one_chunk_is_read():
    long = "x" * 1024 * 1024
    assert asked(replies=[Reply(long, pieces=(long,))])[0] == long
    assert asked(replies=[Reply(long, pieces=(long[: 2**19],) * 2)], faults=["burst"])[0] == long


def test_usage_that_is_not_reported_is_estimated_and_says_so():
    text, usage = asked(faults=["no-usage"])
    assert text == TEXT
    assert usage == Usage(5, 0, -(-len(TEXT) // 4), estimated=True)


def test_cached_tokens_are_reported():
    long = Request((Message("user", "word " * 400),))

    async def run() -> tuple[Usage, Usage]:
        async with SimulatedProvider() as provider:
            model = at(provider)
            first, second = await heard(model, long), await heard(model, long)
            await model.aclose()
            return first[1], second[1]

    first, second = asyncio.run(run())
    assert first.cached_input_tokens == 0
    assert second.cached_input_tokens == 448  # 500 tokens, whole blocks of 64


def test_a_reply_cut_at_its_length_is_a_reply():
    assert asked(replies=[Reply("half a sen", finish_reason="length")])[0] == "half a sen"


def test_the_request_holds_what_was_asked_for():
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    request = Request(
        ASK.messages, role="joiner", schema=schema, max_output_tokens=9, stop=("END", "\n")
    )

    async def run() -> dict:
        async with SimulatedProvider() as provider:
            model = at(provider)
            await heard(model, request)
            await model.aclose()
            return provider.requests[0]

    body = asyncio.run(run())
    assert body["model"] == "m"
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body["messages"] == [
        {"role": "system", "content": "Plan."},
        {"role": "user", "content": "Which ticker?"},
    ]
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert body["max_completion_tokens"] == 9
    assert body["stop"] == ["END", "\n"]


def test_what_was_not_asked_for_is_not_sent():
    async def run() -> dict:
        async with SimulatedProvider() as provider:
            model = at(provider)
            await heard(model)
            await model.aclose()
            return provider.requests[0]

    assert set(asyncio.run(run())) == {"model", "messages", "stream", "stream_options"}


def test_half_a_character_pair_in_a_message_can_be_sent():
    assert asked(request=Request((Message("user", "broken \ud83e"),)))[0] == TEXT


def test_one_connection_serves_call_after_call():
    async def run() -> int:
        async with SimulatedProvider(TEXT) as provider:
            model = at(provider)
            for _ in range(5):
                await heard(model)
            await model.aclose()
            return provider.connections

    assert asyncio.run(run()) == 1


def test_calls_run_side_by_side():
    async def run() -> int:
        async with SimulatedProvider(TEXT, time_to_first_token_s=0.05) as provider:
            model = at(provider)
            replies = await asyncio.gather(*(heard(model) for _ in range(150)))
            assert all(text == TEXT for text, _ in replies)
            await model.aclose()
            return provider.peak_in_flight

    assert asyncio.run(run()) > 100  # the client itself is no bound


def test_a_model_may_be_used_in_one_event_loop_after_another():
    async def run(model: OpenAIModel) -> str:
        async with SimulatedProvider(TEXT) as provider:
            model._url = f"{provider.base_url}/chat/completions"
            text, _ = await heard(model)
            await model.aclose()
            await model.aclose()
            return text

    model = OpenAIModel("m")
    assert asyncio.run(run(model)) == asyncio.run(run(model)) == TEXT


def test_a_reply_may_be_given_up_in_its_middle():
    async def run() -> None:
        async with SimulatedProvider("word " * 200, tokens_per_second=1000) as provider:
            model = at(provider)
            stream = model.stream(ASK)
            assert isinstance(await anext(stream), str)
            await stream.aclose()
            assert (await heard(model))[0]
            await model.aclose()

    asyncio.run(run())


def test_a_server_that_holds_on_to_a_finished_reply_does_not_hold_us():
    began = time.monotonic()
    answer = stream_of(said("all", "stop"), b"[DONE]")
    assert asyncio.run(answered(answer, hold=True))[0] == "all"
    assert time.monotonic() - began < 5


# What goes wrong


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

        with pytest.raises(ModelError) as caught:
            asyncio.run(asked_at(url))
    assert caught.value.code == "unreachable"
    assert caught.value.retryable
    assert url in caught.value.message


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".invalid", "a..b", "xn--a"])
def test_no_such_host(host):
    with pytest.raises((ModelError, ConfigError)) as caught:
        asyncio.run(asked_at(f"http://{host}/v1"))
    assert caught.value.code in ("unreachable", "bad-base-url")


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (301, "bad-request", False),
        (400, "bad-request", False),
        (401, "unauthorized", False),
        (403, "unauthorized", False),
        (404, "not-found", False),
        (408, "server-error", True),
        (422, "bad-request", False),
        (500, "server-error", True),
        (503, "server-error", True),
        (529, "server-error", True),
    ],
)
def test_each_status_has_its_code(status, code, retryable):
    error = failure(Fault("status", status=status))
    assert (error.code, error.retryable) == (code, retryable)
    assert f"simulated status {status}" in error.message


@pytest.mark.parametrize(
    ("wait", "seconds"), [("none", None), ("seconds", 2.0), ("ms", 2.0), ("date", 2.0)]
)
def test_too_many_requests_tell_how_long_to_wait(wait, seconds):
    error = failure(Fault("rate-limited", wait=wait, wait_s=2.0))
    assert error.code == "rate-limited"
    assert error.retryable
    if seconds is None:
        assert error.retry_after_s is None
    else:
        assert error.retry_after_s == pytest.approx(seconds, abs=1.0)  # a date has whole seconds


def test_a_wrong_key_is_not_shown_though_the_provider_shows_it():
    error = failure(None, api_key="another")
    assert error.code == "unauthorized"
    assert "Incorrect API key provided: [key]" in error.message
    assert "OPENAI_API_KEY" in error.hint


def test_the_connection_closes_before_the_answer():
    error = failure("close")
    assert (error.code, error.retryable) == ("cut", True)
    assert "before any text" in error.message


@pytest.mark.parametrize("fault", ["cut", "no-finish"])
def test_the_connection_closes_before_the_end(fault):
    error = failure(fault)
    assert (error.code, error.retryable) == ("cut", True)
    assert "after" in error.message


def test_the_stream_falls_silent():
    error = failure("stall", model_options={"stall_timeout_s": 0.05})
    assert (error.code, error.retryable) == ("stalled", True)


def test_the_first_token_does_not_come():
    options = {"stall_timeout_s": 0.05}
    assert failure(None, time_to_first_token_s=60, model_options=options).code == "stalled"


@pytest.mark.parametrize("after", [0, 3])
def test_garbage_is_shown_and_what_came_before_it_is_not_lost(after):
    async def run() -> tuple[str, ModelError]:
        async with SimulatedProvider(TEXT, faults=[Fault("garbage", after=after)]) as provider:
            model, heard_so_far = at(provider), ""
            try:
                async for piece in model.stream(ASK):
                    heard_so_far += str(piece)
            except ModelError as error:
                return heard_so_far, error
            finally:
                await model.aclose()
            raise AssertionError("no error")

    text, error = asyncio.run(run())
    assert error.code == "garbage"
    assert "{not json" in error.message
    assert TEXT.startswith(text)
    assert bool(text) == bool(after)


def test_an_error_within_the_stream_is_the_provider_s():
    error = failure("error-event")
    assert (error.code, error.retryable) == ("server-error", True)
    assert "out of memory" in error.message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "slow down", "code": 429}, "rate-limited"),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, "rate-limited"),
        ({"message": "bad key", "code": 401}, "unauthorized"),
        ("just text", "server-error"),
        ({"code": None}, "server-error"),
        ([1], "server-error"),
    ],
)
def test_an_error_object_is_read_for_its_own_status(error, code):
    with pytest.raises(ModelError) as caught:
        served(stream_of(said("a"), {"error": error}))
    assert caught.value.code == code


def test_a_web_page_is_no_reply():
    error = failure("wrong-type")
    assert error.code == "garbage"
    assert "text/html" in error.message


@pytest.mark.parametrize(
    "event",
    [
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"[" * 50_000,
        b"\xff\xfe",
        {"choices": 7},
        {"choices": [7]},
        {"choices": {"a": 1}},
        said(7),
        said(["a"]),
        {"choices": [{"delta": 7}]},
        {"choices": [{"delta": {"refusal": 7}}]},
        {"choices": [], "usage": 7},
        {"choices": [], "usage": {"prompt_tokens_details": [1]}},
    ],
)
def test_an_event_of_another_form_is_garbage_without_a_traceback(event):
    with pytest.raises(ModelError) as caught:
        served(stream_of(said("a"), event, b"[DONE]"))
    assert caught.value.code == "garbage"
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": "x"},
        {"total_tokens": 1},
    ],
)
def test_a_usage_that_does_not_say_what_it_must_is_estimated(usage):
    text, counted = served(stream_of(said("abcd", "stop"), {"choices": [], "usage": usage}))
    assert text == "abcd"
    assert counted.estimated
    assert counted.output_tokens == 1


def test_a_reply_without_any_choice_is_not_an_empty_reply():
    for answer in (stream_of(b"[DONE]"), stream_of({"detail": "no"}, b"[DONE]")):
        with pytest.raises(ModelError, match="without choices"):
            served(answer)
    body = b'{"detail": "no"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with pytest.raises(ModelError, match="without choices"):
        served(head % len(body) + body)


def test_an_empty_reply_is_a_reply():
    assert served(stream_of(said("", "stop"), b"[DONE]"))[0] == ""


def test_a_refusal_is_no_reply():
    refusal = {"choices": [{"delta": {"refusal": "I will not"}, "finish_reason": "stop"}]}
    with pytest.raises(ModelError) as caught:
        served(stream_of(refusal, b"[DONE]"))
    assert caught.value.code == "refused"
    assert "I will not" in caught.value.message
    with pytest.raises(ModelError, match="content filter"):
        served(stream_of(said("a", "content_filter"), b"[DONE]"))


def test_the_model_s_last_word_counts_though_the_stream_is_then_cut():
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    chunked += b"Transfer-Encoding: chunked\r\n\r\n"
    events = stream_of(said("all", "stop")).partition(b"\r\n\r\n")[2]
    answer = chunked + b"%x\r\n%s\r\n" % (len(events), events)  # and no last chunk
    text, usage = served(answer)
    assert text == "all"
    assert usage.estimated


def test_an_event_broken_off_by_the_end_was_cut():
    with pytest.raises(ModelError) as caught:
        served(stream_of(said("a"), said("b"))[:-12])
    assert caught.value.code == "cut"


def test_a_line_without_end_is_given_up():
    with pytest.raises(ModelError, match="larger than") as caught:
        served(stream_of() + b"data: " + b"x" * (9 * 1024 * 1024))
    assert caught.value.code == "garbage"


@pytest.mark.parametrize("answer", [b"", b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_not_http_was_cut(answer):
    with pytest.raises(ModelError) as caught:
        served(answer)
    assert caught.value.code == "cut"


def test_content_that_cannot_be_unpacked_is_garbage():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"
    with pytest.raises(ModelError) as caught:
        served(head + b"this is not gzip")
    assert caught.value.code == "garbage"


def test_the_key_is_sent_but_never_shown():
    async def run() -> tuple[ModelError, bytes]:
        async with listening(b"") as (url, heads):
            model = OpenAIModel("m", base_url=url, api_key=KEY)
            assert KEY not in f"{model} {model!r}"
            with pytest.raises(ModelError) as caught:
                await heard(model)
            await model.aclose()
            return caught.value, heads[0]

    error, head = asyncio.run(run())
    assert f"Bearer {KEY}".encode() in head
    assert KEY not in f"{error} {error!r} {error.hint}"


@pytest.mark.parametrize("padding", [0, 270, 285, 299, 300, 310])
def test_a_key_at_the_edge_of_a_quote_is_not_half_shown(padding):
    body = b"x" * padding + KEY.encode()
    with pytest.raises(ModelError) as caught:
        served(b"HTTP/1.1 400 no\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert KEY[:6] not in caught.value.message


@pytest.mark.parametrize("proxy", ["nonsense://h:1", "http://h:port", "socks5://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, proxy):
    for name in ("http_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(ConfigError) as caught:
        asyncio.run(asked_at("http://example.invalid/v1"))
    assert caught.value.code == "bad-proxy"
    assert "HTTP_PROXY" in caught.value.hint


def test_a_proxy_that_is_not_there_is_unreachable(monkeypatch):
    for name in ("http_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(ModelError) as caught:
            asyncio.run(asked_at("http://example.invalid/v1"))
    assert caught.value.code == "unreachable"
