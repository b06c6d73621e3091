"""Collections, checks, copies and repairs of a store with jobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import zstandard
from msgspec.structs import replace

from casync.errors import DamagedStoreError, QuotaError, WriteError
from casync.jobs.fault import encode_fault
from casync.jobs.half_fetched import FetchedPart
from casync.jobs.job import JobRow, encode_job
from casync.jobs.origin import Origin, encode_origin
from casync.limits import JOB_BLOCK_ITEMS
from casync.names.name import parse_name
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch
from casync.store.jobs import JobUpdate
from casync.store.lmdb.backup import compact
from casync.store.lmdb.databases import JOB_DATABASES
from casync.store.lmdb.jobs.rows import block_key, fault_key, part_key
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise, pack, put_manifest
from tests.support.small_jobs import TAG, ended, fault, fetched, items, made
from tests.unit.store.lmdb.test_earlier_stores import VECTORS
from tests.unit.store.lmdb.test_reindex import drop
from tests.unit.store.lmdb.test_roots import Raw, spoil

GONE = "dnl-goneaaaaa"
NOW = CollectOptions(window=0)


def everything(store: LmdbStore) -> list[object]:
    """All that a store says of its jobs."""
    jobs = store.jobs
    return [
        list(jobs.origins()),
        *(
            (row, list(jobs.items(row.id)), jobs.faults(row.id), half, half and list(half.chunks))
            for row in jobs.rows()
            for half in [jobs.parts(row.id, 3)]
        ),
    ]


def fill_jobs(store: LmdbStore) -> tuple[JobRow, JobRow]:
    """An interrupted job with everything that one can have, and a finished one."""
    rows = []
    for number in range(2):
        with store.jobs.claim(made(store, number).id) as claim:
            store.jobs.add_items(claim, 0, items(JOB_BLOCK_ITEMS))
            store.jobs.add_items(claim, 1, items(5, 1000))
            row, batch = fetched(store, claim.row, [0, 1])
            assert batch.job is not None
            batch.job.faults += [fault(6), fault(7)]
            batch.job.parts += [(3, FetchedPart(TAG, None, b"")) for _ in range(2)]
            store.commit(batch)
            if number:
                row = ended(row)
                store.commit(Batch(job=JobUpdate(row)))
            rows.append(row)
    return rows[0], rows[1]


@pytest.fixture
def jobs_of(path: Path) -> tuple[JobRow, JobRow]:
    with LmdbStore.open(path, create=True) as store:
        return fill_jobs(store)


def seen(path: Path) -> list[object]:
    with LmdbStore.open(path, read_only=True) as store:
        return everything(store)


def test_jobs_outlive_a_collection_a_compaction_and_a_rebuilt_index(
    path: Path, jobs_of: tuple[JobRow, JobRow]
) -> None:
    before = seen(path)
    compact(path)
    assert seen(path) == before
    reindex(path)
    assert seen(path) == before
    drop(path, "index", "names", "name_log", "manifests", "segment_use", delete=False)
    reindex(path)
    assert seen(path) == before
    with LmdbStore.open(path) as store:
        collect(store, NOW)
        running, finished = jobs_of
        assert list(store.jobs.rows()) == [running, finished]
        assert list(store.jobs.items(running.id)) == items(1005)
        assert not list(store.jobs.items(finished.id))
        store.check()


def test_a_backup_has_the_jobs_of_its_moment(
    path: Path, tmp_path: Path, jobs_of: tuple[JobRow, JobRow]
) -> None:
    with LmdbStore.open(path) as store, store.jobs.claim(jobs_of[0].id) as claim:
        before = everything(store)
        store.backup(tmp_path / "copy")
        _, batch = fetched(store, claim.row, [2])
        store.commit(batch)
        with LmdbStore.open(tmp_path / "copy") as copy:
            assert everything(copy) == before
            assert not copy.jobs.is_running(claim.row.id)  # its runner is that of the original
            with copy.jobs.claim(claim.row.id) as again:
                assert again.row.epoch == claim.row.epoch + 1


def scatter(raw: Raw) -> None:
    """Rows of a job whose removal was interrupted."""
    for ident in (GONE, "dnl-000000000"):
        raw.put("job_items", block_key(ident, 0), raw.rows("job_items")[0][1])
        raw.put("job_faults", fault_key(ident, 5), encode_fault(fault(5)))
        raw.put("job_parts", part_key(ident, 5, 0), raw.rows("job_parts")[0][1])


def left(path: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    found = {}

    def look(raw: Raw) -> None:
        found.update({name: raw.rows(name) for name in JOB_DATABASES})

    spoil(path, look)
    return found


@pytest.mark.usefixtures("jobs_of")
def test_a_collection_ends_an_interrupted_removal(path: Path) -> None:
    with LmdbStore.open(path) as store:
        collect(store, NOW)
    before = left(path)
    assert all(before.values())
    spoil(path, scatter)
    with LmdbStore.open(path) as store:
        store.check()  # they mean nothing, and do no harm
        collect(store, CollectOptions(window=0, dry_run=True))
    assert left(path) != before
    with LmdbStore.open(path) as store:
        collect(store, NOW)
    assert left(path) == before


BAD: list[Callable[[Raw], None]] = [
    lambda raw: raw.put("jobs", b"dnl-aaaaaaaaa", raw.rows("jobs")[0][1]),
    lambda raw: raw.put("jobs", b"dnl-aaaaaaaaa", b"\x80"),
    lambda raw: raw.put("jobs", b"dnl-aaaaaaaa", b""),
    lambda raw: raw.put("jobs", b"x", b"12345678"),
    lambda raw: raw.put("jobs", b"s\0dnl-aaaaaaaaa", b"123"),
    lambda raw: raw.put("job_items", raw.rows("job_items")[0][0] + b"x", b"\1\1\0\0\0"),
    lambda raw: raw.put("job_items", block_key(GONE, 1), b"\3" + raw.rows("job_items")[0][1][1:]),
    lambda raw: raw.put("job_items", block_key(GONE, 1), b"\1\2" + raw.rows("job_items")[0][1][2:]),
    lambda raw: raw.put("job_items", block_key(GONE, 1), raw.rows("job_items")[0][1][:-1]),
    lambda raw: raw.put(
        "job_items",
        block_key(GONE, 1),
        b"\1\0\0\0\0" + zstandard.ZstdCompressor().compress(bytes(65 << 20)),
    ),
    lambda raw: raw.put("job_faults", fault_key(GONE, 9), raw.rows("job_faults")[0][1]),
    lambda raw: raw.put("job_faults", fault_key(GONE, 9)[:-1], raw.rows("job_faults")[0][1]),
    lambda raw: raw.put("job_parts", part_key(GONE, 9, 0)[:-1], raw.rows("job_parts")[0][1]),
    lambda raw: raw.put("job_parts", part_key(GONE, 9, 0), b""),
    lambda raw: raw.put("origins", b"data/f0", b"\xc1"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
@pytest.mark.usefixtures("jobs_of")
def test_a_malformed_row_is_found_by_verify_and_dropped_by_reindex(path: Path, number: int) -> None:
    before = left(path)
    spoil(path, BAD[number])
    with LmdbStore.open(path) as store:
        with pytest.raises(DamagedStoreError, match=r"damaged (job|origins)") as caught:
            store.check()
        assert "reindex" in caught.value.next_step
        collect(store)  # jobs protect no object, so nothing is at risk
    reindex(path)
    with LmdbStore.open(path) as store:
        store.check()
    after = left(path)
    assert after["jobs"] == before["jobs"]
    assert {key for key, _ in after["origins"]} <= {key for key, _ in before["origins"]}


def test_a_row_that_breaks_the_sum_of_its_counters_is_not_believed(
    path: Path, jobs_of: tuple[JobRow, JobRow]
) -> None:
    ident = jobs_of[0].id
    good = encode_job(jobs_of[0])
    bad = good.replace(b"\xa6cursor\x02", b"\xa6cursor\x01")
    assert bad != good
    spoil(path, lambda raw: raw.put("jobs", ident.encode(), bad))
    with LmdbStore.open(path) as store:
        for look in (store.jobs.find, store.jobs.claim, store.jobs.request_stop):
            with pytest.raises(DamagedStoreError, match="2 items are counted, 1 are done"):
                look(ident)
        assert not store.jobs.is_running(ident)
    reindex(path)
    with LmdbStore.open(path) as store:
        assert [row.id for row in store.jobs.rows()] == [jobs_of[1].id]
        assert store.jobs.faults(ident) == []
        assert [record.name for record in store.names()] == ["data/f0", "data/f1"]


def test_a_lost_block_of_a_complete_list_does_not_end_it(
    path: Path, jobs_of: tuple[JobRow, JobRow]
) -> None:
    ident = jobs_of[0].id
    with LmdbStore.open(path) as store, store.jobs.claim(ident) as claim:
        store.commit(Batch(job=JobUpdate(replace(claim.row, total=1005))))
    for block in (1, 0):
        key = block_key(ident, block)
        spoil(path, partial(Raw.delete, database="job_items", key=key))
        with (
            LmdbStore.open(path) as store,
            pytest.raises(DamagedStoreError, match="lacks items of its list"),
        ):
            list(store.jobs.items(ident, 10))


def test_parts_with_a_gap_count_as_none(path: Path, jobs_of: tuple[JobRow, JobRow]) -> None:
    ident = jobs_of[0].id
    spoil(path, lambda raw: raw.delete("job_parts", part_key(ident, 3, 0)))
    with LmdbStore.open(path) as store:
        assert store.jobs.parts(ident, 3) is None


def test_removal_goes_by_stretches(
    path: Path, jobs_of: tuple[JobRow, JobRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casync.store.lmdb.jobs.upkeep._MOST_DELETED", 2)
    with LmdbStore.open(path) as store:
        with store.jobs.claim(jobs_of[0].id) as claim:
            faults = [fault(index) for index in range(9)]
            store.commit(Batch(job=JobUpdate(claim.row, faults=faults)))
        store.jobs.remove(jobs_of[0].id)
        assert store.usage().jobs == 1
    assert not any(key.startswith(jobs_of[0].id.encode()) for key, _ in left(path)["job_faults"])


def test_origins_of_lost_names_go_in_stretches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casync.store.lmdb.jobs.upkeep._MOST_DELETED", 3)
    with LmdbStore.open(path, create=True) as store:
        ident = put_manifest(store, b"kept", "kept")
        names = [parse_name(f"lost/{n}") for n in range(10)] + [parse_name("kept")]
        store.commit(Batch(origins=[(name, Origin("p", "k", ident, 4)) for name in names]))
        collect(store)
        assert [name for name, _ in store.jobs.origins()] == ["kept"]
    assert left(path)["origins"] == [(b"kept", encode_origin(Origin("p", "k", ident, 4)))]


def test_the_use_of_a_store_counts_its_jobs(path: Path, jobs_of: tuple[JobRow, JobRow]) -> None:
    with LmdbStore.open(path) as store:
        store.jobs.request_stop(jobs_of[0].id)
        usage = store.usage()
        assert usage.jobs == len(jobs_of)
        assert 0 < usage.job_bytes < usage.file


def test_a_store_at_its_quota_takes_no_jobs_and_no_items(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        claim = store.jobs.claim(made(store).id)
        store.set_quota(100_000)
        store.jobs.add_items(claim, 0, items(JOB_BLOCK_ITEMS))
        put_manifest(store, noise(90_000), "most")
        store.set_quota(80_000)
        with pytest.raises(QuotaError):
            store.jobs.add_items(claim, 1, items(1))
        with pytest.raises(QuotaError):
            made(store, 1)
        assert made(store).id == claim.row.id
        with pytest.raises(QuotaError):
            store.commit(Batch(objects=[pack(b"one more")], job=JobUpdate(claim.row)))
        store.commit(Batch(job=JobUpdate(claim.row)))  # counters go on
        claim.release()
        assert store.jobs.request_stop(claim.row.id).ended
        store.jobs.remove(claim.row.id)


def test_an_early_store_has_no_jobs_until_it_is_written(path: Path) -> None:
    packed = (VECTORS / "store-format-1.mdb.zst").read_bytes()
    path.mkdir()
    (path / "data.mdb").write_bytes(zstandard.ZstdDecompressor().decompress(packed))
    with LmdbStore.open(path, read_only=True) as store:
        assert everything(store) == [[]]
        assert store.jobs.find("dnl-000000000") is None
        assert store.jobs.origin(parse_name("a")) is None
        assert (store.usage().jobs, store.usage().job_bytes) == (0, 0)
        store.check()
        with pytest.raises(WriteError):
            made(store)
    with LmdbStore.open(path) as store:
        row = made(store)
        assert list(store.jobs.rows()) == [row]


def test_a_job_is_only_looked_at_in_a_store_that_is_read(
    path: Path, jobs_of: tuple[JobRow, JobRow]
) -> None:
    before = seen(path)
    with LmdbStore.open(path, read_only=True) as store:
        ident = jobs_of[0].id
        for action in (store.jobs.claim, store.jobs.request_stop, store.jobs.remove):
            with pytest.raises(WriteError, match="read-only"):
                action(ident)
        assert not store.jobs.is_running(ident)
        assert everything(store) == before
