"""The contract of stores that keep jobs: how they begin, run and end.

A test module derives from `JobContract` and provides `clock`, `store` and `reopen`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from casync.errors import LockedError, LostRaceError, NoSpaceError, NotFoundError, UsageError
from casync.ids import Kind
from casync.jobs.half_fetched import FetchedPart
from casync.jobs.job import ActiveObject, Counts, JobRow, JobState
from casync.limits import KEPT_JOBS
from casync.names.name import parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch
from casync.store.job_rules import KEPT_SECONDS
from casync.store.jobs import JobClaim, JobUpdate
from tests.contract.store_contract import put_manifest
from tests.contract.whole_store import DAY, Clock, Reopen, WholeStore
from tests.support.small_jobs import (
    ABORTED,
    FINISHED,
    RUNNING,
    TAG,
    ended,
    fault,
    fetched,
    items,
    made,
    spec,
)


class JobContract:
    @pytest.fixture
    def claimed(self, store: WholeStore) -> JobClaim:
        return store.jobs.claim(made(store).id)

    def test_jobs_are_listed_from_the_oldest_to_the_newest(self, store: WholeStore) -> None:
        rows = [made(store, number) for number in (5, 1, 3)]
        assert [row.spec.source[-2] for row in store.jobs.rows()] == ["1", "3", "5"]
        assert all(store.jobs.find(row.id) == row for row in rows)
        assert all(row.state is JobState.QUEUED and not row.epoch for row in rows)
        assert not any(store.jobs.is_running(row.id) for row in rows)

    def test_ids_may_be_shortened(self, store: WholeStore) -> None:
        rows = [made(store, number) for number in range(3)]
        assert store.jobs.matching("dnl-") == rows
        assert store.jobs.matching(rows[1].id[:10]) == [rows[1]]
        assert store.jobs.matching(rows[1].id + "0") == []

    @pytest.mark.parametrize("ident", ["", "dnl-", "dnl-000000000", "s\0dnl-000000000", "a" * 999])
    def test_there_is_no_job_with_another_id(self, store: WholeStore, ident: str) -> None:
        made(store)
        jobs = store.jobs
        assert jobs.find(ident) is None
        assert not jobs.is_running(ident)
        assert not list(jobs.items(ident))
        assert not jobs.faults(ident)
        assert jobs.parts(ident, 0) is None
        for action in (jobs.claim, jobs.request_stop, jobs.remove):
            with pytest.raises(NotFoundError, match="there is no job"):
                action(ident)

    def test_the_same_download_again_is_the_same_job_until_it_is_finished(
        self, store: WholeStore
    ) -> None:
        first = made(store)
        again = store.jobs.create(spec(description="faster", limit=10), 1_800_000_100)
        assert (again.id, again.created, again.spec.limit) == (first.id, first.created, 10)
        claim = store.jobs.claim(first.id)
        assert store.jobs.create(spec(limit=20), 1_800_000_200).spec.limit == 10
        store.commit(Batch(job=JobUpdate(ended(claim.row, ABORTED))))
        claim.release()
        assert store.jobs.create(spec(limit=30), 1_800_000_300).id == first.id
        claim = store.jobs.claim(first.id)
        store.commit(Batch(job=JobUpdate(ended(claim.row))))
        claim.release()
        assert store.jobs.create(spec(limit=40), 1_800_000_400).id != first.id

    def test_secrets_are_for_the_runner_only(self, store: WholeStore) -> None:
        secret = spec(source="http://me:word@host/", headers=(("Authorization", "Basic x"),))
        row = store.jobs.create(secret, 1)
        shown = repr([row, store.jobs.find(row.id), *store.jobs.rows()])
        assert "word" not in shown
        assert "Basic" not in shown
        assert "Authorization" in shown
        with store.jobs.claim(row.id) as claim:
            assert claim.spec == secret
            assert "word" not in repr(claim.row)
        newer = replace(secret, headers=(("Authorization", "Basic y"),))
        assert store.jobs.create(newer, 2).id == row.id
        with store.jobs.claim(row.id) as claim:
            assert claim.spec == newer

    def test_too_many_jobs_are_refused(
        self, store: WholeStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("casync.store.job_rules.MAX_JOBS", 2)
        rows = [made(store, number) for number in range(2)]
        with pytest.raises(NoSpaceError, match="2 jobs"):
            made(store, 2)
        assert made(store, 1).id == rows[1].id
        store.jobs.remove(rows[0].id)
        made(store, 2)

    # -- Claims -------------------------------------------------------------------------------

    def test_one_runner_at_a_time(self, store: WholeStore, clock: Clock) -> None:
        row = made(store)
        claim = store.jobs.claim(row.id)
        assert store.jobs.is_running(row.id)
        assert store.jobs.find(row.id) == claim.row
        assert (claim.row.state, claim.row.epoch) == (RUNNING, 1)
        assert claim.row.started == int(clock.now)
        for _ in range(2):
            with pytest.raises(LockedError):
                store.jobs.claim(row.id)
        claim.release()
        claim.release()
        assert not store.jobs.is_running(row.id)
        clock.now += 100
        with store.jobs.claim(row.id) as second:
            assert (second.row.epoch, second.row.started) == (2, claim.row.started)
            claim.release()  # which does not free the second
            assert store.jobs.is_running(row.id)
        assert not store.jobs.is_running(row.id)

    def test_a_late_commit_of_an_earlier_runner_leaves_nothing(self, store: WholeStore) -> None:
        row = made(store)
        claim = store.jobs.claim(row.id)
        _, late = fetched(store, claim.row, [0, 1])
        assert late.job is not None
        late.job.faults.append(fault(9))
        late.job.parts.append((3, FetchedPart(TAG, None, b"")))
        claim.release()
        with store.jobs.claim(row.id) as second:
            assert claim.stop_requested()
            for update in (late, Batch(job=JobUpdate(ended(claim.row)))):
                with pytest.raises(LostRaceError):
                    store.commit(update)
            with pytest.raises(LostRaceError):
                store.jobs.add_items(claim, 0, items(3))
            assert store.jobs.find(row.id) == second.row
            assert not list(store.names())
            assert not list(store.manifests())
            assert not list(store.jobs.origins())
            assert not list(store.jobs.items(row.id))
            assert not store.jobs.faults(row.id)
            assert store.jobs.parts(row.id, 3) is None
            assert store.stat(Kind.CHUNK, [late.objects[0].id]) == [None]

    def test_a_claim_ends_with_its_store(self, store: WholeStore, reopen: Reopen) -> None:
        claim = store.jobs.claim(made(store).id)
        store.jobs.add_items(claim, 0, items(5))
        row, batch = fetched(store, claim.row, [0, 2])
        store.commit(batch)
        claim.release()
        store = reopen()
        assert not store.jobs.is_running(row.id)
        assert store.jobs.find(row.id) == row  # interrupted
        with store.jobs.claim(row.id) as again:
            assert again.row == replace(row, epoch=2)
            assert [item.size for item in store.jobs.items(row.id, row.cursor)] == [1, 2, 3, 4]

    def test_a_runner_sees_a_request_to_stop(self, store: WholeStore, claimed: JobClaim) -> None:
        ident = claimed.row.id
        assert not claimed.stop_requested()
        assert store.jobs.request_stop(ident) == claimed.row
        assert claimed.stop_requested()
        store.commit(Batch(job=JobUpdate(ended(claimed.row, ABORTED))))
        claimed.release()
        row = store.jobs.find(ident)
        assert row is not None
        assert row.state is ABORTED
        assert store.jobs.request_stop(ident) == row
        with store.jobs.claim(ident) as again:  # an aborted job goes on
            assert not again.stop_requested()
            assert (again.row.state, again.row.ended) == (RUNNING, 0)

    def test_a_job_without_a_runner_stops_at_once(self, store: WholeStore, clock: Clock) -> None:
        row = made(store)
        stopped = store.jobs.request_stop(row.id)
        assert (stopped.state, stopped.ended) == (ABORTED, int(clock.now))
        assert store.jobs.find(row.id) == stopped

    def test_a_request_that_no_runner_lived_to_see_holds_unless_a_person_restarts(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        store.jobs.request_stop(claimed.row.id)
        claimed.release()
        with store.jobs.claim(claimed.row.id) as taken_over:
            assert taken_over.stop_requested()
        with store.jobs.claim(claimed.row.id, restart=True) as restarted:
            assert not restarted.stop_requested()

    def test_a_claim_forgets_why_the_job_ended_early(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        failed = replace(
            claimed.row, state=ABORTED, ended=5, failure="no such folder", failure_code="not-found"
        )
        store.commit(Batch(job=JobUpdate(failed)))
        claimed.release()
        with store.jobs.claim(failed.id, restart=True) as again:
            assert (again.row.failure, again.row.failure_code) == ("", "")
            assert store.jobs.find(failed.id) == again.row

    # -- Progress -----------------------------------------------------------------------------

    def test_names_counters_and_cursor_move_in_one_commit(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        row, batch = fetched(store, claimed.row, [0, 1, 3])
        row = replace(row, active=(ActiveObject("data/f2", 5, 10, 1.5),), listed=9)
        assert batch.job is not None
        batch.job.row = row
        batch.job.faults.append(fault(7))
        store.commit(batch)
        assert store.jobs.find(row.id) == row
        assert (row.cursor, row.beyond) == (2, (3,))
        assert [record.name for record in store.names()] == ["data/f0", "data/f1", "data/f3"]
        assert store.jobs.faults(row.id) == [fault(7)]

    def test_a_batch_that_fails_moves_nothing(self, store: WholeStore, claimed: JobClaim) -> None:
        put_manifest(store, b"other", "data/f1")
        row, batch = fetched(store, claimed.row, [0, 1])
        batch.names[1] = NameUpdate(batch.names[1].name, batch.names[1].manifest, 0)
        with pytest.raises(LostRaceError):
            store.commit(batch)
        assert store.jobs.find(row.id) == claimed.row
        assert store.jobs.origin(parse_name("data/f0")) is None
        assert [record.name for record in store.names()] == ["data/f1"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda row: replace(row, cursor=1, counts=replace(row.counts, finished=2)),
            lambda row: replace(row, beyond=(), counts=replace(row.counts, finished=2)),
            lambda row: replace(row, beyond=(7,)),
            lambda row: replace(row, counts=replace(row.counts, bytes=1)),
            lambda row: replace(row, counts=replace(row.counts, finished=2, failed=1)),
            lambda row: replace(row, total=12),
            lambda row: replace(row, total=-1),
            lambda row: replace(row, spec=spec(3)),
            lambda row: replace(row, state=JobState.QUEUED),
            lambda row: replace(row, state=FINISHED),
            lambda row: replace(row, created=5),
        ],
    )
    def test_progress_is_never_undone(
        self, store: WholeStore, claimed: JobClaim, change: Callable[[JobRow], JobRow]
    ) -> None:
        row, batch = fetched(store, claimed.row, [0, 1, 4])
        row = replace(row, total=10)
        assert batch.job is not None
        batch.job.row = row
        store.commit(batch)
        with pytest.raises(ValueError, match=row.id):
            store.commit(Batch(job=JobUpdate(change(row))))
        assert store.jobs.find(row.id) == row

    def test_a_finished_job_never_changes(self, store: WholeStore, claimed: JobClaim) -> None:
        row, batch = fetched(store, claimed.row, [0])
        row = ended(row)
        assert batch.job is not None
        batch.job.row = row
        store.commit(batch)
        with pytest.raises(LostRaceError):
            store.commit(Batch(job=JobUpdate(replace(row, state=RUNNING))))
        claimed.release()
        with pytest.raises(UsageError, match="is finished"):
            store.jobs.claim(row.id)
        assert not store.jobs.is_running(row.id)
        assert store.jobs.request_stop(row.id) == row
        assert store.jobs.find(row.id) == row

    def test_faults_come_in_pages(self, store: WholeStore, claimed: JobClaim) -> None:
        faults = [fault(index) for index in (900, 5, 70_000, 255, 256)]
        row = claimed.row.after([0], Counts(failed=1))
        store.commit(Batch(job=JobUpdate(row, faults=faults)))
        newer = replace(fault(255), attempts=9)
        store.commit(Batch(job=JobUpdate(row, faults=[newer])))
        ordered = [fault(5), newer, fault(256), fault(900), fault(70_000)]
        jobs = store.jobs
        assert jobs.faults(row.id) == ordered
        assert jobs.faults(row.id, limit=2) == ordered[:2]
        assert jobs.faults(row.id, after=255, limit=2) == ordered[2:4]
        assert jobs.faults(row.id, after=70_000) == []

    # -- Removal ------------------------------------------------------------------------------

    def test_a_running_job_is_not_removed(self, store: WholeStore, claimed: JobClaim) -> None:
        with pytest.raises(UsageError, match="is running"):
            store.jobs.remove(claimed.row.id)
        assert store.jobs.find(claimed.row.id) == claimed.row

    def test_removing_a_job_leaves_its_names_and_other_jobs(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        other = store.jobs.claim(made(store, 7).id)
        for claim in (claimed, other):
            store.jobs.add_items(claim, 0, items(5))
            row, batch = fetched(store, claim.row, [0, 2])
            assert batch.job is not None
            batch.job.faults.append(fault(1))
            batch.job.parts.append((3, FetchedPart(TAG, None, b"")))
            store.commit(batch)
            store.jobs.request_stop(row.id)
            claim.release()
        ident = claimed.row.id
        store.jobs.remove(ident)
        jobs = store.jobs
        assert jobs.find(ident) is None
        assert not list(jobs.items(ident))
        assert not jobs.faults(ident)
        assert jobs.parts(ident, 3) is None
        assert [record.name for record in store.names()] == ["data/f0", "data/f2"]
        assert len(list(jobs.origins())) == 2
        assert len(list(jobs.items(row.id))) == 5
        assert jobs.faults(row.id) == [fault(1)]
        assert jobs.parts(row.id, 3) is not None
        with pytest.raises(NotFoundError):
            jobs.remove(ident)

    # -- Collections --------------------------------------------------------------------------

    def test_a_collection_drops_what_jobs_no_longer_need(
        self, store: WholeStore, claimed: JobClaim
    ) -> None:
        running = store.jobs.claim(made(store, 7).id)
        for claim in (claimed, running):
            store.jobs.add_items(claim, 0, items(5))
        row, batch = fetched(store, claimed.row, [0, 1, 2])
        assert batch.job is not None
        batch.job.faults.append(fault(1))
        batch.job.row = ended(row)
        store.commit(batch)
        put_manifest(store, b"by hand", "data/f0")
        store.remove([parse_ref("data/f1")])
        dry = collect(store, CollectOptions(dry_run=True))
        assert len(list(store.jobs.items(row.id))) == 3
        assert dry.objects == 0
        collect(store)
        store.set_name(NameUpdate(parse_name("data/f0"), batch.names[0].manifest))
        assert [name for name, _ in store.jobs.origins()] == ["data/f2"]
        assert store.jobs.faults(row.id) == [fault(1)]
        assert store.jobs.find(row.id) == ended(row)
        assert len(list(store.jobs.items(running.row.id))) == 5

    def test_a_collection_drops_old_finished_jobs_but_the_newest(
        self, store: WholeStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("casync.store.job_rules.KEPT_JOBS", 2)
        assert KEPT_JOBS > 2
        for number in range(5):
            row = made(store, number)
            if number == 1:
                continue
            with store.jobs.claim(row.id) as claim:
                done = replace(ended(claim.row), ended=int(clock.now))
                store.commit(Batch(job=JobUpdate(done)))
        clock.now += KEPT_SECONDS - DAY
        collect(store)
        assert len(list(store.jobs.rows())) == 5
        clock.now += DAY
        collect(store)
        assert [row.spec.source[-2] for row in store.jobs.rows()] == ["1", "3", "4"]
