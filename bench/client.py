"""CPU of the client for a streamed 200-token reply: heddle's model against bare httpx2.

The server runs in a process of its own and sends bytes that were rendered before; the two clients
take turns in this process, on one connection each, so that the machine's moods meet both. Bare
httpx2 is what a careful user writes: iterate over lines, decode the JSON, join the text.

    python -m bench.client
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any

from heddle.models.openai import OpenAIModel
from heddle.models.protocol import Message, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.connection import Connection

TOKENS = 200
TOKEN = " token"
ASK = Request((Message("user", "Say it."),))


def rendered() -> list[bytes]:
    """The chunks of one reply over HTTP: a token each, as OpenAI words it, then usage and end."""
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    said = {"index": 0, "delta": {"content": TOKEN}, "logprobs": None, "finish_reason": None}
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2, "completion_tokens": TOKENS, "total_tokens": TOKENS + 2}
    events = [json.dumps({**frame, "choices": [said], "usage": None})] * TOKENS
    events.append(json.dumps({**frame, "choices": [last], "usage": None}))
    events.append(json.dumps({**frame, "choices": [], "usage": usage}))
    chunks = [f"data: {event}\n\n".encode() for event in (*events, "[DONE]")]
    return [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]


def serve(parent: Connection, *, packets: bool) -> None:
    """Answer every request with the rendered reply, until the parent ends this process.

    Args:
        parent: gets the port.
        packets: write each token on its own (the kernel may join some), or all of them at once.
    """
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = rendered()
    parts = [head, *chunks, b"0\r\n\r\n"] if packets else [head + b"".join(chunks) + b"0\r\n\r\n"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                asked = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break  # the client has gone
            length = asked.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        parent.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def with_heddle(model: OpenAIModel) -> str:
    return "".join([piece async for piece in model.stream(ASK) if isinstance(piece, str)])


async def with_httpx2(client: Any, url: str) -> str:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Say it."}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    texts: list[str] = []
    async with client.stream("POST", url, json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line[6:])
            if event["choices"]:
                texts.append(event["choices"][0]["delta"].get("content") or "")
    return "".join(texts)


async def cpu_s(call: Callable[[], Awaitable[str]], times: int) -> float:
    """CPU seconds of this process for one call, as the mean of a few."""
    began = time.process_time()
    for _ in range(times):
        if await call() != TOKEN * TOKENS:
            raise AssertionError("the reply is not what was sent")
    return (time.process_time() - began) / times


async def taking_turns(port: int, repeats: int, times: int) -> dict[str, float]:
    import httpx2

    base_url = f"http://127.0.0.1:{port}/v1"
    model = OpenAIModel("m", base_url=base_url)
    ours: list[float] = []
    bare: list[float] = []
    async with httpx2.AsyncClient(timeout=60) as client:
        for turn in range(repeats + 1):
            pair = (
                await cpu_s(lambda: with_heddle(model), times),
                await cpu_s(lambda: with_httpx2(client, f"{base_url}/chat/completions"), times),
            )
            if turn:  # the first turn opens connections and imports modules
                ours.append(pair[0])
                bare.append(pair[1])
    await model.aclose()
    ratios = [mine / other for mine, other in zip(ours, bare, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "heddle_ms": 1000 * statistics.median(ours),
        "httpx2_ms": 1000 * statistics.median(bare),
    }


def client_ratio(repeats: int = 15, times: int = 10, *, packets: bool = True) -> dict[str, float]:
    """Client CPU per reply: the median ratio of heddle to bare httpx2, and both in milliseconds.

    Args:
        repeats: turns that each client takes.
        times: replies in one turn.
        packets: whether each token is written on its own (the kernel may join some).
    """
    here, there = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    server = spawn.Process(target=serve, args=(there,), kwargs={"packets": packets}, daemon=True)
    server.start()
    try:
        return asyncio.run(taking_turns(here.recv(), repeats, times))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    for packets in (True, False):
        print(json.dumps({"packets": packets, **client_ratio(packets=packets)}))
