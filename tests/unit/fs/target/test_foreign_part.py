"""Part files of other users are neither resumed nor in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casync.errors import WriteError
from casync.fs.target.base import Sink, open_sink
from casync.fs.target.part import part_name
from casync.fs.target.place import inspect_place
from tests.support.rights import needs_root

NEW = bytes(range(256)) * 40
OTHER_USER = 12345


def sink_at(path: Path) -> Sink:
    return open_sink(inspect_place(path, in_place=False), len(NEW))


def part_of(path: Path) -> Path:
    return path.with_name(part_name(path.name))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@needs_root
@pytest.mark.parametrize("has_target", [False, True])
def test_a_part_file_of_another_user_is_begun_anew(target: Path, has_target: bool) -> None:
    part = part_of(target)
    part.write_bytes(NEW)
    part.chmod(0o600)
    os.chown(part, OTHER_USER, OTHER_USER)
    if has_target:
        target.write_bytes(b"old")
        os.chown(target, OTHER_USER, OTHER_USER)
    with part.open("r+b") as theirs, sink_at(target) as sink:
        assert not sink.resumed
        theirs.write(b"evil")
        theirs.flush()
        assert sink.read(0, 4) == bytes(4)
        assert part.stat().st_uid == 0


@needs_root
def test_a_part_file_that_cannot_be_removed_is_in_the_way(target: Path) -> None:
    part = part_of(target)
    part.write_bytes(b"theirs")
    part.chmod(0o600)
    for path in (target.parent, *target.parent.parents):
        if path.stat().st_mode & 0o077 == 0:
            path.chmod(0o711)
    target.parent.chmod(0o1777)
    os.seteuid(OTHER_USER)
    try:
        with pytest.raises(WriteError, match="belongs to another user"):
            sink_at(target)
    finally:
        os.seteuid(0)
    assert part.read_bytes() == b"theirs"
