"""Deltas: objects packed against others that the receiver already has.

A group is the wanted objects, in order, and its bases: objects of the same kind that the client
holds and expects to be similar, if there are any. The answer is one zstd frame of all wanted bytes,
with the bytes of the bases as its dictionary. The receiver decodes it and proves each object.

As in `casync.objects.codec`, the frame's claims are compared with the expected values before a byte
is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, overload

import zstandard

from casync.errors import MalformedError
from casync.ids import Buffer, Kind, ObjectId, object_id
from casync.limits import MAX_GROUP_BYTES, ZSTD_WINDOW_BYTES
from casync.objects.node import encoded_size

__all__ = ["Delta", "Group", "Singles", "pack_group", "unpack_group", "wanted_ids"]

_LEVEL: Final = {Kind.CHUNK: 3, Kind.NODE: 9, Kind.MANIFEST: 9}
"""zstd levels: chunks are many bytes and need speed, nodes are few bytes and deserve ratio."""

_MIN_HASH_LOG: Final = 17
"""Entries of the hash table that finds matches in the bases, as a power of two."""


class Group(NamedTuple):
    """Ids of one kind.

    Attributes:
        wanted: The requested objects.
        bases: Objects that the client holds, to serve as a dictionary.
    """

    wanted: Sequence[ObjectId]
    bases: Sequence[ObjectId] = ()

    @property
    def is_single(self) -> bool:
        """Whether it is one object without bases, to be sent as it is."""
        return len(self.wanted) == 1 and not self.bases


@dataclass(frozen=True, slots=True)
class Singles(Sequence[Group]):
    """Groups of one object each, without bases.

    Nearly all requests consist of them, so a group is made only when it is looked at.

    Attributes:
        ids: The objects.
    """

    ids: Sequence[ObjectId]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Group: ...

    @overload
    def __getitem__(self, index: slice) -> Singles: ...

    def __getitem__(self, index: int | slice) -> Group | Singles:
        if isinstance(index, slice):
            return Singles(self.ids[index])
        return Group((self.ids[index],))


def wanted_ids(groups: Sequence[Group]) -> Sequence[ObjectId]:
    """The wanted ids of all groups, in order."""
    if isinstance(groups, Singles):
        return groups.ids
    return [ident for group in groups for ident in group.wanted]


class Delta(NamedTuple):
    """The answer to a group. Unproved: the ids are what the sender claims.

    Attributes:
        kind: Kind of the objects.
        ids: All ids that the group wanted.
        length: Plain bytes of all objects together, as the frame claims.
        payload: The frame.
    """

    kind: Kind
    ids: Sequence[ObjectId]
    length: int
    payload: bytes


def pack_group(
    kind: Kind, ids: Sequence[ObjectId], wanted: Sequence[Buffer], bases: Sequence[Buffer]
) -> Delta:
    """Packs the plain bytes of a group: at most `MAX_GROUP_BYTES`, bases included."""
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
        delta: The answer.
        bases: The bytes of the group's bases, in the order of the request.
        lengths: Plain bytes of each object; None for nodes, whose headers give their lengths.

    Returns:
        The objects whose bytes match their ids. The others were sent wrong.

    Raises:
        MalformedError: The payload is not one frame of that length, or needs too large a window.
    """
    total = delta.length if lengths is None else sum(lengths)
    payload = delta.payload
    try:
        frame = zstandard.get_frame_parameters(payload)
        if frame.content_size != total or total > MAX_GROUP_BYTES:
            raise MalformedError("delta whose size differs from that of its group")
        if frame.window_size > ZSTD_WINDOW_BYTES or frame.dict_id:
            raise MalformedError("delta with an unexpected window or dictionary")
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
