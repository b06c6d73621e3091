"""`--reread` mends what is damaged in the store, from the input."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from casync.fs.scan import Scan
from casync.fs.source.file import StreamSource
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.codec import Packed, Verified
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.folder import prepare_tree
from casync.ops.upkeep.verify import verify
from casync.store.base import Absence, Batch, ObjectStore
from casync.store.memory.store import MemoryStore
from tests.support.preparing import content_of, noise
from tests.support.tree_worlds import PARAMS

pytestmark = pytest.mark.stores("memory", "lmdb")

DATA = noise(300_000, 1)
KINDS = [Kind.CHUNK, Kind.NODE, Kind.MANIFEST]


def spoil(store: ObjectStore, kind: Kind) -> None:
    """Damages every second object of a kind."""
    for number, ident in enumerate([*store.objects(kind)]):
        if number % 2 == 0:
            store.commit(Batch(mended=[Verified.encoded(kind, ident, 9, b"\0not it")]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_mends_its_objects(store: ObjectStore, kind: Kind, workers: int) -> None:
    how = PrepareOptions(params=PARAMS, workers=workers, reread=True)
    first = prepare(StreamSource(io.BytesIO(DATA), "a"), store, how)
    spoil(store, kind)
    assert verify(store).faults != []
    prepare(StreamSource(io.BytesIO(DATA), "a"), store, how)
    assert verify(store).faults != []
    how = PrepareOptions(params=PARAMS, workers=workers, reread=True, mend=True)
    again = prepare(StreamSource(io.BytesIO(DATA), "a"), store, how)
    assert again.manifest == first.manifest
    assert verify(store).faults == []
    assert content_of(store, again.manifest) == DATA
    assert prepare(StreamSource(io.BytesIO(DATA), "a"), store, how).new == 0


class Far(MemoryStore):
    """A store behind a network."""

    commits_at_once = 3
    read = 0

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        self.read += kind is Kind.CHUNK
        return super().get(kind, ids)


def test_a_store_behind_a_network_is_not_fetched_to_be_mended() -> None:
    store = Far()
    how = PrepareOptions(params=PARAMS, workers=1, reread=True, mend=True)
    prepare(StreamSource(io.BytesIO(DATA), "a"), store, how)
    assert prepare(StreamSource(io.BytesIO(DATA), "a"), store, how).new == 0
    assert store.read == 0


def prepared(folder: Path, store: ObjectStore) -> ManifestId:
    how = PrepareOptions(params=PARAMS, workers=1, reread=True, mend=True)
    return prepare_tree(
        folder, Scan(folder, excluded=lambda path, is_folder: False), store, how
    ).manifest


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_mends_its_objects(store: ObjectStore, kind: Kind, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "d").mkdir(parents=True)
    for name in ("small", "d/other", "large"):
        (folder / name).write_bytes(noise(400_000 if name == "large" else 9_000, len(name)))
    first = prepared(folder, store)
    spoil(store, kind)
    assert prepared(folder, store) == first
    assert verify(store).faults == []
