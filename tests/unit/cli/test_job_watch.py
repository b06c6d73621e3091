"""Jobs are shown while they run: as bars, lines or documents, until they are over."""

from __future__ import annotations

import io
import json
import time

from casync_cli.job_watch import JobBars, JobDocuments, JobLines, follow
from casync_cli.output import Output
from casync_cli.parsing.raw_options import CommonOptions
from casync_cli.reports.job_pace import JobFigures

from casync.jobs.job import JobRow, JobState
from tests.support.job_values import IDENT, job_row


class Screen:
    first = 0.0

    def __init__(self, error: Exception | None = None) -> None:
        self.shown: list[int] = []
        self.ends = 0
        self._error = error

    def show(self, view: JobFigures) -> None:
        self.shown.append(view.row.counts.finished)
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        self.ends += 1


class Rows:
    """A job that gets on by one object with each look."""

    def __init__(self) -> None:
        self.finished = -1

    def __call__(self) -> JobRow:
        self.finished += 1
        return job_row(finished=self.finished)


def test_a_job_is_followed_until_it_is_over() -> None:
    screen = Screen()
    row = follow(screen, Rows(), lambda row: row.counts.finished == 3, 0.001)
    assert row is not None
    assert row.counts.finished == 3
    assert (screen.shown, screen.ends) == ([0, 1, 2], 1)


def test_a_deadline_ends_the_waiting() -> None:
    assert follow(None, Rows(), lambda _: False, 0.001, time.monotonic()) is None


def test_documents_are_one_line_each_and_tell_the_status() -> None:
    out = io.StringIO()
    screen = JobDocuments(Output(out, io.StringIO(), CommonOptions(json=True)), lambda _: "running")
    for _ in range(2):
        screen.show(JobFigures(job_row(finished=64), None, None, ()))
    documents = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [each["finished_cnt"] for each in documents] == [64, 64]
    assert documents[0]["schema"] == "casync.job/1"
    assert (documents[0]["id"], documents[0]["status"]) == (IDENT, "running")


def test_lines_and_bars_go_where_they_are_told() -> None:
    lines: list[str] = []
    view = JobFigures(job_row(finished=64, state=JobState.RUNNING), None, None, ())
    JobLines(lines.append, 1.0).show(view)
    assert lines == ["Download progress: 64/141 (45.39%), 0 B"]
    err = io.StringIO()
    bars = JobBars(Output(io.StringIO(), err, CommonOptions()))
    bars.show(view)
    bars.end()
    assert "Files downloaded: 64/141" in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")
