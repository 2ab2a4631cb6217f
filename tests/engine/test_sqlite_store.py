"""Journals in one SQLite file: what the file, the disk and other processes can do to them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from store_contract import ELSEWHERE, StoreContract, chain, refused, stored

from heddle.engine.journal.owners import this_boot, this_process
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.errors import JournalError
from heddle.testing.clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    return SQLiteStore(tmp_path / "folder" / "journal.db", wait_s=0.05)


class TestContract(StoreContract):
    pass


class TestContractInVirtualTime(StoreContract):
    def run_store(self, main: Any) -> Any:
        return run_virtual(main)


def run(store: SQLiteStore, test: Callable[[SQLiteStore], Any]) -> Any:
    async def main() -> Any:
        try:
            return await test(store)
        finally:
            await store.aclose()

    return asyncio.run(main())


async def created(store: SQLiteStore, frames: int = 3) -> Any:
    lease = await store.create("r", "", this_process(), 30)
    await store.append(lease, chain("r", frames), {}, sync=True)
    return lease


# -- the file ------------------------------------------------------------------------------------


def test_the_file_is_its_owners_alone(store: SQLiteStore) -> None:
    run(store, created)
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_something_else_is_left_as_it_is(store: SQLiteStore) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"my diary\n" * 1000)
    error = run(store, lambda store: refused("journal-damaged", store.runs()))
    assert "no journal of heddle" in error.message
    assert store.path.read_bytes() == b"my diary\n" * 1000


def test_the_database_of_another_program_is_left_as_it_is(store: SQLiteStore) -> None:
    store.path.parent.mkdir()
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    error = run(store, lambda store: refused("journal-damaged", store.create("r", "", "me", 1)))
    assert "no journal of heddle" in error.message
    with closing(sqlite3.connect(store.path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_the_file_of_a_later_version_is_refused(store: SQLiteStore) -> None:
    run(store, created)
    with closing(sqlite3.connect(store.path)) as later:
        later.execute("PRAGMA user_version = 2")
    run(SQLiteStore(store.path), lambda store: refused("journal-newer", store.run("r")))


def test_what_was_asked_to_be_durable_is_synced_and_the_rest_only_written(
    store: SQLiteStore,
) -> None:
    async def look(store: SQLiteStore) -> list[int]:
        lease, found = await created(store, 2), []
        assert store._connection is not None
        for frame, sync in zip(chain("r", 6)[2:], (True, False, False, True), strict=True):
            await store.append(lease, [frame], {}, sync=sync)
            found.append(store._connection.execute("PRAGMA synchronous").fetchone()[0])
        return found

    full, normal = 2, 1  # as SQLite numbers them
    assert run(store, look) == [full, normal, normal, full]


def test_a_store_that_was_opened_again_does_one_thing_at_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        await store.runs()
        await store.aclose()
        async with asyncio.timeout(30):
            await asyncio.gather(*(store.create(f"r{n}", "", "me", 30) for n in range(40)))
        assert len(await store.runs()) == 40
        await store.aclose()

    asyncio.run(main())


def test_the_log_is_folded_into_the_tables_now_and_then(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heddle.engine.journal.sqlite._LOG_BYTES", 64 * 1024)

    async def sizes(store: SQLiteStore) -> tuple[int, int]:
        lease = await created(store, 2)
        for frame in chain("r", 200)[2:]:
            await store.append(lease, [frame], {}, sync=False)
        log = store.path.with_name(store.path.name + "-wal")
        return log.stat().st_size, store.path.stat().st_size

    log, tables = run(store, sizes)
    assert log < 256 * 1024
    assert tables > 20 * 1024


def test_the_log_is_folded_by_us_alone_since_sqlite_keeps_its_failures_to_itself(
    store: SQLiteStore,
) -> None:
    async def look(store: SQLiteStore) -> Any:
        await created(store)
        assert store._connection is not None
        return store._connection.execute("PRAGMA wal_autocheckpoint").fetchone()

    assert run(store, look) == (0,)


def test_a_store_that_was_closed_is_opened_again_when_it_is_used(tmp_path: Path) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        for run in ("a", "b"):
            await store.create(run, "", "me", 30)
            async with asyncio.timeout(10):
                await store.aclose()
                await store.aclose()
        assert len(await store.runs()) == 2
        await store.aclose()

    asyncio.run(main())


def test_a_file_that_is_deleted_during_the_run_stops_it(store: SQLiteStore) -> None:
    async def test(store: SQLiteStore) -> None:
        lease = await created(store)
        store.path.unlink()
        after = chain("r", 1, after=chain("r", 3)[-1])
        error = await refused("journal-unwritable", store.append(lease, after, {}, sync=False))
        assert "deleted" in error.message

    run(store, test)


def test_a_run_whose_row_is_gone_is_damage_and_not_nothing(store: SQLiteStore) -> None:
    async def test(store: SQLiteStore) -> None:
        await created(store)
        with closing(sqlite3.connect(store.path)) as vandal:
            vandal.execute("DELETE FROM runs")
            vandal.commit()
        await refused("journal-damaged", store.run("r"))

    run(store, test)


# -- the disk ------------------------------------------------------------------------------------


def value(size: int) -> dict[str, bytes]:
    data = os.urandom(size)
    return {hashlib.sha256(data).hexdigest(): data}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A real disk of that size; needs a user who may mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("nobody here may mount a disk: the limit on file sizes is tested instead")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("owner", "taken"),
    [(ELSEWHERE, True), (this_process(), False), (f"{this_boot()} 999999999 1", True)],
)
def test_a_lease_that_was_taken_while_the_clock_ran_ahead_is_not_waited_for(
    store: SQLiteStore, owner: str, taken: bool
) -> None:
    async def test(store: SQLiteStore) -> None:
        await store.create("r", "", owner, 3_600)
        if taken:
            assert (await store.lease("r", this_process(), 30)).token == 2
        else:  # that one lives: nobody needs a clock to know
            await refused("run-leased", store.lease("r", this_process(), 30))

    run(store, test)


async def filled(store: SQLiteStore) -> int:
    """How many frames with a large value there was room for."""
    lease = await store.create("r", "", ELSEWHERE, -1)
    for frame in chain("r", 100):
        try:
            await store.append(lease, [frame], value(40_000), sync=True)
        except JournalError as error:
            if error.code != "journal-full":
                raise
            assert await stored(store, "r") == chain("r", frame.number)
            return frame.number
    raise AssertionError("the disk was never full")


def test_a_full_disk_is_said_to_be_full_and_nothing_is_lost(tmp_path: Path) -> None:
    async def go_on(store: SQLiteStore) -> None:
        lease = await store.lease("r", "me", 30)
        after = chain("r", 1, token=lease.token, after=chain("r", count)[-1])
        await store.append(lease, after, value(40_000), sync=True)
        assert await stored(store, "r") == chain("r", count) + after

    with small_disk(tmp_path / "disk", "2m"):
        path = tmp_path / "disk" / "journal.db"
        count = run(SQLiteStore(path), filled)
        assert count > 10
        subprocess.run(["mount", "-o", "remount,size=8m", tmp_path / "disk"], check=True)
        run(SQLiteStore(path), go_on)


def in_a_child(work: Callable[[], Any], user: int | None = None) -> str:
    """What a child process that does this work says went wrong; "" for nothing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if user is not None:
                os.setuid(user)
            work()
            said = ""
        except BaseException as error:  # a child must not go on as a second test run
            said = f"{getattr(error, 'code', type(error).__name__)}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as end:
        said = end.read().decode()
    os.waitpid(child, 0)
    return said


