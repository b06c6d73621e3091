"""Lists the objects below a prefix in the order of a walk, with bounded memory.

Buckets list keys by their bytes, where `a-b` comes before `a/b`; a tree needs `a` before `a-b`. So
they are sorted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import msgspec

from casync.errors import MalformedError
from casync.fs.scan_cache import walk_key
from casync.fs.sorted_rows import SortedRows
from casync.jobs.validators import Validators
from casync.remote.sources.base import Listed, RemoteSource, decode_key, encode_key

__all__ = ["KeyListing", "Refused", "list_objects"]


class Refused(NamedTuple):
    """A folder that cannot be listed, and the reason."""

    path: bytes
    reason: str


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """An object, with its path below the prefix as a key that sorts in the order of a walk."""

    order: bytes
    key: bytes
    size: int | None
    validators: Validators


class KeyListing:
    """Objects below one prefix. Use in a with block: fill it, then iterate it once.

    Args:
        prefix: The prefix of all keys.

    Attributes:
        prefix: The prefix of all keys.
        refused: Folders that cannot be listed, and entries that can be no keys.
    """

    def __init__(self, prefix: str) -> None:
        self.refused: list[Refused] = []
        self.prefix = prefix
        self._rows = SortedRows(_Row, _order, "the list of keys")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def clear(self) -> None:
        """Drops all objects."""
        self._rows.clear()

    def add(self, listed: Listed) -> None:
        """Adds an object.

        Raises:
            NoSpaceError, WriteError: The list cannot be written.
        """
        path = encode_key(listed.key.removeprefix(self.prefix))
        if listed.key + "/" == self.prefix:
            path = b""  # the marker of the folder itself
        key = encode_key(listed.key)
        self._rows.add(_Row(walk_key(path), key, listed.size, listed.validators))

    def __iter__(self) -> Iterator[tuple[bytes, Listed]]:
        """All objects with their paths below the prefix, in the order of a walk.

        Raises:
            WriteError: The list cannot be read back.
        """
        for row in self._rows:
            path = row.order.replace(b"\0", b"/")
            yield path, Listed(decode_key(row.key), row.size, row.validators)


def _order(row: _Row) -> tuple[bytes, bytes]:
    return row.order, row.key


def list_objects(source: RemoteSource, listing: KeyListing) -> None:
    """Lists everything below a prefix, except for folders with a key that is not a path.

    Args:
        source: The source.
        listing: Receives the objects.

    Raises:
        NoSpaceError, WriteError: The list cannot be written.
        CasyncError: As `RemoteSource.list_below`.
    """
    try:
        for listed in source.list_below(listing.prefix):
            listing.add(listed)
    except MalformedError:
        listing.clear()
        _list_by_folders(source, listing)


def _list_by_folders(source: RemoteSource, listing: KeyListing) -> None:
    """As `list_objects`, with a request per folder: a bad key hides only its own folder."""
    waiting = [listing.prefix]
    while waiting:
        folder = waiting.pop()
        try:
            level = source.list_folder(folder)
        except MalformedError as error:
            path = encode_key(folder.removeprefix(listing.prefix).rstrip("/"))
            listing.refused.append(Refused(path, error.message))
            continue
        for listed in level.objects:
            listing.add(listed)
        for odd in level.odd:
            path = encode_key((folder + odd).removeprefix(listing.prefix))
            listing.refused.append(Refused(path, f"{source.label}/{folder}{odd} is no name"))
        waiting += level.prefixes
