"""Frames: some events as one line of canonical JSON, chained by hashes.

    {"events":[[0,1.5,"1"],{"schema":3,"event":"LeaseTaken",…}],"large":[[7,"value","9f86d0…"]]}

The four events that every step has are small lists, (their number, *their fields); all others, and
results of tools that asked models, are objects as `wire` writes them. A field whose JSON is longer
than LARGE bytes is null here and named in `large`, as [index of the event, field, SHA-256]: it is
kept out of band under its hash. No value is marked in place, so none can be mistaken for a mark.

Canonical is one form for one list of events: UTF-8, no white space, numbers as Python writes them,
members in the order of the value. Their order is kept because prompts show it: a resumed run must
say to a model, byte for byte, what the first would have said. The writer knows no other form, and a
frame's hash says that the bytes are the writer's, so that a reader need not write all of it again
to compare. The audit does (`strict`), and refuses another form.

>>> body, large = encode([(0, 1.5, "1")])
>>> body
b'{"events":[[0,1.5,"1"]],"large":[]}'
>>> decode(body, {})
[(0, 1.5, '1')]
"""

from __future__ import annotations

import hashlib
import json
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from heddle.engine.events import ENDED, FREQUENT, READY, RESULT, SCHEMA, STARTED, TERMINAL
from heddle.engine.journal.store import Frame
from heddle.engine.many import many_objects
from heddle.engine.record import event_of
from heddle.engine.wire import WireError, event_from_json, event_to_json, trusted
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from heddle.engine.events import Entry
    from heddle.engine.journal.store import Head

__all__ = [
    "LARGE", "Chain", "canonical", "damaged", "decode", "digest_of", "encode", "frame_of",
    "named_in", "parsed", "root", "verify",
]  # fmt: skip

LARGE = 32 * 1024
"""Bytes of JSON from which on a value is kept out of band."""

_NUMBERS: dict[Any, int] = {kind: number for number, kind in enumerate(FREQUENT)}
_FIELDS: list[tuple[str, ...]] = [tuple(kind.__annotations__) for kind in FREQUENT]
_USAGE = 1 + _FIELDS[RESULT].index("usage")
_HEAD = ("schema", "event")


def canonical(value: Any) -> bytes:
    """JSON in the one form that journals hold.

    Raises:
        ValueError: NaN, infinity, half of a surrogate pair, or lists without end.
        TypeError: something that is not JSON.
        RecursionError: it nests too deep.
    """
    return _dumps(value).encode()


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def damaged(what: str) -> JournalError:
    """What is read is not what was written."""
    return JournalError(
        f"the journal is damaged: {what}",
        code="journal-damaged",
        hint="bring it back from a copy; nothing of this run is done or guessed from what is left",
    )


# -- writing -------------------------------------------------------------------------------------


class Encoded(NamedTuple):
    """The body of a frame, and the values that it names, by their hashes."""

    body: bytes
    large: dict[str, bytes]


def encode(entries: Sequence[Entry]) -> Encoded:
    """Events as the body of a frame. Cost: linear; one pass of the JSON encoder if all is small.

    Raises:
        JournalError: an event holds what JSON has no form for (`journal-unwritable`).
    """
    try:
        rows = [_row(entry) for entry in entries]
        body = canonical({"events": rows, "large": []})
        return Encoded(body, {}) if len(body) <= LARGE else _set_apart(rows, body)
    except (ValueError, TypeError, RecursionError) as error:
        raise JournalError(
            f"an event cannot be written down: {error}",
            code="journal-unwritable",
            hint="tools must return JSON: text, finite numbers, true, false, None, lists and dicts",
        ) from error


def _row(entry: Entry) -> Any:
    """An event as JSON, its values as they are."""
    if entry.__class__ is not tuple:
        number = _NUMBERS.get(type(entry))
        if number is None:
            return event_to_json(cast("Any", entry))
        entry = (number, *entry)
    if entry[0] == RESULT and entry[_USAGE] is not None:
        return event_to_json(event_of(entry))
    return entry


def _set_apart(rows: list[Any], body: bytes) -> Encoded:
    """The body without the values that are too large for it."""
    found: dict[str, bytes] = {}
    names: list[list[Any]] = []
    for index, row in enumerate(rows):
        for field, key in _places(row):
            if row[key].__class__ in (str, list, dict) and len(data := canonical(row[key])) > LARGE:
                found[digest := digest_of(data)] = data
                names.append([index, field, digest])
                row = rows[index] = _with(row, key, None)
    return (
        Encoded(canonical({"events": rows, "large": names}), found) if names else Encoded(body, {})
    )


