"""Questions to a SQLite file: SQL that can only read.

Four walls, each enough against most: the file is opened read-only (`mode=ro`), `query_only` is
set, an authorizer lets nothing through but SELECT, reading a column, recursion and the functions
on a list (no ATTACH, PRAGMA, load_extension), and SQLite runs one statement at a time. A progress
handler ends what takes too long; rows, cells and the whole answer are bounded.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heddle.errors import ConfigError, ToolFailed
from heddle.tools.function import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["sql_tool"]

Scalar: TypeAlias = "str | int | float | bool | None"

MAX_CELL_BYTES: Final = 1_000_000
MAX_ANSWER_BYTES: Final = 8_000_000
_STEPS_BETWEEN_LOOKS = 1_000  # virtual machine instructions, some ten microseconds
_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_HARMLESS = (
    # text and numbers
    "abs char coalesce concat concat_ws format glob hex ifnull iif instr length like likelihood "
    "likely lower ltrim max min nullif octet_length printf quote random replace round rtrim sign "
    "soundex substr substring trim typeof unhex unicode unlikely upper "
    # mathematics
    "acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 "
    "log2 mod pi pow power radians sin sinh sqrt tan tanh trunc "
    # dates
    "current_date current_time current_timestamp date datetime julianday strftime time timediff "
    "unixepoch "
    # aggregates and windows
    "avg count cume_dist dense_rank first_value group_concat lag last_value lead nth_value ntile "
    "percent_rank rank row_number string_agg sum total "
    # JSON, and full text
    "-> ->> bm25 highlight json json_array json_array_length json_each json_extract "
    "json_group_array json_group_object json_object json_quote json_tree json_type json_valid "
    "match snippet"
)
_FUNCTIONS = frozenset(_HARMLESS.split())
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_CELL_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


def sql_tool(
    path: str | Path, *, name: str = "sql", max_rows: int = 1_000, timeout_s: float = 5.0
) -> Tool:
    """A tool that reads a SQLite file: `sql(query, parameters=[]) -> [{column: value}]`.

    Its description names the tables and columns that the file has now, for the planner.

    Args:
        path: the file; each call opens it anew.
        name: the tool's name.
        max_rows: with more rows the call fails, rather than hold back some of them silently.
        timeout_s: seconds for one query.

    Raises:
        ConfigError: there is no such file, or it is no SQLite database.
    """
    uri = Path(path).absolute().as_uri() + "?mode=ro"
    tables = _tables(uri, path)

    @tool(
        name=name,
        effect="read",
        description=f"Read a SQLite database with one SELECT statement. Tables: {tables}",
    )
    def sql(query: str, parameters: list[Scalar] = []) -> list[dict[str, Scalar]]:  # noqa: B006  # the planner reads it
        """Read a SQLite database with one SELECT statement.

        Args:
            query: the statement, with `?` where a value belongs.
            parameters: the values, in order.
        """
        deadline = time.monotonic() + timeout_s
        with _explained(deadline, timeout_s), contextlib.closing(_opened(uri)) as connection:
            connection.set_progress_handler(
                lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS
            )
            return _rows(connection.execute(query, parameters), max_rows)

    return sql


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=1.0)
    for limit, bound in _LIMITS.items():
        connection.setlimit(limit, bound)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.set_authorizer(_authorize)
    return connection


def _authorize(action: int, _one: str | None, function: str | None, *_rest: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = function is not None and function.lower() in _FUNCTIONS
    else:
        allowed = action in _ACTIONS
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _tables(uri: str, path: str | Path) -> str:
    """Tables with their columns, as far as their names are plain words."""
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute(
                "SELECT m.name, c.name FROM sqlite_master AS m "
                "JOIN pragma_table_info(m.name) AS c WHERE m.type IN ('table', 'view') "
                "ORDER BY m.name, c.cid"
            ).fetchall()
    except sqlite3.Error as error:
        hint = "check the path; it must be a SQLite database"
        raise ConfigError(f"database {path}: {error}", code="bad-database", hint=hint) from error
    tables: dict[str, list[str]] = {}
    for table, column in rows:
        if table.isidentifier() and column.isidentifier():
            tables.setdefault(table, []).append(column)
    listed = "; ".join(f"{name}({', '.join(of)})" for name, of in tables.items()) or "none"
    return listed if len(listed) <= 2_000 else listed[:1_999] + "…"


def _rows(cursor: sqlite3.Cursor, max_rows: int) -> list[dict[str, Any]]:
    if cursor.description is None:
        hint = "write one SELECT statement"
        raise ToolFailed("the statement gives no rows", code="not-allowed", hint=hint)
    names = [column[0] for column in cursor.description]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        hint = f"name one of them: … AS {twice}_2"
        raise ToolFailed(f"two columns are called {twice!r}", code="bad-query", hint=hint)
    found: list[dict[str, Any]] = []
    size = 0
    for row in cursor:
        if len(found) == max_rows:
            hint = "add LIMIT, or aggregate"
            raise ToolFailed(f"more than {max_rows} rows", code="too-many-rows", hint=hint)
        size += sum(_size(name, value) for name, value in zip(names, row, strict=True))
        if size > MAX_ANSWER_BYTES:
            hint = "select fewer columns or rows"
            raise ToolFailed("the answer is larger than 8 MB", code="too-large", hint=hint)
        found.append(dict(zip(names, row, strict=True)))
    return found


def _size(name: str, value: Any) -> int:
    if isinstance(value, bytes):
        what = f"column {name!r} holds binary data"
        raise ToolFailed(what, code="bad-query", hint=f"select hex({name})")
    return len(value) if isinstance(value, str) else 8


@contextlib.contextmanager
def _explained(deadline: float, timeout_s: float) -> Generator[None]:
    """Turn SQLite's errors into the step's, in words that help to mend the query."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
        said = str(error)
        if said == "interrupted" and time.monotonic() > deadline:
            what, hint = f"the query took more than {timeout_s:g} s", "ask for less at once"
            raise ToolFailed(what, code="query-timeout", hint=hint) from error
        if "not authorized" in said or "prohibited" in said or "readonly" in said:
            hint = "one SELECT over the tables of this file; plain functions only"
            raise ToolFailed(
                f"only reading is allowed: {said}", code="not-allowed", hint=hint
            ) from error
        raise ToolFailed(f"SQLite: {said}", code="bad-query", hint="correct the SQL") from error
