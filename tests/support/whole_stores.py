"""Stores with a row of every kind, and storages that die, for tests of copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from casync.bucket.storage import ObjectStorage
from casync.ids import Kind, ManifestId, chunk_id
from casync.jobs.origin import Origin
from casync.names.name import parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.names.signing import SigningKey
from casync.objects.codec import Packer
from casync.objects.node import Content
from casync.ops.trust import sign_next
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch, ManifestState
from casync.store.bucket.store import BucketStore
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise
from tests.support.small_store import content

__all__ = ["KINDS", "Places", "fill_all", "put_content"]

KINDS: Final = ("disk", "bucket")
FULL: Final = ManifestState.FULL


class Places:
    """Opens stores of each kind, below a folder.

    Args:
        folder: The folder.
        storages: Makes the storage of a bucket, by its name.
    """

    def __init__(self, folder: Path, storages: Callable[[str], ObjectStorage]) -> None:
        self._folder = folder
        self._storages = storages
        self._buckets: dict[str, ObjectStorage] = {}
        self._hosts = 0

    @contextmanager
    def open(
        self,
        kind: str,
        name: str,
        around: Callable[[ObjectStorage], ObjectStorage] = lambda storage: storage,
    ) -> Iterator[LmdbStore]:
        """Opens a store on disk, or in a bucket on one more host.

        Args:
            kind: One of `KINDS`.
            name: Which one.
            around: Wraps the bucket.
        """
        if kind == "disk":
            with LmdbStore.open(self._folder / name, create=True) as store:
                yield store
            return
        bucket = self._buckets.setdefault(name, self._storages(name))
        self._hosts += 1
        tables = self._folder / f"host{self._hosts}"
        with BucketStore.open_bucket(around(bucket), tables, create=True, grace=0) as bucket_store:
            yield bucket_store


def put_content(store: LmdbStore, plains: Sequence[bytes], *names: str) -> ManifestId:
    """Stores a content of these chunks, packed at another level than is usual."""
    ident, packed = content(list(plains))
    packer = Packer(19)
    objects = [
        packer.pack(item.kind, item.id, plain) for item, plain in zip(packed, plains, strict=False)
    ]
    store.commit(
        Batch(
            objects=[*objects, *packed[len(objects) :]],
            manifests=[(ident, FULL, sum(map(len, plains)))],
            names=[NameUpdate(parse_name(name), ident) for name in names],
        )
    )
    return ident


def fill_all(store: LmdbStore) -> None:
    """Fills a store with what a copy must carry."""
    shared = [noise(900 + n, n) * 2 for n in range(200)]
    for version in range(3):
        shared[version * 7] = noise(500, 1000 + version)
        ident = put_content(store, shared, "vm", f"vm/{version}")
    store.set_name(sign_next(SigningKey.new(), parse_name("signed"), ident, store, now=1))
    put_content(store, [b"no name"])
    put_content(store, [b"archive"], "archive")
    _put_index(store, chunk_id(b"archive"))
    for name in ("removed", "gone", "twice"):
        put_content(store, [name.encode()], name)
    put_content(store, [b"twice again"], "twice")
    store.remove([parse_ref("gone")])
    for _ in range(2):
        collect(store, CollectOptions(window=0))  # nothing of `gone` is left but its number
    store.remove([parse_ref("removed"), parse_ref("twice@1"), parse_ref("vm@2")])
    own = parse_name("vm/2")
    origin = Origin("https://host", "key", ident, 9)
    store.commit(Batch(names=[NameUpdate(own, ident)], origins=[(own, origin)]))
    store.set_quota(10_000_000)


def _put_index(store: LmdbStore, archive: bytes) -> None:
    """Says that a content with a node is the index of an archive."""
    plains = [noise(300, 50), noise(301, 51)]
    objects = [item for item in content(plains)[1] if item.kind is not Kind.MANIFEST]
    index = Content(1, objects[-1].id, sum(map(len, plains)))
    store.commit(Batch(objects=objects, member_indexes=[(archive, index)]))
