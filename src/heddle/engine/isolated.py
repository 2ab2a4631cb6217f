"""The inside of a worker process: calls come in, answers go out; see `isolation`.

A frame is its length in eight bytes and then JSON. A call is [module, name, file, arguments,
current call]; an answer has `value`, `usage` and `cost_usd`, or `code`, `message`, `hint` and
`fault`. What tools print goes to stderr. When nobody is at the other end, the process ends at once,
in the midst of a call too.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import queue
import signal
import struct
import threading
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from heddle.engine.calls import CurrentCall, calling
from heddle.engine.faults import fault_of, said_of
from heddle.errors import HeddleError
from heddle.tools.function import Metered
from heddle.tools.home import Home

if TYPE_CHECKING:
    from heddle.tools.function import Tool

__all__ = ["read_frame", "serve", "write_frame"]

_LENGTH = struct.Struct(">Q")


def write_frame(pipe: IO[bytes], text: bytes) -> None:
    """Write one frame.

    Raises:
        OSError: nobody reads.
    """
    pipe.write(_LENGTH.pack(len(text)) + text)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes | None:
    """The next frame; None where the other end was closed before it was whole."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    text = pipe.read(length)
    return text if len(text) == length else None


def serve() -> None:
    """Make calls until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked, calls), daemon=True).start()
    while True:
        answer = _answer(*json.loads(calls.get()))
        write_frame(answers, json.dumps(answer).encode())


def _listen(asked: IO[bytes], calls: queue.SimpleQueue[bytes]) -> None:
    while (call := read_frame(asked)) is not None:
        calls.put(call)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # what tools have started here ends as well
    os._exit(0)


def _answer(
    module: str, name: str, file: str | None, args: dict[str, Any], call: list[Any] | None
) -> dict[str, Any]:
    """Make one call; whatever it raises is its answer."""
    calling.set(CurrentCall(*call) if call is not None else None)
    try:
        tool = _tool_of(Home(module, name, file))
        value = tool.invoke(args)
        if not tool.blocking:
            value = asyncio.run(_awaited(value))
    except BaseException as error:  # SystemExit too: a call ends no worker by raising
        code, message = said_of(error)
        hint = error.hint if isinstance(error, HeddleError) else ""
        return {"code": code, "message": message, "hint": hint, "fault": list(fault_of(error))}
    usage = cost = None
    if type(value) is Metered:
        value, counted, cost = value
        usage = list(dataclasses.astuple(counted))
    return {"value": value, "usage": usage, "cost_usd": cost}


async def _awaited(value: Any) -> Any:
    return await value


@cache
def _tool_of(home: Home) -> Tool:
    return home.tool()
