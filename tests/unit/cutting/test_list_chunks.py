"""Listing a file gives the chunks that preparing it stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.access.outline import open_outline
from casync.access.progress import SILENT
from casync.cutting.list_chunks import NotedChunks, list_chunks
from casync.errors import NotFoundError
from casync.fs.source.file import FileSource
from casync.ids import ChunkId
from casync.limits import KIB, MIB
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.objects.leaves import LeafCursor
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.memory import MemoryStore
from tests.support.pulling import noise

SMALL = ChunkerParams(4 * KIB, 16 * KIB, 64 * KIB)


def listed(path: Path, params: ChunkerParams) -> list[tuple[int, bytes, int]]:
    found: list[tuple[int, bytes, int]] = []

    def note(offset: int, ident: ChunkId, length: int) -> None:
        found.append((offset, ident, length))

    list_chunks(path, params, NotedChunks(params, note), SILENT)
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
    chunks = LeafCursor(known.content, known.node).chunks(0, known.length)
    solid = [(offset, *record) for offset, record in chunks if not known.is_hole(*record)]
    assert listed(path, SMALL) == solid


def test_a_missing_file_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        listed(tmp_path / "nothing", DEFAULT_PARAMS)
