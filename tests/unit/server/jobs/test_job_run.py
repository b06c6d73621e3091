"""Jobs leave room on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from casync_server.jobs.job_run import check_room

from casync.errors import NoSpaceError
from casync.store.lmdb.store import LmdbStore


def test_a_job_stores_nothing_when_the_disk_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        check_room(store, 0)
        disk = os.statvfs(store.path)
        full = os.statvfs_result((*disk[:4], 0, *disk[5:]))
        monkeypatch.setattr(os, "statvfs", lambda _: full)
        check_room(store, 0)
        with pytest.raises(NoSpaceError, match="are free on the disk"):
            check_room(store, 2**62)
