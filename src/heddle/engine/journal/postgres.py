"""Journals in a PostgreSQL database, which several machines may share.

Each method is one statement, so one trip to the server, and commits by itself. Each can be said
twice: an append names the head that it follows, a lease or a new run the claim that it makes. So a
lost connection loses nothing and adds nothing twice.

Leases end by the server's clock, the only one that all machines see.

What was appended without `sync` may be lost with the *server* (never with this process). Until the
next durable append it is kept here, and said again to a server that came back without it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from heddle.engine.journal import refusals
from heddle.engine.journal.owners import dead
from heddle.engine.journal.store import Frame, Head, RunLease, RunRow, Snapshot
from heddle.engine.postgres import PATIENCE_S, Database, Tables
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = ["PostgresStore"]

PAGE_FRAMES = 128
PAGE_BYTES = 4 << 20
UNSURE_FRAMES = 256
UNSURE_BYTES = 4 << 20
NOTHING = Head(-1, "")

_TABLES = Tables(
    "journal",
    1,
    """
    CREATE TABLE IF NOT EXISTS heddle.runs (
        run text PRIMARY KEY, title text NOT NULL, status text NOT NULL,
        owner text NOT NULL, token bigint NOT NULL, claim text NOT NULL,
        until double precision NOT NULL, created double precision NOT NULL,
        updated double precision NOT NULL, head_number bigint NOT NULL, head_hash text NOT NULL,
        progress text NOT NULL
    ) WITH (fillfactor = 50);
    CREATE INDEX IF NOT EXISTS runs_by_age ON heddle.runs (created);
    CREATE TABLE IF NOT EXISTS heddle.frames (
        run text NOT NULL REFERENCES heddle.runs, number bigint NOT NULL, seq bigint NOT NULL,
        events int NOT NULL, token bigint NOT NULL, wall double precision NOT NULL,
        prev text NOT NULL, hash text NOT NULL, body bytea NOT NULL, PRIMARY KEY (run, number)
    );
    CREATE TABLE IF NOT EXISTS heddle.large (digest text PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE IF NOT EXISTS heddle.snapshots (
        run text PRIMARY KEY REFERENCES heddle.runs, number bigint NOT NULL, hash text NOT NULL,
        body bytea NOT NULL
    );
    """,
)

_NOW = "extract(epoch from clock_timestamp())::double precision"

_CREATE = f"""
INSERT INTO heddle.runs
SELECT $1, $2, 'running', $3, 1, $5, {_NOW} + $4, {_NOW}, {_NOW}, -1, '', ''
ON CONFLICT (run) DO UPDATE SET until = excluded.until WHERE runs.claim = excluded.claim
RETURNING token
"""

_LEASE = f"""
UPDATE heddle.runs
SET token = token + (claim <> $4)::int, owner = $2, claim = $4, until = {_NOW} + $3
WHERE run = $1 AND (owner = '' OR until <= {_NOW} OR owner = $5 OR claim = $4)
RETURNING token
"""

_RENEW = f"""
UPDATE heddle.runs SET until = {_NOW} + $4 WHERE run = $1 AND token = $2 AND owner = $3
RETURNING token
"""

_RELEASE = (
    "UPDATE heddle.runs SET owner = '', until = 0 WHERE run = $1 AND token = $2 AND owner = $3"
)

# What a server's owner has chosen beyond "on", such as waiting for a standby, is left as it is.
_APPEND = f"""
WITH held AS (
    UPDATE heddle.runs
    SET head_number = coalesce($6, head_number), head_hash = coalesce($7, head_hash),
        updated = {_NOW}, status = coalesce(nullif($8, ''), status),
        progress = coalesce(nullif($20::text, ''), progress)
    WHERE run = $1 AND token = $2 AND owner = $3
        AND ($4::bigint IS NULL OR (head_number = $4 AND head_hash = $5))
    RETURNING run
), added AS (
    INSERT INTO heddle.frames
    SELECT held.run, f.* FROM held, unnest(
        $9::bigint[], $10::bigint[], $11::int[], $12::bigint[], $13::double precision[],
        $14::text[], $15::text[], $16::bytea[]) AS f
), kept AS (
    INSERT INTO heddle.large
    SELECT v.* FROM held, unnest($17::text[], $18::bytea[]) AS v
    ON CONFLICT DO NOTHING
)
SELECT set_config('synchronous_commit', CASE WHEN $19::boolean
    THEN coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on')
    ELSE 'off' END, true)
FROM held
"""

_SAVE = """
WITH held AS (SELECT run FROM heddle.runs WHERE run = $1 AND token = $2 AND owner = $3)
INSERT INTO heddle.snapshots SELECT held.run, $4, $5, $6 FROM held
ON CONFLICT (run) DO UPDATE
SET number = excluded.number, hash = excluded.hash, body = excluded.body
RETURNING number
"""

# A page is bounded in bytes as well; the size of a value is known without reading it.
_FRAMES = f"""
SELECT number, seq, events, token, wall, prev, hash, body FROM (
    SELECT page.*, sum(octet_length(body)) OVER (ORDER BY number) - octet_length(body) AS earlier
    FROM (SELECT * FROM heddle.frames WHERE run = $1 AND number > $2
          ORDER BY number LIMIT {PAGE_FRAMES}) AS page
) AS sized
WHERE earlier < {PAGE_BYTES} ORDER BY number
"""

_ROW = (
    "SELECT run, title, status, owner, token, until, created, updated, progress, head_number, "
    "head_hash FROM heddle.runs "
)


class _Unsure:
    """What a lease has appended since its last durable append: the server may still lose it."""

    def __init__(self, doubts: int) -> None:
        self.doubts = doubts  # of the database, when it had all of this
        self.frames: list[Frame] = []
        self.large: dict[str, bytes] = {}
        self.size_bytes = 0

    def add(self, frames: Sequence[Frame], large: Mapping[str, bytes], doubts: int) -> None:
        self.doubts = doubts
        self.frames += frames
        self.large.update(large)
        self.size_bytes += _size(frames, large)

    def full(self, frames: Sequence[Frame], large: Mapping[str, bytes]) -> bool:
        """Whether these are more than should be kept."""
        return (
            len(self.frames) + len(frames) > UNSURE_FRAMES
            or self.size_bytes + _size(frames, large) > UNSURE_BYTES
        )


class PostgresStore:
    """A `Store` in the schema `heddle` of a PostgreSQL database; its tables are made at first use.

    Args:
        dsn: `postgresql://user:password@host:port/database`, as PostgreSQL's own client reads it.
        patience_s: how long a server that was there may be away before `journal-lost`.

    Cost: one trip to the server per append; up to 4 MiB of frames are kept per lease.
    """

    def __init__(self, dsn: str, *, patience_s: float = PATIENCE_S) -> None:
        self._database = Database(dsn, _TABLES, patience_s=patience_s)
        self._unsure: dict[RunLease, _Unsure] = {}
        self.place = self._database.place

    def __repr__(self) -> str:
        return f"PostgresStore({self.place!r})"

    async def create(self, run: str, title: str, owner: str, ttl_s: float) -> RunLease:
        """See Store."""
        claim = secrets.token_hex(8)
        line = title.replace("\0", " ").encode("utf-8", "replace").decode()
        rows = await self._fetch(_CREATE, run, line, owner, ttl_s, claim)
        if not rows:
            raise refusals.exists(run, self.place)
        return RunLease(run, owner, rows[0]["token"])

    async def lease(self, run: str, owner: str, ttl_s: float) -> RunLease:
        """See Store."""
        claim = secrets.token_hex(8)
        rows = await self._fetch(_LEASE, run, owner, ttl_s, claim, "")
        if not rows and dead((row := await self.run(run)).owner):
            rows = await self._fetch(_LEASE, run, owner, ttl_s, claim, row.owner)
        if not rows:
            left = "a process that is gone is replaced when its lease ends"
            raise refusals.leased(await self.run(run), left)
        return RunLease(run, owner, rows[0]["token"])

    async def renew(self, lease: RunLease, ttl_s: float) -> None:
        """See Store."""
        if not await self._fetch(_RENEW, lease.run, lease.token, lease.owner, ttl_s):
            raise await self._lost(lease)

    async def release(self, lease: RunLease) -> None:
        """See Store; all that was appended is durable then."""
        if lease in self._unsure and self._unsure[lease].frames:
            await self.append(lease, (), {}, sync=True)
        await self._fetch(_RELEASE, lease.run, lease.token, lease.owner)
        self._unsure.pop(lease, None)

    async def append(
        self,
        lease: RunLease,
        frames: Sequence[Frame],
        large: Mapping[str, bytes],
        *,
        sync: bool,
        status: str = "",
        progress: str = "",
    ) -> None:
        """See Store; in one trip to the server."""
        refusals.require_chain(frames)
        unsure = self._unsure.setdefault(lease, _Unsure(self._database.doubts))
        sync = sync or unsure.full(frames, large)
        behind = _before(frames) if frames else _last(unsure.frames)
        adding, values = frames, large
        while not await self._add(lease, behind, adding, values, sync, status, progress):
            behind, adding = await self._missing(lease, unsure, frames)
            values = {**unsure.large, **large}
        if sync:
            self._unsure[lease] = _Unsure(self._database.doubts)
        else:
            unsure.add(frames, large, self._database.doubts)

    async def _add(
        self,
        lease: RunLease,
        behind: Head | None,
        frames: Sequence[Frame],
        large: Mapping[str, bytes],
        sync: bool,
        status: str,
        progress: str,
    ) -> bool:
        """Whether the head was the one that they follow; if not, nothing has changed."""
        columns = list(zip(*frames, strict=True)) if frames else [()] * len(Frame._fields)
        head = _last(frames)
        rows = await self._fetch(
            _APPEND,
            lease.run,
            lease.token,
            lease.owner,
            *(behind or (None, None)),
            *(head or (None, None)),
            status,
            *columns,
            sorted(large),  # two runs with the same values do not wait for each other crosswise
            [large[digest] for digest in sorted(large)],
            sync,
            progress,
        )
        return bool(rows)

    async def _missing(
        self, lease: RunLease, unsure: _Unsure, frames: Sequence[Frame]
    ) -> tuple[Head, Sequence[Frame]]:
        """The head, and what we know that lies behind it.

        The head is not where we believed: our append was taken although its answer was lost, or
        the server has come back without what was not durable.
        """
        row = await self.run(lease.run)
        if (row.token, row.owner) != (lease.token, lease.owner):
            raise await self._lost(lease)
        head = row.head or NOTHING
        known = [*unsure.frames, *frames] if unsure.doubts != self._database.doubts else []
        heads = [_before(known), *map(_head, known)] if known else []
        if head in heads:
            return head, known[heads.index(head) :]
        raise refusals.gap(row)

    async def frames(self, run: str, after: int = -1) -> AsyncIterator[Frame]:
        """See Store; page by page: a long read holds no connection."""
        page = await self._fetch(_FRAMES, run, after)
        if not page:
            await self.run(run)
        while page:
            for row in page:
                yield Frame(*row)
            page = await self._fetch(_FRAMES, run, page[-1]["number"])

    async def large(self, digest: str) -> bytes:
        """See Store."""
        rows = await self._fetch("SELECT body FROM heddle.large WHERE digest = $1", digest)
        if not rows:
            raise JournalError(
                f"{self.place}: the value {digest} is named in a journal, but is not there",
                code="journal-damaged",
                hint="restore the table heddle.large from a backup",
            )
        return bytes(rows[0]["body"])

    async def save(self, lease: RunLease, snapshot: Snapshot) -> None:
        """See Store."""
        if not await self._fetch(_SAVE, lease.run, lease.token, lease.owner, *snapshot):
            raise await self._lost(lease)

    async def snapshot(self, run: str) -> Snapshot | None:
        """See Store."""
        rows = await self._fetch(
            "SELECT number, hash, body FROM heddle.snapshots WHERE run = $1", run
        )
        return Snapshot(*rows[0]) if rows else None

    async def run(self, run: str) -> RunRow:
        """See Store."""
        rows = await self._fetch(_ROW + "WHERE run = $1", run)
        if not rows:
            raise refusals.unknown(run, self.place)
        return _row(rows[0])

    async def runs(self, limit: int = 50) -> list[RunRow]:
        """See Store."""
        rows = await self._fetch(_ROW + "ORDER BY created DESC, run DESC LIMIT $1", limit)
        return [_row(row) for row in rows]

    async def aclose(self) -> None:
        """See Store."""
        await self._database.aclose()

    async def _lost(self, lease: RunLease) -> JournalError:
        self._unsure.pop(lease, None)
        return refusals.lost(await self.run(lease.run))

    async def _fetch(self, statement: str, *values: Any) -> list[Any]:
        return await self._database.fetch(statement, *values)


def _size(frames: Sequence[Frame], large: Mapping[str, bytes]) -> int:
    return sum(len(frame.body) for frame in frames) + sum(map(len, large.values()))


def _head(frame: Frame) -> Head:
    return Head(frame.number, frame.hash)


def _last(frames: Sequence[Frame]) -> Head | None:
    return _head(frames[-1]) if frames else None


def _before(frames: Sequence[Frame]) -> Head:
    """The head that they follow."""
    first = frames[0]
    return Head(first.number - 1, first.prev) if first.number else NOTHING


def _row(row: Any) -> RunRow:
    *fields, progress, number, digest = row
    return RunRow(*fields, head=Head(number, digest) if number >= 0 else None, progress=progress)
