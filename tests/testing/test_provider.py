"""The simulated provider, seen by a bare HTTP client."""

import asyncio
import json
from itertools import takewhile

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle.models.http_faults import retry_after_s
from heddle.models.openai import OpenAIModel
from heddle.models.protocol import Message, Request, ToolCall, Usage
from heddle.models.quota import quota
from heddle.models.replay import Row
from heddle.plan.spec import ToolSpec
from heddle.testing.chat_request import Prompt, PromptCache
from heddle.testing.limited import ProviderLimits
from heddle.testing.provider import Fault, Reply, SimulatedProvider, pieces_of


def ask(content: str = "hi", **options) -> dict:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **options}


def with_client(provider: SimulatedProvider, run):
    """The result of `run(client)` against a running provider."""

    async def main():
        async with (
            provider,
            httpx2.AsyncClient(base_url=provider.base_url, timeout=10) as client,
        ):
            return await run(client)

    return asyncio.run(main())


def posted(provider: SimulatedProvider, *bodies: dict) -> list[httpx2.Response]:
    async def run(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        return [await client.post("/chat/completions", json=body) for body in bodies]

    return with_client(provider, run)


def said(response: httpx2.Response) -> str:
    return response.json()["choices"][0]["message"]["content"]


def events(response: httpx2.Response) -> list:
    lines = [line for line in response.text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def test_a_whole_reply_has_text_and_usage():
    (response,) = posted(SimulatedProvider("four char words"), ask("x" * 9))
    assert response.status_code == 200
    assert said(response) == "four char words"
    assert response.json()["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_a_streamed_reply_is_cut_into_word_pieces_and_ended():
    (response,) = posted(SimulatedProvider("two words"), ask(stream=True))
    assert response.headers["content-type"] == "text/event-stream"
    choices = [event["choices"][0] for event in events(response)]
    assert [choice["delta"].get("content") for choice in choices] == ["two", " word", "s", None]
    assert choices[-1]["finish_reason"] == "stop"


def test_usage_is_streamed_only_where_it_is_asked_for():
    (response,) = posted(
        SimulatedProvider("a"), ask(stream=True, stream_options={"include_usage": True})
    )
    *_, last = events(response)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 1


def test_models_are_listed_and_other_paths_are_not_there():
    async def run(client: httpx2.AsyncClient):
        return (
            await client.get("/models"),
            await client.get("/nothing"),
            await client.post("/models"),
        )

    listed, nothing, posted_there = with_client(SimulatedProvider(models=["a", "b"]), run)
    assert [model["id"] for model in listed.json()["data"]] == ["a", "b"]
    assert nothing.status_code == posted_there.status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"messages": [7]}', b'"text"', b"\xff"]
)
def test_a_request_that_makes_no_sense_is_refused(body):
    async def run(client: httpx2.AsyncClient) -> httpx2.Response:
        return await client.post("/chat/completions", content=body)

    assert with_client(SimulatedProvider(), run).status_code == 400


def test_a_client_that_does_not_speak_http_is_dropped():
    async def main() -> bytes:
        async with SimulatedProvider() as provider:
            port = int(provider.base_url.split(":")[2].split("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x16\x03\x01 hello\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(main()) == b""


def test_replies_come_from_a_function_of_the_request():
    provider = SimulatedProvider(lambda body: Reply(body["messages"][0]["content"].upper()))
    assert [said(one) for one in posted(provider, ask("a"), ask("b"))] == ["A", "B"]


def test_an_error_of_that_function_is_told():
    (response,) = posted(SimulatedProvider(lambda body: body["missing"]), ask())
    assert response.status_code == 500
    assert "KeyError('missing')" in response.text


def test_replies_come_from_a_list_until_it_is_empty():
    first, second, third = posted(SimulatedProvider(["a", Reply("b")]), ask(), ask(), ask())
    assert (said(first), said(second), third.status_code) == ("a", "b", 400)


def test_replay_rows_are_given_where_their_text_is_found():
    rows = [Row(("about ", "B"), contains="B"), Row(("any",), role="joiner", round=3)]
    first, second = posted(SimulatedProvider(rows), ask("A"), ask("B"))
    assert (said(first), said(second)) == ("any", "about B")


def test_requests_are_kept_and_those_at_once_are_counted():
    provider = SimulatedProvider(time_to_first_token_s=0.05)

    async def run(client: httpx2.AsyncClient) -> None:
        posts = (client.post("/chat/completions", json=ask(str(n))) for n in range(4))
        await asyncio.gather(*posts)

    with_client(provider, run)
    assert {body["messages"][0]["content"] for body in provider.requests} == set("0123")
    assert (provider.peak_in_flight, provider.in_flight, provider.connections) == (4, 0, 4)


def test_a_reply_takes_the_time_that_it_is_given():
    async def run(client: httpx2.AsyncClient) -> list[float]:
        now = asyncio.get_running_loop().time
        began = now()
        async with client.stream("POST", "/chat/completions", json=ask(stream=True)) as response:
            lines = response.aiter_lines()
            return [now() - began async for line in lines if '"content"' in line]

    reply = Reply("abcdef", pieces=tuple("abcdef"))
    provider = SimulatedProvider([reply], time_to_first_token_s=0.1, tokens_per_second=50)
    arrivals = with_client(provider, run)
    assert len(arrivals) == 6
    assert all(arrival >= 0.1 + number / 50 - 0.005 for number, arrival in enumerate(arrivals))
    assert arrivals[-1] < 1.0


def test_a_prompt_seen_before_is_cached_in_whole_blocks():
    prompt = "word " * 200  # 1,000 characters: 250 tokens, three whole blocks of 64
    provider = SimulatedProvider()
    responses = posted(provider, ask(prompt), ask(prompt + "and more"), ask("other" + prompt))
    usages = [response.json()["usage"] for response in responses]
    assert [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages] == [0, 192, 0]


CALLS = (ToolCall("c1", "price", '{"of": "AAPL"}'), ToolCall("c2", "now", "{}"))


def test_calls_are_streamed_after_the_text_each_with_a_head_and_pieces():
    (response,) = posted(SimulatedProvider([Reply("Hm.", calls=CALLS)]), ask(stream=True))
    choices = [event["choices"][0] for event in events(response)]
    first, *parts = [choice["delta"] for choice in choices[:-1]]
    assert first == {"content": "Hm."}
    entries = [part["tool_calls"][0] for part in parts]
    heads = [entry for entry in entries if "id" in entry]
    assert [(head["index"], head["id"], head["function"]["name"]) for head in heads] == [
        (0, "c1", "price"),
        (1, "c2", "now"),
    ]
    for index, call in enumerate(CALLS):
        said = [entry["function"]["arguments"] for entry in entries if entry["index"] == index]
        assert "".join(said) == call.arguments
    assert choices[-1]["finish_reason"] == "tool_calls"


def test_calls_stand_in_a_whole_reply_and_in_replay_rows():
    provider = SimulatedProvider([Reply(calls=CALLS), Row(("a", "b", *CALLS))])
    first, second = [one.json()["choices"][0] for one in posted(provider, ask(), ask())]
    assert first["message"]["content"] is None
    assert first["finish_reason"] == second["finish_reason"] == "tool_calls"
    assert first["message"]["tool_calls"] == second["message"]["tool_calls"]
    assert second["message"]["content"] == "ab"
    assert [call["function"]["name"] for call in first["message"]["tool_calls"]] == ["price", "now"]


def test_a_model_without_tools_refuses_requests_that_offer_some():
    tools = [{"type": "function", "function": {"name": "f"}}]
    provider = SimulatedProvider(faults=["no-tools", "no-tools"])
    refused, answered = posted(provider, ask(tools=tools), ask())
    assert (refused.status_code, answered.status_code) == (400, 200)
    assert "does not support tools" in refused.text


@pytest.mark.parametrize(
    "body",
    [
        ask(tools=[7]),
        ask(tools=7),
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}]},
        {"messages": [{"role": "user"}]},
    ],
)
def test_tools_and_calls_that_make_no_sense_are_refused(body):
    (response,) = posted(SimulatedProvider(), body)
    assert response.status_code == 400


