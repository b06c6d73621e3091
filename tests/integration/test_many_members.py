"""Archives with many members within bounds of memory; `make manymembers` has a million."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from casync.limits import MIB
from tests.large.many_members import read_back, write_tar, write_zip


@pytest.mark.parametrize(("name", "write"), [("a.tar", write_tar), ("a.zip", write_zip)])
def test_many_members_are_listed_read_and_unpacked_within_bounds_of_memory(
    tmp_path: Path, name: str, write: Callable[[Path, int], None]
) -> None:
    """A1, A2, A5"""
    write(tmp_path / name, 30_000)
    read_back(tmp_path / name, 30_000, most=100 * MIB)
