"""Where shared allowances are: a file of this machine, or a server for several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from heddle.engine.allowances.store import AllowanceStore

__all__ = ["open_allowances"]


def open_allowances(place: str) -> AllowanceStore:
    """The store at a file name or a `postgresql://` URL. Nothing is opened yet.

    Raises:
        ConfigError: `missing-extra`: what its store needs is not installed.
    """
    if place.startswith(("postgresql://", "postgres://")):
        return _postgres(place)
    from heddle.engine.allowances.sqlite import SQLiteAllowances

    return SQLiteAllowances(place)


def _postgres(url: str) -> AllowanceStore:
    try:
        from heddle.engine.allowances.postgres import PostgresAllowances
    except ImportError as error:
        raise ConfigError(
            "limits on a PostgreSQL server need asyncpg, which is not installed",
            code="missing-extra",
            hint="pip install 'heddle-run[postgres]'",
        ) from error
    return PostgresAllowances(url)
