"""Sorts what lies directly in a folder, with bounded memory where the source lists by entry."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from casync.fs.sorted_rows import SortedRows
from casync.jobs.validators import Validators
from casync.remote.sources.base import Listed, ListsByEntry, RemoteSource, decode_key, encode_key

__all__ = ["sorted_folder"]


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """An object or a prefix."""

    key: bytes
    size: int | None
    validators: Validators
    is_key: bool


def sorted_folder(source: RemoteSource, prefix: str) -> Iterator[Listed]:
    """The objects and prefixes directly below a prefix by key, without the marker of the folder.

    Args:
        source: The source.
        prefix: The prefix.

    Raises:
        NoSpaceError, WriteError: The listing cannot be kept, or read back.
        CasyncError: As `RemoteSource.list_folder`.
    """
    with SortedRows(_Row, _key, "a listing") as rows:
        for listed in _entries(source, prefix):
            if listed.key != prefix:
                rows.add(_Row(encode_key(listed.key), *listed[1:]))
        for row in rows:
            yield Listed(decode_key(row.key), row.size, row.validators, row.is_key)


def _key(row: _Row) -> bytes:
    return row.key


def _entries(source: RemoteSource, prefix: str) -> Iterator[Listed]:
    if isinstance(source, ListsByEntry):
        yield from source.iter_folder(prefix)
        return
    level = source.list_folder(prefix)
    yield from level.objects
    for folder in level.prefixes:
        yield Listed(folder, 0)