def counted(provider: SimulatedProvider, *requests: Request) -> list[Usage]:
    """The usage that a model reports for each request."""

    async def run() -> list[Usage]:
        async with provider:
            model = OpenAIModel("m", base_url=provider.base_url)
            usages = [[piece async for piece in model.stream(one)][-1] for one in requests]
            await model.aclose()
            return usages

    return asyncio.run(run())


def test_tokens_can_be_characters_of_all_that_a_model_reads_and_writes():
    tools = (ToolSpec("price", "In USD.", {"type": "object", "properties": {"é": {}}}),)
    turns = (Message("user", "né"), Message("assistant", "", CALLS), Message("tool", "1", (), "c1"))
    request = Request(turns, tools=tools)
    (usage,) = counted(SimulatedProvider([Reply("Hm.", calls=CALLS)], count=len), request)
    assert usage.input_tokens == request.characters
    assert usage.output_tokens == len("Hm.") + sum(call.characters for call in CALLS)


def test_exactly_the_longest_beginning_in_common_with_an_earlier_prompt_is_cached():
    def prompt(*contents: str) -> Request:
        return Request(tuple(Message("user", content) for content in contents))

    usages = counted(
        SimulatedProvider(count=len, cache_block=1),
        prompt("abcdef"),
        prompt("abcxyz", "1"),
        prompt("abcxyz", "123"),
        prompt("abc", "xyz"),  # another message is another prompt, though the text is the same
        prompt("abcdef"),
        prompt("bcdef"),
        Request((Message("system", "abcdef"),)),
        Request((Message("user", "abcdef"),), tools=(ToolSpec("f"),)),  # tools are read first
    )
    assert [usage.cached_input_tokens for usage in usages] == [0, 3, 7, 3, 6, 0, 0, 0]


