"""The executor: where a tool is really called.

A seam: `Executor.call(tool, args, attempt)` gives JSON. This one calls in our process; another may
send the call to a machine elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from heddle.engine.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from heddle.tools.function import Tool

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
    """Calls tools in this process: asynchronous ones on the loop, the others in threads."""

    def __init__(self, tools: Mapping[str, Tool], *, threads: int = 64) -> None:
        self._tools = tools
        self.threads = Threads(threads)

    def call(self, tool: str, args: dict[str, Any], attempt: int) -> Awaitable[Any]:
        """The JSON value of one attempt; see `Executor.call`."""
        found = self._tools[tool]
        return self.threads.run(found.invoke, args) if found.blocking else found.invoke(args)

    def call_many(self, tool: str, calls: list[dict[str, Any]]) -> Awaitable[list[Any]]:
        """The outcomes of many calls made as one; see `BatchExecutor.call_many`."""
        batch = self._tools[tool].batch
        assert batch is not None  # its spec says so
        return self.threads.run(batch.invoke, calls) if batch.blocking else batch.invoke(calls)

    def close(self) -> None:
        """Let the threads end."""
        self.threads.shutdown()
