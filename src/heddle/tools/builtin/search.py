"""Search in documents of your own: a local SQLite file with a full-text index (FTS5).

    build_index("wiki.db", [{"title": "Paris", "text": "Paris is the capital of France."}])
    search = search_tool("wiki.db")
    lookup = lookup_tool("wiki.db")

What is searched for is data: its words are quoted one by one, so that no operator, quote or
column filter of the query language can come out of it. A document is found when it holds any of
the words, and ranked by bm25, its title counting four times its text.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heddle.errors import ConfigError, ToolFailed
from heddle.tools.function import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    Borrow: TypeAlias = Callable[[], AbstractContextManager[sqlite3.Connection]]

__all__ = ["Hit", "build_index", "lookup_tool", "search_tool"]

MAX_WORDS: Final = 64
_TITLE_WEIGHT = 4.0
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"[.!?][\"')\]”’]*\s+|\n+")

_SCHEMA = """
DROP TABLE IF EXISTS heddle_index;
DROP TABLE IF EXISTS heddle_documents;
CREATE TABLE heddle_documents (id INTEGER PRIMARY KEY, key TEXT, title TEXT, text TEXT);
CREATE INDEX heddle_documents_by_key ON heddle_documents (key);
CREATE VIRTUAL TABLE heddle_index USING fts5 (
    title, text, content='heddle_documents', content_rowid='id',
    tokenize='porter unicode61 remove_diacritics 2');
