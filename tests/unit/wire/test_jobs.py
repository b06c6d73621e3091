from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from casync.errors import RemoteProtocolError, UnsupportedError, UsageError
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.job import ActiveObject, Counts, JobRow, JobState
from casync.jobs.spec import JobSpec, SourceKind
from casync.objects.chunker import ChunkerParams
from casync.wire.documents import decode_document, encode_document
from casync.wire.job_request import JobRequest, job_request, job_spec
from casync.wire.jobs import (
    FaultItem,
    JobItem,
    encode_event,
    fault_item,
    job_item,
    job_row,
    object_fault,
)

SPEC = JobSpec(
    "https://me:pw@data.example.com/{0..9}.tar?key=1",
    "sets/",
    SourceKind.TEMPLATE,
    description="nightly",
    timeout=30,
    max_conns=8,
    limit_bph=7,
    limit=9,
    headers=(("X-Api-Key", "secret"),),
    flatten=True,
    sync=True,
    max_delete=0,
    allow_empty=True,
    part=2,
    shares=3,
    chunker=ChunkerParams.from_average(65536),
)
ROW = JobRow(
    "dnl-4k3v9x0ab",
    SPEC.without_secrets(),
    bytes(32),
    100,
    state=JobState.RUNNING,
    started=101,
    listed=10,
    total=10,
    cursor=6,
    counts=Counts(finished=3, skipped=2, failed=1, removed=4, bytes=50, fetched=60),
    active=(ActiveObject("sets/6.tar", 5, None, 102.0),),
)
FAULT = ObjectFault(3, "sets/3.tar", "https://h/3", ObjectFaultKind.HTTP, "no", 1, 5, 6, 404)


def test_a_request_carries_everything_that_a_job_does() -> None:
    sent = encode_document(job_request(SPEC))
    assert job_spec(decode_document(sent, JobRequest)) == SPEC


def test_a_job_is_the_same_after_the_wire() -> None:
    sent = encode_document(job_item(ROW, is_running=True))
    item = decode_document(sent, JobItem)
    assert job_row(item) == replace(ROW, spec=replace(ROW.spec, served=True))
    for kept in ("finished_cnt", "skipped_cnt", "error_cnt", "scheduled_cnt", "total"):
        assert kept in json.loads(sent)
    assert item.finished_cnt == 5


def test_an_answer_has_no_secrets() -> None:
    sent = encode_document(job_item(replace(ROW, spec=SPEC), is_running=True)).decode()
    for secret in ("secret", "pw", "key=1"):
        assert secret not in sent


@pytest.mark.parametrize(
    ("state", "is_running", "shown"),
    [
        (JobState.QUEUED, False, "queued"),
        (JobState.RUNNING, True, "running"),
        (JobState.RUNNING, False, "interrupted"),
        (JobState.ABORTED, False, "aborted"),
    ],
)
def test_a_running_job_without_a_runner_is_interrupted(
    state: JobState, is_running: bool, shown: str
) -> None:
    item = job_item(replace(ROW, state=state), is_running=is_running)
    assert (item.state, item.outcome) == (shown, None)
    assert item.aborted == (shown == "aborted")
    assert job_row(item).state is state


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        (Counts(finished=1), "clean"),
        (Counts(skipped=1), "clean"),
        (Counts(), "clean"),
        (Counts(finished=1, failed=1), "partial"),
        (Counts(skipped=1, failed=1), "partial"),
        (Counts(failed=1), "failed"),
    ],
)
def test_how_a_finished_job_ended(counts: Counts, outcome: str) -> None:
    total = counts.settled
    row = replace(ROW, state=JobState.FINISHED, total=total, cursor=total, counts=counts)
    assert job_item(row, is_running=False).outcome == outcome


@pytest.mark.parametrize(
    "change", [{"total": 2}, {"skipped_cnt": 9}, {"request": {"destination": "a//b"}}]
)
def test_a_job_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    fields = msgspec.to_builtins(job_item(ROW, is_running=True))
    change = {"request": fields["request"] | change["request"]} if "request" in change else change
    with pytest.raises(RemoteProtocolError):
        job_row(decode_document(msgspec.json.encode(fields | change), JobItem))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"destination": "a//b"}, UsageError),
        ({"part": 2}, UsageError),
        ({"chunker": {"algorithm": "other", "min": 64, "avg": 64, "max": 64}}, UnsupportedError),
        ({"chunker": {"algorithm": "fastcdc-v1", "min": 9, "avg": 8, "max": 7}}, UsageError),
    ],
)
def test_a_job_that_is_not_possible_is_a_mistake_of_its_request(
    change: dict[str, object], error: type[Exception]
) -> None:
    fields = {"source": "https://h/x", "destination": "d", "kind": "object"} | change
    request = decode_document(json.dumps(fields).encode(), JobRequest)
    with pytest.raises(error):
        job_spec(request)


def test_texts_are_cut_to_their_bounds() -> None:
    row = replace(ROW, failure="x" * 9999, spec=replace(SPEC, description="y" * 9999))
    item = decode_document(encode_document(job_item(row, is_running=True)), JobItem)
    assert (len(job_row(item).failure), len(item.description)) == (4096, 4096)
    long = replace(FAULT, message="z" * 9999, url="https://h/" + "u" * 99999)
    assert len(decode_document(encode_document(fault_item(long)), FaultItem).error) == 4096


def test_a_fault_is_the_same_after_the_wire() -> None:
    for fault in (FAULT, replace(FAULT, status=0, kind=ObjectFaultKind.POLICY)):
        item = decode_document(encode_document(fault_item(fault)), FaultItem)
        assert object_fault(item) == fault


def test_an_event_is_one_line_of_data_whatever_its_texts() -> None:
    spec = replace(SPEC, description="a\nb\r\n\ndata: x\u2028")
    lines = encode_event(job_item(replace(ROW, spec=spec), is_running=True)).split(b"\n")
    assert [line.partition(b":")[0] for line in lines] == [b"event", b"data", b"", b""]
    assert b"\r" not in b"".join(lines)
