"""Native tool calls of an OpenAI-compatible server, from the request to the last delta."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from heddle.errors import ModelError
from heddle.models.openai import OpenAIModel
from heddle.models.protocol import Message, Request, ToolCall, Usage
from heddle.plan.spec import ToolSpec
from heddle.testing.provider import Fault, Reply, SimulatedProvider, pieces_of

PRICE = ToolSpec(
    "price",
    "Latest price in USD.",
    {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]},
)
CALLS = (
    ToolCall("c1", "price", '{"of": "AAPL \\"}{"}'),
    ToolCall("c2", "now", "{}"),
    ToolCall("c3", "price", '{"of": "東京"}'),
)
FIRST_CALL = 1 + len(pieces_of(CALLS[0].arguments))  # so many deltas, its head among them
REPLY = Reply("Let me look.", calls=CALLS)
ASK = Request((Message("user", "Which is dearer?"),), tools=(PRICE, ToolSpec("now")))


@asynccontextmanager
async def model_of(provider: SimulatedProvider):
    async with provider:
        model = OpenAIModel("m", base_url=provider.base_url, stall_timeout_s=30)
        try:
            yield model
        finally:
            await model.aclose()


def heard(provider: SimulatedProvider, *requests: Request) -> list[list]:
    """What a model gives for each request."""

    async def run() -> list[list]:
        async with model_of(provider) as model:
            return [[piece async for piece in model.stream(one)] for one in requests or (ASK,)]

    return asyncio.run(run())


def calls_in(pieces: list) -> tuple[ToolCall, ...]:
    return tuple(piece for piece in pieces if isinstance(piece, ToolCall))


def text_in(pieces: list) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def sent(*requests: Request) -> dict:
    """The body of the last request."""
    provider = SimulatedProvider()
    heard(provider, *requests)
    return provider.requests[-1]


def failure(provider: SimulatedProvider) -> ModelError:
    with pytest.raises(ModelError) as caught:
        heard(provider)
    return caught.value


def test_text_then_calls_then_usage():
    ((*pieces, usage),) = heard(SimulatedProvider([REPLY]))
    assert text_in(pieces) == "Let me look."
    assert calls_in(pieces) == CALLS
    assert isinstance(usage, Usage)
    assert not usage.estimated


@pytest.mark.parametrize(
    "fault", ["bytes", "burst", "crlf", "comments", "multi-line", "no-done", "whole"]
)
def test_an_odd_but_legal_stream_gives_the_same_calls(fault):
    (pieces,) = heard(SimulatedProvider([REPLY], faults=[fault]))
    assert (text_in(pieces), calls_in(pieces)) == ("Let me look.", CALLS)


def test_a_call_comes_before_the_next_one_has_been_written():
    async def run() -> object:
        reply = Reply(calls=(CALLS[0], CALLS[2]))
        fault = Fault("stall", FIRST_CALL)
        async with model_of(SimulatedProvider([reply], faults=[fault])) as model:
            stream = model.stream(ASK)
            first = await anext(stream)  # while the server is silent for ever
            await stream.aclose()
            return first

    assert asyncio.run(run()) == CALLS[0]


def test_tools_are_offered_in_the_form_of_the_api():
    body = sent(ASK)
    assert body["tools"][0] == {
        "type": "function",
        "function": {
            "name": "price",
            "description": "Latest price in USD.",
            "parameters": PRICE.parameters,
        },
    }
    assert body["tool_choice"] == "auto"
    assert body["parallel_tool_calls"] is True


def test_calls_and_their_results_go_back_in_the_form_of_the_api():
    turns = (
        Message("user", "Which is dearer?"),
        Message("assistant", "", CALLS[:1]),
        Message("tool", "231.5", call_id="c1"),
        Message("assistant", "Hm.", CALLS[1:2]),
        Message("tool", "noon", call_id="c2"),
    )
    function = {"name": "price", "arguments": CALLS[0].arguments}
    called = [{"id": "c1", "type": "function", "function": function}]
    assert sent(Request(turns))["messages"] == [
        {"role": "user", "content": "Which is dearer?"},
        {"role": "assistant", "content": None, "tool_calls": called},
        {"role": "tool", "content": "231.5", "tool_call_id": "c1"},
        {
            "role": "assistant",
            "content": "Hm.",
            "tool_calls": [
                {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "content": "noon", "tool_call_id": "c2"},
    ]


def test_names_that_the_api_does_not_take_are_replaced_on_the_way_out_and_back():
    long = "x" * 100
    tools = tuple(ToolSpec(name) for name in ("a.b", "a_b", "a/b", long))
    call = ToolCall("c0", "a.b", '{"x": 1}')
    seen: list[str] = []

    def reply(body: dict) -> Reply:
        seen.extend(tool["function"]["name"] for tool in body["tools"])
        seen.append(body["messages"][0]["tool_calls"][0]["function"]["name"])
        return Reply(calls=tuple(ToolCall(f"d{n}", name, "{}") for n, name in enumerate(seen[:4])))

    asked = Request((Message("assistant", "", (call,)), Message("user", "go")), tools=tools)
    (pieces,) = heard(SimulatedProvider(reply), asked)
    assert [found.name for found in calls_in(pieces)] == ["a.b", "a_b", "a/b", long]
    assert seen[1] == "a_b"
    assert seen[4] == seen[0]
    assert len(set(seen)) == 4
    assert all(len(name) <= 64 and "." not in name and "/" not in name for name in seen)


def test_ids_that_are_missing_are_made_up_and_do_not_repeat_in_a_conversation():
    events = [{"function": {"name": "price", "arguments": '{"of": "A"}'}}]
    first = asyncio.run(answered(said(events), DONE))[0]
    earlier = Request((Message("assistant", "", (first,)), Message("tool", "1", (), first.id)))
    second = asyncio.run(answered(said(events), DONE, request=earlier))[0]
    assert first.id != second.id


def test_characters_of_calls_count_where_the_usage_is_estimated():
    ((*_, usage),) = heard(SimulatedProvider([REPLY], faults=["no-usage"]))
    spoken = len(REPLY.text) + sum(call.characters for call in CALLS)
    assert usage == Usage(-(-ASK.characters // 4), 0, -(-spoken // 4), estimated=True)


# What goes wrong


@pytest.mark.parametrize("kind", ["cut", "no-finish"])
@pytest.mark.parametrize("after", [0, 5, 9])
def test_a_reply_that_is_cut_within_a_call_is_an_error(kind, after):
    error = failure(SimulatedProvider([REPLY], faults=[Fault(kind, after)]))
    assert (error.code, error.retryable) == ("cut", True)


@pytest.mark.parametrize(
    ("kind", "code"), [("garbage", "garbage"), ("error-event", "server-error")]
)
def test_what_fails_between_two_calls_does_not_take_the_first_one_back(kind, code):
    async def run() -> tuple[object, ModelError]:
        reply, fault = Reply(calls=(CALLS[0], CALLS[2])), Fault(kind, FIRST_CALL)
        async with model_of(SimulatedProvider([reply], faults=[fault])) as model:
            stream = model.stream(ASK)
            first = await anext(stream)
            with pytest.raises(ModelError) as caught:
                await anext(stream)
        return first, caught.value

    first, error = asyncio.run(run())
    assert first == CALLS[0]
    assert error.code == code


def test_a_refusal_is_an_error_though_a_call_came_before_it():
    refused = {"choices": [{"delta": {"refusal": "I must not."}, "finish_reason": "stop"}]}
    with pytest.raises(ModelError) as caught:
        asyncio.run(answered(said([whole(CALLS[0])]), refused, DONE))
    assert caught.value.code == "refused"


@pytest.mark.parametrize(
    "words",
    [
        "llama3 does not support tools",
        "No endpoints found that support tool use. Try disabling price.",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "tools param requires --jinja flag",
        "Extra inputs are not permitted: tools",
        "Function calling is not enabled for this model",
        "Unsupported parameter: 'tools' is not supported with this model.",
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_a_model_without_tools_says_what_to_use_instead(words, status):
    error = refused_with(status, words, ASK)
    assert error.code == "no-tool-calls"
    assert not error.retryable
    assert words[:20] in error.message
    assert "--strategy react" in error.hint


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (400, "Invalid schema for function 'price': 'oneOf' is not permitted", "bad-request"),
        (400, "messages with role 'tool' must follow 'tool_calls'", "bad-request"),
        (400, "'stop' is not supported with this model", "bad-request"),
        (401, "your key does not support tools", "unauthorized"),
        (429, "does not support tools so fast", "rate-limited"),
    ],
)
def test_other_refusals_are_not_taken_for_it(status, words, code):
    assert refused_with(status, words, ASK).code == code


def test_a_request_without_tools_is_never_refused_for_them():
    assert refused_with(400, "does not support tools", Request(ASK.messages)).code == "bad-request"


def test_the_simulated_provider_refuses_tools_as_ollama_does():
    assert failure(SimulatedProvider(faults=["no-tools"])).code == "no-tool-calls"


def test_a_model_that_does_not_know_parallel_tool_calls_is_asked_without_it_from_then_on():
    words = "Unsupported parameter: 'parallel_tool_calls' is not supported with this model."
    bodies, pieces = asyncio.run(
        conversation(lambda body: words if "parallel_tool_calls" in body else None, 2)
    )
    assert ["parallel_tool_calls" in body for body in bodies] == [True, False, False]
    assert [calls_in(one) for one in pieces] == [CALLS[:1]] * 2


def test_a_server_that_refuses_it_although_it_was_not_sent_is_asked_twice_at_most():
    words = "Unsupported parameter: 'parallel_tool_calls'"
    with pytest.raises(ModelError) as caught:
        asyncio.run(conversation(lambda body: words, 1))
    assert words in caught.value.message


# Servers of our own: raw events, and answers that depend on the request

DONE = b"[DONE]"


def whole(call: ToolCall, **more) -> dict:
    return {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}, **more}


def said(calls: object, reason: str | None = "tool_calls", **delta) -> dict:
    return {"choices": [{"delta": {"tool_calls": calls, **delta}, "finish_reason": reason}]}


async def answered(*events: object, request: Request = ASK) -> list:
    """What a model gives for these events."""
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in events]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    answer = head + b"".join(b"data: " + line + b"\n\n" for line in lines)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        model = OpenAIModel("m", base_url=f"http://127.0.0.1:{port}/v1", stall_timeout_s=30)
        try:
            return [piece async for piece in model.stream(request)]
        finally:
            await model.aclose()


async def conversation(refuse, count: int, status: int = 400, request: Request = ASK):
    """The bodies that a server saw which refuses with these words, and what its model gave."""
    bodies: list[dict] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        bodies.append(json.loads(await reader.readexactly(length)))
        message = {"content": None, "tool_calls": [whole(CALLS[0])]}
        content: dict = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
        line = b"200 OK"
        if words := refuse(bodies[-1]):
            content, line = {"error": {"message": words}}, b"%d No" % status
        body = json.dumps(content).encode()
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (line, len(body), body)
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        model = OpenAIModel("m", base_url=f"http://127.0.0.1:{port}/v1", stall_timeout_s=30)
        try:
            pieces = [[piece async for piece in model.stream(request)] for _ in range(count)]
        finally:
            await model.aclose()
    return bodies, pieces


def refused_with(status: int, words: str, request: Request) -> ModelError:
    with pytest.raises(ModelError) as caught:
        asyncio.run(conversation(lambda body: words, 1, status, request))
    return caught.value


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([said([whole(CALLS[0])]), DONE], id="whole in one delta, with the reason"),
        pytest.param([said([whole(CALLS[0])], "stop"), DONE], id="the reason is stop"),
        pytest.param([said([whole(CALLS[0])], None, content=""), said(None, "stop")], id="no DONE"),
        pytest.param(
            [{"choices": [{"message": {"tool_calls": [whole(CALLS[0])]}}]}, DONE], id="a message"
        ),
        pytest.param(
            [said([{**whole(CALLS[0]), "index": 7, "type": None}], None), said([]), DONE],
            id="another first index",
        ),
    ],
)
def test_a_whole_call_is_read_wherever_it_stands(events):
    assert calls_in(asyncio.run(answered(*events))) == CALLS[:1]


def test_the_form_before_tools_is_read():
    def legacy(**function) -> dict:
        return {"choices": [{"delta": {"function_call": function}, "finish_reason": None}]}

    end = {"choices": [{"delta": {}, "finish_reason": "function_call"}]}
    events = [
        legacy(name="price", arguments=""),
        legacy(arguments='{"of": '),
        legacy(arguments="1}"),
    ]
    pieces = asyncio.run(answered(*events, end, DONE))
    assert calls_in(pieces) == (ToolCall("call_1", "price", '{"of": 1}'),)


def test_a_call_that_its_length_has_cut_is_given_as_it_is():
    events = [said([whole(ToolCall("c1", "price", '{"of": "AA'))], "length"), DONE]
    assert calls_in(asyncio.run(answered(*events))) == (ToolCall("c1", "price", '{"of": "AA'),)


@pytest.mark.parametrize(
    "calls",
    [
        7,
        [7],
        {"a": 1},
        [{"function": {"name": 7}}],
        [{"function": {"arguments": "{}"}}],
        [{"id": "c1", "index": 0, "function": {"arguments": '{"x": 2}'}}],
    ],
)
def test_calls_of_another_form_are_garbage_without_a_traceback(calls):
    with pytest.raises(ModelError) as caught:
        asyncio.run(answered(said([{**whole(CALLS[0]), "index": 0}], None), said(calls), DONE))
    assert caught.value.code == "garbage"
    assert len(caught.value.message) < 500