"""
_SEARCH = """
SELECT title, text, -bm25(heddle_index, ?, 1.0) AS score FROM heddle_index
WHERE heddle_index MATCH ? ORDER BY score DESC, rowid LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that was found.

    Attributes:
        score: bm25, larger is better; only good for comparing hits of one search.
    """

    title: str
    text: str
    score: float


def build_index(
    path: str | Path | sqlite3.Connection, documents: Iterable[Mapping[str, str]]
) -> int:
    """Put documents into an index; what the index held before is replaced, all or nothing.

    Args:
        path: the SQLite file, made when missing; or an open connection.
        documents: mappings with `title` and `text`; they may arrive one by one.

    Returns:
        The number of documents.

    Raises:
        ConfigError: a document without title or text, or a file that cannot be written.
    """
    try:
        if isinstance(path, sqlite3.Connection):
            return _build(path, documents)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return _build(connection, documents)
    except sqlite3.Error as error:
        raise ConfigError(
            f"index {path}: {error}",
            code="bad-index",
            hint="give a new file, or a SQLite file that nobody is writing",
        ) from error


def _build(connection: sqlite3.Connection, documents: Iterable[Mapping[str, str]]) -> int:
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # Python begins none by itself for CREATE and DROP
        for statement in _SCHEMA.split(";")[:-1]:
            connection.execute(statement)
        count = connection.executemany(
            "INSERT INTO heddle_documents (key, title, text) VALUES (?, ?, ?)",
            (_row(place, document) for place, document in enumerate(documents)),
        ).rowcount
        connection.execute("INSERT INTO heddle_index (heddle_index) VALUES ('rebuild')")
    return max(count, 0)


def _row(place: int, document: Mapping[str, str]) -> tuple[str, str, str]:
    title, text = document.get("title"), document.get("text")
    if not isinstance(title, str) or not isinstance(text, str):
        raise ConfigError(
            f"document {place} has no title or no text",
            code="bad-index",
            hint='each document is {"title": "…", "text": "…"}',
        )
    return _key(title), title, text


def _key(title: str) -> str:
    return " ".join(title.casefold().split())


# -- tools ---------------------------------------------------------------------------------------


def search_tool(
    path_or_connection: str | Path | sqlite3.Connection,
    *,
    name: str = "search",
    provider: str = "",
    limit: int = 3,
) -> Tool:
    """A tool that finds documents: `search(query) -> [{"title", "text", "score"}]`, best first.

    Args:
        path_or_connection: an index made by `build_index`; a connection must have been opened
            with `check_same_thread=False`, because synchronous tools run in threads.
        name: the tool's name.
        provider: the name whose slots a call uses.
        limit: at most so many documents.

    Raises:
        ConfigError: there is no such file, or no index in it.
    """
    borrow = _borrower(path_or_connection)

    @tool(name=name, effect="read", provider=provider)
    def search(query: str) -> list[Hit]:
        """Find documents by words in their title and text, best first.

        Args:
            query: words to look for; any of them will do.
        """
        words = _quoted(query)
        with _failing(), borrow() as connection:
            rows = connection.execute(_SEARCH, (_TITLE_WEIGHT, words, limit)).fetchall()
        return [Hit(*row) for row in rows]

    return search


def lookup_tool(
    path_or_connection: str | Path | sqlite3.Connection,
    *,
    name: str = "lookup",
    provider: str = "",
) -> Tool:
    """A tool that finds a sentence: `lookup(title, keyword)`, the first that holds the keyword.

    A sentence ends at `.`, `!` or `?` before a space, and at a line's end.

    Raises:
        ConfigError: there is no such file, or no index in it.
    """
    borrow = _borrower(path_or_connection)

    @tool(name=name, effect="read", provider=provider)
    def lookup(title: str, keyword: str) -> str:
        """Find the sentence of a document that holds a keyword.

        Args:
            title: the document's title, in capitals or not.
            keyword: the word or words that the sentence must hold.
        """
        with _failing(), borrow() as connection:
            rows = connection.execute(
                "SELECT text FROM heddle_documents WHERE key = ? ORDER BY id", (_key(title),)
            ).fetchall()
        if not rows:
            raise _not_found(f"there is no document {title!r:.80}", "search for its title first")
        wanted = _key(keyword)
        for sentence in (sentence for (text,) in rows for sentence in _sentences(text)):
            if wanted in _key(sentence):
                return sentence
        raise _not_found(f"no sentence of {title!r:.80} holds {keyword!r:.80}", "try another word")

    return lookup


def _quoted(query: str) -> str:
    """The words of a query as FTS5 string literals, any of which may match."""
    words = _WORD.findall(query)[:MAX_WORDS]
    if not words:
        raise ToolFailed(
            f"there is no word to look for in {query!r:.80}",
            code="bad-query",
            hint="write one word or more",
        )
    return " OR ".join(f'"{word}"' for word in words)


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        yield text[start : end.end()].strip()
        start = end.end()
    yield text[start:].strip()


def _not_found(message: str, hint: str) -> ToolFailed:
    return ToolFailed(message, code="not-found", hint=hint)


@contextlib.contextmanager
def _failing() -> Generator[None]:
    """Turn SQLite's errors into the step's."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        hint = "open the connection with check_same_thread=False, or pass the file's path"
        raise ToolFailed(str(error), code="bad-index", hint=hint) from error
    except sqlite3.Error as error:
        raise ToolFailed(f"the index cannot be read: {error}", code="bad-index") from error


def _borrower(source: str | Path | sqlite3.Connection) -> Borrow:
    """How a call gets a connection: the one that was given, one call at a time, or one of its own.

    Raises:
        ConfigError: there is no such file, or no index in it.
    """
    borrow = _shared(source) if isinstance(source, sqlite3.Connection) else _own(source)
    try:
        with borrow() as connection:
            connection.execute("SELECT rowid FROM heddle_index LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise ConfigError(
            f"no index in {source}: {error}",
            code="bad-index",
            hint="make one: heddle.tools.builtin.search.build_index(path, documents)",
        ) from error
    return borrow


def _shared(connection: sqlite3.Connection) -> Borrow:
    lock = threading.Lock()

    @contextlib.contextmanager
    def borrow() -> Generator[sqlite3.Connection]:
        with lock:
            yield connection

    return borrow


def _own(path: str | Path) -> Borrow:
    uri = Path(path).absolute().as_uri() + "?mode=ro"

    def borrow() -> AbstractContextManager[Any]:
        return contextlib.closing(sqlite3.connect(uri, uri=True))

    return borrow
