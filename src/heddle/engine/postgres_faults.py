"""What PostgreSQL and its client say, and what a user can do about it."""

from __future__ import annotations

from typing import NamedTuple

import asyncpg

from heddle.errors import JournalError

__all__ = ["AWAY", "STARTING", "fault", "tells"]

AWAY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
STARTING = (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
"""What a server says that is there, but not yet for us."""


class _Fault(NamedTuple):
    kinds: tuple[type[BaseException], ...]
    code: str
    says: str
    hint: str


_FAULTS = (
    _Fault(
        (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError),
        "journal-unwritable",
        "the server does not let us in: {error}",
        "check user and password (PGPASSWORD and ~/.pgpass are read; in a URL, special characters "
        "are percent-encoded)",
    ),
    _Fault(
        (asyncpg.InvalidCatalogNameError,),
        "journal-unwritable",
        "there is no such database",  # its name may hold a URL that was pasted into another
        "make it (CREATE DATABASE …), or correct the name",
    ),
    _Fault(
        (asyncpg.InsufficientPrivilegeError,),
        "journal-unwritable",
        "a right is missing: {error}",
        "the user needs CREATE on the database once, then USAGE on the schema heddle and SELECT, "
        "INSERT, UPDATE on its tables",
    ),
    _Fault(
        (asyncpg.ReadOnlySQLTransactionError,),
        "journal-unwritable",
        "the server only reads: {error}",
        "name the primary server, not a standby",
    ),
    _Fault(
        (asyncpg.DiskFullError, asyncpg.OutOfMemoryError),
        "journal-full",
        "the server has no room: {error}",
        "make room there: what was kept of runs is whole, and they can be resumed",
    ),
    _Fault(
        (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError),
        "journal-locked",
        "the server gave up waiting: {error}",
        "see who holds its tables (pg_locks)",
    ),
    _Fault(
        (asyncpg.TooManyConnectionsError,),
        "journal-lost",
        "the server takes no more connections: {error}",
        "raise max_connections there, or close others",
    ),
    _Fault(
        (asyncpg.DataError,),
        "journal-unwritable",
        "a value cannot be kept: {error}",
        "",
    ),
    _Fault(
        (ValueError,),
        "journal-unwritable",
        "this is not a URL that PostgreSQL's client can use",
        "postgresql://user:password@host:port/database, special characters percent-encoded",
    ),
    _Fault(
        AWAY,
        "journal-lost",
        "there is no connection to the server: {error}",
        "check host, port and whether the server runs; what was kept of runs can be resumed",
    ),
    _Fault(
        (asyncpg.PostgresError,),
        "journal-unwritable",
        "the server refuses: {error}",
        "",
    ),
)


def tells(error: BaseException) -> bool:
    """Whether its text may show a part of the password: the URL could not be read."""
    return isinstance(error, ValueError) and not isinstance(error, asyncpg.DataError)


def fault(error: BaseException, place: str) -> JournalError:
    """What a user can do something with, of what the client or the server has said."""
    if isinstance(error, JournalError):
        return error
    row = next(row for row in _FAULTS if isinstance(error, row.kinds))
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return JournalError(f"{place}: {row.says.format(error=text)}", code=row.code, hint=row.hint)
