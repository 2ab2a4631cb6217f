"""Questions with their gold answers: a JSONL file, one question a line.

    {"id": "q1", "question": "Who …?", "answer": "Badr Hari"}

Names of published data sets are understood too: `problem` for the question, `final`, `gold` and
`option_value` for the answer, a list of accepted answers, GSM8K's `#### 18` at a solution's end,
and HotpotQA's paragraphs in `context`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from heddle.errors import ConfigError
from heddle.scoring import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Question", "QuestionSet", "read_questions"]

QUESTION_FIELDS = ("question", "problem")
GOLD_FIELDS = ("final", "gold", "answer", "option_value")
_SOLUTION_END = "####"


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: unique in its file; the line's number where the line has none.
        golds: accepted answers, at least one.
        inputs: data for the tools, by name.
        paragraphs: (title, text) of each paragraph that came with it.
    """

    id: str
    text: str
    golds: tuple[str, ...]
    inputs: Mapping[str, Any]
    paragraphs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """The questions of a file.

    Attributes:
        name: the file's name.
        digest: SHA-256 of its text.
    """

    name: str
    digest: str
    questions: tuple[Question, ...]

    def paragraphs(self) -> Iterator[dict[str, str]]:
        """Each different paragraph of all questions, as documents for an index."""
        seen: set[tuple[str, str]] = set()
        for question in self.questions:
            for title, text in question.paragraphs:
                if (title, text) not in seen:
                    seen.add((title, text))
                    yield {"title": title, "text": text}


def read_questions(text: str, name: str) -> QuestionSet:
    """The questions of a JSONL text; empty lines are passed over.

    Raises:
        ConfigError: `bad-questions`: none at all, or a line that is not a question; it is named.
    """
    found: dict[str, Question] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        question = _question(_object(line, f"{name}:{number}"), number, f"{name}:{number}")
        if question.id in found:
            raise _bad(
                f"{name}:{number}: the id {question.id!r} is that of line {lines[question.id]} too",
                "results are kept by id: give each question its own",
            )
        found[question.id], lines[question.id] = question, number
    if not found:
        raise _bad(f"{name} holds no question", _SHAPE)
    return QuestionSet(name, hashlib.sha256(text.encode()).hexdigest(), tuple(found.values()))


_SHAPE = 'a line reads {"question": "…", "answer": "…"}, with "id" and "inputs" where they help'


def _bad(message: str, hint: str = _SHAPE) -> ConfigError:
    return ConfigError(message, code="bad-questions", hint=hint)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except RecursionError:
        raise _bad(f"{place}: it nests too deep") from None
    except ValueError as error:
        column = getattr(error, "colno", 0)
        where = f"{place}:{column}" if column else place
        raise _bad(f"{where}: it is not JSON: {getattr(error, 'msg', error)}") from None
    if not isinstance(value, dict):
        raise _bad(f"{place}: it is not a JSON object")
    return cast("dict[str, Any]", value)


def _question(row: dict[str, Any], number: int, place: str) -> Question:
    return Question(
        id=_id(row, number, place),
        text=_text(row, place),
        golds=_golds(row, place),
        inputs=_inputs(row, place),
        paragraphs=tuple(_paragraphs(row.get("context"), place)),
    )


def _id(row: dict[str, Any], number: int, place: str) -> str:
    value = row.get("id", number)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise _bad(f"{place}: `id` must be a text or a whole number")
    return _encodable(str(value), "`id`", place)


def _text(row: dict[str, Any], place: str) -> str:
    name = next((name for name in QUESTION_FIELDS if name in row), None)
    if name is None:
        raise _bad(f"{place}: there is no `question`")
    if not isinstance(row[name], str) or not row[name].strip():
        raise _bad(f"{place}: `{name}` must be a text, and not empty")
    return _encodable(row[name], f"`{name}`", place)


def _golds(row: dict[str, Any], place: str) -> tuple[str, ...]:
    name = next((name for name in GOLD_FIELDS if row.get(name) is not None), None)
    if name is None:
        raise _bad(f"{place}: there is no `answer`, the one to compare with")
    value = row[name]
    options = cast("list[Any]", value if isinstance(value, list) else [value])
    golds = tuple(_gold(option) for option in options if isinstance(option, (str, int, float)))
    if not options or len(golds) < len(options) or not all(golds):
        raise _bad(f"{place}: `{name}` must be a text, a number, or a list of accepted ones")
    return tuple(_encodable(gold, f"`{name}`", place) for gold in golds)


def _gold(value: object) -> str:
    """The answer itself: what follows the mark where a solution ends in one."""
    text = text_of(value)
    return text.rpartition(_SOLUTION_END)[2].strip()


def _inputs(row: dict[str, Any], place: str) -> dict[str, Any]:
    value: Any = row.get("inputs") or {}
    if not isinstance(value, dict):
        raise _bad(f"{place}: `inputs` must be an object of names and values")
    return cast("dict[str, Any]", value)


def _paragraphs(context: Any, place: str) -> Iterator[tuple[str, str]]:
    """HotpotQA's `context`, `[[title, [sentence, …]], …]`, or a text in place of the sentences.

    Any other `context` holds none.
    """
    for item in cast("list[Any]", context if isinstance(context, list) else []):
        match item:
            case [str(title), str(text)]:
                pass
            case [str(title), [*sentences]] if all(isinstance(part, str) for part in sentences):
                text = "".join(cast("list[str]", sentences))
            case _:
                continue
        what = f"paragraph {title!r:.60}"
        yield _encodable(title, what, place), _encodable(text, what, place)


def _encodable(text: str, what: str, place: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad(f"{place}: {what} holds half a surrogate pair", "write it as UTF-8") from None
    return text
