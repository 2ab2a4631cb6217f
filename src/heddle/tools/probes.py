"""What became of a write whose outcome nobody saw: what probes and people may say.

@heddle.tool(effect="write", probe=look_up)
async def send(to: str, body: str) -> str: ...

async def look_up(to: str, body: str) -> heddle.Done | heddle.NotDone | heddle.Unsure:
mail = await outbox.find(heddle.current_call().key)
return heddle.NotDone() if mail is None else heddle.Done(mail.id)
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.plan.spec import ToolSpec

__all__ = ["Done", "Failed", "NotDone", "Probe", "Resolution", "Unsure", "probe_form"]


@dataclass(frozen=True, slots=True)
class Done:
    """It has happened, and this is what the tool would have returned."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class NotDone:
    """It has not happened, and will not: the step may be tried again."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It counts as failed, and is not tried again."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unsure:
    """Nobody can say; the step stays unknown."""


Resolution: TypeAlias = Done | NotDone | Failed | Unsure


@dataclass(frozen=True, slots=True)
class Probe:
    """What may be asked about a write whose outcome nobody saw.

    Attributes:
        invoke: named JSON arguments to a Resolution (blocking), or to an awaitable of one.
        blocking: a synchronous function, which is to be run in a thread.
    """

    invoke: Callable[[dict[str, Any]], Any]
    blocking: bool


def probe_form(
    function: Callable[..., Any],
    spec: ToolSpec,
    bind: Callable[[dict[str, Any]], dict[str, Any]],
    dump: Callable[[Any], Any],
) -> Probe:
    """The probe of a tool.

    Args:
        function: takes the tool's arguments, and gives a Resolution.
        spec: the tool's.
        bind: makes the tool's arguments of JSON.
        dump: makes JSON of what the tool returns.

    Raises:
        ConfigError: the tool is no `write`, of which alone the outcome can be unknown.
    """
    if spec.effect != "write":
        raise ConfigError(
            f"tool {spec.name!r}: its effect is {spec.effect}, and only a write has a probe",
            code="bad-tool",
            hint="drop probe=: such a call is simply made again",
        )

    def said(resolution: Any) -> Any:
        return Done(dump(resolution.value)) if isinstance(resolution, Done) else resolution

    async def ask(args: dict[str, Any]) -> Any:
        return said(await function(**bind(args)))

    def ask_blocking(args: dict[str, Any]) -> Any:
        return said(function(**bind(args)))

    blocking = not inspect.iscoroutinefunction(function)
    return Probe(ask_blocking if blocking else ask, blocking)