def _places(row: Any) -> list[tuple[str, Any]]:
    """The fields of an event's JSON, each with its place there."""
    if isinstance(row, dict):
        return [(name, name) for name in cast("dict[str, Any]", row) if name not in _HEAD]
    number: int = row[0]
    return [(name, place) for place, name in enumerate(_FIELDS[number], 1)]


def _with(row: Any, key: Any, value: Any) -> Any:
    """An event's JSON with another value in one place."""
    if isinstance(row, dict):
        return {**cast("dict[str, Any]", row), key: value}
    return [*row[:key], value, *row[key + 1 :]]


# -- reading -------------------------------------------------------------------------------------


def decode(body: bytes, large: Mapping[str, bytes], *, strict: bool = False) -> list[Entry]:
    """The events of a frame's body.

    Args:
        body: as `encode` made it.
        large: what `named_in` names, by hash.
        strict: whether to refuse what is not canonical, byte for byte; it costs as much again.

    Raises:
        JournalError: `journal-damaged` if it is in another form or a value is another one;
            `journal-newer` if it holds an event that this version does not know.
    """
    with many_objects():
        rows, names = _parts(_parsed(body, "a frame", strict=strict))
        for index, field, digest in names:
            rows[index] = _given_back(rows[index], field, digest, large, strict=strict)
        return _entries(rows)


def named_in(body: bytes) -> list[str]:
    """The hashes of the values that a frame keeps out of band. Cost: O(1) where there are none.

    Raises:
        JournalError: it is no frame's body (`journal-damaged`).
    """
    if body.endswith(b',"large":[]}'):
        return []
    return [digest for _, _, digest in _parts(_parsed(body, "a frame"))[1]]


def _parsed(data: bytes, what: str, *, strict: bool = False) -> Any:
    """JSON; in strictness, only such that is in canonical form."""
    try:
        value = parsed(data)
        if not strict or canonical(value) == data:
            return value
    except (ValueError, RecursionError):
        pass
    raise damaged(f"{what} is not {'canonical ' * strict}JSON")


def parsed(data: bytes) -> Any:
    """JSON. pydantic's own parser, which is here anyhow, takes half the time of the standard one.

    Raises:
        ValueError: it is none; NaN and infinity are none.
        RecursionError: it nests too deep.
    """
    from pydantic_core import from_json

    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError:  # what nests deeper than 200 lists is read by the other
        return _loads(data.decode())


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


_loads = json.JSONDecoder(parse_constant=_no_number).decode


def _parts(data: Any) -> tuple[list[Any], list[tuple[int, str, str]]]:
    """The events and the names of a body."""
    if not isinstance(data, dict) or list(cast("dict[str, Any]", data)) != ["events", "large"]:
        raise damaged("a frame is not made of events and large values")
    rows, names = cast("list[Any]", data["events"]), cast("list[Any]", data["large"])
    if not isinstance(rows, list) or not isinstance(names, list):  # pyright: ignore
        raise damaged("a frame is no list of events")
    for name in names:
        match name:
            case [int(index), str(), str()] if 0 <= index < len(rows):
                pass
            case _:
                raise damaged(f"a frame names a value as {name!r:.60}")
    return rows, names


def _given_back(
    row: Any, field: str, digest: str, large: Mapping[str, bytes], *, strict: bool
) -> Any:
    """An event's JSON with a value that was kept out of band."""
    places = dict(_places(row)) if _is_row(row) else {}
    data = large.get(digest, b"")
    if field not in places or row[places[field]] is not None:
        raise damaged(f"a large value is named for {field!r:.40}, which has no room for one")
    if digest_of(data) != digest or len(data) <= LARGE:
        raise damaged(f"the large value {digest:.16}… is another one")
    return _with(row, places[field], _parsed(data, "a large value", strict=strict))


def _is_row(row: Any) -> bool:
    if isinstance(row, dict):
        return True
    match row:
        case [int(number), *rest] if not isinstance(number, bool) and 0 <= number < len(_FIELDS):
            return len(rest) == len(_FIELDS[number])
        case _:
            return False


def _entries(rows: list[Any]) -> list[Entry]:
    """The events that rows stand for; one loop, because there may be millions."""
    entries: list[Entry] = []
    add, number_of = entries.append, _TYPES.get
    for row in rows:
        if row.__class__ is list:
            entry = tuple(row)
            number = number_of(tuple(map(type, entry)), -1)
            if number < 0 or number != entry[0] or (number == ENDED and entry[3] not in TERMINAL):
                raise _no_event(row)
            add(entry)
        elif row.__class__ is dict:
            event = trusted(row)
            add(_event(row) if event is None or event.__class__ in _NUMBERS else event)
        else:
            raise _no_event(row)
    return entries


