"""A PostgreSQL server that may go away and come back, as statements that may be said twice.

Every statement that is given here has to be safe to repeat: said a second time, it finds out what
the first has done. Then a lost connection needs no more than a new one. Waits grow from 50 ms to
2 s with jitter, so that the processes which a restarted server has lost do not come back in step.

asyncpg speaks to the server: maintained, without dependencies of its own, and as fast as any.
Source: `pool.acquire`, `reset` and the exception classes of MagicStack/asyncpg.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import asyncpg

from heddle.engine.addresses import shown
from heddle.engine.postgres_faults import AWAY, STARTING, fault, tells
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Database", "Tables"]

CONNECTIONS = 8
CONNECT_S = 10.0
STATEMENT_S = 20.0
PATIENCE_S = 30.0
FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0
_LOCK = 0x686564646C65  # "heddle": who makes the tables, makes them alone


class Tables(NamedTuple):
    """The tables of one part of heddle, all in the schema `heddle`.

    Attributes:
        part: its name.
        version: of the tables.
        statements: make them, each where it is missing.
    """

    part: str
    version: int
    statements: str


class Database:
    """One database, with a few connections that are made when they are needed.

    Args:
        dsn: `postgresql://user:password@host:port/database`.
        tables: made when they are missing.
        patience_s: how long a server that was there may be away.

    Attributes:
        doubts: grows whenever a statement may have been done without our knowing, or the server may
            have come back without what was not durable.
        place: the URL as it may be shown.
    """

    def __init__(self, dsn: str, tables: Tables, *, patience_s: float = PATIENCE_S) -> None:
        self._dsn = dsn
        self._tables = tables
        self._patience_s = patience_s
        self._jitter = random.Random()  # of this process, not of a run: it decides no result
        self._pool: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._making = asyncio.Lock()
        self._made = False
        self.doubts = 0
        self.place = shown(dsn)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place!r})"

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        """The rows of a statement, which commits by itself and may be said twice.

        Raises:
            JournalError: it cannot be done, or the server stayed away.
        """
        return await self._until_done(lambda: self._say(statement, values))

    async def aclose(self) -> None:
        """Close the connections. Those of another loop ended with it, and cannot be closed here."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._loop is not asyncio.get_running_loop():
            return
        try:
            async with asyncio.timeout(CONNECT_S):
                await pool.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()  # the server is away: nothing of ours is there to be lost

    async def _until_done(self, work: Callable[[], Awaitable[list[Any]]]) -> list[Any]:
        give_up = time.monotonic() + self._patience_s
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await work()
            except (*AWAY, asyncpg.PostgresError, ValueError) as error:
                if not self._passes(error) or time.monotonic() > give_up:
                    raise fault(error, self.place) from (None if tells(error) else error)
            await asyncio.sleep(self._jitter.uniform(wait_s / 2, wait_s))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    def _passes(self, error: BaseException) -> bool:
        """Whether waiting may help. What never answered is more likely a wrong address."""
        away = isinstance(error, AWAY if self._made else STARTING)
        return away and not isinstance(error, asyncpg.DataError)  # an InterfaceError for values

    async def _say(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        pool = await self._opened()
        async with pool.acquire(timeout=CONNECT_S) as connection:
            try:
                return await connection.fetch(statement, *values)
            except asyncio.CancelledError:
                self.doubts += 1
                raise
            except AWAY:
                # One that lost its server in mid-answer may look alive: it is not lent again.
                with contextlib.suppress(asyncpg.InterfaceError):  # the pool knew
                    connection.terminate()
                raise

    async def _opened(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            await self.aclose()
            self._loop, self._making = loop, asyncio.Lock()
        if self._pool is None or not self._made:
            async with self._making:
                self._pool = self._pool or await self._connections()
                if not self._made:
                    await self._make(self._pool)
        return self._pool

    async def _connections(self) -> Any:
        return await cast("Any", asyncpg).create_pool(  # it has no types
            self._dsn,
            min_size=0,
            max_size=CONNECTIONS,
            timeout=CONNECT_S,
            command_timeout=STATEMENT_S,
            init=self._connected,
            reset=_nothing,
            server_settings={"application_name": "heddle"},
        )

    async def _connected(self, _: Any) -> None:
        self.doubts += 1

    async def _make(self, pool: Any) -> None:
        async with pool.acquire(timeout=CONNECT_S) as connection:
            if (encoding := await connection.fetchval("SHOW server_encoding")) != "UTF8":
                raise JournalError(
                    f"the database {self.place} keeps text as {encoding}, not as UTF8",
                    code="journal-unwritable",
                    hint="make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
                )
            if await self._version(connection) is None:
                await connection.execute(_script(self._tables))
            version = await self._version(connection)
            if version != self._tables.version:
                raise JournalError(
                    f"the tables in {self.place} are of version {version}; "
                    f"this heddle knows version {self._tables.version}",
                    code="journal-newer",
                    hint="use the heddle that made them, or another database",
                )
            self._made = True

    async def _version(self, connection: Any) -> int | None:
        if await connection.fetchval("SELECT to_regclass('heddle.format')") is None:
            return None
        return await connection.fetchval(
            "SELECT version FROM heddle.format WHERE part = $1", self._tables.part
        )


async def _nothing(_: Any) -> None:
    """A connection carries no state of ours from one statement to the next."""


def _script(tables: Tables) -> str:
    return f"""
        SELECT pg_advisory_xact_lock({_LOCK});
        CREATE SCHEMA IF NOT EXISTS heddle;
        CREATE TABLE IF NOT EXISTS heddle.format (part text PRIMARY KEY, version int NOT NULL);
        {tables.statements}
        INSERT INTO heddle.format VALUES ('{tables.part}', {tables.version})
            ON CONFLICT DO NOTHING;
    """