@given(st.lists(st.lists(st.text("ab", max_size=4), min_size=1, max_size=3), max_size=8))
@settings(deadline=None)
def test_the_cache_finds_what_comparing_with_every_earlier_prompt_would(conversations):
    cache, earlier = PromptCache(len, 1), []
    for contents in conversations:
        turns = [{"role": "user", "content": content} for content in contents]
        prompt = Prompt.read({"messages": turns})
        marked = "".join(f"<{content}" for content in contents)
        pairs = [zip(marked, other, strict=False) for other in earlier]
        same = [takewhile(lambda pair: pair[0] == pair[1], each) for each in pairs]
        shared = [sum(a != "<" for a, _ in each) for each in same]
        assert cache.cached_tokens(prompt) == max(shared, default=0)
        earlier.append(marked)


def test_more_requests_than_the_rate_are_refused_with_the_wait():
    provider = SimulatedProvider(rate_limit=2)
    responses = posted(provider, ask(), ask(), ask())
    assert [response.status_code for response in responses] == [200, 200, 429]
    wait_ms = float(responses[-1].headers["retry-after-ms"])
    assert 25_000 < wait_ms <= 30_000  # two a minute: the next one in half a minute


def test_limits_may_change_and_are_told_in_headers():
    limits = ProviderLimits(2, says=("retry-after", "headers"))
    provider = SimulatedProvider(rate_limit=limits)

    async def run(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        first = await client.post("/chat/completions", json=ask())
        limits.change(asyncio.get_running_loop().time(), requests=1)
        return [first, *[await client.post("/chat/completions", json=ask()) for _ in range(2)]]

    responses = with_client(provider, run)
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert [quota(response.headers).requests.per_minute for response in responses] == [2, 1, 1]
    assert 0 < retry_after_s(responses[2].headers) <= 60


def test_faults_strike_in_order_and_then_no_more():
    provider = SimulatedProvider(faults=[None, Fault("status", status=503), "rate-limited"])
    responses = posted(provider, *(ask() for _ in range(4)))
    assert [response.status_code for response in responses] == [200, 503, 429, 200]
    assert responses[2].headers["retry-after"] == "1"


def test_faults_drawn_by_a_seed_are_the_same_each_time():
    def statuses(seed: int) -> list[int]:
        provider = SimulatedProvider(faults={"status": 0.3, "rate-limited": 0.3}, seed=seed)
        return [response.status_code for response in posted(provider, *[ask()] * 40)]

    assert statuses(1) == statuses(1) != statuses(2)
    assert set(statuses(1)) == {200, 429, 500}


@pytest.mark.parametrize("fault", ["close", "cut"])
def test_a_connection_may_be_closed_early(fault):
    with pytest.raises(httpx2.RemoteProtocolError):
        posted(SimulatedProvider("a b c d e f", faults=[fault]), ask(stream=True))


def test_chunks_may_be_of_one_byte_or_of_everything():
    async def run(client: httpx2.AsyncClient) -> list[bytes]:
        async with client.stream("POST", "/chat/completions", json=ask(stream=True)) as response:
            return [chunk async for chunk in response.aiter_raw()]

    assert {len(chunk) for chunk in with_client(SimulatedProvider(faults=["bytes"]), run)} == {1}
    assert len(with_client(SimulatedProvider("a b c", faults=["burst"]), run)) == 1


@pytest.mark.parametrize("why", ["stall", "slow"])
def test_a_provider_that_hangs_still_stops_at_once(why):
    async def main() -> None:
        wait_s = 3600 if why == "slow" else 0
        faults = [Fault("stall", after=0)] if why == "stall" else []
        async with httpx2.AsyncClient(timeout=60) as client:
            async with SimulatedProvider(faults=faults, time_to_first_token_s=wait_s) as provider:
                url = f"{provider.base_url}/chat/completions"
                request = client.build_request("POST", url, json=ask(stream=True))
                response = await client.send(request, stream=True)
                assert provider.in_flight == 1
            with pytest.raises(httpx2.TransportError):
                await response.aread()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_client_that_goes_in_mid_reply_is_noticed():
    async def run(client: httpx2.AsyncClient) -> int:
        async with client.stream("POST", "/chat/completions", json=ask(stream=True)) as response:
            await anext(response.aiter_raw())
        _, still_at_it = await asyncio.wait(provider._tasks, timeout=10)
        return len(still_at_it)

    provider = SimulatedProvider("word " * 100_000, tokens_per_second=2000)
    assert with_client(provider, run) == 0
    assert provider.in_flight == 0


@given(st.text())
def test_pieces_join_to_the_text_and_are_about_a_token(text):
    pieces = pieces_of(text)
    assert "".join(pieces) == text
    assert all(piece and len(piece.strip()) <= 4 for piece in pieces)
