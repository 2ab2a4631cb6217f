"""Any Python function as a model: `python:module:function`.

    async def f(messages, **options) -> str | AsyncIterator[str]

An async generator function will do as well, and among the text it may give a
`heddle.models.ToolCall`. `messages` is a list of {"role", "content"}, with "calls" (of {"id",
"name", "arguments"}) in a turn that asked for some and "call_id" in a turn with a result. The
options are role, round, schema, max_output_tokens, stop and tools, a list of {"name",
"description", "parameters"}.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heddle.errors import ConfigError, HeddleError, ModelError
from heddle.models.protocol import ToolCall, estimated_usage, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
    from types import ModuleType, TracebackType

    from heddle.models.protocol import Message, Request, Usage
    from heddle.plan.spec import ToolSpec

__all__ = ["PythonModel", "python"]

MAX_QUOTED = 300
OPTIONS = ("role", "round", "schema", "max_output_tokens", "stop", "tools")


class PythonModel:
    """A model that is a function of the messages.

    Args:
        function: takes (messages, **options); see the module's text.
        name: as in "module:function".

    Raises:
        ConfigError: `bad-model-function`: it cannot be called that way.
    """

    provider = "python"

    def __init__(self, function: Callable[..., Any], *, name: str = "") -> None:
        self.name = name or getattr(function, "__name__", "function")
        self._function = function
        _check(function, self.name)

    async def stream(self, request: Request) -> AsyncGenerator[str | ToolCall | Usage]:
        """What the function gives, then an estimate of the usage.

        Raises:
            ModelError: `model-function-failed`, with the error's own text and place. Errors of
                heddle's own tree pass as they are.
        """
        characters = 0
        try:
            async with AsyncExitStack() as stack:
                pieces = await self._call(request)
                if close := getattr(pieces, "aclose", None):
                    stack.push_async_callback(close)
                async for piece in pieces:
                    said = self._said(piece)
                    characters += size_of(said)
                    yield said
        except HeddleError:
            raise
        except Exception as error:  # the user's function may raise anything
            raise self._failed(_told(error), "the error is the function's own: mend it") from error
        yield estimated_usage(request, characters)

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _call(self, request: Request) -> AsyncIterator[object]:
        result = self._function(
            [_turn(message) for message in request.messages],
            role=request.role,
            round=request.round,
            schema=request.schema,
            max_output_tokens=request.max_output_tokens,
            stop=list(request.stop),
            tools=[_offer(tool) for tool in request.tools],
        )
        if inspect.isawaitable(result):
            result = await result
        return result if hasattr(result, "__aiter__") else _once(result)

    def _said(self, piece: object) -> str | ToolCall:
        if isinstance(piece, (str, ToolCall)):
            return piece
        raise self._failed(f"gave {type(piece).__name__}, not text")

    def _failed(self, what: str, hint: str = "") -> ModelError:
        return ModelError(
            f"python:{self.name} {what}",
            code="model-function-failed",
            provider=self.provider,
            hint=hint
            or "the function must give text (a str, or an async iterator of str) or ToolCalls",
        )


def python(name: str, environment: Mapping[str, str]) -> PythonModel:
    """The model `python:module:function`; the working directory joins `sys.path`, at its end.

    Raises:
        ConfigError: `bad-model-function`: there is no such module or function, or it cannot be
            called as a model.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise _bad(f"python:{name} does not name a module and a function")
    module = _import(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        near = difflib.get_close_matches(function_name, vars(module), 1)
        raise _bad(
            f"the module {module_name!r} has no function {function_name!r}",
            f"did you mean {near[0]}? " if near else "",
        )
    return PythonModel(function, name=name)


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # last: nothing lying there stands in for an installed module
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        wanted = "of that name" if error.name == name else repr(error.name)
        raise _bad(f"cannot import {name!r}: there is no module {wanted}") from None
    except Exception as error:  # so may the user's module
        raise _bad(f"importing {name!r} failed: it {_told(error)}") from error


def _check(function: Callable[..., Any], name: str) -> None:
    try:
        inspect.signature(function).bind([], **dict.fromkeys(OPTIONS))
    except TypeError as error:
        raise _bad(f"python:{name} cannot be called as a model: {error}") from None
    except ValueError:
        return  # a built-in without a signature: the call itself will tell


def _bad(message: str, near: str = "") -> ConfigError:
    return ConfigError(
        message,
        code="bad-model-function",
        hint=near + "write python:module:function, with async def function(messages, **options)",
    )


def _told(error: Exception) -> str:
    """An error's kind and text, and the line of its own where it was raised."""
    text = " ".join(str(error).split())[:MAX_QUOTED]
    told = f"raised {type(error).__name__}" + (f": {text}" if text else "")
    last = _innermost(error.__traceback__)
    if last is None:
        return told
    code = last.tb_frame.f_code
    return f"{told} ({code.co_filename}:{last.tb_lineno}, in {code.co_name})"


def _innermost(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        turn["calls"] = [asdict(call) for call in message.calls]
    if message.call_id:
        turn["call_id"] = message.call_id
    return turn


def _offer(tool: ToolSpec) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


async def _once(result: object) -> AsyncGenerator[object]:
    yield result
