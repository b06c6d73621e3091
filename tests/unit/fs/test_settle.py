"""Making durable what somebody else wrote. That it does is for tests/crash to see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casync.errors import WriteError
from casync.fs.settle import settle_file, sync_folder


def test_a_file_that_may_only_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"there")
    path.chmod(0o400)
    settle_file(path)
    assert path.read_bytes() == b"there"


def test_a_file_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot write"):
        settle_file(tmp_path / "file")


def test_what_cannot_be_synced_is_left_alone() -> None:
    reading, writing = os.pipe()  # refuses with EINVAL, as folders of some file systems do
    try:
        sync_folder(reading)
    finally:
        os.close(reading)
        os.close(writing)
