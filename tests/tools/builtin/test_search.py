"""Search and look-up in a local index; what is searched for is data."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle.errors import ConfigError, ToolFailed
from heddle.tools.builtin.search import build_index, lookup_tool, search_tool

DOCUMENTS = [
    {"title": "Paris",
    "text": "Paris is the capital of France. It lies on the Seine. Is it big? Yes."},
    {"title": "France", "text": "France is a country. Its capital is Paris."},
    {"title": "Seine", "text": "The Seine is a river."},
    {"title": "Café Müller", "text": "A play by Pina Bausch."},
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / "wiki #1?.db"
    assert build_index(path, iter(DOCUMENTS)) == 4
    return path


def titles(hits: list[dict[str, Any]]) -> list[str]:
    return [hit["title"] for hit in hits]


def test_it_finds_documents_best_first(index: Path):
    search = search_tool(index, provider="wiki")
    assert (search.spec.name, search.spec.effect, search.spec.provider) == (
        "search",
        "read",
        "wiki",
    )
    hits = search.invoke({"query": "seine"})
    assert titles(hits) == ["Seine", "Paris"]  # the title counts more than the text
    assert set(hits[0]) == {"title", "text", "score"}
    assert hits[0]["score"] > hits[1]["score"] > 0


def test_any_of_the_words_will_do_and_forms_are_folded(index: Path):
    search = search_tool(index)
    assert titles(search.invoke({"query": "which rivers flow"})) == ["Seine"]
    assert titles(search.invoke({"query": "cafe muller"})) == ["Café Müller"]
    assert search.invoke({"query": "nothing of the sort is here: zebra"}) != []
    assert search.invoke({"query": "zebra"}) == []


def test_the_limit_holds(index: Path):
    assert len(search_tool(index, limit=1).invoke({"query": "paris france seine"})) == 1


@pytest.mark.parametrize(
    "query",
    [
        'seine" OR "a', '"seine', "seine*", "title:seine", "title : seine", "NOT seine",
        "seine NOT",
        "seine AND", "AND OR NOT seine", "NEAR(seine paris, 1)", "^seine", "{title text} : seine",
        "-seine", "+seine", "seine)", "(seine", "seine'; DROP TABLE heddle_documents; --",
        "seine\x00",
        "seine\\", "''seine''", "seine:", "* seine", "\u201cseine\u201d", "seine " * 10_000,
    ],
)  # fmt: skip
def test_operators_are_words_like_others(index: Path, query: str):
    hits = search_tool(index, limit=10).invoke({"query": query})
    assert "Seine" in titles(hits)
    assert len(search_tool(index).invoke({"query": "france"})) > 0  # nothing was dropped


@given(st.text(max_size=40))
@settings(deadline=None, max_examples=100)
def test_any_text_searches_or_fails_cleanly(index: Path, query: str):
    try:
        hits, code = search_tool(index).invoke({"query": query}), ""
    except ToolFailed as error:
        hits, code = [], error.code
    assert code in ("", "bad-query", "bad-argument")
    assert set(titles(hits)) <= {document["title"] for document in DOCUMENTS}


@pytest.mark.parametrize("query", ["", "  ", "?!", '"', "***"])
def test_a_query_without_words_says_so(index: Path, query: str):
    with pytest.raises(ToolFailed, match="no word to look for") as caught:
        search_tool(index).invoke({"query": query})
    assert caught.value.code == "bad-query"


def test_lookup_gives_the_sentence_that_holds_the_keyword(index: Path):
    lookup = lookup_tool(index)
    assert (lookup.spec.name, lookup.spec.effect) == ("lookup", "read")
    assert lookup.invoke({"title": "Paris", "keyword": "SEINE"}) == "It lies on the Seine."
    assert lookup.invoke({"title": " paris ", "keyword": "big"}) == "Is it big?"
    assert lookup.invoke({"title": "Paris", "keyword": "yes"}) == "Yes."


@pytest.mark.parametrize(
    ("title", "keyword", "words"),
    [
        ("London", "river", "no document 'London'"),
        ("Paris", "river", "no sentence of 'Paris' holds 'river'"),
        ("' OR 1=1 --", "river", "no document"),
        ("%", "river", "no document"),
    ],
)
def test_lookup_says_what_was_not_found(index: Path, title: str, keyword: str, words: str):
    with pytest.raises(ToolFailed, match=words) as caught:
        lookup_tool(index).invoke({"title": title, "keyword": keyword})
    assert caught.value.code == "not-found"


def test_an_open_connection_serves_threads():
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    build_index(connection, DOCUMENTS)
    search = search_tool(connection)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(search.invoke({"query": "seine"})))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [titles(hits) for hits in found] == [["Seine", "Paris"]] * 8
    connection.close()


def test_a_connection_of_another_thread_is_explained():
    connection = sqlite3.connect(":memory:")
    build_index(connection, DOCUMENTS)
    search = search_tool(connection)
    caught: list[ToolFailed] = []

    def call() -> None:
        try:
            search.invoke({"query": "seine"})
        except ToolFailed as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    connection.close()
    assert "check_same_thread=False" in caught[0].hint


def test_building_again_replaces_and_a_bad_document_changes_nothing(tmp_path: Path):
    path = tmp_path / "wiki.db"
    build_index(path, DOCUMENTS)
    with pytest.raises(ConfigError, match="document 1 has no title or no text"):
        build_index(path, [DOCUMENTS[0], {"title": "No text"}])
    assert titles(search_tool(path).invoke({"query": "river"})) == ["Seine"]
    assert build_index(path, [{"title": "New", "text": "river"}]) == 1
    assert titles(search_tool(path).invoke({"query": "river"})) == ["New"]
    assert build_index(path, []) == 0
    assert search_tool(path).invoke({"query": "river"}) == []


def test_a_missing_or_foreign_file_is_refused_at_once(tmp_path: Path):
    with pytest.raises(ConfigError, match="no index in"):
        search_tool(tmp_path / "missing.db")
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at")
    with pytest.raises(ConfigError, match="no index in"):
        lookup_tool(tmp_path / "text.db")
    with pytest.raises(ConfigError, match=r"index .*text\.db"):
        build_index(tmp_path / "text.db", DOCUMENTS)
    assert not (tmp_path / "missing.db").exists()
