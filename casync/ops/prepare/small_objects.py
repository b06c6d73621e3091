"""Small objects of buckets: read whole, cut and named, by any thread."""

from __future__ import annotations

from typing import NamedTuple

from casync.cutting.small_files import SMALL_BYTES, Chunks, cut_small
from casync.errors import SourceChangedError
from casync.objects.chunker import ChunkerParams
from casync.remote.buckets.base import Bucket, Listed

__all__ = ["FolderMarker", "SmallObject", "read_object"]


class SmallObject(NamedTuple):
    """A small object as it was read."""

    listed: Listed
    chunks: Chunks


class FolderMarker(NamedTuple):
    """An empty object whose key ends at a slash: it stands for a folder."""


def read_object(
    bucket: Bucket, listed: Listed, params: ChunkerParams
) -> SmallObject | FolderMarker:
    """Reads and cuts a small object, once more if it changes meanwhile.

    Raises:
        SourceChangedError: It changed again, or is small no more.
        CasyncError: As `Bucket.read`.
    """
    try:
        return _read(bucket, listed, params)
    except SourceChangedError:
        found = bucket.look(listed.key)
        if found is None:
            raise
        return _read(bucket, found, params)


def _read(bucket: Bucket, listed: Listed, params: ChunkerParams) -> SmallObject | FolderMarker:
    if not listed.size:
        found = bucket.look(listed.key)
        if found is None:
            return FolderMarker()
        listed = found
    if listed.size > 2 * SMALL_BYTES:
        raise SourceChangedError(f"{listed.key} grew while it was read")
    data = bucket.read(listed, 0, listed.size) if listed.size else b""
    return SmallObject(listed, cut_small(data, params))
