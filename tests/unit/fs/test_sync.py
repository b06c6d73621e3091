"""Settling files of an earlier run. tests/crash checks that they are durable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casync.errors import WriteError
from casync.fs.sync import settle_file, sync_folder


def test_a_read_only_file_is_settled(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"there")
    path.chmod(0o400)
    settle_file(path)
    assert path.read_bytes() == b"there"


def test_settling_a_missing_file_fails(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot write"):
        settle_file(tmp_path / "file")


def test_a_folder_that_cannot_be_synced_is_accepted() -> None:
    reading, writing = os.pipe()  # fails with EINVAL, as folders of some file systems do
    try:
        sync_folder(reading)
    finally:
        os.close(reading)
        os.close(writing)
