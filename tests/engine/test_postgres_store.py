"""Journals on a real PostgreSQL server: its own faults, on top of what every store promises."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from store_contract import StoreContract

from heddle.engine.addresses import shown
from heddle.engine.journal.postgres import UNSURE_FRAMES, PostgresStore
from heddle.engine.journal.store import Frame, Head, Snapshot
from heddle.errors import JournalError

OWNER = "here 1 1"


def chain(count: int, *, first: int = 0, prev: str = "0" * 64, size: int = 40) -> list[Frame]:
    """Frames as a writer would make them, as far as a store looks."""
    frames = []
    for number in range(first, first + count):
        body = bytes([number % 256]) * size
        digest = hashlib.sha256(prev.encode() + body).hexdigest()
        frames.append(Frame(number, number * 2, 2, 1, 1.5, prev, digest, body))
        prev = digest
    return frames


@asynccontextmanager
async def opened(place: str, **options):
    store = PostgresStore(place, **options)
    try:
        yield store
    finally:
        await store.aclose()


async def all_frames(store: PostgresStore, run: str) -> list[Frame]:
    return [frame async for frame in store.frames(run)]


async def refused(call, code: str) -> JournalError:
    with pytest.raises(JournalError) as caught:
        await call
    assert caught.value.code == code, caught.value
    return caught.value


def run(main):
    asyncio.run(main())


class TestContract(StoreContract):
    @pytest.fixture
    def store(self, postgres):
        return PostgresStore(postgres.database())


# -- the plain road ------------------------------------------------------------------------------


def test_what_was_appended_is_read_by_another_process_s_store(postgres):
    place = postgres.database()

    async def main():
        async with opened(place) as store, opened(place) as other:
            lease = await store.create("r", "Which?\nOne.", OWNER, 30)
            frames = chain(300)
            await store.append(lease, frames[:200], {"d" * 64: b"large"}, sync=True)
            await store.append(lease, frames[200:], {"d" * 64: b"large"}, sync=False)
            assert await all_frames(other, "r") == frames
            assert await other.large("d" * 64) == b"large"
            row = await other.run("r")
            assert row.head == Head(299, frames[-1].hash)
            assert (row.title, row.status, row.owner) == ("Which?\nOne.", "running", OWNER)

    run(main)


def test_a_long_journal_is_read_in_pages_of_bounded_size(postgres):
    place = postgres.database()

    async def main():
        async with Cut(postgres.port) as line, opened(line.through(place)) as store:
            lease = await store.create("r", "", OWNER, 30)
            frames = chain(9, size=1 << 20)
            for frame in frames:
                await store.append(lease, [frame], {}, sync=False)
            before = line.answered_bytes
            reading = store.frames("r")
            assert await anext(reading) == frames[0]
            assert line.answered_bytes - before < 6 << 20
            assert [frames[0], *[frame async for frame in reading]] == frames

    run(main)


def test_twenty_processes_may_make_the_tables_at_once(postgres):
    place = postgres.database()

    async def main():
        stores = [PostgresStore(place) for _ in range(20)]
        await asyncio.gather(
            *(store.create(f"r{i}", "", OWNER, 1) for i, store in enumerate(stores))
        )
        assert len(await stores[0].runs()) == 20
        await asyncio.gather(*(store.aclose() for store in stores))

    run(main)


def test_one_append_is_one_trip_and_one_commit(postgres):
    place = postgres.database()

    async def main():
        async with Cut(postgres.port) as line, opened(line.through(place)) as store:
            lease = await store.create("r", "", OWNER, 30)
            frames = chain(50)
            await store.append(lease, frames[:1], {}, sync=True)
            before = line.answers, await transactions(store)
            for frame in frames[1:41]:
                await store.append(lease, [frame], {"k": b"large"}, sync=True)
            await store.append(lease, frames[41:], {}, sync=False)
            after = line.answers, await transactions(store)
            assert after[0] - before[0] == 41 + 1  # and the question for the transactions
            assert after[1] - before[1] == 41

    async def transactions(store):
        [[count]] = await store._database.fetch("SELECT pg_current_xact_id()::text::bigint")
        return count - 1  # the question is one, too


# -- who holds the run ---------------------------------------------------------------------------


def test_a_lease_that_was_taken_over_adds_nothing_more(postgres):
    place = postgres.database()

    async def main():
        async with opened(place) as slow, opened(place) as quick:
            old = await slow.create("r", "", OWNER, 0.0)  # overdue at once
            frames = chain(3)
            await slow.append(old, frames[:1], {}, sync=True)  # overdue, but nobody took it
            new = await quick.lease("r", "there 2 2", 30)
            assert new.token == old.token + 1
            for call in (
                slow.append(old, frames[1:2], {"x": b"x"}, sync=True),
                slow.append(old, (), {}, sync=True, status="done"),
                slow.renew(old, 30),
                slow.save(old, Snapshot(0, frames[0].hash, b"{}")),
            ):
                error = await refused(call, "lease-lost")
                assert "process 2 on there" in str(error)
            await slow.release(old)
            await quick.append(new, frames[1:], {}, sync=True)
            assert await all_frames(quick, "r") == frames
            assert (await quick.run("r")).status == "running"

    run(main)


def test_of_many_that_resume_a_run_at_once_one_wins(postgres):
    place = postgres.database()

    async def main():
        stores = [PostgresStore(place) for _ in range(12)]
        first = await stores[0].create("r", "", OWNER, 30)
        await stores[0].release(first)
        leases = await asyncio.gather(
            *(store.lease("r", f"there {i} 1", 30) for i, store in enumerate(stores)),
            return_exceptions=True,
        )
        won = [lease for lease in leases if not isinstance(lease, Exception)]
        assert len(won) == 1
        assert won[0].token == first.token + 1
        assert {error.code for error in leases if isinstance(error, JournalError)} == {"run-leased"}
        await asyncio.gather(*(store.aclose() for store in stores))

    run(main)


def test_leases_end_by_the_server_s_clock(postgres, monkeypatch):
    place = postgres.database()

    async def main():
        async with opened(place) as store:
            await store.create("r", "", "elsewhere 1 1", 60)
            monkeypatch.setattr("time.time", lambda: 4e9)  # our clock has jumped by decades
            await refused(store.lease("r", OWNER, 30), "run-leased")
            monkeypatch.undo()
            row = await store.run("r")
            [[now]] = await store._database.fetch("SELECT extract(epoch from now())::float8")
            assert 50 < row.until - now <= 60

    run(main)


HOLDER = """
import asyncio, sys
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.postgres import PostgresStore
from heddle.errors import JournalError

