"""Allowances on a PostgreSQL server, for the processes of several machines.

A document is read, changed here, and kept if nobody has changed it meanwhile; else it is read
again. That holds no lock while this process thinks, so one that dies holds up nobody. A change
names its claim, so that one whose answer was lost is known as made.

The clock is the server's, the only one that all machines see; it is kept from going back. What is
kept is on the server's disk: a server that crashes forgets nothing that was granted.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from typing import TYPE_CHECKING, TypeVar

from heddle.engine.postgres import Database, Tables
from heddle.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from heddle.engine.allowances.store import Change

__all__ = ["PostgresAllowances"]

T = TypeVar("T")

_TABLES = Tables(
    "allowances",
    1,
    """
    CREATE TABLE IF NOT EXISTS heddle.allowances (
        name text PRIMARY KEY, version bigint NOT NULL, claim text NOT NULL,
        clock double precision NOT NULL, kept text NOT NULL
    ) WITH (fillfactor = 50);
    """,
)

_READ = """
SELECT coalesce(max(version), 0) AS version, max(kept) AS kept,
    greatest(extract(epoch from clock_timestamp())::double precision, max(clock)) AS clock
FROM heddle.allowances WHERE name = $1
"""

_KEEP = """
INSERT INTO heddle.allowances AS old VALUES ($1, $2 + 1, $3, $4, $5)
ON CONFLICT (name) DO UPDATE
SET version = excluded.version, claim = excluded.claim, clock = excluded.clock, kept = excluded.kept
WHERE old.version = $2 OR old.claim = $3
RETURNING version
"""

_CROWD_S = 0.01


class PostgresAllowances:
    """Documents in the table `heddle.allowances` of a database; made when it is first used.

    Args:
        dsn: `postgresql://user:password@host:port/database`.
        wait_s: how long the server may be away, or others may come first.

    Cost: two trips to the server a change, and one wait for its disk.
    """

    def __init__(self, dsn: str, *, wait_s: float = 5.0) -> None:
        self._database = Database(dsn, _TABLES, patience_s=wait_s)
        self._wait_s = wait_s
        self._dice = random.Random()  # between processes that came at the same moment

    def __repr__(self) -> str:
        return f"PostgresAllowances({self._database.place!r})"

    async def change(self, name: str, change: Change[T]) -> T:
        """Change a document; see `AllowanceStore`.

        Raises:
            ConfigError: `limits-unwritable`.
            TimeoutError: the server was away, or others came first, for `wait_s`.
        """
        try:
            return await self._change(name, change)
        except JournalError as error:
            if error.code in ("journal-lost", "journal-locked"):
                raise TimeoutError(error.message) from error
            raise ConfigError(
                f"shared limits cannot be kept: {error.message}",
                code="limits-unwritable",
                hint=error.hint,
            ) from error

    async def _change(self, name: str, change: Change[T]) -> T:
        give_up = time.monotonic() + self._wait_s
        while True:
            [[version, kept, clock]] = await self._database.fetch(_READ, name)
            document, told = change(json.loads(kept or "null"), clock)
            text = json.dumps(document)
            claim = secrets.token_hex(8)
            if await self._database.fetch(_KEEP, name, version, claim, clock, text):
                return told
            if time.monotonic() > give_up:
                raise TimeoutError(f"others have changed {name!r} all the time")
            await asyncio.sleep(self._dice.uniform(0, _CROWD_S))

    async def aclose(self) -> None:
        """Close the connections; a later change opens others."""
        await self._database.aclose()
