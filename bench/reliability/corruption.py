"""Journals that were changed behind heddle's back: is it noticed, each time?

Two places are attacked. *Records*: frames, heads, large values and snapshots, one by one, with bits
turned over, cut short, left out, doubled, exchanged with others of the same run and of another.
*Files*: the bytes of the SQLite file and of its write-ahead log, and whole pages of them.

What is read afterwards must be what was written, or be refused with a JournalError. Of a log that
is cut off, what was written up to some append is right as well: it is what a loss of power leaves.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.reliability.figure import Figure
from heddle.engine.events import LeaseTaken, PlanProposed, RunFinished, StepAccepted, StepError
from heddle.engine.journal.frames import encode, frame_of, root
from heddle.engine.journal.reading import folded, read, snapshot_of
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.store import Frame, Head, RunRow, Snapshot
from heddle.engine.record import event_of
from heddle.engine.state import RunState, fold
from heddle.errors import JournalError
from heddle.plan.ir import Ref, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from heddle.engine.events import Event
    from heddle.engine.journal.store import Store

    Mutation = Callable[["Records", random.Random], None]

SHARES = {"records": 0.8, "file": 0.15, "log": 0.05}
"""Of all mutations, how many are done where."""


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """The campaign, for `python -m bench.reliability`."""
    mutations = 2_000 if short else 100_000
    found = corruption(mutations, seed)
    at_least = None if short else 100_000
    yield Figure("mutations", sum(found.values()), at_least, at_least=True, detail=dict(found))
    for outcome in ("crashed", "accepted silently"):
        yield Figure(outcome, found[outcome], 0, of=mutations)
    for outcome in ("refused", "read as written", "read up to an earlier append"):
        yield Figure(outcome, found[outcome])


def corruption(mutations: int, seed: int) -> Counter[str]:
    """Mutate so often; how many ended how."""
    chance = random.Random(seed)
    return asyncio.run(_campaign(mutations, chance))


async def _campaign(mutations: int, chance: random.Random) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(round(mutations * SHARES["records"])):
        found[await _outcome(mutated(SPECIMEN, chance))] += 1
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        await files.prepare()
        for kind in ("file", "log"):
            for _ in range(round(mutations * SHARES[kind])):
                found[await files.mutate(kind, chance)] += 1
    return found


# -- what is read --------------------------------------------------------------------------------


async def _outcome(store: Store, prefixes: tuple[int, ...] = ()) -> str:
    """What reading the attacked run gives, by its events and by its snapshot.

    Args:
        store: where it is.
        prefixes: how many events may be there, besides all of them.
    """
    try:
        state = await folded(store, RUN)
        events = [event_of(entry) async for page in read(store, RUN) for entry in page.entries]
    except JournalError:
        return "refused"
    except Exception:  # anything but a refusal is what is looked for
        return "crashed"
    if events == EVENTS and state == STATE:
        return "read as written"
    if len(events) in prefixes and events == EVENTS[: len(events)] and state == fold(events):
        return "read up to an earlier append"
    return "accepted silently"


# -- the specimen --------------------------------------------------------------------------------

RUN, OTHER = "5be1f00d5be1", "0ddba110ddba"
_FRAME_EVENTS = 9


def _events(run: str) -> list[Event]:
    """A small run with a bit of everything, two large values among it."""
    steps = [Step(str(i), "look", {"at": i, "from": Ref(str(i - 1))}) for i in range(1, 9)]
    events: list[Any] = [LeaseTaken(0.0, run, 1), PlanProposed(0.0, 1, "json")]
    events += [StepAccepted(0.1, 1, n, step) for n, step in enumerate(steps, 1)]
    for place, step in enumerate(steps):
        at = 1.0 + place / 7
        value: Any = f"{place}{run}" * 2_600 if place in (2, 5) else {"é": [place, None, run]}
        events += [(0, at, step.id), (1, at, step.id, 1, None)]
        events.append((2, at, step.id, 1, value, None, None, None, ""))
        events.append((3, at, step.id, "done", ""))
    events.append(StepError(8.0, "8", 1, "tool-failed", "no"))
    events.append(RunFinished(9.0, "partial", "answer", "", ""))
    return [event_of(event) for event in events]


EVENTS = _events(RUN)
STATE: RunState = fold(EVENTS)


@dataclass
class Records:
    """The records of one run, as a store that gives them back. It is read and not written."""

    frames_: list[Frame]
    head: Head | None
    large_: dict[str, bytes]
    snapshot_: Snapshot | None
    gone: set[str] = field(default_factory=set[str])

    async def run(self, run: str) -> RunRow:
        return RunRow(run, "", "running", "", 1, 0.0, 0.0, 0.0, self.head)

    async def frames(self, run: str, after: int = -1) -> AsyncIterator[Frame]:
        for frame in self.frames_:
            if frame.number > after:
                yield frame

    async def large(self, digest: str) -> bytes:
        if digest not in self.large_:
            raise JournalError("it is not there", code="journal-damaged")
        return self.large_[digest]

    async def snapshot(self, run: str) -> Snapshot | None:
        return self.snapshot_


def records(run: str) -> Records:
    """What a store would hold of the specimen."""
    events, frames, large = _events(run), list[Frame](), dict[str, bytes]()
    for seq in range(0, len(events), _FRAME_EVENTS):
        batch = events[seq : seq + _FRAME_EVENTS]
        body, values = encode(batch)
        large |= values
        prev = frames[-1].hash if frames else root(run)
        frames.append(
            frame_of(
                body, number=len(frames), seq=seq, events=len(batch), token=1, wall=1e9 + seq,
                prev=prev,
            )
        )  # fmt: skip
    half = len(frames) // 2
    state = fold(events[: frames[half].seq])
    snapshot = snapshot_of(state, Head(half - 1, frames[half - 1].hash))
    return Records(frames, Head(frames[-1].number, frames[-1].hash), large, snapshot)


SPECIMEN, STRANGER = records(RUN), records(OTHER)


# -- mutations of records ------------------------------------------------------------------------


def mutated(specimen: Records, chance: random.Random, mutation: Mutation | None = None) -> Any:
    """The records with one thing changed."""
    copy = replace(specimen, frames_=[*specimen.frames_], large_={**specimen.large_})
    (mutation or chance.choice(MUTATIONS))(copy, chance)
    return copy


def _flipped(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\0"
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def _spoilt(data: bytes, chance: random.Random) -> bytes:
    """Bytes with a bit turned over, cut short, with a piece doubled, or with noise in them."""
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.randrange(1, 64))
    how = chance.randrange(4)
    if how == 0:
        return _flipped(data, chance)
    if how == 1:
        return data[:start]
    if how == 2:
        return data[:end] + data[start:]
    return data[:start] + chance.randbytes(end - start) + data[end:]


def _spoil_text(text: str, chance: random.Random) -> str:
    return _flipped(text.encode(), chance).decode(errors="replace")


def _body(it: Records, chance: random.Random) -> None:
    place = chance.randrange(len(it.frames_))
    frame = it.frames_[place]
    it.frames_[place] = frame._replace(body=_spoilt(frame.body, chance))


def _header(it: Records, chance: random.Random) -> None:
    place = chance.randrange(len(it.frames_))
    frame = it.frames_[place]
    name = chance.choice(("number", "seq", "events", "token", "wall", "prev", "hash"))
    value = getattr(frame, name)
    change = chance.choice((-1, 1, 2, 1 << 40))
    new = _spoil_text(value, chance) if isinstance(value, str) else value + change
    it.frames_[place] = frame._replace(**{name: new})


def _type(it: Records, chance: random.Random) -> None:
    """A field that a damaged file gives back as something else."""
    place = chance.randrange(len(it.frames_))
    name = chance.choice(("seq", "events", "token", "wall", "prev", "hash", "body"))
    wrong = chance.choice((None, "", b"", 0, 0.5))
    it.frames_[place] = it.frames_[place]._replace(**{name: wrong})


def _left_out(it: Records, chance: random.Random) -> None:
    del it.frames_[chance.randrange(len(it.frames_))]


def _cut_off(it: Records, chance: random.Random) -> None:
    del it.frames_[chance.randrange(len(it.frames_)) :]


def _doubled(it: Records, chance: random.Random) -> None:
    frame = chance.choice(it.frames_)
    it.frames_.insert(chance.randrange(len(it.frames_) + 1), frame)


def _exchanged(it: Records, chance: random.Random) -> None:
    one, other = chance.sample(range(len(it.frames_)), 2)
    it.frames_[one], it.frames_[other] = it.frames_[other], it.frames_[one]


def _renumbered(it: Records, chance: random.Random) -> None:
    """Two frames exchange all but their numbers."""
    one, other = chance.sample(range(len(it.frames_)), 2)
    first, second = it.frames_[one], it.frames_[other]
    it.frames_[one] = second._replace(number=first.number)
    it.frames_[other] = first._replace(number=second.number)


def _bodies_exchanged(it: Records, chance: random.Random) -> None:
    one, other = chance.sample(range(len(it.frames_)), 2)
    first, second = it.frames_[one], it.frames_[other]
    it.frames_[one] = first._replace(body=second.body)
    it.frames_[other] = second._replace(body=first.body)


def _from_another_run(it: Records, chance: random.Random) -> None:
    place = chance.randrange(len(it.frames_))
    it.frames_[place] = STRANGER.frames_[place]


def _all_from_another_run(it: Records, chance: random.Random) -> None:
    it.frames_, it.large_ = [*STRANGER.frames_], {**STRANGER.large_}
    it.head = chance.choice((STRANGER.head, it.head))


def _head(it: Records, chance: random.Random) -> None:
    assert it.head is not None
    number, hash = it.head
    earlier = chance.choice(it.frames_)
    it.head = chance.choice((
        Head(number + chance.choice((-1, 1, 100)), hash),
        Head(number, _spoil_text(hash, chance)),
        Head(earlier.number, earlier.hash),
        STRANGER.head,
        None,
    ))  # fmt: skip


def _large(it: Records, chance: random.Random) -> None:
    digest = chance.choice([*it.large_])
    it.large_[digest] = _spoilt(it.large_[digest], chance)


def _large_lost(it: Records, chance: random.Random) -> None:
    del it.large_[chance.choice([*it.large_])]


def _large_exchanged(it: Records, chance: random.Random) -> None:
    one, other = chance.sample([*it.large_], 2)
    it.large_[one], it.large_[other] = it.large_[other], it.large_[one]


def _snapshot(it: Records, chance: random.Random) -> None:
    assert it.snapshot_ is not None
    assert STRANGER.snapshot_ is not None
    number, hash, body = it.snapshot_
    it.snapshot_ = chance.choice((
        Snapshot(number, hash, _spoilt(body, chance)),
        Snapshot(number + chance.choice((-1, 1, 50)), hash, body),
        Snapshot(number, _spoil_text(hash, chance), body),
        STRANGER.snapshot_,
        Snapshot(number, hash, STRANGER.snapshot_.body),
        None,
    ))  # fmt: skip


MUTATIONS: list[Mutation] = [
    _body, _body, _body, _header, _type, _left_out, _cut_off, _doubled, _exchanged, _renumbered,
    _bodies_exchanged, _from_another_run, _all_from_another_run, _head, _large, _large_lost,
    _large_exchanged, _snapshot,
]  # fmt: skip


# -- mutations of files --------------------------------------------------------------------------


class _Template(NamedTuple):
    """The bytes of a database and of its log."""

    file: bytes
    log: bytes


class Files:
    """The specimen in SQLite's files: once all in the tables, once as its log was left by a crash.

    Attributes:
        folder: for the files that are mutated.
        appended: events after each append.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.appended: list[int] = []
        self.templates: dict[str, _Template] = {}

    async def prepare(self) -> None:
        """Write the specimen and a second run, and keep what is then in the files."""
        path = self.folder / "specimen.db"
        store = SQLiteStore(path)
        for run in (OTHER, RUN):
            await self._write(store, run)
        self.templates["log"] = _taken(path)
        await store.aclose()
        self.templates["file"] = _taken(path)

    async def _write(self, store: SQLiteStore, run: str) -> None:
        specimen = records(run)
        lease = await store.create(run, "", "nobody", 0.0)
        self.appended = [0]
        for frame in specimen.frames_:
            # each time all of them: those that are there are kept
            await store.append(lease, [frame], specimen.large_, sync=True)
            self.appended.append(frame.seq + frame.events)
        assert specimen.snapshot_ is not None
        await store.save(lease, specimen.snapshot_)

    async def mutate(self, kind: str, chance: random.Random) -> str:
        """Mutate a file once; how reading it ended."""
        path = self.folder / "victim.db"
        file, log = self.templates[kind]
        if kind == "log":
            log = _spoilt_file(log, chance)
        else:
            file = _spoilt_file(file, chance)
        _put(path, _Template(file, log))
        store = SQLiteStore(path)
        try:
            return await self._judged(store, kind)
        finally:
            with suppress(JournalError):
                await store.aclose()

    async def _judged(self, store: SQLiteStore, kind: str) -> str:
        if kind == "file":
            return await _outcome(store)
        try:
            known = {row.run for row in await store.runs()}
        except JournalError:
            return "refused"
        if RUN not in known:
            return "read up to an earlier append"  # the log was cut off before the run began
        return await _outcome(store, tuple(self.appended))


def _taken(path: Path) -> _Template:
    log = Path(f"{path}-wal")
    return _Template(path.read_bytes(), log.read_bytes() if log.exists() else b"")


def _put(path: Path, template: _Template) -> None:
    """Write the files, in the place of those that were there."""
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    path.write_bytes(template.file)
    if template.log:
        Path(f"{path}-wal").write_bytes(template.log)


def _spoilt_file(data: bytes, chance: random.Random) -> bytes:
    """Bytes with small or large damage: bits, noise, an end, pages lost, doubled or exchanged."""
    if chance.random() < 0.6:
        return _spoilt(data, chance)
    size = 4096
    pages = [data[i : i + size] for i in range(0, len(data), size)]
    one, other = chance.randrange(len(pages)), chance.randrange(len(pages))
    how = chance.randrange(4)
    if how == 0:
        pages[one], pages[other] = pages[other], pages[one]
    elif how == 1:
        pages[one] = bytes(size)
    elif how == 2:
        pages[one] = pages[other]
    else:
        del pages[one]
    return b"".join(pages)
