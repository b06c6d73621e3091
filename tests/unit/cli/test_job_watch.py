"""Jobs are shown while they run, from a thread or from the one that waits."""

from __future__ import annotations

import io
import json
import time

import pytest
from casync_cli.job_watch import JobBars, JobDocuments, JobLines, JobMeter, JobScreen, follow
from casync_cli.output import Output
from casync_cli.parsing.raw_options import CommonOptions
from casync_cli.reports.job_pace import JobFigures

from casync.errors import WriteError
from casync.jobs.job import JobRow, JobState
from casync.ops.download.progress import JobView, Phase
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


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def view_of(row: JobRow) -> JobView:
    return JobView(row, Phase.FETCHING, [], 5.0, row.listed)


def shown_at(screen: JobScreen, *seconds: float) -> JobMeter:
    """A meter that was told of the job at these times; it pauses for 10 s."""
    clock, rows = Clock(), Rows()
    meter = JobMeter(screen, lambda _: None, 10.0, clock=clock)
    for second in seconds:
        clock.now = 100.0 + second
        meter.show(view_of(rows()))
    return meter


def test_a_job_is_shown_once_in_a_while() -> None:
    screen = Screen()
    with shown_at(screen, 0.0, 0.2, 9.9, 10.1, 10.3, 20.0, 20.2):
        pass
    assert (screen.shown, screen.ends) == ([0, 3, 6], 1)


def test_a_short_job_shows_no_bars() -> None:
    err = io.StringIO()
    with shown_at(JobBars(Output(io.StringIO(), err, CommonOptions())), 0.0, 0.2, 0.4):
        pass
    assert err.getvalue() == ""


def test_notes_are_lines() -> None:
    said: list[str] = []
    JobMeter(None, said.append, 10.0).note("nothing was removed")
    assert said == ["nothing was removed"]


def test_a_screen_that_fails_does_not_end_the_job() -> None:
    screen = Screen(WriteError("disk full"))
    with pytest.raises(WriteError, match="disk full"), shown_at(screen, 0.0, 10.1):
        pass
    assert screen.shown == [0]


def test_an_error_of_the_job_wins_over_one_of_the_screen() -> None:
    meter = shown_at(Screen(WriteError("disk full")), 0.0)
    with pytest.raises(KeyError), meter:
        raise KeyError


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
