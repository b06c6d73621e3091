"""Secrets lie in files of their own that only their owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from casync.errors import UsageError
from casync.fs.secret import exposure, new_secret


def test_a_new_secret_is_for_its_owner_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with new_secret(tmp_path / "key") as stream:
            stream.write(b"secret")
    finally:
        os.umask(before)
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_secret_replaces_nothing_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "key").symlink_to("victim")
    for name in ("victim", "key"):
        with pytest.raises(UsageError, match="there already"), new_secret(tmp_path / name):
            pass
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_secret_that_could_not_be_made_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no"), new_secret(tmp_path / "key"):
        raise UsageError("no")
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_any_user_may_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert exposure(path) == ""
    path.write_bytes(b"secret")
    for mode, exposed in ((0o600, False), (0o640, False), (0o644, True), (0o602, True)):
        path.chmod(mode)
        assert bool(exposure(path)) is exposed
