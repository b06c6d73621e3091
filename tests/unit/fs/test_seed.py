"""Seeds may be many, missing, unreadable or huge."""

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
        place = index.index.find(chunk_id(data))
        assert place is not None
        (((_, plain),),) = index.read([place])
        assert plain is not None
        assert bytes(plain) == data
    index.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_index_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed, "_MAX_CHUNKS", 3)
    ids = [chunk_id(bytes([number])) for number in range(5)]
    with closing(SeedIndex()) as index:
        for name in ("first", "second"):
            (tmp_path / name).write_bytes(bytes(range(5)))
        index.add(SeedFile(tmp_path / "first"), [(n, ids[n], 1) for n in range(2)])
        index.add(SeedFile(tmp_path / "second"), [(n, ids[n], 1) for n in range(2, 5)])
        numbers = [index.index.find(ident) for ident in ids]
        assert numbers == [0, 1, 2, None, None]
        (tmp_path / "first").write_bytes(b"\x00other")
        stretches = list(index.read([2, 0, 1]))
    found = [(place.id, plain) for stretch in stretches for place, plain in stretch]
    assert found == [(ids[2], b"\x02"), (ids[0], b"\x00"), (ids[1], None)]


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
