"""Prepare does not read files that the store remembers unchanged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from casync.fs.source.file import FileSource, Hole
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name
from casync.objects.chunker import ChunkerParams
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.prepared import Prepared
from casync.store.base import Batch, ManifestState, ObjectStore
from casync.store.memory import MemoryStore
from tests.support.preparing import PARAMS, content_of, hash_of, noise, wait_for_a_tick

LENGTH = 300_000
SMALL = PrepareOptions(params=PARAMS, name=Name("disk"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(noise(LENGTH))
    return path


class Unread(FileSource):
    """A file that last changed long ago, and must not be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, clock=lambda: path.stat().st_ctime_ns + 10**10)

    def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
        raise AssertionError("read")


class Settled(FileSource):
    """A file that last changed long ago."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, clock=lambda: path.stat().st_ctime_ns + 10**10)


class Fresh(FileSource):
    """A file that changed just now."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, clock=lambda: path.stat().st_ctime_ns + 10**9)


def take(
    kind: Callable[[Path], FileSource],
    path: Path,
    store: ObjectStore,
    options: PrepareOptions = SMALL,
) -> Prepared:
    with kind(path) as source:
        return prepare(source, store, options)


def test_an_unchanged_file_is_not_read(store: MemoryStore, path: Path) -> None:
    first = take(Settled, path, store)
    again = take(Unread, path, store)
    assert again.unchanged
    assert not first.unchanged
    assert (again.manifest, again.length) == (first.manifest, LENGTH)
    assert again.name == first.name


def test_an_unchanged_file_still_gets_its_name(store: MemoryStore, path: Path) -> None:
    take(Settled, path, store, PrepareOptions(params=PARAMS))
    assert list(store.names()) == []
    done = take(Unread, path, store, PrepareOptions(params=PARAMS, name=Name("other")))
    assert done.name is not None
    assert [record.manifest for record in store.history(Name("other"))] == [done.manifest]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(PrepareOptions(params=PARAMS, reread=True), id="reread"),
        pytest.param(PrepareOptions(params=ChunkerParams(64, 256, 1024)), id="other sizes"),
    ],
)
def test_reread_and_other_chunk_sizes_read_the_file(
    store: MemoryStore, path: Path, options: PrepareOptions
) -> None:
    take(Settled, path, store)
    done = take(Settled, path, store, options)
    assert not done.unchanged
    assert done.manifest == hash_of(noise(LENGTH), options.params)


def test_a_digest_is_computed_even_of_an_unchanged_file(store: MemoryStore, path: Path) -> None:
    take(Settled, path, store)
    with pytest.raises(AssertionError, match="read"):
        take(Unread, path, store, PrepareOptions(params=PARAMS, expect_sha256=bytes(32)))


def test_a_recently_changed_file_is_read_again(store: MemoryStore, path: Path) -> None:
    take(Fresh, path, store)
    (row,) = store.remembered()
    assert not row.settled
    assert not take(Settled, path, store).unchanged
    assert take(Unread, path, store).unchanged


def test_a_file_that_changed_since_is_read(store: MemoryStore, path: Path) -> None:
    take(Settled, path, store)
    times = path.stat()
    wait_for_a_tick(path)
    path.write_bytes(noise(LENGTH, 1))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    done = take(Settled, path, store)
    assert not done.unchanged
    assert done.manifest == hash_of(noise(LENGTH, 1))
    assert [row.manifest for row in store.remembered()] == [done.manifest]


def test_a_file_known_only_in_outline_is_read(store: MemoryStore, path: Path) -> None:
    take(Settled, path, store)
    (row,) = store.remembered()
    (chunk,) = store.get(Kind.MANIFEST, [ManifestId(row.manifest)])
    other = MemoryStore()
    other.commit(
        Batch(
            objects=[chunk],  # type: ignore[list-item]
            manifests=[(ManifestId(row.manifest), ManifestState.OUTLINE, LENGTH)],
            remember=[row],
        )
    )
    done = take(Settled, path, other)
    assert not done.unchanged
    assert content_of(other, done.manifest) == noise(LENGTH)


def test_a_manifest_that_cannot_be_read_is_made_again(path: Path) -> None:
    class Rotten(MemoryStore):
        rotten = False

        def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[object]:  # type: ignore[override]
            for answer in super().get(kind, ids):
                yield answer._replace(payload=b"?") if self.rotten else answer  # type: ignore[union-attr]

    store = Rotten()
    take(Settled, path, store)  # type: ignore[arg-type]
    store.rotten = True
    done = take(Settled, path, store)  # type: ignore[arg-type]
    assert not done.unchanged


def test_standard_input_that_is_a_file_counts_as_that_file(store: MemoryStore, path: Path) -> None:
    take(Settled, path, store)
    with path.open("rb") as file:
        source = FileSource(Path("standard input"), descriptor=file.fileno())
        with source:
            assert prepare(source, store, SMALL).unchanged
