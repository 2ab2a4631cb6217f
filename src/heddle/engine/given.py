"""What is handed in with a run, looked at before anything of it happens.

A journal can keep only what is JSON, and a run has to be found again by its id: what does not fit
is refused here, as a mistake of the caller's, and not in the middle of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from heddle.errors import ConfigError, ToolFailed
from heddle.plan.canonical import sound
from heddle.tools.probes import Done, Failed, NotDone, Unsure
from heddle.tools.values import dumper

if TYPE_CHECKING:
    from heddle.engine.log import EventLog
    from heddle.engine.past import Place
    from heddle.tools.probes import Resolution

__all__ = ["places_of", "plain", "plain_inputs", "refuse_used", "sound_id"]

_LONGEST_ID = 200


def plain_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's data as JSON, by the rules for what tools return; our own copy.

    Cost: linear in the data.

    Raises:
        ConfigError: an input that has no JSON form.
    """
    return {name: plain(f"input {name!r}", value, "bad-input") for name, value in inputs.items()}


def plain(what: str, value: Any, code: str) -> Any:
    """A value as JSON, by the rules for what tools return; our own copy.

    Raises:
        ConfigError: it has no JSON form.
    """
    try:
        return dumper(what, Any)(value)
    except ToolFailed as error:
        raise ConfigError(
            error.message,
            code=code,
            hint="pass text, numbers, true, false, None, and lists and dicts of them",
        ) from None


def sound_id(run_id: str) -> str:
    """A run's id, as the caller chose it.

    Raises:
        ConfigError: `bad-run-id`.
    """
    if run_id.isprintable() and run_id != "last" and len(run_id) <= _LONGEST_ID:
        return run_id
    raise ConfigError(
        f"no run can have the id {sound(run_id)!r:.60}",
        code="bad-run-id",
        hint=f"up to {_LONGEST_ID} printable characters; `last` stands for the latest run",
    )


def refuse_used(log: EventLog) -> None:
    """Refuse a log that holds another run already: the two would be one in the journal.

    Raises:
        ConfigError: `log-used`.
    """
    if len(log.events):
        raise ConfigError(
            "the log holds the events of another run",
            code="log-used",
            hint="pass a new EventLog for each run",
        )


def places_of(resolve: Mapping[str, Resolution]) -> dict[Place, Resolution]:
    """Resolutions by place: "3" is a step, "3[0]" an element of a map.

    Raises:
        ConfigError: `bad-resolution`: a name that is neither, or no resolution.
    """
    if not isinstance(resolve, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _bad(f"{resolve!r:.60} does not say what became of steps")
    return {_place_of(name): _resolution(name, said) for name, said in resolve.items()}


def _place_of(name: str) -> Place:
    id, bracket, index = str(name).partition("[")
    if bracket and not (index.endswith("]") and index[:-1].isdecimal()):
        raise _bad(f"{name!r} names no step", 'a step is "3", an element of a map "3[0]"')
    return id, int(index[:-1]) if bracket else None


def _resolution(name: str, said: Any) -> Resolution:
    """What somebody says, fit to be written down."""
    if isinstance(said, Done):
        return Done(plain(f"step {name}, which is done", said.value, "bad-resolution"))
    if isinstance(said, Failed):
        return Failed(sound(str(said.reason)))
    if isinstance(said, (NotDone, Unsure)):
        return said
    raise _bad(f"{said!r:.60} does not say what became of step {name}")


def _bad(message: str, hint: str = "") -> ConfigError:
    kinds = 'pass {"3": heddle.Done(value)}, or NotDone(), Failed(reason), Unsure()'
    return ConfigError(message, code="bad-resolution", hint=hint or kinds)
