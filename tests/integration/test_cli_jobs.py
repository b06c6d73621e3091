"""Jobs of a store, as the commands show, stop, remove and wait for them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.jobs.job import ActiveObject, Counts, JobRow
from casync.store.jobs import JobClaim
from casync.store.lmdb.store import LmdbStore
from tests.support.job_values import job_spec
from tests.support.program import Program, read_until
from tests.support.small_jobs import ABORTED, ended, fault, fetched, spec


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture
def store(program: Program) -> Iterator[LmdbStore]:
    with LmdbStore.open(program.store, create=True) as store:
        yield store


def running(store: LmdbStore, number: int = 0, **fields: object) -> JobClaim:
    """A job that this process runs."""
    row = store.jobs.create(spec(number, **fields), 1_800_000_000 + number)
    return store.jobs.claim(row.id)


def with_total(store: LmdbStore, claim: JobClaim, done: int, total: int) -> JobRow:
    """Objects of a job are fetched."""
    row = replace(claim.row, listed=total, total=total)
    row, batch = fetched(store, row, range(done))
    store.commit(batch)
    return row


def failed(store: LmdbStore, row: JobRow, count: int) -> JobRow:
    """The next objects of a job fail."""
    indices = range(row.cursor, row.cursor + count)
    row = row.after(indices, Counts(failed=count))
    _, batch = fetched(store, row, [])
    assert batch.job is not None
    batch.job.row = row
    batch.job.faults += [fault(index) for index in indices]
    store.commit(batch)
    return row


def close(store: LmdbStore, row: JobRow, **fields: object) -> None:
    """The job ends."""
    _, batch = fetched(store, row, [])
    assert batch.job is not None
    batch.job.row = replace(ended(row), **fields)
    store.commit(batch)


def test_jobs_are_listed_with_status_errors_and_description(
    program: Program, store: LmdbStore
) -> None:
    """D8."""
    assert program.good("job", "ls").text == ""
    with running(store, 1, description="downloads range") as claim:
        row = failed(store, with_total(store, claim, 3, 10), 2)
        waiting = store.jobs.create(spec(2, description="downloads whole bucket"), 1_800_000_002)
        assert program.good("job", "ls").lines == [
            f"{row.id}\t5 pending\t2\tdownloads range",
            f"{waiting.id}\tQueued\t0\tdownloads whole bucket",
        ]
        assert program.good("show", "job").text == program.good("job", "ls").text
        (job, other) = program.good("job", "ls", "--json").document["jobs"]
        assert (job["status"], job["finished_cnt"], job["error_cnt"]) == ("running", 3, 2)
        assert other["status"] == "queued"
    assert program.good("job", "ls").lines[0].split("\t")[1] == "Interrupted"
    assert [line.split("\t")[0] for line in program.good("job", "ls", "--active").lines] == [
        waiting.id
    ]


def test_a_list_fits_a_narrow_terminal(program: Program, store: LmdbStore) -> None:
    """D8."""
    store.jobs.create(job_spec(description="downloads the whole bucket gs://lpr-vision"), 5)
    status, screen = program.on_terminal("job", "ls", COLUMNS="60")
    assert status == 0
    assert screen.splitlines()[0].split() == ["job", "id", "status", "errors", "description"]
    assert max(map(len, screen.splitlines())) <= 60


def test_jobs_are_found_by_their_description(program: Program, store: LmdbStore) -> None:
    """D8."""
    for number, text in enumerate(["downloads imagenet", "copies lpr", "downloads lpr"]):
        store.jobs.create(spec(number, description=text), 1_800_000_000 + number)
    listed = program.good("show", "job", "download", "--regex", "^downloads (.*)").lines
    assert [line.split("\t")[3] for line in listed] == ["downloads imagenet", "downloads lpr"]
    ran = program.run("job", "ls", "--regex", "(")
    assert (ran.status, "not a regular expression" in ran.err) == (2, True)


def test_a_job_is_shown_with_what_failed(program: Program, store: LmdbStore) -> None:
    """D8, D10."""
    with running(store) as claim:
        row = failed(store, with_total(store, claim, 64, 141), 12)
        active = (ActiveObject("data/f99", 1024, 2048, 1_800_000_000.0),)
        row = replace(row, active=active)
        _, batch = fetched(store, row, [])
        store.commit(batch)
        assert program.good("job", "show", row.id).lines == [
            "Download progress: 64/141 (45.39%), 1.02 KiB",
            "Errors (12) occurred during the download. To see detailed info run "
            f"`casync job show {row.id} -v`",
        ]
        verbose = program.good("show", "job", "download", row.id[4:8], "-v").lines
        assert "\tdata/f99: 1.00 KiB/2.00 KiB (50.00%)" in verbose
        assert verbose[-1] == "\tdata/f75: no (3 attempts)"
        document = program.good("job", "show", row.id, "-v", "--json").document
        assert document["current_tasks"][0]["downloaded"] == 1024
        assert [each["status"] for each in document["download_errors"]] == [404] * 12
        assert "download_errors" not in program.good("job", "show", row.id, "--json").document


def test_what_continues_a_job_names_its_store(program: Program, tmp_path: Path) -> None:
    """D12."""
    place = str(tmp_path / "my store")
    with LmdbStore.open(Path(place), create=True) as store, running(store) as claim:
        ident = with_total(store, claim, 3, 5).id
    ran = program.run("job", "wait", ident, "--store", place, "--config", os.devnull)
    (said,) = re.findall("`(.*?)`", ran.err)
    assert said == f"casync job start {ident} --config {os.devnull} --store '{place}'"
    shown = program.good(*shlex.split(said.replace("start", "show"))[1:]).out.decode()
    assert f"`{said}`" in shown


def test_a_job_may_be_named_by_the_first_characters_of_its_id(
    program: Program, store: LmdbStore
) -> None:
    rows = [store.jobs.create(spec(number), 1_800_000_000 + number) for number in range(40)]
    last = rows[-1].id
    assert program.good("job", "show", last[4:]).text == program.good("job", "show", last).text
    ran = program.run("job", "show", "dnl")
    assert (ran.status, "no job dnl" in ran.err) == (9, True)
    first = {row.id[4]: [each for each in rows if each.id[4] == row.id[4]] for row in rows}
    digit, several = next((digit, found) for digit, found in first.items() if len(found) > 1)
    ran = program.run("job", "stop", digit)
    assert ran.status == 2
    assert f"the ids of {len(several)} jobs begin with dnl-{digit}" in ran.err
    wrong = last[:-1] + ("a" if last[-1] != "a" else "b")
    ran = program.run("job", "show", wrong)
    assert (ran.status, f"Did you mean {last}" in ran.err) == (9, True)
    ran = program.run("job", "rm", "")
    assert ran.status == 9


def test_an_empty_id_never_names_the_only_job(program: Program, store: LmdbStore) -> None:
    store.jobs.create(spec(), 1_800_000_000)
    assert program.run("job", "rm", "").status == 9
    assert program.run("job", "rm", "dnl-").status == 9
    assert len(list(store.jobs.rows())) == 1


def test_a_running_job_is_asked_to_stop(program: Program, store: LmdbStore) -> None:
    """D9."""
    with running(store) as claim:
        ident = claim.row.id
        assert not claim.stop_requested()
        assert program.good("stop", "download", ident).lines == [f"{ident}\tstopping"]
        assert claim.stop_requested()
    assert program.good("job", "stop", ident).lines == [f"{ident}\taborted"]
    assert program.good("job", "stop", ident, "--json").document["jobs"] == [
        {"id": ident, "status": "aborted"}
    ]
    shown = program.good("job", "show", ident).text
    assert "Download was aborted; nothing downloaded, because" in shown
    assert f"`casync job start {ident}` continues it" in shown


def test_stopping_a_finished_job_changes_nothing(program: Program, store: LmdbStore) -> None:
    """D9: AIStore turned it into an aborted one."""
    with running(store) as claim:
        close(store, with_total(store, claim, 3, 3))
    ran = program.good("job", "stop", claim.row.id)
    assert ran.lines == [f"{claim.row.id}\tfinished"]
    assert "already finished" in ran.err
    done = program.good("job", "show", claim.row.id).lines
    assert done == ["Done: 3 files downloaded, skipped: 0, errors: 0"]


def test_jobs_are_removed_without_what_they_fetched(program: Program, store: LmdbStore) -> None:
    """D9."""
    with running(store) as claim:
        row = with_total(store, claim, 3, 3)
        ran = program.run("job", "rm", row.id)
        assert (ran.status, "is running" in ran.err, "job stop" in ran.err) == (2, True, True)
        close(store, row)
    names = program.good("ls", "data/").text
    assert program.good("job", "rm", "download", row.id).lines == [row.id]
    assert program.good("job", "ls").text == ""
    assert program.good("ls", "data/").text == names != ""
    assert program.run("job", "rm", row.id).status == 9


def test_the_exit_status_of_wait_tells_how_a_job_ended(program: Program, store: LmdbStore) -> None:
    """D9."""
    with running(store, 1) as claim:
        close(store, with_total(store, claim, 3, 3))
    clean = program.good("wait", "download", claim.row.id)
    assert (clean.text, clean.err) == ("", "Done: 3 files downloaded, skipped: 0, errors: 0\n")
    with running(store, 2) as claim:
        close(store, failed(store, with_total(store, claim, 3, 5), 2))
    ran = program.run("job", "wait", claim.row.id)
    assert ran.status == 3
    assert "2 of 5 objects failed" in ran.err
    with running(store, 3) as claim:
        close(store, with_total(store, claim, 3, 5), state=ABORTED, total=5)
    ran = program.run("job", "wait", claim.row.id, "--json")
    assert (ran.status, ran.problem["code"], ran.document["aborted"]) == (11, "stopped", True)


def test_wait_gives_up_after_a_time(program: Program, store: LmdbStore) -> None:
    """D9."""
    with running(store) as claim:
        with_total(store, claim, 3, 5)
        ran = program.run("job", "wait", claim.row.id, "--timeout", "200ms", "--refresh", "100ms")
    assert ran.status == 124
    assert "has not ended after 0.2 s" in ran.err


def test_wait_does_not_wait_for_a_process_that_is_gone(program: Program, store: LmdbStore) -> None:
    """D12."""
    with running(store) as claim:
        with_total(store, claim, 3, 5)
    ran = program.run("job", "wait", claim.row.id)
    assert ran.status == 11
    assert "its process has ended" in ran.err
    assert f"casync job start {claim.row.id}" in ran.err


def test_a_running_job_is_followed_until_it_ends(program: Program, store: LmdbStore) -> None:
    """D8."""
    with running(store) as claim:
        row = with_total(store, claim, 3, 5)
        process = program.start("job", "show", row.id, "--refresh", "100ms")
        with process:
            assert process.stdout is not None
            read_until(process.stdout.fileno(), b"Download progress: 3/5 (60.00%)")
            row, batch = fetched(store, row, [3, 4])
            store.commit(batch)
            close(store, row)
            claim.release()
            out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.splitlines()[-1] == b"Done: 5 files downloaded, skipped: 0, errors: 0"


def test_documents_come_as_long_as_the_job_runs(program: Program, store: LmdbStore) -> None:
    """D8."""
    with running(store) as claim:
        row = with_total(store, claim, 3, 5)
        command = ["job", "show", row.id, "--json", "--progress", "--refresh", "100ms"]
        process = program.start(*command)
        with process:
            assert process.stdout is not None
            first = process.stdout.readline()
            close(store, row, state=ABORTED, total=5)
            claim.release()
            rest, _ = process.communicate(timeout=60)
    documents = [json.loads(line) for line in [first, *rest.splitlines()]]
    assert {each["schema"] for each in documents} == {"casync.job/1"}
    assert [documents[0]["status"], documents[-1]["status"]] == ["running", "aborted"]


def test_ctrl_c_ends_the_watching_and_not_the_job(program: Program, store: LmdbStore) -> None:
    """D8."""
    with running(store) as claim:
        row = with_total(store, claim, 3, 5)
        process = program.start("job", "show", row.id, "--refresh", "100ms")
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"The job goes on" in err
        assert not claim.stop_requested()


def test_bars_are_drawn_on_a_terminal_and_removed(program: Program, store: LmdbStore) -> None:
    """D8."""
    with running(store) as claim:
        row = with_total(store, claim, 3, 5)
        active = tuple(
            ActiveObject(f"data/imagenet_train-{number:06}.tgz", 1 << 20, 3 << 20, time.time())
            for number in range(3)
        )
        _, batch = fetched(store, replace(row, active=active), [])
        store.commit(batch)
        status, screen = program.on_terminal(
            "job", "wait", row.id, "--progress", "--timeout", "1s", COLUMNS="80"
        )
    assert status == 124
    drawn = screen.split("\x1b[K")[1].split("\r")[0].splitlines()
    assert drawn[0].startswith("Files downloaded: 3/5  [#")
    for line, each in zip(drawn[1:], active, strict=True):
        assert each.name.endswith(line.split()[0].removeprefix("…"))
        assert "1.00 MiB/3.00 MiB" in line
    assert max(map(len, drawn)) < 80
    erase, _, said = screen.rpartition("\x1b[3A\x1b[J")
    assert erase.endswith("\r")
    assert "has not ended after 1.0 s" in said


def test_ids_are_completed(program: Program, store: LmdbStore) -> None:
    old, new = (store.jobs.create(spec(n), 1_800_000_000 + n).id for n in range(2))
    for line in ("casync job show ", "casync wait dnl-", "casync stop "):
        words = line.split(" ")
        ran = program.run(
            _CASYNC_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
        )
        assert (ran.text.split(), ran.err) == ([new, old], ""), line
