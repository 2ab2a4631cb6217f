r"""Recorded replies: `replay:FILE`, one JSON object a line.

    {"match": {"role": "planner", "round": 1, "contains": "AAPL"},
     "chunks": ["1. price(", "\"AAPL\")"], "usage": {"input_tokens": 812, "output_tokens": 9}}

Each request takes the first unused row that matches; a condition that is left out matches
everything. `contains` is looked for in every message, as it is written.

A native tool call is an object, `{"id": "c1", "name": "price", "arguments": "{}"}`: among the
chunks where text follows it, else in a list of its own, `calls`, which comes after the chunks.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from heddle.errors import ConfigError, ModelError
from heddle.models.protocol import ToolCall, Usage, estimated_usage, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    from heddle.models.protocol import Message, Request

__all__ = ["ReplayModel", "Row", "read_rows", "replay", "row_from_json"]

CONDITIONS: Final[dict[str, type]] = {"role": str, "round": int, "contains": str}
CALL_FIELDS: Final = ("id", "name", "arguments")
COUNTS: Final = ("input_tokens", "cached_input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded reply and when it may be given.

    Attributes:
        chunks: the text, in the pieces in which it arrives, and the calls, each at its place.
        role: the request's role; None for any.
        round: the request's round; None for any.
        contains: text that some message must hold; None for any.
        usage: what the provider reported; None for an estimate.
        line: where the row stands in its file, from 1; 0 for none.
    """

    chunks: tuple[str | ToolCall, ...]
    role: str | None = None
    round: int | None = None
    contains: str | None = None
    usage: Usage | None = None
    line: int = 0

    def agrees(self, request: Request) -> int:
        """How many of its conditions a request meets; all of them are `demands`."""
        return (
            (self.role == request.role)
            + (self.round == request.round)
            + (self.contains is not None and found_in(self.contains, request.messages))
        )

    @property
    def characters(self) -> int:
        """The size of the reply: its text, and the names and arguments of its calls."""
        return sum(map(size_of, self.chunks))

    @property
    def text(self) -> str:
        """The text of the reply, without its calls."""
        return "".join(part for part in self.chunks if isinstance(part, str))

    @property
    def demands(self) -> int:
        """How many conditions the row has."""
        return sum(given is not None for given in (self.role, self.round, self.contains))

    def __str__(self) -> str:
        names = ("role", "round", "contains")
        conditions = [f"{name}={getattr(self, name)!r}" for name in names]
        given = [text[:120] for text in conditions if not text.endswith("=None")]
        return f"line {self.line} ({', '.join(given) or 'anything'})"


class ReplayModel:
    """A model that gives recorded replies, each once.

    Args:
        rows: in the order in which they are tried.
        name: what the recording is called.

    Cost: a request looks at each unused row once.
    """

    provider = "replay"

    def __init__(self, rows: Sequence[Row], *, name: str = "replay") -> None:
        self.name = name
        self._unused: list[Row] = list(rows)
        self._used: list[Row] = []

    async def stream(self, request: Request) -> AsyncGenerator[str | ToolCall | Usage]:
        """The chunks of the first unused row that matches, then its usage.

        Raises:
            ModelError: `no-recording`: no unused row matches.
        """
        row = self._take(request)
        for chunk in row.chunks:
            yield chunk
            await asyncio.sleep(0)  # others run between chunks, as they do when a model is slow
        yield row.usage or estimated_usage(request, row.characters)

    async def aclose(self) -> None:
        """Nothing is open."""

    @property
    def given(self) -> list[str]:
        """The rows that were given, as FILE:LINE, in that order."""
        return [f"{self.name}:{row.line}" for row in self._used]

    def skip(self, rows: Collection[str]) -> None:
        """Count rows, as FILE:LINE, as given: those that a process before this one has used."""
        unused, self._unused = self._unused, []
        for row in unused:
            spent = f"{self.name}:{row.line}" in rows
            (self._used if spent else self._unused).append(row)

    def _take(self, request: Request) -> Row:
        for place, row in enumerate(self._unused):
            if row.agrees(request) == row.demands:
                self._used.append(self._unused.pop(place))
                return row
        raise self._nothing(request)

    def _nothing(self, request: Request) -> ModelError:
        spent = [row for row in self._used if row.agrees(request) == row.demands]
        near = max(self._unused, key=lambda row: row.agrees(request), default=None)
        if near is not None:
            closest = f"the closest unused row is {near}"
        elif spent:
            closest = f"{spent[-1]} matches, but a row is given only once"
        else:
            closest = "no row is left"
        return ModelError(
            f"{self.name} has no recording for role={request.role!r}, round={request.round}",
            code="no-recording",
            provider=self.provider,
            hint=closest,
        )


