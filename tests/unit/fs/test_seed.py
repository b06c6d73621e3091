"""Seeds may be missing, unreadable or closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casync.errors import UsageError
from casync.fs.seed import SeedFile, expand_seed_path


@pytest.mark.parametrize("name", ["missing", "x" * 300, "nul\0byte", "file/below"])
def test_a_missing_seed_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="no such seed"):
        list(expand_seed_path(tmp_path / name))


def test_a_folder_stands_for_its_regular_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").touch()
    (tmp_path / "link").symlink_to("below/file")
    os.mkfifo(tmp_path / "pipe")
    assert list(expand_seed_path(tmp_path)) == [tmp_path / "below" / "file"]


def test_a_closed_seed_reads_what_its_path_leads_to_now(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"before")
    seed = SeedFile(path)
    path.unlink()
    path.write_bytes(b"after")
    assert seed.read(0, 10) == b"before"
    seed.close()
    assert seed.descriptor is None
    assert seed.read(2, 10) == b"ter"
