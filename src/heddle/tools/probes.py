"""What became of a write whose outcome nobody saw: what probes, people and policies may say.

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

from heddle.errors import ConfigError, ToolFailed
from heddle.plan.canonical import sound
from heddle.plan.spec import Ruling

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.plan.spec import ToolSpec

__all__ = ["Done", "Failed", "NotDone", "Probe", "Resolution", "Unsure", "probe_form", "ruling_of"]


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
        ConfigError: the tool is no `write`, of which alone the outcome can be unknown, or the probe
            does not take the same arguments.
    """
    _refuse_unless_write("probe", spec)
    _refuse_other_arguments(function, spec)

    def said(resolution: Any) -> Any:
        return Done(dump(resolution.value)) if isinstance(resolution, Done) else resolution

    async def ask(args: dict[str, Any]) -> Any:
        return said(await function(**bind(args)))

    def ask_blocking(args: dict[str, Any]) -> Any:
        return said(function(**bind(args)))

    blocking = not inspect.iscoroutinefunction(function)
    return Probe(ask_blocking if blocking else ask, blocking)


def ruling_of(
    said: Any, spec: ToolSpec, dump: Callable[[Any], Any], *, probed: bool
) -> Ruling | None:
    """The policy of a tool; None to leave a write unknown until somebody knows.

    Args:
        said: `Done`, `Failed`, `Unsure`, or None for the last.
        spec: the tool's.
        dump: makes JSON of what the tool returns.
        probed: whether the tool has a probe, which is asked before.

    Raises:
        ConfigError: the tool is no `write`, the value is none that it could return, or it would be
            repeated because nobody knows.
    """
    if said is None or isinstance(said, Unsure):
        return None
    _refuse_unless_write("on_unknown", spec)
    if isinstance(said, Failed):
        return Ruling("failed", reason=sound(str(said.reason)), at_once=not probed)
    if not isinstance(said, Done):
        raise _bad(
            spec,
            f"on_unknown={said!r:.60} is no policy",
            "heddle.Done(value), heddle.Failed(reason), or None to leave it to a person; no write "
            "is repeated because nobody knows",
        )
    try:
        return Ruling("done", dump(said.value), at_once=not probed)
    except ToolFailed as error:
        what = f"on_unknown: {error.message}"
        raise _bad(spec, what, "pass what the tool would have returned") from error


def _refuse_unless_write(setting: str, spec: ToolSpec) -> None:
    if spec.effect != "write":
        what = f"its effect is {spec.effect}, and only a write has {setting}="
        raise _bad(spec, what, f"drop {setting}=: such a call is simply made again")


def _refuse_other_arguments(probe: Callable[..., Any], spec: ToolSpec) -> None:
    """A probe is called as its tool is: all arguments by name, or all but the optional ones."""
    takes = list(spec.parameters.get("properties", {}))
    try:
        signature = inspect.signature(probe)
    except (TypeError, ValueError):  # not written in Python: it does not say what it takes
        return
    try:
        signature.bind(**dict.fromkeys(takes))
        signature.bind(**dict.fromkeys(spec.parameters.get("required", ())))
    except TypeError as error:
        what = f"its probe does not take the same arguments: {error}"
        hint = f"it is called with {', '.join(takes) or 'nothing'}, by name"
        raise _bad(spec, what, hint) from None


def _bad(spec: ToolSpec, what: str, hint: str) -> ConfigError:
    return ConfigError(f"tool {spec.name!r}: {what}", code="bad-tool", hint=hint)
