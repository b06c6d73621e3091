"""The moment of a staging folder tells which files cannot change without a new time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from casync.fs.scan_cache import SETTLED_NS
from casync.fs.target.staging import Moment, Staging

_NOW = 10**18


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with closing(Staging(root, tmp_path)) as staging:
            yield staging
    finally:
        os.close(root)


def _changed_at(path: Path, ns: int) -> os.stat_result:
    return os.stat_result(
        tuple(path.stat())[:10], {"st_atime_ns": 0, "st_mtime_ns": 0, "st_ctime_ns": ns}
    )


def test_all_changes_before_it_have_earlier_times(tmp_path: Path, staging: Staging) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    moment = staging.moment()
    assert moment.is_after(path.stat())
    path.write_bytes(b"new")
    assert not moment.is_after(path.stat())
    assert os.listdir(staging.fd) == []


def test_without_room_for_a_file_it_is_after_nothing(tmp_path: Path, staging: Staging) -> None:
    before = staging.fd
    staging.fd = os.open(os.devnull, os.O_RDONLY)
    moment = staging.moment()
    os.close(staging.fd)
    staging.fd = before
    assert not moment.is_after(tmp_path.stat())


def test_a_change_at_the_moment_itself_may_be_followed_by_others(tmp_path: Path) -> None:
    moment = Moment(tmp_path.stat().st_dev, _NOW)
    assert moment.is_after(_changed_at(tmp_path, _NOW - 1))
    assert not moment.is_after(_changed_at(tmp_path, _NOW))


def test_the_clock_of_another_file_system_may_be_slow(tmp_path: Path) -> None:
    moment = Moment(tmp_path.stat().st_dev + 1, _NOW)
    assert moment.is_after(_changed_at(tmp_path, _NOW - SETTLED_NS - 1))
    assert not moment.is_after(_changed_at(tmp_path, _NOW - SETTLED_NS))