def found_in(text: str, messages: Sequence[Message]) -> bool:
    """Whether some message holds the text."""
    return any(text in message.content for message in messages)


def replay(name: str, environment: Mapping[str, str]) -> ReplayModel:
    """The model `replay:FILE`.

    Raises:
        ConfigError: see `read_rows`.
    """
    return ReplayModel(read_rows(Path(name)), name=name)


def read_rows(path: Path) -> list[Row]:
    """The rows of a recording; empty lines are passed over.

    Raises:
        ConfigError: `no-file`: it cannot be read; `bad-recording`: a line is not a row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot read the recording {str(path)!r}: {reason}",
            code="no-file",
            hint="a recording is named replay:FILE, relative to the working directory",
        ) from None
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rows.append(_read(line, f"{path}:{number}", number))
    return rows


def _read(line: str, place: str, number: int) -> Row:
    try:
        return row_from_json(json.loads(line), line=number)
    except RecursionError:
        raise _bad(f"{place}: nests too deep") from None
    except ValueError as error:
        raise _bad(f"{place}: {error}") from None


def row_from_json(value: object, *, line: int = 0) -> Row:
    """One row from its JSON.

    Raises:
        ValueError: it is not a row; the message says which part.
    """
    row = _fields(value, "a row", ("match", "chunks", "calls", "usage"))
    chunks = [_chunk(part) for part in _list(row, "chunks", [] if "calls" in row else None)]
    chunks += [_call(call) for call in _list(row, "calls", [])]
    match = _fields(row.get("match", {}), "`match`", tuple(CONDITIONS))
    for name, condition in match.items():
        if type(condition) is not CONDITIONS[name]:
            raise ValueError(f"`match.{name}` must be of type {CONDITIONS[name].__name__}")
    return Row(tuple(chunks), **match, usage=_usage(row), line=line)


def _list(row: Mapping[str, Any], name: str, default: list[object] | None) -> list[object]:
    value = row.get(name, default)
    if not isinstance(value, list):
        raise ValueError(f"`{name}` must be a list of {'strings' if name == 'chunks' else 'calls'}")
    return cast("list[object]", value)


def _chunk(part: object) -> str | ToolCall:
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        return _call(cast("object", part))
    raise ValueError("`chunks` must be a list of strings (or of calls among them)")


def _call(value: object) -> ToolCall:
    fields = _fields(value, "a call", CALL_FIELDS)
    for name in CALL_FIELDS:
        if not isinstance(fields.get(name), str):
            raise ValueError(f"a call must have a string `{name}`")
    return ToolCall(**fields)


def _usage(row: Mapping[str, Any]) -> Usage | None:
    if row.get("usage") is None:
        return None
    counts = _fields(row["usage"], "`usage`", (*COUNTS, "estimated"))
    for name in COUNTS:
        if type(counts.get(name, 0)) is not int or counts.get(name, 0) < 0:
            raise ValueError(f"`usage.{name}` must be a whole number, not negative")
    if type(counts.get("estimated", False)) is not bool:
        raise ValueError("`usage.estimated` must be true or false")
    return Usage(**counts)


def _fields(value: object, what: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object")
    fields = cast("dict[str, Any]", value)
    for name in fields:
        if name not in known:
            raise ValueError(f"{what} has an unknown field {name!r}; known: {', '.join(known)}")
    return fields


def row_to_json(row: Row) -> dict[str, Any]:
    """A row as `row_from_json` reads it, without what is not set."""
    match = {name: getattr(row, name) for name in CONDITIONS if getattr(row, name) is not None}
    chunks = [part if isinstance(part, str) else asdict(part) for part in row.chunks]
    texts = [place for place, part in enumerate(row.chunks, 1) if isinstance(part, str)]
    last_text = texts[-1] if texts else 0
    value: dict[str, Any] = {"match": match, "chunks": chunks[:last_text]}
    if calls := chunks[last_text:]:
        value["calls"] = calls
    if row.usage is not None:
        value["usage"] = asdict(row.usage)
    return value


def _bad(message: str) -> ConfigError:
    return ConfigError(
        message,
        code="bad-recording",
        hint='a line reads {"match": {"role", "round", "contains"}, "chunks": [...], "usage": {}}',
    )
