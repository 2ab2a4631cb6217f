"""The journal on the command line: where it is, which run is meant, and how to go on with one.

A run is named by its id, by the beginning of its id, or by `last`.
"""

from __future__ import annotations

import os
import shlex
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from heddle.cli.loop import run_loop
from heddle.cli.screen import say
from heddle.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence

    from heddle.engine.events import Event
    from heddle.engine.journal.store import RunRow, Store
    from heddle.engine.result import RunResult

    Command = TypeVar("Command", bound=Callable[..., Any])
    Given = TypeVar("Given")

__all__ = [
    "OUTCOMES",
    "KeptRun",
    "caller_of",
    "find",
    "go_on",
    "in_journal",
    "keeping",
    "kept_at",
    "load",
    "named",
    "or_without",
    "place_option",
    "say_go_on",
    "standing",
]

place_option = click.option(
    "--journal",
    "place",
    metavar="PLACE",
    help="Where runs are kept: a file, or postgresql://…. Else $HEDDLE_JOURNAL, "
    "else a file in your state folder.",
)


def keeping(command: Command) -> Command:
    """The options of commands that begin runs."""
    without = click.option("--no-journal", is_flag=True, help="Keep the run in memory only.")
    return place_option(without(command))


_MOST = 10_000  # runs that the beginning of an id is looked for among


class KeptRun(NamedTuple):
    """A run as its journal has it, verified."""

    row: RunRow
    events: list[Event]


def named(place: str | None) -> str:
    """The place that is meant, where none may have been said."""
    from heddle.engine.journal.places import default_place

    return place or default_place()


def kept_at(place: str | None, *, no_journal: bool) -> str | None:
    """Where a new run is to be kept; None for nowhere.

    Raises:
        ConfigError: both were asked for.
    """
    if place and no_journal:
        raise ConfigError(
            "--journal and --no-journal cannot both be meant", code="usage", hint="give one"
        )
    return None if no_journal else named(place)


def caller_of(
    tool_specs: Sequence[str], *, yes: bool, shared_limits: bool, **models: str | None
) -> dict[str, Any]:
    """What `heddle resume` needs to know of this command line, wherever it is called."""
    tools = [os.path.abspath(spec) if os.path.isfile(spec) else spec for spec in tool_specs]
    named = {name: _anywhere(model) for name, model in models.items() if model}
    return {"tools": tools, "yes": yes, "shared_limits": shared_limits, **named}


def _anywhere(model: str) -> str:
    """A model's name that means the same in any folder."""
    provider, _, file = model.partition(":")
    return f"replay:{os.path.abspath(file)}" if provider == "replay" and file else model


_PLACES = ("journal-unwritable", "journal-full", "journal-locked", "journal-lost")


@contextmanager
def or_without() -> Generator[None]:
    """Say of a journal that cannot be written that a run needs none.

    Raises:
        JournalError: what was raised, with that hint.
    """
    try:
        yield
    except JournalError as error:
        if error.code not in _PLACES:
            raise
        hint = "--journal PLACE keeps the run elsewhere, --no-journal in memory only"
        hint = f"{error.hint}; {hint}" if error.hint else hint
        raise JournalError(error.message, code=error.code, hint=hint) from error


def in_journal(place: str | None, work: Callable[[Store], Coroutine[Any, Any, Given]]) -> Given:
    """What comes of some work on the store at a place, which is opened for it and closed again.

    Raises:
        ConfigError: there can be no journal at such a place.
        JournalError: there is none, or it cannot be read.
    """
    from heddle.engine.journal.places import open_store

    place = named(place)
    if "://" not in place and not Path(place).exists():
        raise JournalError(
            f"no runs are kept at {place}",
            code="run-unknown",
            hint="`heddle run` and `heddle ask` keep theirs there; --journal names another place",
        )

    async def main() -> Given:
        store = open_store(place)
        try:
            return await work(store)
        finally:
            await store.aclose()

    return run_loop(main())


async def find(store: Store, name: str) -> RunRow:
    """The run that is meant.

    Args:
        store: where it is kept.
        name: its id, the beginning of its id, or "last".

    Raises:
        JournalError: `run-unknown`; `run-ambiguous`, where several ids begin so.
    """
    if name == "last":
        return _only(await store.runs(1), name)
    try:
        return await store.run(name)
    except JournalError as error:
        if error.code != "run-unknown":
            raise
    rows = await store.runs(_MOST)
    return _only([row for row in rows if name and row.run.startswith(name)], name)


def _only(rows: list[RunRow], name: str) -> RunRow:
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise JournalError(
            "no run is kept here yet" if name == "last" else f"there is no run {name!r}",
            code="run-unknown",
            hint="`heddle runs` lists them",
        )
    ids = ", ".join(row.run for row in rows[:5])
    raise JournalError(
        f"{name!r} may be any of {len(rows)} runs: {ids}{', …' if len(rows) > 5 else ''}",
        code="run-ambiguous",
        hint="write more of its id",
    )


async def load(store: Store, row: RunRow, *, strict: bool = False) -> KeptRun:
    """A run with its events.

    Args:
        store: where it is kept.
        row: the run.
        strict: whether its frames have to be canonical, byte for byte.

    Cost: linear in the run.

    Raises:
        JournalError: it is damaged, or was written by a later version.
    """
    from heddle.engine.journal.reading import read
    from heddle.engine.many import many_objects
    from heddle.engine.record import event_of

    pages = read(store, row.run, strict=strict)
    with many_objects():
        return KeptRun(row, [event_of(entry) async for page in pages for entry in page.entries])


def standing(row: RunRow) -> str:
    """A run's status for people: that of its end, else `running`, or `stopped`: nobody runs it."""
    from heddle.engine.journal.owners import dead

    if row.status != "running":
        return row.status
    alive = row.owner and row.until > time.time() and not dead(row.owner)
    return "running" if alive else "stopped"


OUTCOMES = """\
look whether it has happened, and put for OUTCOME:
  done      it has; done:JSON if later steps need what the tool would have returned
  not-done  it has not: do it now
  failed    it has not, and will not: go on without it"""
"""What a person may say of a write in doubt."""


def go_on(run: str, status: str, unknown: Iterable[str], place: str | None) -> str:
    """The command that goes on with a run; "" where there is nothing to go on with.

    A shell may read it as it is. Where a person has to decide it says OUTCOME, which is none.

    Args:
        run: its id.
        status: as `standing` says it, or its result's.
        unknown: writes in doubt; see `engine.journal.progress`.
        place: the journal's, if it was said on the command line.
    """
    from heddle.engine.addresses import shown

    if status not in ("stopped", "unresolved", "cancelled"):
        return ""
    asked = unknown if status == "unresolved" else ()  # else a probe may still be able to say
    said = [word for step in asked for word in ("--resolve", f"{step}=OUTCOME")]
    where = ["--journal", shown(place)] if place else []
    return shlex.join(["heddle", "resume", run, *said, *where])


def say_go_on(result: RunResult, place: str | None) -> None:
    """Say how to go on with a run that was stopped, or that waits to be told of a write."""
    from heddle.engine.journal.progress import unknown_places
    from heddle.engine.state import fold

    if result.run_id:
        state = fold(result.events)
        unknown = unknown_places(state)
        status = result.status if state.finished is not None else "stopped"
        if following := go_on(result.run_id, status, unknown, place):
            say(following, label="to go on: ", fg="cyan")
            if "OUTCOME" in following:
                say(OUTCOMES)
