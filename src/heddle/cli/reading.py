"""Reading what a person names: a plan, a question, a file. Nothing here leaves a traceback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from heddle.plan.ir import Plan

__all__ = ["question_of", "read_plan", "read_text", "writable"]


def read_plan(path: str, dialect: str) -> Plan:
    """A plan from a file, or from stdin for "-"; its faults are in its findings.

    Raises:
        ConfigError: the file cannot be read, or there is no such dialect.
    """
    from heddle.plan.dialects import parse

    return parse(read_text(path, "the plan", code="unreadable-plan"), dialect)


def question_of(words: str) -> str:
    """The question, from stdin for "-".

    Raises:
        ConfigError: it is empty, or cannot be read.
    """
    question = read_text("-", "the question", code="bad-question") if words == "-" else words
    if not question.strip():
        raise ConfigError(
            "the question is empty", code="empty-question", hint="say what you want to know"
        )
    return question


def read_text(path: str, what: str, *, code: str) -> str:
    """The text of a file, or of stdin for "-".

    Args:
        path: where it is.
        what: what it is for, to name it in an error.
        code: the error's code.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8 text.
    """
    name = "stdin" if path == "-" else path
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {what} from {name}: {_reason(error)}",
            code=code,
            hint="save it as UTF-8" if isinstance(error, UnicodeDecodeError) else _HINT,
        ) from None
    if "\0" in text:
        raise ConfigError(
            f"cannot read {what} from {name}: it holds a NUL byte, so it is no text",
            code=code,
            hint=_HINT,
        )
    return text


_HINT = "give the path of a text file, or - for stdin"


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8 text"
    return getattr(error, "strerror", None) or str(error)


def writable(path: str | None) -> None:
    """Refuse, before anything runs, a file that could not be written afterwards.

    Raises:
        ConfigError: its folder is missing or takes no file, or it is a folder itself.
    """
    if path is None:
        return
    import tempfile

    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}",
            code="unwritable-report",
            hint="name a file in a folder that exists and that you may write to",
        ) from None