def _no_event(row: Any) -> JournalError:
    return damaged(f"there is no event {row!r:.60}")


def _event(data: dict[str, Any]) -> Entry:
    """The event of an object; what is wrong with it, if it is none."""
    schema = data.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise _newer(f"schema {schema}, and this one reads {SCHEMA}")
    try:
        event = event_from_json(data, sound=True)
    except WireError as error:
        if str(error).startswith("there is no event"):
            raise _newer(str(error)) from None
        raise damaged(str(error)) from error
    number = _NUMBERS.get(type(event))
    if number is not None and (number != RESULT or event[_USAGE - 1] is None):
        raise damaged(f"{type(event).__name__} is not written as a list")
    return event


def _newer(why: str) -> JournalError:
    return JournalError(
        f"the journal was written by a later version of heddle: {why}",
        code="journal-newer",
        hint="install that version, or a later one",
    )


_NONE = type(None)
_PARTS = {
    READY: [(int,), (float, int), (str,)],
    STARTED: [(int,), (float, int), (str,), (int,), (int, _NONE)],
    RESULT: [
        (int,), (float, int), (str,), (int,), (str, int, float, bool, _NONE, list, dict),
        (int, _NONE), (_NONE,), (float, int, _NONE), (str,),
    ],
    ENDED: [(int,), (float, int), (str,), (str,), (str,)],
}  # fmt: skip
_TYPES: dict[tuple[type, ...], int] = {
    types: number for number, parts in _PARTS.items() for types in product(*parts)
}
"""By the types of its fields, the number of a frequent event: one look-up for each of a million."""


# -- the chain -----------------------------------------------------------------------------------


def root(run: str) -> str:
    """What the first frame of a run follows: the hash of the format's name and the run's id."""
    return digest_of(b"heddle/journal/1\n" + run.encode())


def frame_of(
    body: bytes, *, number: int, seq: int, events: int, token: int, wall: float, prev: str
) -> Frame:
    """A frame with its hash."""
    return Frame(
        number, seq, events, token, wall, prev, _hash(number, seq, events, token, wall, prev, body),
        body,
    )  # fmt: skip


def _hash(
    number: int, seq: int, events: int, token: int, wall: float, prev: str, body: bytes
) -> str:
    """SHA-256 over "number seq events token wall prev", a line end, and the body."""
    head = f"{number} {seq} {events} {token} {float(wall)!r} {prev}\n"
    return digest_of(head.encode() + body)


class Chain:
    """Frames of one run as they are looked at, one after the other.

    Attributes:
        number, hash: of the last frame that was found whole; -1 and the root before the first.
        seq: sequence number of the next event.
        token: of the last frame.
    """

    def __init__(
        self, run: str, head: Head | None, *, number: int = -1, hash: str = "", seq: int = 0
    ) -> None:
        self._head = head
        self.number, self.hash, self.seq = number, hash or root(run), seq
        self.token = 0

    def follows(self, frame: Frame) -> bool:
        """Take the next frame; False for the torn end of the chain, which does not count.

        Raises:
            JournalError: it is not the one that was written, and the head lies behind it
                (`journal-damaged`).
        """
        fault = self._fault(frame)
        if not fault:
            self.number, self.hash = frame.number, frame.hash
            self.seq, self.token = self.seq + frame.events, frame.token
            return True
        if self._head is None or self.number >= self._head.number:
            return False
        raise damaged(f"frame {self.number + 1} {fault}")

    def end(self) -> None:
        """There are no more frames.

        Raises:
            JournalError: some are missing (`journal-damaged`).
        """
        if self._head is not None and self.number < self._head.number:
            raise damaged(f"it ends with frame {self.number}, and {self._head.number} were written")

    def _fault(self, frame: Frame) -> str:
        if frame.number != self.number + 1:
            return f"is missing; {frame.number} is in its place"
        if frame.prev != self.hash:
            return "does not follow the one before it"
        if type(frame.body) is not bytes or type(frame.wall) is not float:
            return "is not of the types that were written"
        if frame.hash != _hash(*frame[:6], frame.body):
            return "is not what was written"
        if frame.seq != self.seq or frame.token < self.token:
            return "is out of order"
        if self._head is not None and self._head.number == frame.number:
            return "" if self._head.hash == frame.hash else "is not the one that was written last"
        return ""


def verify(run: str, frames: Iterable[Frame], head: Head | None) -> Iterator[Frame]:
    """The frames of a run that are whole: all up to its head, and what goes on from there.

    Raises:
        JournalError: something up to the head is missing or is not what was written
            (`journal-damaged`).
    """
    chain = Chain(run, head)
    for frame in frames:
        if not chain.follows(frame):
            break
        yield frame
    chain.end()
