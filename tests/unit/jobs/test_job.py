"""Rows of jobs: counters and cursor move together."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from casync.errors import MalformedError
from casync.jobs.job import (
    ActiveObject,
    Counts,
    JobRow,
    JobState,
    TokenLevel,
    decode_job,
    encode_job,
    make_job_id,
)
from casync.jobs.spec import JobSpec, SourceKind
from casync.limits import JOB_WINDOW

SPEC = JobSpec("http://host/{0..9}", "a/", SourceKind.TEMPLATE)
ROW = JobRow("dnl-abc012xyz", SPEC, SPEC.digest, 1_790_000_000)


def counted(count: int) -> Counts:
    return Counts(finished=count)


def test_a_row_is_read_as_it_was_written() -> None:
    row = replace(
        ROW,
        sealed=b"secret",
        state=JobState.RUNNING,
        started=1,
        epoch=3,
        listed=9,
        total=9,
        cursor=2,
        beyond=(4, 7),
        counts=Counts(1, 2, 1, 0, 100, 120),
        active=(ActiveObject("a/3", 5, None, 1.5), ActiveObject("a/2", 0, 9, 2.0)),
        tokens=TokenLevel(-5.5, 1_790_000_000.25),
        failure="the listing broke",
        failure_code="unreachable",
    )
    assert decode_job(encode_job(row)) == row


def test_the_cursor_passes_what_is_done() -> None:
    row = ROW.after([2], counted(1)).after([1], counted(1))
    assert (row.cursor, row.beyond) == (0, (1, 2))
    row = row.after([0], Counts(failed=1))
    assert (row.cursor, row.beyond) == (3, ())
    assert row.counts == Counts(finished=2, failed=1)


@pytest.mark.parametrize("done", [[0], [1], [3, 3]])
def test_an_item_is_done_once(done: list[int]) -> None:
    row = ROW.after([0, 1, 5], counted(3))
    with pytest.raises(ValueError, match="done"):
        row.after(done, counted(len(done)))


def test_counts_must_fit_what_is_done() -> None:
    with pytest.raises(ValueError, match="2 items are counted, 1 are done"):
        ROW.after([0], counted(2))


def test_items_far_above_the_cursor_wait() -> None:
    assert ROW.after([JOB_WINDOW - 1], counted(1)).beyond == (JOB_WINDOW - 1,)
    with pytest.raises(ValueError, match="bounds"):
        ROW.after([JOB_WINDOW], counted(1))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "dnl-ABC012XYZ"},
        {"id": "dnl-abc012xy"},
        {"digest": b"short"},
        {"epoch": -1},
        {"total": -2},
        {"cursor": 1},
        {"beyond": [0], "counts": {"finished": 1}},
        {"beyond": [3, 2], "counts": {"finished": 2}},
        {"beyond": [JOB_WINDOW], "counts": {"finished": 1}},
        {"beyond": [2], "counts": {"finished": 1}, "total": 2},
        {"counts": {"finished": -1, "failed": 1}},
        {"spec": {"source": "a", "dest": "", "kind": "list", "part": 2}},
        {"spec": {"source": "a", "dest": "..", "kind": "list"}},
        {"spec": {"source": "a", "dest": "", "kind": "list", "chunker": {"min_size": 1}}},
        {"state": "paused"},
    ],
)
def test_rows_that_break_an_invariant_are_malformed(changes: dict[str, object]) -> None:
    fields = msgspec.msgpack.decode(encode_job(ROW))
    with pytest.raises(MalformedError):
        decode_job(msgspec.msgpack.encode(fields | changes))


def test_rows_with_fields_of_a_newer_program_are_read() -> None:
    fields = msgspec.msgpack.decode(encode_job(ROW)) | {"later": [1]}
    assert decode_job(msgspec.msgpack.encode(fields)) == ROW


def test_ids_of_jobs() -> None:
    """D1: `dnl-` and nine characters."""
    assert replace(ROW, id=make_job_id(bytes(range(8)))).id.startswith("dnl-")
    assert make_job_id(bytes(8)) == "dnl-000000000"
