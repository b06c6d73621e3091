"""A small store with every kind of object, for tests that break it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from casync.fs.identity import FileIdentity
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, parse_name
from casync.names.name_update import NameUpdate
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.codec import Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import NodeBuilder, Run
from casync.store.base import Batch, ManifestState, RememberedFile
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise, pack


class SmallStore(NamedTuple):
    """What `fill` put into a store.

    Attributes:
        objects: All of them, packed.
        manifests: Full manifests, each with all that it needs, itself included.
        history: The manifests that each name has pointed to.
    """

    objects: dict[tuple[Kind, ObjectId], Verified]
    manifests: dict[ManifestId, set[tuple[Kind, ObjectId]]]
    history: dict[Name, list[ManifestId]]


def fill(path: Path, *, versions: int = 3, chunks: int = 150, size: int = 3000) -> SmallStore:
    """Makes a store with a few versions of a file that share most of their chunks."""
    small = SmallStore({}, {}, {})
    label = parse_name("images/disk")
    plains = [noise(1 + random.Random(n).randrange(size), n) for n in range(chunks)]
    with LmdbStore.open(path, create=True) as store:
        for version in range(versions):
            for place in range(3):
                plains[(version * 31 + place * 7) % chunks] = noise(
                    size, 10**6 + version * 10 + place
                )
            ident, packed = content(plains)
            keys = {(item.kind, item.id) for item in packed}
            small.objects.update({(item.kind, item.id): item for item in packed})
            small.manifests[ident] = keys
            own = parse_name(f"versions/{version}")
            small.history.setdefault(label, []).append(ident)
            small.history[own] = [ident]
            store.commit(
                Batch(
                    objects=packed,
                    manifests=[(ident, ManifestState.FULL, sum(map(len, plains)))],
                    names=[NameUpdate(label, ident), NameUpdate(own, ident)],
                    remember=[
                        RememberedFile(
                            b"/disk%d" % version, FileIdentity(1, version, 3, 4, 5), ident, True
                        )
                    ],
                )
            )
    return small


def content(plains: list[bytes]) -> tuple[ManifestId, list[Verified]]:
    """The manifest of some chunks, and everything that it needs."""
    packed = [pack(plain) for plain in plains]
    builder = NodeBuilder(lambda _, data: packed.append(pack(data, Kind.NODE)))
    for item in packed[: len(plains)]:
        builder.add(Run(item.id, item.length, 1))
    manifest = pack(
        encode_manifest(Manifest("file", DEFAULT_PARAMS, builder.finish())), Kind.MANIFEST
    )
    return ManifestId(manifest.id), [*packed, manifest]