def test_an_error_of_the_disk_ends_the_store_for_good(tmp_path: Path) -> None:
    import resource

    async def test(store: SQLiteStore) -> None:
        lease = await created(store)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        after = chain("r", 1, after=chain("r", 3)[-1])
        await refused("journal-unwritable", store.append(lease, after, value(300_000), sync=True))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await refused("journal-unwritable", store.append(lease, after, {}, sync=True))

    path = tmp_path / "journal.db"
    assert in_a_child(lambda: run(SQLiteStore(path), test)) == ""
    run(SQLiteStore(path), lambda store: _holds(store, 3))


async def _holds(store: SQLiteStore, count: int) -> None:
    assert await stored(store, "r") == chain("r", count)


NOBODY = 65534 if os.name == "posix" and os.geteuid() == 0 else None


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that everybody can look into, and only its owner can change."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    return folder


@pytest.mark.parametrize("name", ["journal.db", "deeper/journal.db"])
def test_a_folder_that_cannot_be_written(open_folder: Path, name: str) -> None:
    said = in_a_child(lambda: run(SQLiteStore(open_folder / name), created), NOBODY)
    assert said.startswith("journal-unwritable: ")
    assert "Permission denied" in said


def test_a_file_that_cannot_be_written(open_folder: Path) -> None:
    path = open_folder / "journal.db"
    open_folder.chmod(0o755)
    run(SQLiteStore(path), created)
    path.chmod(0o444)
    open_folder.chmod(0o555)
    said = in_a_child(lambda: run(SQLiteStore(path), created), NOBODY)
    assert said.startswith("journal-unwritable: ")


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    run(SQLiteStore(tmp_path), lambda store: refused("journal-unwritable", store.runs()))


