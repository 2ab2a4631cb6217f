"""What every store promises, as tests: subclass `StoreContract` and give it a `store` fixture."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from heddle.engine.journal.frames import encode, frame_of, root, verify
from heddle.engine.journal.owners import spoken, this_process
from heddle.engine.journal.store import Frame, Head, RunLease, Snapshot, Store
from heddle.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence

ELSEWHERE = "another-machine 1 1"  # nobody here can know whether it lives


def chain(run: str, count: int, token: int = 1, after: Frame | None = None) -> list[Frame]:
    """Frames of two events each that follow one another."""
    number, seq = (after.number + 1, after.seq + 2) if after else (0, 0)
    prev = after.hash if after else root(run)
    frames: list[Frame] = []
    for place in range(count):
        body, _ = encode([(0, float(seq), "1"), (3, seq + 0.5, "1", "done", "")])
        frame = frame_of(
            body, number=number + place, seq=seq, events=2, token=token, wall=1.5, prev=prev
        )
        frames.append(frame)
        seq, prev = seq + 2, frame.hash
    return frames


async def stored(store: Store, run: str, after: int = -1) -> list[Frame]:
    return [frame async for frame in store.frames(run, after)]


async def refused(code: str, call: Any) -> JournalError:
    with pytest.raises(JournalError) as caught:
        await call
    assert caught.value.code == code
    return caught.value


class StoreContract:
    """Tests of a store. `store` is a fresh one; `run_store` runs a coroutine on a fitting loop."""

    def run_store(self, main: Any) -> Any:
        return asyncio.run(main)

    def with_store(self, store: Store, test: Any) -> None:
        async def main() -> None:
            try:
                await test(store)
            finally:
                await store.aclose()

        self.run_store(main())

    def test_frames_come_back_as_they_were_and_in_order(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "a title", this_process(), 30)
            frames = chain("r", 200)
            await store.append(lease, frames[:1], {}, sync=True)
            await store.append(lease, frames[1:150], {}, sync=False)
            await store.append(lease, frames[150:], {}, sync=False)
            await store.append(lease, [], {}, sync=True)  # what was taken before becomes durable
            assert await stored(store, "r") == frames
            assert await stored(store, "r", after=190) == frames[191:]
            head = (await store.run("r")).head
            assert head == Head(199, frames[-1].hash)
            assert list(verify("r", frames, head)) == frames

        self.with_store(store, test)

    def test_how_far_a_run_is_stands_in_its_row_until_more_is_said(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "", this_process(), 30)
            assert (await store.run("r")).progress == ""
            frames = chain("r", 2)
            await store.append(lease, frames[:1], {}, sync=False, progress='[1, 2, ["é"]]')
            await store.append(lease, frames[1:], {}, sync=True)
            assert (await store.run("r")).progress == '[1, 2, ["é"]]'
            (row,) = await store.runs()
            assert row == await store.run("r")

        self.with_store(store, test)

    def test_a_frame_that_does_not_follow_the_head_is_refused(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "", this_process(), 30)
            frames = chain("r", 4)
            await refused("journal-gap", store.append(lease, frames[1:2], {}, sync=True))
            await store.append(lease, frames[:2], {}, sync=True)
            torn = [[frames[2], frames[2]], [frames[2], chain("other", 4)[3]]]
            for wrong in (frames[:1], frames[1:2], frames[3:], chain("other", 3)[2:], *torn):
                await refused("journal-gap", store.append(lease, wrong, {}, sync=True))
            await store.append(lease, frames[2:], {}, sync=True)
            assert await stored(store, "r") == frames

        self.with_store(store, test)

    def test_runs_do_not_see_each_other(self, store: Store) -> None:
        async def test(store: Store) -> None:
            leases: dict[str, RunLease] = {}
            for run in ("a", "b"):
                leases[run] = await store.create(run, f"title {run}", this_process(), 30)
            for run, lease in leases.items():
                await store.append(lease, chain(run, 3), {}, sync=False)
            await store.append(leases["b"], chain("b", 1, after=chain("b", 3)[-1]), {}, sync=True)
            assert await stored(store, "a") == chain("a", 3)
            assert len(await stored(store, "b")) == 4
            assert {row.run: row.title for row in await store.runs()} == {
                "a": "title a", "b": "title b"
            }  # fmt: skip
            assert len(await store.runs(limit=1)) == 1

        self.with_store(store, test)

    def test_a_run_that_is_there_is_not_made_again(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "first", this_process(), 30)
            await store.append(lease, chain("r", 1), {}, sync=True)
            await refused("run-exists", store.create("r", "second", this_process(), 30))
            assert (await store.run("r")).title == "first"

        self.with_store(store, test)

    def test_what_is_not_there_is_said_to_be_unknown(self, store: Store) -> None:
        async def test(store: Store) -> None:
            await refused("run-unknown", store.run("r"))
            await refused("run-unknown", store.lease("r", this_process(), 30))
            await refused("run-unknown", stored(store, "r"))
            await refused("journal-damaged", store.large("00" * 32))
            assert await store.runs() == []

        self.with_store(store, test)

    def test_large_values_are_kept_by_their_hash(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "", this_process(), 30)
            values = [b"1" * 100_000, b"2" * 3_000_000]
            large = {hashlib.sha256(value).hexdigest(): value for value in values}
            await store.append(lease, chain("r", 1), large, sync=True)
            again = chain("r", 1, after=chain("r", 1)[0])
            await store.append(lease, again, large, sync=False)
            for digest, value in large.items():
                assert await store.large(digest) == value

        self.with_store(store, test)

    def test_a_run_has_one_owner(self, store: Store) -> None:
        async def test(store: Store) -> None:
            await store.create("r", "", this_process(), 30)
            for owner in (this_process(), ELSEWHERE):
                error = await refused("run-leased", store.lease("r", owner, 30))
                assert spoken(this_process()) in error.message

        self.with_store(store, test)

    def test_a_lease_that_was_given_back_can_be_taken(self, store: Store) -> None:
        async def test(store: Store) -> None:
            first = await store.create("r", "", ELSEWHERE, 1000)
            await store.release(first)
            assert (await store.run("r")).owner == ""
            second = await store.lease("r", this_process(), 30)
            assert second.token > first.token
            await store.release(first)  # it is not his any more
            assert (await store.run("r")).owner == this_process()

        self.with_store(store, test)

    def test_an_owner_that_is_overdue_is_fenced(self, store: Store) -> None:
        async def test(store: Store) -> None:
            slow = await store.create("r", "", ELSEWHERE, -1)
            frames = chain("r", 1)
            await store.append(slow, frames, {}, sync=True)
            quick = await store.lease("r", this_process(), 30)
            after = chain("r", 1, token=slow.token, after=frames[0])
            await refused("lease-lost", store.append(slow, after, {}, sync=True))
            await refused("lease-lost", store.renew(slow, 30))
            await refused("lease-lost", store.save(slow, Snapshot(0, "", b"{}")))
            mine = chain("r", 1, token=quick.token, after=frames[0])
            await store.append(quick, mine, {}, sync=True)
            assert await stored(store, "r") == frames + mine

        self.with_store(store, test)

    def test_a_lease_that_is_renewed_holds_longer(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "", ELSEWHERE, -1)
            await store.renew(lease, 30)
            await refused("run-leased", store.lease("r", this_process(), 30))

        self.with_store(store, test)

    def test_of_two_that_take_a_run_at_once_one_gets_it(self, store: Store) -> None:
        async def test(store: Store) -> None:
            await store.create("r", "", ELSEWHERE, -1)
            taken = await asyncio.gather(
                *(store.lease("r", this_process(), 30) for _ in range(5)), return_exceptions=True
            )
            assert sum(isinstance(one, RunLease) for one in taken) == 1
            codes = {one.code for one in taken if isinstance(one, JournalError)}
            assert codes == {"run-leased"}

        self.with_store(store, test)

    def test_a_list_of_runs_shows_how_they_stand(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "", this_process(), 30)
            assert (await store.run("r")).status == "running"
            frames = chain("r", 2)
            await store.append(lease, frames[:1], {}, sync=True)
            await store.append(lease, frames[1:], {}, sync=True, status="succeeded")
            (row,) = await store.runs()
            assert row == await store.run("r")
            assert (row.status, row.owner, row.head) == (
                "succeeded", this_process(), Head(1, frames[1].hash)
            )  # fmt: skip
            assert row.created <= row.updated < row.until

        self.with_store(store, test)

    def test_the_last_snapshot_is_kept(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "", this_process(), 30)
            assert await store.snapshot("r") is None
            snapshots: Sequence[Snapshot] = [Snapshot(n, f"{n:064}", b"{}" * n) for n in (3, 7)]
            for snapshot in snapshots:
                await store.save(lease, snapshot)
            assert await store.snapshot("r") == snapshots[-1]

        self.with_store(store, test)

    def test_an_append_that_is_refused_leaves_no_trace(self, store: Store) -> None:
        async def test(store: Store) -> None:
            lease = await store.create("r", "", this_process(), 30)
            frames = chain("r", 3)
            await store.append(lease, frames[:1], {}, sync=True)
            before = await store.run("r")
            value = b"3" * 50_000
            large = {hashlib.sha256(value).hexdigest(): value}
            await refused(
                "journal-gap", store.append(lease, frames[2:], large, sync=True, status="failed")
            )
            assert await store.run("r") == before
            assert await stored(store, "r") == frames[:1]
            await refused("journal-damaged", store.large(next(iter(large))))

        self.with_store(store, test)
