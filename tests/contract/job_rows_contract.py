"""The contract of stores that keep jobs: items, half-fetched objects and origins.

A test module derives from `JobRowsContract` and provides `store` and `reopen`.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from casync.ids import ChunkId, Kind, chunk_id
from casync.jobs.half_fetched import FetchedPart, pack_chunks
from casync.jobs.item import Item
from casync.jobs.job import Counts
from casync.jobs.origin import Origin
from casync.jobs.validators import Validators
from casync.limits import JOB_BLOCK_ITEMS
from casync.names.name import Name, parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch
from casync.store.jobs import JobClaim, JobUpdate
from tests.contract.store_contract import noise, pack, put_manifest
from tests.contract.whole_store import Reopen, WholeStore
from tests.support.small_jobs import (
    TAG,
    ended,
    fetched,
    items,
    made,
)


class JobRowsContract:
    @pytest.fixture
    def claimed(self, store: WholeStore) -> JobClaim:
        return store.jobs.claim(made(store).id)

    # -- Items --------------------------------------------------------------------------------

    def test_items_are_read_from_any_index(self, store: WholeStore, claimed: JobClaim) -> None:
        every = items(2 * JOB_BLOCK_ITEMS + 300)
        for block in range(3):
            first = block * JOB_BLOCK_ITEMS
            store.jobs.add_items(claimed, block, every[first : first + JOB_BLOCK_ITEMS])
        ident = claimed.row.id
        for start in (0, 1, JOB_BLOCK_ITEMS - 1, JOB_BLOCK_ITEMS, 2299, 2300, 9999):
            assert list(store.jobs.items(ident, start)) == every[start:]

    def test_an_interrupted_listing_goes_on_and_replaces_what_is_not_done(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        jobs, ident = store.jobs, claimed.row.id
        jobs.add_items(claimed, 0, items(JOB_BLOCK_ITEMS))
        jobs.add_items(claimed, 1, items(JOB_BLOCK_ITEMS, 1000))
        jobs.add_items(claimed, 2, items(10, 2000))
        with pytest.raises(ValueError, match="leaves a gap"):
            jobs.add_items(claimed, 3, items(1))  # behind a block that is not full
        with pytest.raises(ValueError, match="leaves a gap"):
            jobs.add_items(claimed, 4, items(1))
        jobs.add_items(claimed, 1, items(20, 5000))
        assert [item.size for item in jobs.items(ident, 1000)] == [*range(5000, 5020)]
        row = claimed.row.after([3], Counts(skipped=1))
        store.commit(Batch(job=JobUpdate(row)))
        with pytest.raises(ValueError, match="are done"):
            jobs.add_items(claimed, 0, items(1))
        store.commit(Batch(job=JobUpdate(replace(row, total=1020))))
        with pytest.raises(ValueError, match="complete"):
            jobs.add_items(claimed, 1, items(1))

    @pytest.mark.parametrize("count", [0, JOB_BLOCK_ITEMS + 1])
    def test_a_block_has_a_bounded_number_of_items(
        self, store: WholeStore, claimed: JobClaim, count: int
    ) -> None:
        with pytest.raises(ValueError, match=f"a block of {count} items"):
            store.jobs.add_items(claimed, 0, items(count))

    def test_items_beyond_the_total_are_left_out(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        store.jobs.add_items(claimed, 0, items(50))
        store.commit(Batch(job=JobUpdate(replace(claimed.row, total=30))))
        assert list(store.jobs.items(claimed.row.id)) == items(30)
        assert list(store.jobs.items(claimed.row.id, 30)) == []

    def test_secrets_of_items_come_back(self, store: WholeStore, claimed: JobClaim) -> None:
        secret = [
            Item("https://host/a?X-Amz-Signature=word", "data/a", is_url=True),
            Item("b", "data/b", headers=(("Authorization", "word"),)),
        ]
        store.jobs.add_items(claimed, 0, secret)
        assert list(store.jobs.items(claimed.row.id)) == secret

    # -- Parts --------------------------------------------------------------------------------

    def test_parts_of_an_object_are_appended_until_it_is_done(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        row, jobs = claimed.row, store.jobs
        chunks = [pack(noise(700, n)) for n in range(600)]
        records = [(ChunkId(item.id), item.length) for item in chunks]
        for start in range(0, 600, 2):
            part = FetchedPart(TAG, 10**9, pack_chunks(records[start : start + 2]))
            objects = chunks[start : start + 2]
            store.commit(Batch(objects=objects, job=JobUpdate(row, parts=[(5, part), (256, part)])))
        found = jobs.parts(row.id, 5)
        assert found is not None
        assert (found.validators, found.size, found.offset) == (TAG, 10**9, 420_000)
        assert list(found.chunks) == records
        assert jobs.parts(row.id, 4) is None
        row = row.after([5], Counts(finished=1))
        store.commit(Batch(job=JobUpdate(row, done=[5])))
        assert jobs.parts(row.id, 5) is None
        other = jobs.parts(row.id, 256)
        assert other == found
        assert list(other.chunks) == records

    def test_an_object_that_starts_over_has_its_new_parts_only(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        old = FetchedPart(TAG, None, pack_chunks([(chunk_id(b"old"), 3)]))
        new = FetchedPart(Validators(etag='"2"'), None, pack_chunks([(chunk_id(b"new!"), 4)]))
        store.commit(Batch(job=JobUpdate(claimed.row, parts=[(0, old)])))
        store.commit(Batch(job=JobUpdate(claimed.row, done=[0], parts=[(0, new)])))
        found = store.jobs.parts(claimed.row.id, 0)
        assert found is not None
        assert (found.validators, pack_chunks(found.chunks)) == (new.validators, new.chunks)

    def test_parts_of_two_states_of_an_object_count_as_none(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        parts = [FetchedPart(Validators(etag=f'"{n}"'), None, b"") for n in range(2)]
        store.commit(Batch(job=JobUpdate(claimed.row, parts=[(0, part) for part in parts])))
        assert store.jobs.parts(claimed.row.id, 0) is None

    def test_the_parts_of_a_finished_job_are_gone(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        part = FetchedPart(TAG, None, b"")
        store.commit(Batch(job=JobUpdate(claimed.row, parts=[(0, part), (9, part)])))
        store.commit(Batch(job=JobUpdate(ended(claimed.row))))
        assert [store.jobs.parts(claimed.row.id, index) for index in (0, 9)] == [None, None]

    def test_chunks_of_a_half_fetched_object_stay_until_its_job_is_removed(
        self, store: WholeStore, claimed: JobClaim, reopen: Reopen
    ) -> None:
        chunk = pack(noise(5000))
        part = FetchedPart(TAG, None, pack_chunks([(ChunkId(chunk.id), chunk.length)]))
        _, batch = fetched(store, claimed.row, [3])  # has a manifest, but not that of the chunk
        assert batch.job is not None
        batch.objects.append(chunk)
        batch.job.parts.append((0, part))
        store.commit(batch)
        for _ in range(2):
            assert collect(store, CollectOptions(window=0)).objects == 0
        claimed.release()
        store = reopen()
        for _ in range(2):
            assert collect(store, CollectOptions(window=0)).objects == 0
        found = store.jobs.parts(claimed.row.id, 0)
        assert found is not None
        store.jobs.remove(claimed.row.id)
        assert collect(store, CollectOptions(window=0)).objects == 1
        assert store.known(Kind.CHUNK, [ChunkId(chunk.id)]) == [False]

    # -- Origins ------------------------------------------------------------------------------

    def test_an_origin_holds_for_its_manifest_only(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        jobs, name = store.jobs, parse_name("data/f0")
        _, batch = fetched(store, claimed.row, [0, 1])
        store.commit(batch)
        mine = batch.origins[0][1]
        assert jobs.origin(name) == mine
        put_manifest(store, b"by hand", name)
        assert jobs.origin(name) is None
        assert [each for each, _ in jobs.origins()] == ["data/f1"]
        other, unknown = Name("data/f1"), Name("data/f2")
        found = jobs.origins_of([unknown, other, name, Name("")])
        assert found == [None, batch.origins[1][1], None, None]
        store.set_name(NameUpdate(name, batch.names[0].manifest))
        assert jobs.origin(name) == mine
        store.remove([parse_ref("data/f0")])
        assert jobs.origin(name) is None

    def test_an_origin_needs_no_job(self, store: WholeStore) -> None:
        ident, name = put_manifest(store, b"got", "one"), parse_name("one")
        origin = Origin("http://host", "one", ident, 3, TAG)
        store.commit(Batch(origins=[(name, origin)]))
        assert store.jobs.origin(name) == origin

    def test_origins_are_listed_by_name(self, store: WholeStore) -> None:
        long = "data/" + "/".join("x" * 200 for _ in range(4))
        names = ["a", "data", *(f"data/{n}" for n in range(30)), f"{long}/1", f"{long}/2", "e"]
        found = {}
        for number, text in enumerate(names):
            ident = put_manifest(store, noise(30, number), text)
            if number % 3:
                found[text] = Origin("http://host", text, ident, 30, TAG)
        store.commit(Batch(origins=[(parse_name(text), found[text]) for text in found]))
        for prefix in ("", "data/", "data/1", f"{long}/", "z"):
            wanted = sorted(text for text in found if text.startswith(prefix))
            assert list(store.jobs.origins(prefix)) == [(text, found[text]) for text in wanted]
