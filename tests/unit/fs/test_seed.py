"""Seeds are files like any other: many, vanishing, unreadable, huge."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from casync.errors import UsageError
from casync.fs import seed
from casync.fs.seed import SeedFile, SeedIndex, expand_seed_path
from casync.ids import chunk_id


def test_a_folder_of_many_seeds_needs_few_descriptors(tmp_path: Path) -> None:
    index = SeedIndex()
    before = len(os.listdir("/proc/self/fd"))
    contents = [str(number).encode() * 10 for number in range(300)]
    for number, data in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(data)
        index.add(SeedFile(path), [(0, chunk_id(data), len(data))])
    assert len(os.listdir("/proc/self/fd")) - before < 100
    for data in contents:
        found = index.find(chunk_id(data))
        assert found is not None
        assert found[0].read(found[1], len(data)) == data
    index.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_index_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed, "_MAX_CHUNKS", 3)
    ids = [chunk_id(bytes([number])) for number in range(5)]
    with closing(SeedIndex()) as index:
        for name in ("first", "second"):
            (tmp_path / name).write_bytes(b"01234")
        index.add(SeedFile(tmp_path / "first"), [(n, ids[n], 1) for n in range(2)])
        index.add(SeedFile(tmp_path / "second"), [(n, ids[n], 1) for n in range(2, 5)])
        found = [index.find(ident) for ident in ids]
    places = [(place[0].path.name, place[1]) for place in found if place]
    assert places == [("first", 0), ("first", 1), ("second", 2)]
    assert found[3:] == [None, None]


@pytest.mark.parametrize("name", ["missing", "x" * 300, "nul\0byte", "file/below"])
def test_what_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="no such seed"):
        list(expand_seed_path(tmp_path / name))


def test_a_folder_stands_for_its_regular_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").touch()
    (tmp_path / "link").symlink_to("below/file")
    os.mkfifo(tmp_path / "pipe")
    assert list(expand_seed_path(tmp_path)) == [tmp_path / "below" / "file"]