def test_a_disk_that_is_full_from_the_start_leaves_no_empty_file_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4k"):
        path = tmp_path / "disk" / "journal.db"
        (tmp_path / "disk" / "other").write_bytes(b"x" * 4096)
        run(SQLiteStore(path), lambda store: refused("journal-full", created(store)))
        assert not path.exists()  # it would be taken for a journal that was lost


DIE_WHILE_MAKING = """
import asyncio, os, signal, sys
from pathlib import Path
from heddle.engine.journal.sqlite import SQLiteStore

class Dies(SQLiteStore):
    def _prepare(self, db):
        if sys.argv[2] == "late":
            super()._prepare(db)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(Dies(Path(sys.argv[1])).create("r", "", "me", 30))
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_of_a_process_that_is_killed_while_it_makes_the_file_nothing_is_left(
    tmp_path: Path, when: str
) -> None:
    """Else whoever looks next would take an empty file for a journal that was lost."""
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", DIE_WHILE_MAKING, str(path), when]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not path.exists()
    run(SQLiteStore(path), created)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_that_leads_to_no_file_yet_goes_on_leading_there(tmp_path: Path) -> None:
    link, real = tmp_path / "journal.db", tmp_path / "real.db"
    link.symlink_to(real)
    run(SQLiteStore(link), created)
    assert link.is_symlink()
    assert real.stat().st_size


def test_no_room_for_the_index_of_the_log_is_a_full_disk_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k"):
        path = tmp_path / "disk" / "journal.db"
        run(SQLiteStore(path), created)
        with open(tmp_path / "disk" / "other", "wb", buffering=0) as other, suppress(OSError):
            while other.write(b"x" * 4096):
                pass
        run(SQLiteStore(path), lambda store: refused("journal-full", store.lease("r", "you", 9)))


# -- other processes -----------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_process_holds_locked_is_waited_for(store: SQLiteStore) -> None:
    async def test(store: SQLiteStore) -> None:
        lease = await created(store)
        after = chain("r", 1, after=chain("r", 3)[-1])
        with holding(store.path):
            await refused("journal-locked", store.append(lease, after, {}, sync=True))
            assert await stored(store, "r") == chain("r", 3)  # looking is always possible
        await store.append(lease, after, {}, sync=True)
        assert await stored(store, "r") == chain("r", 4)

    run(store, test)


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Another process that is in the middle of a change."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, path], **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        yield
        other.communicate()


DIE = """
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[2])
from store_contract import chain
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.sqlite import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1])
    lease = await store.create("r", "", this_process(), 3600)
    await store.append(lease, chain("r", 5), {}, sync=False)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_was_appended_survives_the_process_and_its_lease_ends_with_it(
    store: SQLiteStore,
) -> None:
    died = subprocess.run([sys.executable, "-c", DIE, store.path, os.path.dirname(__file__)])
    assert died.returncode == -signal.SIGKILL

    async def test(store: SQLiteStore) -> None:
        lease = await store.lease("r", this_process(), 30)
        assert lease.token == 2
        assert await stored(store, "r") == chain("r", 5)

    run(store, test)


def test_processes_that_make_the_file_at_once_share_it(tmp_path: Path) -> None:
    async def make(store: SQLiteStore, name: str) -> None:
        await store.create(name, "", this_process(), 30)

    path = tmp_path / "journal.db"
    children = []
    for name in "abcdef":
        if (child := os.fork()) == 0:
            try:
                run(SQLiteStore(path), lambda store, name=name: make(store, name))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6

    async def test(store: SQLiteStore) -> None:
        assert {row.run for row in await store.runs()} == set("abcdef")

    run(SQLiteStore(path), test)


def test_a_process_that_was_stopped_finds_itself_fenced(tmp_path: Path) -> None:
    async def test(store: SQLiteStore) -> None:
        lease = await store.create("r", "", this_process(), 0.0)  # overdue at once
        other = SQLiteStore(store.path)
        taken = await other.lease("r", this_process(), 30)
        await other.append(taken, chain("r", 1, token=2), {}, sync=True)
        await refused("lease-lost", store.append(lease, chain("r", 1), {}, sync=True))
        await other.aclose()

    run(SQLiteStore(tmp_path / "journal.db"), test)
