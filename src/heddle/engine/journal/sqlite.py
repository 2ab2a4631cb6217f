"""Journals in one SQLite file, with no set-up: the store by default.

SQLite's write-ahead log makes a change whole or not at all. `sync` waits for the disk
(synchronous=FULL), which makes all earlier changes durable too; without it a change has left the
process and survives its death, though not a loss of power.

One thread has the one connection, so that waiting for the disk or for another process's lock holds
up neither the event loop nor the order of changes. The standard library's sqlite3 and our own
thread, not aiosqlite: that is a thread and a queue around the same module, one hop for each
statement where a change here is one hop in all.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import closing, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from heddle.engine.journal import refusals
from heddle.engine.journal.frames import damaged
from heddle.engine.journal.owners import dead, elsewhere
from heddle.engine.journal.sqlite_faults import fault, foreign, of_disk, unwritable
from heddle.engine.journal.store import Frame, Head, RunLease, RunRow, Snapshot
from heddle.engine.threads import Threads
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
    from types import CoroutineType

__all__ = ["SQLiteStore"]

VERSION = 1
_NEEDED = (3, 37)  # strict tables
_APPLICATION = 0x6865646A  # "hedj", in the file's header: `file` and we know it by that
_BATCH = 64  # frames that are read at once
_LOG_BYTES = 4 * 1024 * 1024  # of changes, after which they go from SQLite's log to its tables
_CHANGE_BYTES = 4 * 4096  # what a change writes besides its frames, about

_RUN = (str, str, str, str, int, float, float, float, str)
_HEAD = (int, str)
_FRAME = (int, int, int, int, float, str, str, bytes)
_SNAPSHOT = (int, str, bytes)

_TABLES = """
CREATE TABLE runs (
    run TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL, status TEXT NOT NULL,
    owner TEXT NOT NULL, token INTEGER NOT NULL, until REAL NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL, progress TEXT NOT NULL,
    head INTEGER, hash TEXT
) STRICT;
CREATE INDEX latest ON runs (created);
CREATE TABLE frames (
    run TEXT NOT NULL, number INTEGER NOT NULL, seq INTEGER NOT NULL, events INTEGER NOT NULL,
    token INTEGER NOT NULL, wall REAL NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (run, number)
) STRICT;
CREATE TABLE large (digest TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE snapshots (
    run TEXT NOT NULL PRIMARY KEY, number INTEGER NOT NULL, hash TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
"""


P = ParamSpec("P")
T = TypeVar("T")


def _in_thread(
    method: Callable[Concatenate[SQLiteStore, P], T],
) -> Callable[Concatenate[SQLiteStore, P], CoroutineType[Any, Any, T]]:
    """A method that runs in the thread of its store, and is awaited."""

    @wraps(method)
    async def called(self: SQLiteStore, *args: P.args, **kwargs: P.kwargs) -> T:
        work = partial(method, self, *args, **kwargs)
        return await self._thread.run(work)  # pyright: ignore[reportPrivateUsage]  # of this file

    return called


class SQLiteStore:
    """Journals in the file `path`, which is made, readable for its owner only, when first used.

    Args:
        path: the file; its folder is made too.
        wait_s: seconds to wait for another process's change before it is `journal-locked`.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait_s: float = 10.0) -> None:
        self.path = Path(path)
        self._wait_s = wait_s
        self._thread = Threads(1)
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # device and number of the file that is open
        self._synced: bool | None = None
        self._may_begin = False  # an empty file may become a journal; else it was one, and was lost
        self._logged = 0  # bytes in SQLite's log, about
        self._broken: JournalError | None = None

    # -- changes -----------------------------------------------------------------------------

    @_in_thread
    def create(self, run: str, title: str, owner: str, ttl_s: float) -> RunLease:
        """See Store."""
        now = time.time()
        row = (run, title, "running", owner, 1, now + ttl_s, now, now, "")
        self._may_begin = True
        with self._change() as db:
            taken = db.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row
            )
            if taken.rowcount == 0:
                raise refusals.exists(run, self.path)
        return RunLease(run, owner, 1)

    @_in_thread
    def lease(self, run: str, owner: str, ttl_s: float) -> RunLease:
        """See Store."""
        now = time.time()
        with self._change() as db:
            row = self._row(db, run)
            # one that ends later than any lease was taken while the clock ran ahead: who lives will
            # renew it, and nobody waits for the clock
            ahead = row.until > now + ttl_s and elsewhere(row.owner)
            if row.owner and row.until > now and not (ahead or dead(row.owner)):
                left = f"its lease ends in {row.until - now:.0f} s unless it is renewed"
                raise refusals.leased(row, left)
            db.execute(
                "UPDATE runs SET owner = ?, token = ?, until = ? WHERE run = ?",
                (owner, row.token + 1, now + ttl_s, run),
            )
        return RunLease(run, owner, row.token + 1)

    @_in_thread
    def renew(self, lease: RunLease, ttl_s: float) -> None:
        """See Store."""
        with self._change() as db:
            self._held(db, lease)
            db.execute("UPDATE runs SET until = ? WHERE run = ?", (time.time() + ttl_s, lease.run))

    @_in_thread
    def release(self, lease: RunLease) -> None:
        """See Store."""
        with self._change() as db:
            db.execute(
                "UPDATE runs SET owner = '', until = 0 WHERE run = ? AND token = ?",
                (lease.run, lease.token),
            )

    @_in_thread
    def append(
        self,
        lease: RunLease,
        frames: Sequence[Frame],
        large: Mapping[str, bytes],
        *,
        sync: bool,
        status: str = "",
        progress: str = "",
    ) -> None:
        """See Store."""
        refusals.require_chain(frames)
        with self._change(sync=sync) as db:
            row = self._held(db, lease)
            if frames and not _follows(row.head, frames[0]):
                raise refusals.gap(row)
            db.executemany("INSERT OR IGNORE INTO large VALUES (?, ?)", large.items())
            db.executemany(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(lease.run, *frame) for frame in frames],
            )
            self._logged += sum(map(len, large.values())) + sum(len(each.body) for each in frames)
            head = (frames[-1].number, frames[-1].hash) if frames else row.head or (None, None)
            db.execute(
                "UPDATE runs SET head = ?, hash = ?, updated = ?, status = ?, progress = ?"
                " WHERE run = ?",
                (*head, time.time(), status or row.status, progress or row.progress, lease.run),
            )

    @_in_thread
    def save(self, lease: RunLease, snapshot: Snapshot) -> None:
        """See Store."""
        with self._change() as db:
            self._held(db, lease)
            db.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", (lease.run, *snapshot)
            )

    def _held(self, db: sqlite3.Connection, lease: RunLease) -> RunRow:
        row = self._row(db, lease.run)
        if row.token != lease.token or row.owner != lease.owner:
            raise refusals.lost(row)
        return row

    # -- looks -------------------------------------------------------------------------------

    async def frames(self, run: str, after: int = -1) -> AsyncIterator[Frame]:
        """See Store."""
        await self.run(run)
        while batch := await self._batch(run, after):
            for frame in batch:
                yield frame
            after = batch[-1].number

    @_in_thread
    def _batch(self, run: str, after: int) -> list[Frame]:
        with self._look() as db:
            rows = db.execute(
                "SELECT number, seq, events, token, wall, prev, hash, body FROM frames"
                " WHERE run = ? AND number > ? ORDER BY number LIMIT ?",
                (run, after, _BATCH),
            )
            found = [Frame._make(_typed(row, _FRAME)) for row in rows]
        if found and found[-1].number <= after:
            raise damaged(f"{self.path}: frames of run {run} are not in their order")
        return found

    @_in_thread
    def large(self, digest: str) -> bytes:
        """See Store."""
        with self._look() as db:
            row = db.execute("SELECT body FROM large WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                raise damaged(f"the large value {digest:.16}… is missing")
            return _typed(row, (bytes,))[0]

    @_in_thread
    def snapshot(self, run: str) -> Snapshot | None:
        """See Store."""
        with self._look() as db:
            row = db.execute(
                "SELECT number, hash, body FROM snapshots WHERE run = ?", (run,)
            ).fetchone()
            return Snapshot._make(_typed(row, _SNAPSHOT)) if row else None

    @_in_thread
    def run(self, run: str) -> RunRow:
        """See Store."""
        with self._look() as db:
            return self._row(db, run)

    @_in_thread
    def runs(self, limit: int = 50) -> list[RunRow]:
        """See Store."""
        with self._look() as db:
            rows = db.execute("SELECT * FROM runs ORDER BY created DESC LIMIT ?", (limit,))
            return [_run_row(row) for row in rows]

    def _row(self, db: sqlite3.Connection, run: str) -> RunRow:
        row = db.execute("SELECT * FROM runs WHERE run = ?", (run,)).fetchone()
        if row is not None:
            return _run_row(row)
        _refuse_damage(db, run)
        raise refusals.unknown(run, self.path)

    # -- the connection ----------------------------------------------------------------------

    @contextmanager
    def _change(self, *, sync: bool = False) -> Generator[sqlite3.Connection]:
        """A transaction that changes something; all or nothing."""
        with self._look() as db:
            if sync is not self._synced:
                db.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
                self._synced = sync
            self._still_there()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:  # no change is left half made; raised again
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            self._fold(db)

    def _fold(self, db: sqlite3.Connection) -> None:
        """Bring the changes from the log to the tables, now and then.

        SQLite would do so by itself, and keep to itself that the disk failed.
        """
        self._logged += _CHANGE_BYTES
        if self._logged > _LOG_BYTES:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._logged = 0

    @contextmanager
    def _look(self) -> Generator[sqlite3.Connection]:
        """The connection; what SQLite says of a fault becomes a JournalError."""
        if self._broken is not None:
            raise self._broken
        try:
            yield self._open()
        except (sqlite3.Error, OSError, UnicodeError) as error:  # messages may quote damage
            raise self._fault(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._opened()
            found = self.path.stat()
            self._file = found.st_dev, found.st_ino
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < _NEEDED:
            raise unwritable(self.path, f"SQLite {sqlite3.sqlite_version} is too old for it")
        if not self._may_begin and self.path.exists() and not self.path.stat().st_size:
            raise damaged(f"{self.path} is empty")
        if self.path.is_dir():
            raise unwritable(self.path, "it is a folder")
        self._make()
        db = self._connect(self.path)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("PRAGMA cell_size_check = ON")
            self._prepare(db)
        except BaseException:  # no connection is left open; raised again
            db.close()
            raise
        return db

    def _connect(self, path: Path) -> sqlite3.Connection:
        return sqlite3.connect(
            path, timeout=self._wait_s, isolation_level=None, check_same_thread=False
        )

    def _make(self) -> None:
        """Make the file, if it is not there.

        It gets its name when it is whole: of a process that is killed meanwhile nothing is left
        that would pass for a journal which was lost. Journals hold what tools said, so others may
        not look.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.exists():
            return
        path = Path(os.path.realpath(self.path))  # a link may lead to where it is to be
        draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            with closing(self._connect(draft)) as db:
                self._prepare(db)
            _give_name(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Make the tables in a new file; refuse one that is not ours, or a later version's."""
        if _pragma(db, "user_version") == VERSION and _pragma(db, "application_id") == _APPLICATION:
            return
        db.execute("BEGIN IMMEDIATE")  # another process may be making them
        version, application = _pragma(db, "user_version"), _pragma(db, "application_id")
        if version == 0 and application == 0 and not _pragma(db, "schema_version"):
            marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {VERSION}"
            for statement in f"{_TABLES}{marks}; COMMIT".split(";"):
                db.execute(statement)
            return
        db.execute("ROLLBACK")
        if application != _APPLICATION:
            raise foreign(self.path)
        if version < VERSION:
            raise damaged(f"{self.path} says that it is of version {version}")
        if version > VERSION:
            raise JournalError(
                f"{self.path} was made by a later version of heddle",
                code="journal-newer",
                hint="install that version, or choose another file with --journal",
            )

    def _still_there(self) -> None:
        """SQLite goes on writing into a file that was deleted, and nobody would find it again."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._file:
            self._broken = unwritable(self.path, "it was deleted or replaced during the run")
            raise self._broken

    def _fault(self, error: Exception) -> JournalError:
        """What a fault means; after one of the disk nothing is written any more.

        A failed sync is never tried again: the system may have dropped what it could not write,
        and the next sync would succeed all the same.
        """
        found = fault(error, self.path)
        if of_disk(error):
            self._broken = found
        return found

    async def aclose(self) -> None:
        """See Store; whoever uses the store again opens it again."""
        await self._close()
        self._thread.shutdown()
        self._thread = Threads(1)

    @_in_thread
    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.close()
            except sqlite3.Error as error:
                raise self._fault(error) from error


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def _give_name(draft: Path, path: Path) -> None:
    """Give a file its name, unless another process was faster."""
    try:
        os.link(draft, path)
    except OSError:  # it is there, or this disk knows no second names
        if not path.exists():
            draft.rename(path)


def _sync_folder(folder: Path) -> None:
    """A name that was given survives the loss of power, where folders can be synced."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _run_row(row: tuple[Any, ...]) -> RunRow:
    *fields, progress = row[:9]
    if row[9:] == (None, None):
        _typed(row[:9], _RUN)
        return RunRow._make((*fields, None, progress))
    _typed(row, (*_RUN, *_HEAD))
    return RunRow._make((*fields, Head(row[9], row[10]), progress))


def _typed(row: tuple[Any, ...], types: Sequence[type]) -> tuple[Any, ...]:
    """A row whose values are of the types of their columns: in a damaged file they may not be."""
    if any(value.__class__ is not kind for value, kind in zip(row, types, strict=True)):
        raise damaged("a row holds something else than its columns")
    return row


def _follows(head: Head | None, first: Frame) -> bool:
    if head is None:
        return first.number == 0
    return first.number == head.number + 1 and first.prev == head.hash


def _refuse_damage(db: sqlite3.Connection, run: str) -> None:
    """A run that is not there may have been lost: that is not the same as there being none."""
    orphans = db.execute("SELECT count(*) FROM frames WHERE run = ?", (run,)).fetchone()[0]
    if orphans:
        raise damaged(f"there are {orphans} frames of run {run}, and no run")
    found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise damaged(f"run {run} is not there, and SQLite finds: {found}")
