"""Allowances in a SQLite file, for all processes of one machine.

The standard library's sqlite3 in one thread: a change takes about 0.1 ms and is made twice a
second, and aiosqlite would put the same thread around it. Nothing is synced: what is kept is true
for a minute, and the loss of power ends everybody who was counted.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from heddle.engine.journal.owners import this_boot
from heddle.errors import ConfigError

if TYPE_CHECKING:
    import os

    from heddle.engine.allowances.store import Change

__all__ = ["SQLiteAllowances"]

T = TypeVar("T")

_TABLE = "CREATE TABLE IF NOT EXISTS allowances (name TEXT PRIMARY KEY, boot TEXT, kept TEXT)"
_KEEP = "INSERT OR REPLACE INTO allowances VALUES (?, ?, ?)"


class SQLiteAllowances:
    """Documents in a file; made when it is first used.

    The clock is the machine's own, which never goes back; a document from before the machine was
    started again is as good as none.

    Args:
        path: the file; its folder is made where it is missing.
        wait_s: how long another process may hold the file.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait_s: float = 5.0) -> None:
        self.path = Path(path)
        self._wait_s = wait_s
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    async def change(self, name: str, change: Change[T]) -> T:
        """Change a document; see `AllowanceStore`.

        Raises:
            ConfigError: `limits-unwritable`.
            TimeoutError: another process has held the file for `wait_s`.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "heddle-allowances")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._change, name, change)

    async def aclose(self) -> None:
        """Close the file; a later change opens it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown()

    def _change(self, name: str, change: Change[T]) -> T:
        try:
            db = self._opened()
            with db:
                db.execute("BEGIN IMMEDIATE")
                row = db.execute("SELECT boot, kept FROM allowances WHERE name = ?", (name,))
                boot, kept = row.fetchone() or ("", "null")
                document = json.loads(kept) if boot == this_boot() else None
                document, told = change(document, time.monotonic())
                db.execute(_KEEP, (name, this_boot(), json.dumps(document)))
            return told
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise TimeoutError(f"{self.path} is held by another process") from error
            raise self._unwritable(error) from error
        except (sqlite3.Error, OSError, ValueError) as error:
            raise self._unwritable(error) from error

    def _opened(self) -> sqlite3.Connection:
        """The file of that name: if somebody has removed it, what others make in its place."""
        if self._db is not None and self._file != _identity(self.path):
            self._close()
        return self._db or self._open()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            self.path, timeout=self._wait_s, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            db.execute(_TABLE)
        except BaseException:  # no connection is left open; raised again
            db.close()
            raise
        self._db, self._file = db, _identity(self.path)
        return db

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _unwritable(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"shared limits cannot be kept in {self.path}: {error}",
            code="limits-unwritable",
            hint="name a file that can be written; one that is damaged may be deleted",
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file that is; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
