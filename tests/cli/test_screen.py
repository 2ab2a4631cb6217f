"""What is written where, and made harmless."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.cli.screen import clean, one_line, seconds, table

ESCAPES = {
    "colour": "\x1b[1;31mx\x1b[0m",
    "cursor": "\x1b[2Jx\x1b[10;10H",
    "title": "\x1b]0;owned\x07x",
    "link": "\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "private": "\x1b[?25lx",
    "charset": "\x1b(0x",
    "reset": "\x1bcx",
    "half": "x\x1b[12",
    "8-bit": "\x9bx",
    "bell": "\x07x\x08",
    "return": "x\r",
    "bidi": "\u202ex\u2066\u200f",
    "line separator": "x\u2028",
}


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_leave_nothing_behind(name: str) -> None:
    assert clean(ESCAPES[name]) == "x"


def test_an_escape_that_never_ends_hides_no_text() -> None:
    assert clean("\x1b]0;all of this stays\nand this") == "0;all of this stays\nand this"


@given(st.text(alphabet=st.sampled_from("\x1b[]()0;m\x07\\\x9b\u202e\r\nax?!~")))
def test_nothing_harmful_is_left_and_cleaning_again_changes_nothing(text: str) -> None:
    washed = clean(text)
    assert clean(washed) == washed
    assert {c for c in washed if unicodedata.category(c) in ("Cc", "Cf")} <= {"\n"}


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("piece", ["\x1b[", "\x1b]", "\x1b]0;", "\x1b[0;", "\x1b\x1b"])
def test_cleaning_is_linear(piece: str) -> None:
    def cost(n: int) -> float:
        text = piece * n
        start = time.process_time()
        clean(text)
        return time.process_time() - start

    cost(10_000)
    assert cost(400_000) < 100 * max(cost(20_000), 1e-4)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists), st.integers(2, 40))
def test_a_value_fits_its_line(value: object, width: int) -> None:
    line = one_line(value, width)
    assert len(line) <= width
    assert "\n" not in line


def test_tables_are_aligned() -> None:
    assert table([("a", "1"), ("bbb", "22")], right=(1,)) == ["a     1", "bbb  22"]
    assert table([("a", ""), ("b", "")]) == ["a", "b"]


def test_times_are_for_people() -> None:
    assert [seconds(value) for value in (None, 0.0, 0.02, 1.5, 90.0)] == [
        *("-", "0 ms", "20 ms", "1.50 s", "90.0 s"),
    ]
