"""Law: in whatever order items end, each counts once, and rows are read as they were written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casync.jobs.job import Counts, JobRow, decode_job, encode_job
from casync.jobs.spec import JobSpec, SourceKind

SPEC = JobSpec("http://host/{0..9}", "a/", SourceKind.TEMPLATE)


@given(st.integers(1, 40), st.data())
def test_counts(total: int, data: st.DataObject) -> None:
    row = JobRow("dnl-abc012xyz", SPEC, SPEC.digest, 5, total=total)
    left = data.draw(st.permutations(range(total)))
    ended = set[int]()
    while left:
        size = data.draw(st.integers(1, len(left)))
        done, left = left[:size], left[size:]
        skipped = data.draw(st.integers(0, size))
        failed = data.draw(st.integers(0, size - skipped))
        row = row.after(done, Counts(size - skipped - failed, skipped, failed))
        row = decode_job(encode_job(row))
        ended |= set(done)
        assert set(range(row.cursor)) | set(row.beyond) == ended
        assert row.counts.settled == len(ended)
    assert (row.cursor, row.beyond) == (total, ())
