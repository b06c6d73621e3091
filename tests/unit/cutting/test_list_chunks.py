"""Listing a file gives the chunks that preparing it stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.access.outline import open_outline
from casync.access.progress import SILENT
from casync.cutting.list_chunks import list_chunks
from casync.errors import NotFoundError
from casync.fs.source.file import FileSource
from casync.ids import ChunkId
from casync.limits import KIB, MIB
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.pull.seeds import chunks_of
from casync.store.memory import MemoryStore
from tests.support.pulling import noise

SMALL = ChunkerParams(4 * KIB, 16 * KIB, 64 * KIB)


def listed(path: Path, params: ChunkerParams, most: int = 1 << 30) -> list[tuple[int, bytes, int]]:
    found: list[tuple[int, bytes, int]] = []

    def note(offset: int, ident: ChunkId, length: int) -> bool:
        found.append((offset, ident, length))
        return len(found) < most

    list_chunks(path, params, note, SILENT)
    return found


def sparse_file(path: Path, data: bytes, hole: int) -> Path:
    with path.open("wb") as file:
        file.write(data)
        file.seek(hole, 1)
        file.write(data[: len(data) // 2])
    return path


@pytest.mark.parametrize("size", [0, 100, 3 * MIB, 48 * MIB], ids=str)
def test_listed_chunks_are_those_of_the_manifest(size: int, tmp_path: Path) -> None:
    path = sparse_file(tmp_path / "old", noise(size, size), 5 * MIB)
    store = MemoryStore()
    with FileSource(path) as source:
        prepared = prepare(source, store, PrepareOptions(params=SMALL))
    known = open_outline(prepared.manifest, store)
    assert listed(path, SMALL) == [tuple(chunk) for chunk in chunks_of(known)]


@pytest.mark.parametrize("size", [3 * MIB, 48 * MIB], ids=str)
def test_a_listing_ends_when_the_caller_stops_it(size: int, tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(noise(7, size))
    everything = listed(path, SMALL)
    assert listed(path, SMALL, 10) == everything[:10]


def test_a_missing_file_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        listed(tmp_path / "nothing", DEFAULT_PARAMS)
