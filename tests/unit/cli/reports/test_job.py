"""Jobs as text and as JSON."""

from __future__ import annotations

import io
from typing import Any

import pytest
from casync_cli.output import Output
from casync_cli.parsing.raw_options import CommonOptions
from casync_cli.reports.job import (
    ABORTED,
    FINISHED,
    QUEUED,
    RUNNING,
    done_text,
    fault_fields,
    job_cells,
    job_fields,
    outcome_of,
    print_job,
    status_of,
)
from casync_cli.reports.job_end import raise_for
from msgspec.structs import replace

from casync.errors import CasyncError, NotFoundError, PartialError, StoppedError
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.job import JobRow, JobState, WaitingObject
from tests.support.job_values import IDENT, active_object, job_row, job_spec, not_found

MIB = 1 << 20
ENDED: dict[str, Any] = {"state": JobState.FINISHED, "ended": 1_700_000_100}
FAILED: dict[str, Any] = {"state": JobState.ABORTED, "total": -1, "failure": "there is none"}


def printed(row: JobRow, *, verbose: bool = False, alive: bool = True) -> str:
    out = io.StringIO()
    output = Output(out, io.StringIO(), CommonOptions())
    faults = (not_found(49 + index) for index in range(row.counts.failed))
    status = status_of(row, is_running=alive)
    print_job(output, row, status, faults, "casync job {}".format, verbose=verbose)
    return out.getvalue()


def test_a_running_job_says_how_far_it_is() -> None:
    """D8: the words of AIStore."""
    assert printed(job_row()) == "Download progress: 0/141 (0.00%)\n"
    assert printed(job_row(finished=60, skipped=4)) == "Download progress: 64/141 (45.39%)\n"
    text = printed(job_row(total=-1, listed=1000))
    assert text == "Download progress: listing, 1000 objects so far\n"


def test_a_job_counts_the_bytes_of_objects_that_are_not_done() -> None:
    """D8."""
    active = (active_object("a", 16 * MIB, 946 * MIB), active_object("b", MIB, None))
    row = job_row(finished=64, bytes=MIB, active=active)
    assert printed(row) == "Download progress: 64/141 (45.39%), 18.0 MiB\n"
    assert "; 64/141 (45.39%), 18.0 MiB downloaded. `" in printed(row, alive=False)


def test_what_waits_for_another_attempt_says_why() -> None:
    """D8."""
    waiting = tuple(WaitingObject(f"lpr/{n}", "it answers 503", 0.0, 1) for n in range(5))
    row = job_row(finished=64, waiting=waiting, waiting_count=7)
    assert printed(row) == (
        "Download progress: 64/141 (45.39%)\n"
        "Waiting for another attempt: 7\n"
        "\tlpr/0 is tried again: it answers 503\n"
        "\tlpr/1 is tried again: it answers 503\n"
        "\tlpr/2 is tried again: it answers 503\n"
    )
    assert printed(row, verbose=True).count("it answers 503") == 5
    assert "Waiting" not in printed(row, alive=False)


def test_many_errors_are_counted_and_few_are_listed() -> None:
    """D10."""
    assert printed(job_row(finished=64, failed=10)) == (
        "Download progress: 64/141 (45.39%)\n"
        "Errors (10) occurred during the download. To see detailed info run "
        f"`casync job show {IDENT} -v`\n"
    )
    assert printed(job_row(finished=64, failed=1)) == (
        "Download progress: 64/141 (45.39%)\n"
        "Errors:\n"
        "\tlocal-lpr/imagenet/imagenet_train-000049.tgz: "
        "request failed with 404 status code (Not Found)\n"
    )


def test_verbose_shows_what_is_fetched_and_all_errors() -> None:
    """D8, D10."""
    active = (
        active_object("imagenet/imagenet_train-000002.tgz", 16 * MIB, 946 * MIB),
        active_object("imagenet/imagenet_train-000023.tgz", 5, None),
    )
    text = printed(job_row(finished=64, failed=12, active=active, fetched=5 * MIB), verbose=True)
    head, rest = text.split("Download progress: 64/141 (45.39%), 21.0 MiB\n")
    details = dict(line.split("\t") for line in head.splitlines())
    assert details["source"].startswith("gs://lpr-vision/")
    assert details["destination"] == "local-lpr/imagenet/"
    assert details["options"] == "--max-conns 16 --timeout 1:00"
    assert details["fetched"] == str(5 * MIB)
    assert rest.splitlines()[:4] == [
        "Progress of files that are currently being downloaded:",
        "\timagenet/imagenet_train-000002.tgz: 16.0 MiB/946 MiB (1.69%)",
        "\timagenet/imagenet_train-000023.tgz: 5 B/?",
        "Errors:",
    ]
    assert rest.count("request failed with 404 status code (Not Found)") == 12


def test_a_finished_job_has_a_last_line() -> None:
    """D8."""
    row = job_row(finished=117, skipped=3, failed=21, **ENDED)
    assert printed(row).splitlines()[0] == "Done: 117 files downloaded, skipped: 3, errors: 21"
    one = job_row(finished=1, total=1, listed=1, **ENDED)
    assert done_text(one) == "Done: 1 file downloaded, skipped: 0, errors: 0"


def test_a_synchronised_job_says_what_it_removed() -> None:
    """D6."""
    row = job_row(skipped=141, removed=10, spec=job_spec(sync=True), **ENDED)
    assert done_text(row) == "Done: 0 files downloaded, skipped: 141, removed: 10, errors: 0"


