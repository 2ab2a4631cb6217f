"""Where journals are: a file, a server, or a store that somebody passed.

>>> open_store("runs.db").path.name
'runs.db'
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from heddle.engine.journal.sqlite import SQLiteStore
from heddle.errors import ConfigError

if TYPE_CHECKING:
    from heddle.engine.journal.store import Store

__all__ = ["Place", "default_place", "open_store"]

Place: TypeAlias = "str | os.PathLike[str] | Store"
"""A path, a URL, or a store."""

_SERVERS = ("postgresql://", "postgres://")


def default_place() -> str:
    """$HEDDLE_JOURNAL, else journal.db among the files of state that this user's programs keep."""
    if chosen := os.environ.get("HEDDLE_JOURNAL"):
        return chosen
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return str(Path(state) / "heddle" / "journal.db")


def open_store(place: Place) -> Store:
    """The store at a place; one that was passed is returned as it is. Nothing is opened yet.

    Raises:
        ConfigError: a URL of another kind, no name, something else than a place, or what its store
            needs is not installed.
    """
    if not isinstance(place, (str, os.PathLike)):
        if not hasattr(place, "append") or not hasattr(place, "frames"):
            raise ConfigError(
                f"no journal can be kept in {type(place).__name__} {place!r:.50}",
                code="bad-journal",
                hint="a file name, postgresql://user@host/database, or a Store",
            )
        return place
    text = os.fspath(place)
    if not text:
        raise ConfigError(
            "the name of the journal is empty",
            code="bad-journal",
            hint="a file name, or postgresql://user@host/database",
        )
    if text.startswith(_SERVERS):
        return _postgres(text)
    if "://" in text:
        raise ConfigError(
            f"no journal can be kept at {text.partition('://')[0]}://…",
            code="bad-journal",
            hint="a file name, or postgresql://user@host/database",
        )
    return SQLiteStore(text)


def _postgres(url: str) -> Store:
    try:
        from heddle.engine.journal.postgres import PostgresStore
    except ImportError as error:
        raise ConfigError(
            "a journal on a PostgreSQL server needs asyncpg, which is not installed",
            code="missing-extra",
            hint="pip install 'heddle-run[postgres]'",
        ) from error
    return PostgresStore(url)
