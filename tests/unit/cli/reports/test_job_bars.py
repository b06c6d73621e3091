"""Bars of jobs: what they show, and that they fit."""

from __future__ import annotations

import time

import pytest
from casync_cli.columns import cells
from casync_cli.reports.job_bars import bar_lines, plain_line
from casync_cli.reports.job_pace import JobFigures, JobPace, ObjectFigures
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from casync.jobs.job import WaitingObject
from tests.support.job_values import active_object, job_row

MIB = 1 << 20
GIB = 1 << 30
NAME = "local-lpr/imagenet/imagenet_train-000006.tgz"
OBJECT = ObjectFigures(NAME, 192 * MIB, 947 * MIB, 1.4 * MIB, 532.0)
VIEW = JobFigures(
    job_row(finished=60, skipped=4, failed=2, bytes=9 * GIB), 12.5 * MIB, 4821.0, (OBJECT,)
)


def test_the_bars_fit_eighty_columns() -> None:
    assert bar_lines(VIEW, 80, 24) == [
        "Files downloaded: 64/141  [###-----]  45%  errors: 2  12.5 MiB/s  1:20:21 left",
        "…net_train-000006.tgz    192 MiB/947 MiB  [##-----------]      8:52  1.40 MiB/s",
    ]


def test_the_bars_fit_sixty_columns() -> None:
    assert bar_lines(VIEW, 60, 24) == [
        "Files downloaded: 64/141  [###-----]  45%  errors: 2",
        "…_train-000006.tgz    192 MiB/947 MiB      8:52  1.40 MiB/s",
    ]


def test_a_wide_terminal_gets_longer_names_and_bars() -> None:
    total, line = bar_lines(VIEW, 140, 24)
    assert total.endswith("errors: 2  12.5 MiB/s  1:20:21 left  9.19 GiB")
    assert line.split()[:4] == [NAME, "192", "MiB/947", "MiB"]
    assert len(line) < 140


def test_unknown_sizes_and_speeds_are_left_blank() -> None:
    unknown = ObjectFigures("x/y", 5, None, None, None)
    total, line = bar_lines(JobFigures(job_row(total=-1), None, None, (unknown,), 5000), 80, 24)
    assert total == "Listing: 5000 objects so far"
    assert line.split() == ["x/y", "5", "B/?"]


def test_what_waits_is_shown_with_the_reason() -> None:
    """D8: an object that waits for its retry is not a bar, and its reason is seen."""
    waits = WaitingObject("lpr/x\n.tgz", "request failed with 503 status code", time.time() + 12, 2)
    view = VIEW._replace(row=replace(VIEW.row, waiting=(waits,) * 16, waiting_count=40))
    lines = bar_lines(view, 60, 24)
    assert lines[2] == "lpr/x\\x0a.tgz waits 12 s: request failed with 503 status c…"
    assert lines[4] == "and 38 more files waiting"
    assert plain_line(view).endswith("waiting: 40 (request failed with 503 status code)")
    listing = replace(VIEW.row, total=-1, waiting=(replace(waits, name=""),), waiting_count=1)
    assert bar_lines(VIEW._replace(row=listing), 80, 24)[2].startswith("the listing waits 12 s: ")


def test_more_files_than_lines_are_counted() -> None:
    view = VIEW._replace(objects=(OBJECT,) * 30)
    lines = bar_lines(view, 80, 10)
    assert len(lines) == 9
    assert lines[-1] == "and 23 more files"


@given(
    st.integers(1, 200),
    st.integers(1, 60),
    st.text(max_size=80),
    st.integers(0, 2**63 - 1),
    st.none() | st.integers(0, 2**63 - 1),
    st.none() | st.floats(0, 1e15),
)
def test_no_line_is_as_wide_as_the_terminal(
    columns: int, rows: int, name: str, done: int, size: int | None, rate: float | None
) -> None:
    each = ObjectFigures(name, done, size, rate, rate)
    waiting = (WaitingObject(name, name, 0.0),) * 9
    row = job_row(waiting=waiting, waiting_count=rows)
    lines = bar_lines(JobFigures(row, rate, rate, (each,) * 20), columns, rows)
    assert all(cells(line) < max(columns, 2) for line in lines)
    assert len(lines) < max(rows, 3)
    assert all(line.isprintable() for line in lines)


def test_a_line_for_a_log_has_all_figures() -> None:
    """D8."""
    assert plain_line(VIEW) == (
        "Download progress: 64/141 (45.39%), 9.19 GiB, errors: 2, 12.5 MiB/s, 1:20:21 left"
    )


def test_speeds_come_from_two_looks() -> None:
    pace = JobPace()
    before = job_row(fetched=0, active=(active_object("x", 0, 100 * MIB),))
    after = job_row(fetched=20 * MIB, active=(active_object("x", 20 * MIB, 100 * MIB),))
    assert pace.look(before, 5.0).speed is None
    view = pace.look(after, 7.0)
    assert view.speed == pytest.approx(10 * MIB)
    assert view.objects[0].speed == pytest.approx(10 * MIB)
    assert view.objects[0].left == pytest.approx(8.0)


def test_new_speeds_count_more_than_old_ones() -> None:
    pace = JobPace()
    fetched = 0
    for second in range(120):
        fetched += MIB if second < 60 else 3 * MIB
        view = pace.look(job_row(fetched=fetched), float(second))
    assert view.speed == pytest.approx(3 * MIB, rel=0.02)


def test_an_object_that_starts_over_has_no_negative_speed() -> None:
    pace = JobPace()
    for second, done in enumerate([50, 90, 10]):
        view = pace.look(job_row(active=(active_object("x", done, 100),)), float(second))
    assert view.objects[0].speed is not None
    assert view.objects[0].speed >= 0


def test_the_time_left_follows_from_objects_and_their_parts() -> None:
    pace = JobPace()
    pace.look(job_row(finished=0), 0.0)
    half = (active_object("x", 50, 100),)
    view = pace.look(job_row(finished=20, active=half), 10.0)
    assert view.left == pytest.approx((141 - 20.5) / 2.05)
    assert pace.look(job_row(finished=20, total=-1), 11.0).left is None


def test_there_is_no_time_left_before_enough_was_seen() -> None:
    pace = JobPace()
    pace.look(job_row(finished=0), 0.0)
    assert pace.look(job_row(finished=1), 0.4).left is None
    assert pace.look(job_row(finished=1), 4.9).left is None
    assert pace.look(job_row(finished=10), 6.0).left is not None


def test_a_clock_that_stands_still_is_no_error() -> None:
    pace = JobPace()
    pace.look(job_row(), 1.0)
    assert pace.look(job_row(fetched=5), 1.0).speed is None


def test_parts_of_objects_count_in_the_total() -> None:
    active = (active_object("a", 50, 100), active_object("b", 7, None))
    view = JobPace().look(job_row(finished=1, total=4, listed=4, bytes=100, active=active), 1.0)
    assert view.share == pytest.approx(1.5 / 4)
    assert view.bytes == 157
