"""Errors of the operating system as casync's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from casync.errors import NoSpaceError
from casync.fs.os_errors import free_bytes, writing


def full(path: Path, need: int = 0) -> str:
    """What is said when a disk is full."""
    with pytest.raises(NoSpaceError) as caught, writing(path, need):
        Path("/dev/full").write_bytes(b"x")
    return caught.value.message


def test_what_is_needed_is_left_out_if_it_is_not_known(tmp_path: Path) -> None:
    assert re.fullmatch(rf"no space on {tmp_path}: \S+ \w+ free", full(tmp_path))
    assert ": 1.00 EiB needed, " in full(tmp_path, 1 << 60)


def test_free_space_of_what_is_yet_to_be_made_is_that_of_its_disk(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "folder" / "in" / "another")
    assert ": 0 B free" not in full(tmp_path / "folder" / "in" / "another")
