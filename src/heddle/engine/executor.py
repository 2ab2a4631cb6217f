"""The executor: where a tool is really called.

A seam: `Executor.call(tool, args, attempt)` gives JSON. This one calls in our process; another may
send the call to a machine elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from heddle.engine.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from heddle.engine.isolation import Workers
    from heddle.tools.function import Tool
    from heddle.tools.home import Home

__all__ = ["BatchExecutor", "Executor", "LocalExecutor"]


class Executor(Protocol):
    """Calls tools."""

    def call(self, tool: str, args: dict[str, Any], attempt: int) -> Awaitable[Any]:
        """The JSON value of one attempt, to be awaited once.

        Args:
            tool: the tool's name.
            args: filled arguments, by name.
            attempt: 1 for the first.

        Raises:
            ToolFailed: arguments or result do not fit the tool's schema, or the tool says so.
            BaseException: whatever else the tool raised; the caller makes it a value.
        """
        ...


class BatchExecutor(Executor, Protocol):
    """Calls tools, and their batch forms. One without it is asked for each call by itself."""

    def call_many(self, tool: str, calls: list[dict[str, Any]]) -> Awaitable[list[Any]]:
        """The outcomes of many calls made as one, in order: each a value or an exception.

        Args:
            tool: the name of a tool with a batch form.
            calls: filled arguments, by name; no more than the tool's `max_batch`.

        Raises:
            BaseException: whatever the tool raised; it is the failure of each call.
        """
        ...


class LocalExecutor:
    """Calls tools on this machine: on the loop, in threads, or isolated in worker processes.

    Args:
        tools: by name.
        threads: calls in threads at once.
        processes: calls in worker processes at once.
    """

    def __init__(self, tools: Mapping[str, Tool], *, threads: int = 64, processes: int = 8) -> None:
        self._tools = tools
        self._processes = processes
        self._workers: Workers | None = None
        self.threads = Threads(threads)

    def call(self, tool: str, args: dict[str, Any], attempt: int) -> Awaitable[Any]:
        """The JSON value of one attempt; see `Executor.call`."""
        found = self._tools[tool]
        if found.home is not None:
            return self._isolated(found.home, args)
        return self.threads.run(found.invoke, args) if found.blocking else found.invoke(args)

    def call_many(self, tool: str, calls: list[dict[str, Any]]) -> Awaitable[list[Any]]:
        """The outcomes of many calls made as one; see `BatchExecutor.call_many`."""
        batch = self._tools[tool].batch
        assert batch is not None  # its spec says so
        return self.threads.run(batch.invoke, calls) if batch.blocking else batch.invoke(calls)

    def _isolated(self, home: Home, args: dict[str, Any]) -> Awaitable[Any]:
        if self._workers is None:
            from heddle.engine.isolation import Workers

            self._workers = Workers(self._processes)
        return self._workers.call(home, args)

    def probe(self, tool: str, args: dict[str, Any]) -> Awaitable[Any] | None:
        """What became of a call, as its tool's probe says; None if the tool has none.

        Args:
            tool: the name of a tool.
            args: the call's arguments, by name.
        """
        found = self._tools[tool]
        if found.probe is None:
            return None
        ask = found.probe
        return ask.invoke(args) if not ask.blocking else self.threads.run(ask.invoke, args)

    def close(self) -> None:
        """Let the threads end, and end the processes."""
        self.threads.shutdown()
        if self._workers is not None:
            self._workers.close()
