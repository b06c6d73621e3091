"""Stores with every kind of damage."""

from __future__ import annotations

from collections.abc import Callable

from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import Name
from casync.objects.codec import Codec, Packer, Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import Content, NodeBuilder, Run
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.base import Batch, ManifestState, ObjectStore
from tests.support.preparing import PARAMS, chunks, noise, stream

DATA = noise(300_000)


def put(store: ObjectStore, data: bytes, name: str | None = None) -> ManifestId:
    options = PrepareOptions(params=PARAMS, name=Name(name) if name else None)
    return prepare(stream(data), store, options).manifest


def false_chunk(plain: bytes, payload: bytes, codec: Codec = Codec.RAW) -> Verified:
    """What a compressor that fails would have stored for `plain`."""
    return Verified(Kind.CHUNK, chunk_id(plain), codec, len(plain), payload)


def put_content(
    store: ObjectStore, content: Content, *objects: Verified, length: int | None = None
) -> ManifestId:
    """Stores a full manifest of `content`, whether or not its objects are there."""
    packed = Packer().pack_new(Kind.MANIFEST, encode_manifest(Manifest("file", PARAMS, content)))
    ident = ManifestId(packed.id)
    row = (ident, ManifestState.FULL, content.length if length is None else length)
    store.commit(Batch(objects=[*objects, packed], manifests=[row]))
    return ident


def put_nodes(store: ObjectStore, runs: list[Run], lose: Callable[[int], bool]) -> Content:
    """Stores the nodes of `runs` except those to lose, numbered in the order they are made."""
    made: list[Verified] = []
    packer = Packer()
    builder = NodeBuilder(lambda _, data: made.append(packer.pack_new(Kind.NODE, data)))
    for run in runs:
        builder.add(run)
    content = builder.finish()
    store.commit(Batch([item for number, item in enumerate(made) if not lose(number)]))
    return content


ZSTD = bytes(Packer().pack_new(Kind.CHUNK, bytes(5000)).payload)
PLAIN = chunks(DATA)[7]
SPOILT = {
    "other bytes": false_chunk(PLAIN, bytes(len(PLAIN))),
    "too short": false_chunk(PLAIN, PLAIN[:-1]),
    "other frame": false_chunk(PLAIN, ZSTD, Codec.ZSTD),
    "broken frame": false_chunk(PLAIN, ZSTD[:-3], Codec.ZSTD),
    "no frame": false_chunk(PLAIN, b"garbage", Codec.ZSTD),
}
