"""What SQLite and the disk say, and what a user can do about it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from heddle.engine.journal.frames import damaged
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["fault", "foreign", "of_disk", "unwritable"]


def fault(error: Exception, path: Path) -> JournalError:
    """What a fault of the journal in this file means."""
    other = unwritable if isinstance(error, OSError) else _broken_file
    return _FAULTS.get(_code(error), other)(path, str(error))


def of_disk(error: Exception) -> bool:
    """Whether the disk failed, or what is on it is broken."""
    return _code(error) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT)


def _code(error: Exception) -> int:
    extended: int = getattr(error, "sqlite_errorcode", 0)
    return sqlite3.SQLITE_FULL if extended in _NO_ROOM else extended & 0xFF


def unwritable(path: Path, why: str) -> JournalError:
    """The file cannot be used."""
    return JournalError(
        f"the journal {path} cannot be used: {why}",
        code="journal-unwritable",
        hint="name a file in a folder where you may write, which reading a journal needs too: a "
        "copy will do for that",
    )


def _full(path: Path, why: str) -> JournalError:
    return JournalError(
        f"there is no room left for the journal {path}: {why}",
        code="journal-full",
        hint="make room: what was kept of runs is whole, and they can be resumed",
    )


def _locked(path: Path, why: str) -> JournalError:
    return JournalError(
        f"another process holds the journal {path}: {why}",
        code="journal-locked",
        hint="find the process that has it open for so long",
    )


def _broken_file(path: Path, why: str) -> JournalError:
    return damaged(f"{path}: {why}")


def foreign(path: Path, why: str = "") -> JournalError:
    """The file is something else."""
    said = f" ({why})" if why else ""
    return JournalError(
        f"{path} is no journal of heddle's{said}",
        code="journal-damaged",
        hint="choose another file with --journal; if this was a journal, bring it back from a copy",
    )


_NO_ROOM = (sqlite3.SQLITE_IOERR_SHMSIZE,)  # an index of the log has its size before its pages
_FAULTS: dict[int, Callable[[Path, str], JournalError]] = {
    sqlite3.SQLITE_FULL: _full,
    sqlite3.SQLITE_BUSY: _locked,
    sqlite3.SQLITE_LOCKED: _locked,
    sqlite3.SQLITE_NOTADB: foreign,
    sqlite3.SQLITE_CANTOPEN: unwritable,
    sqlite3.SQLITE_IOERR: unwritable,
    sqlite3.SQLITE_NOMEM: unwritable,
    sqlite3.SQLITE_PERM: unwritable,
    sqlite3.SQLITE_READONLY: unwritable,
    sqlite3.SQLITE_TOOBIG: unwritable,
}
