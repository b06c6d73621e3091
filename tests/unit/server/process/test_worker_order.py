"""Errors and paths survive the messages between supervisor and worker."""

import os
from pathlib import Path

import pytest
from casync_server.options import ServeOptions, Upstream
from casync_server.process.worker_order import (
    WorkerOrder,
    WorkerReport,
    decode_line,
    encode_line,
    error_of,
    report_error,
)

from casync.errors import CasyncError, NoStoreError


def test_an_error_keeps_its_class() -> None:
    error = NoStoreError("no store at x", next_step="Make one.")
    back = error_of(decode_line(encode_line(report_error(error)), WorkerReport))
    assert type(back) is NoStoreError
    assert (back.message, back.next_step) == (error.message, error.next_step)
    assert type(error_of(WorkerReport(code="of-a-later-version", message="m"))) is CasyncError


def test_paths_need_not_be_text() -> None:
    options = ServeOptions(Path(os.fsdecode(b"/srv/\xff")), upstream=Upstream("http://a:1"))
    order = WorkerOrder(options, {"drain": 1.0}, [3])
    assert decode_line(encode_line(order), WorkerOrder) == order


def test_paths_arrive_absolute() -> None:
    order = WorkerOrder(ServeOptions(Path("s"), audit_log=Path("log")), {}, [])
    arrived = decode_line(encode_line(order), WorkerOrder).options
    assert arrived == ServeOptions(Path("s").absolute(), audit_log=Path("log").absolute())


def test_nonsense_is_an_error_of_ours() -> None:
    with pytest.raises(CasyncError):
        decode_line(b"", WorkerOrder)
