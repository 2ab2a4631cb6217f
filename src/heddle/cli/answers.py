"""Answers with annotations, from a file of JSON lines. Nothing here leaves a traceback."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from heddle.cli.reading import read_text
from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Answer", "read_answers"]

_HINT = 'a line is {"question": "…", "answer": "… <<48/2=24>>24 …\\n#### 24"}'


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a question, and where it stands.

    Attributes:
        line: line in the file, from 1.
        id: the row's `id`, and the key of the solution within it; "" for none.
        gold: the final answer as the row says it; "" where only the text does.
    """

    line: int
    id: str
    question: str
    text: str
    gold: str


def read_answers(path: str) -> list[Answer]:
    """The answers of a file, or of stdin for "-".

    A row holds `answer`, or `solution` and the final answer as `answer`, or several solutions:
    `{"name": {"solution": …}, …}`. `final` says the final answer.

    Raises:
        ConfigError: the file cannot be read, a line is no JSON object or holds no answer, or the
            file is empty.
    """
    text = read_text(path, "the answers", code="unreadable-answers")
    name = "stdin" if path == "-" else path
    found: list[Answer] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            row = _row(line, f"{name}, line {number}")
            answers = list(_answers(row, number))
            if not answers:
                raise _bad(f"{name}, line {number} has no `answer` that is a text")
            found += answers
    if not found:
        raise _bad(f"{name} is empty")
    return found


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it nests too deeply"
        raise _bad(f"{where} is not JSON: {reason}") from None
    if not isinstance(row, dict):
        raise _bad(f"{where} is no JSON object")
    return cast("dict[str, Any]", row)


def _answers(row: dict[str, Any], line: int) -> Iterator[Answer]:
    id, question, gold = _text(row, "id"), _text(row, "question"), _text(row, "final")
    if isinstance(solution := row.get("solution"), str):
        yield Answer(line, id, question, solution, gold or _text(row, "answer"))
    elif isinstance(answer := row.get("answer"), str):
        yield Answer(line, id, question, answer, gold)
    else:
        for name, value in row.items():
            inner = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
            if isinstance(solution := inner.get("solution"), str):
                yield Answer(line, f"{id}/{name}".lstrip("/"), question, solution, gold)


def _text(row: dict[str, Any], name: str) -> str:
    """A field as text: ids and final answers may be numbers."""
    value = row.get(name)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if isinstance(value, str) else str(value) if number else ""


def _bad(message: str) -> ConfigError:
    return ConfigError(message, code="bad-answers", hint=_HINT)
