"""The outside world of the kill campaigns: it counts effects, in a process that nobody kills.

A tool tells it over a socket what it does; the effect has happened once the world has read that.
Only then, and only if the world answers, does the tool return. So a process that is killed in place
of the answer died between the effect and its record: not probably, but because it never learned
that its effect was done.

    tool ──{"do": label, "kind": "write", "key": …}──▶ world: counted ──{}──▶ tool returns
                                                          └─ or SIGKILL

Nothing here needs heddle: the same world counts the effects of other runtimes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

PLACE = "RELIABILITY_WORLD"
"""The environment variable that tells a child where its world listens."""

WAIT_S = 0.01
"""A tool waits up to so long before its effect, and again after it."""


class Effect(NamedTuple):
    """Something that happened.

    Attributes:
        label: which of the effects that the plan asks for.
        kind: "write", which must not happen twice, or "idempotent".
        key: what makes repetitions of an idempotent effect one.
    """

    label: str
    kind: str
    key: str


class World:
    """Counts effects, and may answer one of them with a kill.

    Attributes:
        effects: all that happened, in order.
        on_effect: called after an effect was counted; True if its process is dead and there is
            nobody to answer.
    """

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.on_effect: Callable[[Effect], bool] = lambda _: False

    @asynccontextmanager
    async def listening(self, place: Path) -> AsyncIterator[None]:
        """Answer at a socket in the file system."""
        server = await asyncio.start_unix_server(self._answer, place)
        try:
            yield
        finally:
            server.close()

    def done(self, label: str) -> bool:
        """Whether an effect has happened."""
        return any(effect.label == label for effect in self.effects)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            answer = self._reply(json.loads(line)) if line.endswith(b"\n") else None
            if answer is not None:
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # killed while it was told
        finally:
            writer.close()

    def _reply(self, said: dict[str, Any]) -> dict[str, Any] | None:
        if "ask" in said:
            return {"done": self.done(said["ask"])}
        effect = Effect(said["do"], said["kind"], said.get("key", ""))
        self.effects.append(effect)
        return None if self.on_effect(effect) else {}


# -- what a tool says ----------------------------------------------------------------------------


async def act(label: str, kind: str = "write", key: str = "") -> None:
    """Let an effect happen; waits a moment before it and after it."""
    await asyncio.sleep(random.uniform(0, WAIT_S))
    await _tell({"do": label, "kind": kind, "key": key})
    await asyncio.sleep(random.uniform(0, WAIT_S))


async def happened(label: str) -> bool:
    """Whether an effect has happened: what a probe asks."""
    return bool((await _tell({"ask": label}))["done"])


async def _tell(said: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(os.environ[PLACE])
    try:
        writer.write(json.dumps(said).encode() + b"\n")
        answer = await reader.readline()
    finally:
        writer.close()
    if not answer:
        raise ConnectionError("the world did not answer")
    return json.loads(answer)


def act_now(label: str) -> None:
    """`act`, for runtimes whose steps are plain functions."""
    time.sleep(random.uniform(0, WAIT_S))
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(os.environ[PLACE])
        line.sendall(json.dumps({"do": label, "kind": "write"}).encode() + b"\n")
        if not line.makefile("rb").readline():
            raise ConnectionError("the world did not answer")
    time.sleep(random.uniform(0, WAIT_S))
