"""Ids of objects: 32 bytes of BLAKE3, one type per kind.

The id of a chunk is the plain BLAKE3 of its bytes, which `b3sum` prints. Nodes and manifests are
hashed under contexts of their own, so an object of one kind never passes for one of another.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Final, NewType, TypeAlias

from blake3 import blake3

from casync.errors import UsageError

__all__ = [
    "EMPTY_ID",
    "ID_BYTES",
    "Buffer",
    "ChunkId",
    "Kind",
    "ManifestId",
    "NodeId",
    "ObjectId",
    "chunk_id",
    "chunk_ids",
    "manifest_id",
    "node_id",
    "object_id",
    "parse_manifest_id",
    "zero_chunk_id",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

ChunkId = NewType("ChunkId", bytes)
NodeId = NewType("NodeId", bytes)
ManifestId = NewType("ManifestId", bytes)
ObjectId: TypeAlias = ChunkId | NodeId | ManifestId

ID_BYTES: Final = 32

_NODE_CONTEXT: Final = "casync 2026-11-20 node v1"
_MANIFEST_CONTEXT: Final = "casync 2026-11-20 manifest v1"


class Kind(IntEnum):
    """The kind of an object. The value is the byte that records and index rows hold."""

    CHUNK = 1
    NODE = 2
    MANIFEST = 3


def chunk_id(data: Buffer) -> ChunkId:
    """The BLAKE3-256 of `data`."""
    return ChunkId(blake3(data).digest())


def chunk_ids(chunks: Iterable[Buffer]) -> list[ChunkId]:
    """The ids of many chunks, in order."""
    return [ChunkId(blake3(chunk).digest()) for chunk in chunks]


def node_id(data: Buffer) -> NodeId:
    """The BLAKE3-256 of an encoded node, under the node context."""
    return NodeId(blake3(data, derive_key_context=_NODE_CONTEXT).digest())


def manifest_id(data: Buffer) -> ManifestId:
    """The BLAKE3-256 of an encoded manifest, under the manifest context."""
    return ManifestId(blake3(data, derive_key_context=_MANIFEST_CONTEXT).digest())


def object_id(kind: Kind, data: Buffer) -> ObjectId:
    """The id of `data` as an object of `kind`."""
    if kind is Kind.CHUNK:
        return chunk_id(data)
    if kind is Kind.NODE:
        return node_id(data)
    return manifest_id(data)


def parse_manifest_id(text: str) -> ManifestId:
    """Reads the 64 lower-case hex digits that users know as HASH.

    Raises:
        UsageError: `text` is anything else; unicode digits and upper case are refused.
    """
    if len(text) != 2 * ID_BYTES or not set(text) <= set("0123456789abcdef"):
        raise UsageError(f"not a full hash of 64 lower-case hex digits: {text}")
    return ManifestId(bytes.fromhex(text))


@lru_cache(maxsize=64)
def zero_chunk_id(length: int) -> ChunkId:
    """The id of `length` zero bytes: a chunk that is never sent."""
    return chunk_id(bytes(length))


EMPTY_ID: Final = chunk_id(b"")