@pytest.mark.parametrize(
    ("row", "alive", "words"),
    [
        (job_row(finished=64), False, "is interrupted: its process has ended; 64/141"),
        (job_row(finished=64, failure="no answer."), False, "is interrupted: no answer; 64/141"),
        (job_row(finished=64, state=JobState.ABORTED), False, "was aborted; 64/141"),
        (
            job_row(total=-1, listed=0, state=JobState.ABORTED),
            False,
            "was aborted; nothing downloaded, because its objects were not all listed. ",
        ),
        (
            job_row(finished=64, state=JobState.ABORTED, failure="the listing broke off"),
            False,
            "was aborted: the listing broke off; 64/141",
        ),
    ],
)
def test_a_job_that_does_not_run_says_how_to_go_on(row: JobRow, alive: bool, words: str) -> None:
    """D12."""
    text = printed(row, alive=alive)
    assert words in text
    assert f"`casync job start {IDENT}` continues it" in text


def test_a_job_that_was_not_started_is_started_by_hand() -> None:
    text = printed(job_row(state=JobState.QUEUED), alive=False)
    assert text == f"Download not started yet. `casync job start {IDENT}` starts it\n"


def test_a_job_of_a_server_is_started_by_it() -> None:
    row = job_row(state=JobState.QUEUED)
    text = printed(replace(row, spec=replace(row.spec, served=True)), alive=False)
    assert text == "Download not started yet. The server starts it when it is its turn\n"


@pytest.mark.parametrize(
    ("row", "alive", "cells"),
    [
        (job_row(finished=60, skipped=4), True, ("77 pending", 0)),
        (job_row(finished=60, failed=4), False, ("Interrupted", 4)),
        (job_row(total=-1, listed=0), True, ("Running", 0)),
        (job_row(finished=141, **ENDED), False, ("Finished", 0)),
        (job_row(failed=9, state=JobState.ABORTED), False, ("Aborted", 9)),
        (job_row(state=JobState.QUEUED), False, ("Queued", 0)),
    ],
)
def test_a_list_has_id_status_errors_and_description(
    row: JobRow, alive: bool, cells: tuple[str, int]
) -> None:
    """D8."""
    shown = job_cells(row, status_of(row, is_running=alive))
    assert shown == (IDENT, *cells, row.spec.description)


@pytest.mark.parametrize(
    ("row", "outcome", "error"),
    [
        (job_row(finished=141, **ENDED), "clean", None),
        (job_row(skipped=141, **ENDED), "clean", None),
        (job_row(finished=140, failed=1, **ENDED), "partial", PartialError),
        (job_row(failed=141, **ENDED), "failed", PartialError),
        (job_row(skipped=141, failure="nothing was removed", **ENDED), "clean", PartialError),
        (job_row(finished=64, state=JobState.ABORTED), None, StoppedError),
        (job_row(finished=64, failed=1), None, StoppedError),
        (job_row(failure="no answer", failure_code="not-found"), None, NotFoundError),
        (job_row(**FAILED, failure_code="not-found"), None, NotFoundError),
        (job_row(**FAILED, failure_code="of a later version"), None, StoppedError),
        (job_row(**FAILED), None, StoppedError),
    ],
)
def test_the_exit_status_follows_from_the_outcome(
    row: JobRow, outcome: str | None, error: type[CasyncError] | None
) -> None:
    """D9."""
    assert outcome_of(row) == outcome
    status = status_of(row, is_running=False)
    if error is None:
        raise_for(row, status, "casync job {}".format)
        return
    with pytest.raises(error) as raised:
        raise_for(row, status, "casync job {}".format)
    assert raised.value.next_step


@pytest.mark.parametrize(
    ("statuses", "said", "step"),
    [
        ((403, 403), "request failed with 403 status code", "Check the credentials"),
        ((404, 404), "request failed with 404 status code", "Check the address"),
        ((403, 404), "failed", "lists them"),
        ((0, 0), "no server answers there", "the server is running"),
    ],
)
def test_what_all_objects_failed_of_is_said(
    statuses: tuple[int, int], said: str, step: str
) -> None:
    """D9."""
    row = job_row(failed=141, **ENDED)
    faults = [
        ObjectFault(index, "n", "u", _kind(status), "m", 1, 1, 1, status)
        for index, status in enumerate(statuses)
    ]
    with pytest.raises(PartialError) as raised:
        raise_for(row, "finished", str, faults)
    assert said in raised.value.message
    assert step in raised.value.next_step


def _kind(status: int) -> ObjectFaultKind:
    return ObjectFaultKind.HTTP if status else ObjectFaultKind.CONNECT


def test_json_has_the_keys_of_aistore() -> None:
    """D8."""
    active = (active_object("x/1", 3, None),)
    fields = job_fields(job_row(finished=60, skipped=4, failed=10, active=active), "running")
    assert fields["finished_cnt"] == 64
    assert (fields["skipped_cnt"], fields["error_cnt"], fields["scheduled_cnt"]) == (4, 10, 141)
    assert (fields["total"], fields["all_dispatched"], fields["aborted"]) == (141, True, False)
    assert (fields["started_time"], fields["finished_time"]) == ("2023-11-14T22:13:21Z", None)
    assert (fields["failure"], fields["failure_code"]) == (None, None)
    assert fields["current_tasks"] == [
        {"name": "x/1", "downloaded": 3, "total": None, "start_time": "1970-01-01T00:00:01Z"}
    ]


def test_json_of_an_error_has_its_kind_and_attempts() -> None:
    """D10."""
    fields = fault_fields(not_found(49))
    assert (fields["kind"], fields["status"], fields["attempts"]) == ("http", 404, 1)
    assert fields["error"] == "request failed with 404 status code (Not Found)"


def test_the_words_for_states_are_all_states() -> None:
    assert {QUEUED, RUNNING, FINISHED, ABORTED} == {state.value for state in JobState}
