"""`heddle doctor`: what is there, what is missing, and what that means."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import metadata
from typing import NamedTuple

import click

from heddle.cli import options
from heddle.cli.screen import coloured, give_json, is_terminal, say, table

__all__ = ["doctor", "heddle_version"]

_LEAST_PYTHON = (3, 11)
_REQUIRED = ("pydantic", "httpx2", "click")
_OPTIONAL = {
    "rich": "a live table of the run on a terminal; without it, a line for each step",
    "genai-prices": "cost in USD; without it, tokens only",
}
_SETTINGS = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OLLAMA_BASE_URL",
    "OPENROUTER_API_KEY",
    "VLLM_BASE_URL",
)
_PLATFORMS = {
    "linux": "proven",
    "darwin": "engine and command line, untested; no namespace sandbox",
    "win32": "engine and command line, untested",
}


class _Check(NamedTuple):
    """One line of the answer.

    Attributes:
        state: ok, missing (something optional), note, or broken (something required).
    """

    name: str
    state: str
    value: str
    meaning: str = ""


@click.command
@options.as_json
def doctor(as_json: bool) -> int:
    """Say what is there, what is missing, and what that means.

    Exit status 2 if something required is broken.
    """
    checks = [*_house(), *_packages(), *_settings(), _sqlite(), _terminal()]
    if as_json:
        give_json({"ok": _sound(checks), "checks": [check._asdict() for check in checks]})
    else:
        _say(checks)
    return 0 if _sound(checks) else 2


def heddle_version() -> str:
    """The version of the installed package; "unknown" when it runs from a bare source tree."""
    return _version("heddle-run") or "unknown"


def _sound(checks: list[_Check]) -> bool:
    return all(check.state != "broken" for check in checks)


def _say(checks: list[_Check]) -> None:
    colours = {"ok": "green", "broken": "red", "missing": "yellow", "note": "cyan"}
    lines = table([(check.state, check.name, check.value) for check in checks])
    for check, line in zip(checks, lines, strict=True):
        width = len(check.state)
        meaning = f"  ({check.meaning})" if check.meaning else ""
        say(line[width:] + meaning, label=line[:width], fg=colours[check.state], stdout=True)


# -- checks --------------------------------------------------------------------------------------


def _house() -> list[_Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    enough = sys.version_info[:2] >= _LEAST_PYTHON
    support = _PLATFORMS.get(sys.platform, "untested")
    return [
        _Check("heddle", "ok", heddle_version()),
        _Check("Python", "ok" if enough else "broken", python, "" if enough else "3.11 or later"),
        _Check("platform", "ok" if support == "proven" else "note", sys.platform, support),
    ]


def _packages() -> list[_Check]:
    required = [(name, _version(name)) for name in _REQUIRED]
    optional = [(name, _version(name)) for name in _OPTIONAL]
    return [
        *(
            _Check(name, "ok", found)
            if found
            else _Check(name, "broken", "not installed", f"pip install {name}")
            for name, found in required
        ),
        *(
            _Check(name, "ok" if found else "missing", found or "not installed", _OPTIONAL[name])
            for name, found in optional
        ),
    ]


def _settings() -> list[_Check]:
    """Keys, masked, and addresses, with where they come from: the environment goes before .env."""
    from heddle.cli.dotenv import env_file

    in_file = env_file()
    found: list[_Check] = []
    for name in _SETTINGS:
        value = os.environ.get(name, "")
        source = ".env" if value and in_file.get(name) == value else "environment"
        if value:
            shown = _masked(value) if name.endswith("_KEY") else value
            found.append(_Check(name, "ok", shown, f"from {source}"))
        elif name == "OPENAI_API_KEY":
            meaning = "openai: models need it; ollama, replay and python models do not"
            found.append(_Check(name, "missing", "not set", meaning))
    return found


def _masked(key: str) -> str:
    return f"{key[:3]}…{key[-2:]} ({len(key)} characters)" if len(key) >= 12 else "set"


def _sqlite() -> _Check:
    try:
        import sqlite3
    except ImportError:
        return _Check("SQLite", "missing", "not built into this Python", "no search and SQL tools")
    with contextlib.closing(sqlite3.connect(":memory:")) as base:
        try:
            base.execute("create virtual table t using fts5(text)")
        except sqlite3.OperationalError:
            found = f"{sqlite3.sqlite_version}, without FTS5"
            return _Check("SQLite", "missing", found, "no search tool")
    return _Check("SQLite", "ok", f"{sqlite3.sqlite_version}, with FTS5")


def _terminal() -> _Check:
    kind = "a terminal" if is_terminal(sys.stderr) else "no terminal: plain lines, no questions"
    colours = "colours" if coloured(sys.stderr) else "no colours"
    return _Check("stderr", "ok", f"{kind}; {colours}", f"TERM={os.environ.get('TERM', '')}")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
