"""The `.env` file: simple lines, never stronger than the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.cli.dotenv import load_env_file, read_env
from heddle.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("A=1", {"A": "1"}),
        ("  export A = x y ", {"A": "x y"}),
        ("A='x # y'", {"A": "x # y"}),
        ('A="x" # comment', {"A": "x"}),
        ("A=x # comment", {"A": "x"}),
        ("A=x#y", {"A": "x#y"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=", {"A": ""}),
        ("A= # nothing", {"A": ""}),
        ("A=$HOME", {"A": "$HOME"}),
        ("A='half", {"A": "'half"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("# A=1", {}),
        ("just words", {}),
        ("1A=x", {}),
        ("A B=x", {}),
        ("=x", {}),
        ("A=x\0y", {}),
    ],
)
def test_a_line(line: str, found: dict[str, str]) -> None:
    assert read_env(line) == found


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for name, value in read_env(text).items():
        assert name.isascii()
        assert "\0" not in value
        assert "\n" not in value


def test_the_environment_goes_first(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=file\nB=file\n")
    environment = {"A": "set"}
    load_env_file(environment, path)
    assert environment == {"A": "set", "B": "file"}


def test_no_file_is_no_fault(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    load_env_file(environment, tmp_path / ".env")
    assert environment == {}


def test_a_file_that_is_no_text_is(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_env_file({}, path)
