"""Lists the objects below a prefix in the order of a walk, with bounded memory.

Buckets list keys by their bytes, where `a-b` comes before `a/b`; a tree needs `a` before `a-b`. So
an external merge sort reorders them, with its parts in unnamed files.
"""

from __future__ import annotations

import errno
import heapq
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Final, NamedTuple, Self

import msgspec

from casync.errors import MalformedError, NoSpaceError, WriteError
from casync.fs.scan_cache import walk_key
from casync.jobs.validators import Validators
from casync.remote.sources.base import Listed, RemoteSource, decode_key, encode_key

__all__ = ["KeyListing", "Refused", "list_objects"]

_PART_ROWS: Final = 100_000
"""Objects in memory: some 50 MiB."""

_BLOCK_ROWS: Final = 512


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


_DECODER: Final = msgspec.msgpack.Decoder(type=list[_Row])


class KeyListing:
    """Objects below one prefix. Use in a with block: fill it, then iterate it once.

    Args:
        prefix: The prefix of all keys.

    Attributes:
        prefix: The prefix of all keys.
        refused: Folders that cannot be listed.
    """

    def __init__(self, prefix: str) -> None:
        self.refused: list[Refused] = []
        self.prefix = prefix
        self._rows: list[_Row] = []
        self._parts: list[BinaryIO] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __bool__(self) -> bool:
        return bool(self._rows or self._parts)

    def clear(self) -> None:
        """Drops all objects."""
        self._rows, self._parts = [], []
        self._stack.close()

    def add(self, listed: Listed) -> None:
        """Adds an object.

        Raises:
            NoSpaceError, WriteError: The list cannot be written.
        """
        path = encode_key(listed.key.removeprefix(self.prefix))
        if listed.key + "/" == self.prefix:
            path = b""  # the marker of the folder itself
        key = encode_key(listed.key)
        self._rows.append(_Row(walk_key(path), key, listed.size, listed.validators))
        if len(self._rows) >= _PART_ROWS:
            self._put_away()

    def __iter__(self) -> Iterator[tuple[bytes, Listed]]:
        """All objects with their paths below the prefix, in the order of a walk.

        Raises:
            WriteError: The list cannot be read back.
        """
        self._rows.sort(key=_order)
        parts = [_read(part) for part in self._parts]
        with _file_errors():
            for row in heapq.merge(self._rows, *parts, key=_order):
                path = row.order.replace(b"\0", b"/")
                yield path, Listed(decode_key(row.key), row.size, row.validators)

    def _put_away(self) -> None:
        self._rows.sort(key=_order)
        with _file_errors():
            part = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for start in range(0, len(self._rows), _BLOCK_ROWS):
                data = msgspec.msgpack.encode(self._rows[start : start + _BLOCK_ROWS])
                part.write(len(data).to_bytes(4, "big") + data)
            part.seek(0)
        self._parts.append(part)
        self._rows = []


def _order(row: _Row) -> tuple[bytes, bytes]:
    return row.order, row.key


def _read(part: BinaryIO) -> Iterator[_Row]:
    while head := part.read(4):
        yield from _DECODER.decode(part.read(int.from_bytes(head, "big")))


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (NoSpaceError if full else WriteError)(
            f"cannot keep the list of keys in {tempfile.gettempdir()}: {error.strerror}",
            next_step="Set TMPDIR to another folder.",
        ) from error


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
        waiting += level.prefixes