async def main():
    store = PostgresStore(sys.argv[1])
    try:
        lease = await store.lease("r", this_process(), 3600)
        print("won", lease.token, flush=True)
    except JournalError as error:
        print(error.code, flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def holders(place: str, count: int) -> list[subprocess.Popen[str]]:
    """Processes that each try to take the run, and live on."""
    command = [sys.executable, "-c", HOLDER, place]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, **pipes) for _ in range(count)]


def end(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.kill()
        process.communicate()


def test_of_several_processes_one_gets_the_run_and_its_death_frees_it_at_once(postgres):
    place = postgres.database()

    async def made():
        async with opened(place) as store:
            await store.release(await store.create("r", "", OWNER, 30))

    asyncio.run(made())
    for token in (2, 3):  # the second time nothing has given the run back
        processes = holders(place, 3)
        try:
            said = sorted(process.stdout.readline().strip() for process in processes)
        finally:
            end(processes)
        assert said == ["run-leased", "run-leased", f"won {token}"]


# -- the server goes away ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "immediate", "fast"])
def test_a_server_that_dies_and_returns_has_all_frames_once(postgres, how):
    """Frames without sync included: the server may lose those, and is told again."""
    place = postgres.database()

    async def main():
        async with opened(place) as store:
            lease = await store.create("r", "", OWNER, 60)
            frames = chain(400)
            await store.append(lease, frames[:10], {}, sync=True)
            for number in range(10, 200):
                await store.append(lease, [frames[number]], {str(number): b"v"}, sync=False)
            with postgres.away(how):
                waiting = asyncio.create_task(
                    store.append(lease, frames[200:210], {"last": b"v"}, sync=False)
                )
                await asyncio.sleep(0.2)
                assert not waiting.done()
            await waiting
            await store.append(lease, frames[210:], {}, sync=True)
            assert await all_frames(store, "r") == frames
            for number in ("10", "199", "last"):
                assert await store.large(number) == b"v"

    run(main)


def test_a_server_that_loses_what_was_not_synced_is_told_again(postgres):
    """The loss is certain here: the log of changes is not written but by a sync."""
    place = postgres.database()

    async def main():
        async with opened(place) as store:
            lease = await store.create("r", "", OWNER, 60)
            frames = chain(30)
            await store.append(lease, frames[:3], {}, sync=True)
            await store.append(lease, frames[3:20], {"k": b"kept"}, sync=False)
            with postgres.away("immediate"):
                pass
            [[head]] = await store._database.fetch("SELECT head_number FROM heddle.runs")
            assert head == 2, "the server was to lose them, or this shows nothing"
            await store.append(lease, frames[20:], {}, sync=True)
            assert await all_frames(store, "r") == frames
            assert await store.large("k") == b"kept"

    postgres.restart(wal_writer_delay="10s", wal_writer_flush_after="1GB")
    try:
        run(main)
    finally:
        postgres.restart()


def test_killed_in_mid_append_over_and_over_loses_nothing_and_adds_nothing_twice(postgres):
    place = postgres.database()

    async def main():
        async with opened(place) as store:
            lease = await store.create("r", "", OWNER, 120)
            frames = chain(4000)

            async def write(reached):
                for sent in range(0, len(frames), 4):
                    if sent in reached:
                        reached[sent].set()
                    await store.append(lease, frames[sent : sent + 4], {}, sync=sent % 12 == 0)

            reached = {number: asyncio.Event() for number in range(400, 2800, 400)}
            writing = asyncio.create_task(write(reached))
            for number, event in reached.items():
                await event.wait()
                postgres.kill() if number % 800 else postgres.stop("immediate")
                await asyncio.to_thread(postgres.start)
            await writing
            await store.append(lease, (), {}, sync=True)
            assert await all_frames(store, "r") == frames

    run(main)


def test_an_append_whose_answer_was_lost_is_found_to_be_taken(postgres):
    """The server's answer is cut off after it has committed: nobody knows, so the head is asked."""
    place = postgres.database()

    async def main():
        async with Cut(postgres.port) as cut, opened(cut.through(place)) as store:
            lease = await store.create("r", "", OWNER, 60)
            frames = chain(6)
            await store.append(lease, frames[:2], {}, sync=True)
            cut.after_request()
            await store.append(lease, frames[2:4], {}, sync=True)
            cut.after_request()
            await store.append(lease, frames[4:], {}, sync=False, status="succeeded")
            assert cut.times == 2
            assert await all_frames(store, "r") == frames
            assert (await store.run("r")).status == "succeeded"

    run(main)


def test_a_connection_that_falls_silent_is_given_up(postgres, monkeypatch):
    monkeypatch.setattr("heddle.engine.postgres.STATEMENT_S", 0.5)
    place = postgres.database()

    async def main():
        async with Cut(postgres.port) as cut, opened(cut.through(place)) as store:
            lease = await store.create("r", "", OWNER, 60)
            cut.after_request(silent=True)
            await store.append(lease, chain(2), {}, sync=True)
            assert cut.times == 1
            assert await all_frames(store, "r") == chain(2)

    run(main)


def test_a_new_run_and_a_lease_whose_answers_were_lost_are_ours(postgres):
    place = postgres.database()

    async def main():
        async with Cut(postgres.port) as cut, opened(cut.through(place)) as store:
            await store.runs()
            cut.after_request()
            lease = await store.create("r", "", OWNER, 60)
            await refused(store.create("r", "", OWNER, 60), "run-exists")
            await store.release(lease)
            cut.after_request()
            again = await store.lease("r", OWNER, 60)
            assert again.token == lease.token + 1
            await refused(store.lease("r", OWNER, 60), "run-leased")
            assert cut.times == 2

    run(main)


def test_a_server_that_stays_away_is_said_to_be_lost(postgres):
    place = postgres.database()

    async def main():
        async with opened(place, patience_s=0.3) as store:
            lease = await store.create("r", "", OWNER, 60)
            with postgres.away("kill"):
                error = await refused(store.append(lease, chain(1), {}, sync=True), "journal-lost")
                assert "resume" in error.hint
            await store.append(lease, chain(1), {}, sync=True)
            assert len(await all_frames(store, "r")) == 1

    run(main)


def test_what_is_kept_for_a_server_that_may_lose_it_is_bounded(postgres):
    place = postgres.database()

    async def main():
        async with opened(place) as store:
            lease = await store.create("r", "", OWNER, 60)
            for frame in chain(UNSURE_FRAMES * 3 + 1):
                await store.append(lease, [frame], {}, sync=False)
                assert len(store._unsure[lease].frames) <= UNSURE_FRAMES

    run(main)


# -- a user's mistakes ---------------------------------------------------------------------------


def no_secret(error: JournalError, *secrets: str) -> str:
    shown = "\n".join([str(error), error.hint, repr(error)])
    for secret in secrets:
        assert secret not in shown
    return shown


def test_a_wrong_password_is_said_and_not_shown(postgres):
    async def main():
        async with opened(postgres.dsn(password="sesame-42")) as store:
            error = await refused(store.runs(), "journal-unwritable")
            assert "password" in no_secret(error, "sesame-42")
            assert "sesame-42" not in repr(store)

    run(main)


def test_a_database_that_is_not_there_is_named(postgres):
    async def main():
        async with opened(postgres.dsn("nowhere")) as store:
            error = await refused(store.runs(), "journal-unwritable")
            assert "nowhere: there is no such database" in no_secret(error, postgres.password)

    run(main)


@pytest.mark.parametrize(
    "place",
    ["postgresql://u:sesame@127.0.0.1:1/d", "postgresql://u:sesame@no-such-host.invalid/d"],
)
def test_a_server_that_never_answered_is_not_waited_for(place):
    async def main():
        async with opened(place) as store:
            error = await refused(store.runs(), "journal-lost")
            shown = no_secret(error, "sesame")
            assert place.replace(":sesame", "") in shown

    run(main)


@pytest.mark.parametrize("place", ["postgresql://u:se/same@h/d", "postgresql://u:se@same:x@h/d"])
def test_a_url_that_cannot_be_read_does_not_show_the_password(place):
    async def main():
        async with opened(place, patience_s=0) as store:
            with pytest.raises(JournalError) as caught:
                await store.runs()
            no_secret(caught.value, "same")

    run(main)


@pytest.mark.parametrize(
    ("place", "shows"),
    [
        ("postgresql://u:secret@h:1/d", "postgresql://u@h:1/d"),
        ("postgresql://u:secret@h:1,i:2/d?target_session_attrs=any", "postgresql://u@h:1,i:2/d"),
        ("postgresql://h/d?password=secret", "postgresql://h/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d"),
        ("postgresql://u:sec@ret@h/d", "postgresql://u@h/d"),
        ("postgresql://u:12/secret@h/d", "postgresql://…"),
        ("postgresql://u:12?secret@h/d", "postgresql://…"),
        ("postgresql://u:12#secret@h/d", "postgresql://…"),
        ("postgresql://[u:secret@h/d", "postgresql://…"),
    ],
)
def test_a_place_is_shown_without_its_password(place, shows):
    assert shown(place) == PostgresStore(place).place == shows


def test_missing_rights_are_named(postgres):
    place = postgres.database()
    postgres.sql("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = postgres.dsn(user="guest", password="guest")

    async def main():
        async with opened(guest) as store:
            error = await refused(store.runs(), "journal-unwritable")
            assert "CREATE on the database" in error.hint
        async with opened(place) as store:
            await store.runs()
        async with opened(guest) as store:
            await refused(store.runs(), "journal-unwritable")
        await asyncio.to_thread(
            postgres.sql,
            "GRANT USAGE ON SCHEMA heddle TO guest",
            "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA heddle TO guest",
        )
        async with opened(guest) as store:
            lease = await store.create("r", "", OWNER, 5)
            await store.append(lease, chain(2), {}, sync=True)

    run(main)


def test_tables_of_a_later_version_are_refused(postgres):
    place = postgres.database()

    async def main():
        async with opened(place) as store:
            await store.runs()
            await store._database.fetch("UPDATE heddle.format SET version = 99")
        async with opened(place) as store:
            await refused(store.runs(), "journal-newer")

    run(main)


def test_a_database_that_does_not_keep_unicode_is_refused(postgres):
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")

    async def main():
        async with opened(postgres.dsn("latin")) as store:
            error = await refused(store.runs(), "journal-unwritable")
            assert "LATIN1" in str(error)

    run(main)


def test_a_store_that_was_closed_may_be_used_in_another_loop(postgres):
    store = PostgresStore(postgres.database())

    async def make():
        await store.create("r", "", OWNER, 5)
        await store.aclose()

    async def look():
        assert (await store.run("r")).run == "r"
        await store.aclose()

    asyncio.run(make())
    asyncio.run(look())


class Cut:
    """A line to the server that can lose the answer of one request, and the connection with it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._armed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.times = 0
        self.answers = self.answered_bytes = 0

    async def __aenter__(self) -> Cut:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def through(self, place: str) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return place.replace(f":{self._port}/", f":{port}/")

    def after_request(self, *, silent: bool = False) -> None:
        """The next answer does not arrive; the connection ends, or nothing is heard any more."""
        self._armed, self._silent = True, silent

    async def _serve(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as both:
                there = both.create_task(self._carry(reader, far_writer))
                await self._answers(far_reader, writer)
                there.cancel()
        finally:
            for one in (writer, far_writer):
                one.close()

    async def _carry(self, reader, writer) -> None:
        while data := await reader.read(65536):
            writer.write(data)

    async def _answers(self, reader, writer) -> None:
        while data := await reader.read(65536):
            if self._armed:
                self._armed = False
                self.times += 1
                if self._silent:
                    await asyncio.Event().wait()
                return
            self.answers += 1
            self.answered_bytes += len(data)
            writer.write(data)
