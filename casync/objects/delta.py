"""Deltas: objects packed together against others that the receiver has already.

A group is what is wanted, in order, and its bases: objects of the same kind that the asker holds
and takes to be alike, if there are any. The answer is one zstd frame of all wanted bytes, with the
bytes of the bases as its dictionary. Nothing of it can be kept as it is; what comes out is proved
object by object. Must not know how groups are found or how they travel.

As in `casync.objects.codec`, what the frame claims is compared with what is wanted before a byte is
decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import zstandard

from casync.errors import MalformedError
from casync.ids import Buffer, Kind, ObjectId, object_id
from casync.limits import MAX_GROUP_BYTES, ZSTD_WINDOW_BYTES
from casync.objects.node import encoded_size

__all__ = ["Delta", "Group", "pack_group", "singles", "unpack_group"]

_LEVEL: Final = {Kind.CHUNK: 3, Kind.NODE: 9, Kind.MANIFEST: 9}
"""zstd levels: many bytes of chunks must be packed fast, few bytes of nodes well."""

_MIN_HASH_LOG: Final = 17
"""Entries of the table that finds the bases, as a power of two."""


class Group(NamedTuple):
    """Ids of one kind.

    Attributes:
        wanted: What is asked for.
        bases: What the asker holds and would have as a dictionary.
    """

    wanted: Sequence[ObjectId]
    bases: Sequence[ObjectId] = ()

    @property
    def is_single(self) -> bool:
        """Whether it is one object, to be sent as it is."""
        return len(self.wanted) == 1 and not self.bases


def singles(ids: Iterable[ObjectId]) -> list[Group]:
    """Groups that ask for objects as they are."""
    return [Group((ident,)) for ident in ids]


class Delta(NamedTuple):
    """What a group got. Nobody has proved yet that it holds the bytes that the ids name.

    Attributes:
        kind: What the objects are.
        ids: All that the group wanted.
        length: Plain bytes of them together, as the frame claims.
        payload: The frame.
    """

    kind: Kind
    ids: Sequence[ObjectId]
    length: int
    payload: bytes


def pack_group(
    kind: Kind, ids: Sequence[ObjectId], wanted: Sequence[Buffer], bases: Sequence[Buffer]
) -> Delta:
    """Packs the plain bytes of a group, `MAX_GROUP_BYTES` at most with its bases."""
    plain, words = b"".join(wanted), b"".join(bases)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL[kind], source_size=len(plain), dict_size=len(words), write_content_size=True
    )
    zstd = zstandard.ZstdCompressor(dict_data=_dictionary(words), compression_params=parameters)
    return Delta(kind, ids, len(plain), zstd.compress(plain))


def unpack_group(
    delta: Delta, bases: Sequence[Buffer], lengths: Sequence[int] | None = None
) -> list[tuple[ObjectId, bytes]]:
    """Decodes a group.

    Args:
        delta: What came.
        bases: The bytes of the bases, as they were asked with.
        lengths: Plain bytes of each object; None for nodes, which say how long they are.

    Returns:
        Those objects that were proved to be what their ids name. The others were sent wrong.

    Raises:
        MalformedError: It is not one frame of that length, or needs more than it may.
    """
    total = delta.length if lengths is None else sum(lengths)
    payload = delta.payload
    try:
        frame = zstandard.get_frame_parameters(payload)
        if frame.content_size != total or total > MAX_GROUP_BYTES:
            raise MalformedError("delta whose size is not that of its group")
        if frame.window_size > ZSTD_WINDOW_BYTES or frame.dict_id:
            raise MalformedError("delta with another window or dictionary than was agreed")
        zstd = zstandard.ZstdDecompressor(
            dict_data=_dictionary(b"".join(bases)), max_window_size=ZSTD_WINDOW_BYTES
        )
        plain = zstd.decompress(payload, max_output_size=total, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedError(f"broken delta: {error}") from error
    proved: list[tuple[ObjectId, bytes]] = []
    start = 0
    for number, ident in enumerate(delta.ids):
        end = start + (encoded_size(plain, start) if lengths is None else lengths[number])
        part = plain[start:end]
        if object_id(delta.kind, part) == ident:
            proved.append((ident, part))
        start = end
    return proved


def _dictionary(words: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(words, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
