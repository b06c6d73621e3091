"""Half-fetched objects: the chunks up to the last cut that was committed.

The chunker's state is empty at a cut, so fetching goes on there if the source proves that the
object is still the same. The chunks are stored part by part, as they are committed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from casync.errors import MalformedError
from casync.ids import ID_BYTES, Buffer, ChunkId
from casync.jobs.encoding import decode, encode
from casync.jobs.validators import Validators
from casync.limits import MAX_CHUNK_SIZE

__all__ = [
    "FetchedPart",
    "HalfFetched",
    "decode_part",
    "encode_part",
    "half_fetched",
    "pack_chunks",
]

_CHUNK: Final = struct.Struct(f"<{ID_BYTES}sI")


class FetchedPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """The next chunks of an object, from one commit.

    Attributes:
        validators: What the source said about the object; the same in all of its parts.
        size: Its size in bytes, or None if the source does not say it.
        chunks: The chunks, 36 bytes each: id, and length as u32, little-endian.
    """

    validators: Validators
    size: Annotated[int, msgspec.Meta(ge=0)] | None
    chunks: bytes

    def __post_init__(self) -> None:
        """Refuses chunks that cannot be: the length of each is bounded."""
        if len(self.chunks) % _CHUNK.size:
            raise ValueError("a part of a chunk record")
        if not all(0 < length <= MAX_CHUNK_SIZE for _, length in _CHUNK.iter_unpack(self.chunks)):
            raise ValueError("the length of a chunk is out of bounds")

    def ids(self) -> list[ChunkId]:
        """The ids of the chunks, in order."""
        return [ChunkId(ident) for ident, _ in _CHUNK.iter_unpack(self.chunks)]


@dataclass(frozen=True, slots=True)
class HalfFetched:
    """An object up to its last committed cut. Its chunks stay where they are until they are read.

    Attributes:
        validators: What the source said about it.
        size: Its size in bytes, or None if the source does not say it.
        offset: Bytes up to the last cut, where fetching goes on.
        read: Reads its parts again.
    """

    validators: Validators
    size: int | None
    offset: int
    read: Callable[[], Iterable[FetchedPart]] = field(compare=False, repr=False)

    @property
    def chunks(self) -> Iterator[tuple[ChunkId, int]]:
        """Ids and lengths of its chunks, in order."""
        for part in self.read():
            for ident, length in _CHUNK.iter_unpack(part.chunks):
                yield ChunkId(ident), length


def pack_chunks(chunks: Iterable[tuple[ChunkId, int]]) -> bytes:
    """Ids and lengths of chunks as records of 36 bytes."""
    return b"".join([_CHUNK.pack(ident, length) for ident, length in chunks])


def half_fetched(read: Callable[[], Iterable[FetchedPart]]) -> HalfFetched | None:
    """Joins the parts of an object; None if there are none. Holds one part at a time.

    Args:
        read: Reads the parts, each time from the first on.

    Raises:
        MalformedError: They are parts of different states of it.
    """
    first = None
    offset = 0
    for part in read():
        first = first or part
        if (part.validators, part.size) != (first.validators, first.size):
            raise MalformedError("parts of a half-fetched object are of different states of it")
        offset += sum(length for _, length in _CHUNK.iter_unpack(part.chunks))
    if first is None:
        return None
    if first.size is not None and offset > first.size:
        raise MalformedError("a half-fetched object is longer than the object")
    return HalfFetched(first.validators, first.size, offset, read)


def encode_part(part: FetchedPart) -> bytes:
    """The bytes of a part."""
    return encode(part)


def decode_part(data: Buffer) -> FetchedPart:
    """Reads a part; MalformedError if it is not one."""
    return decode(data, FetchedPart)
