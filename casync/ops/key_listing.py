"""The objects below a prefix in the order in which a folder is walked, however many there are.

Buckets list keys by their bytes, where `a-b` comes before `a/b`; a tree needs `a` before `a-b`. So
they are sorted anew, in parts that lie in files without names and are merged when they are read.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Final, NamedTuple, Self

import msgspec

from casync.errors import MalformedError, WriteError
from casync.fs.sightings import walk_key
from casync.remote.bucket import Bucket, Listed

__all__ = ["KeyListing", "Refused", "list_objects"]

_PART_ROWS: Final = 100_000
"""Objects that are in memory: some 50 MiB."""

_BLOCK_ROWS: Final = 512


class Refused(NamedTuple):
    """A folder that cannot be listed, and why."""

    path: bytes
    reason: str


class _Row(msgspec.Struct, frozen=True, array_like=True, order=True):
    """An object, with its path below the prefix in the form that sorts as a walk goes."""

    order: bytes
    key: str
    size: int
    etag: str
    mtime_ns: int


_DECODER: Final = msgspec.msgpack.Decoder(type=list[_Row])


class KeyListing:
    """Objects below one prefix. Use in a with block; fill it, then go through it once.

    Args:
        prefix: What all keys begin with.

    Attributes:
        refused: Folders of which nothing is listed.
    """

    def __init__(self, prefix: str) -> None:
        self.refused: list[Refused] = []
        self._prefix = prefix
        self._rows: list[_Row] = []
        self._parts: list[BinaryIO] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __bool__(self) -> bool:
        return bool(self._rows or self._parts)

    def add(self, listed: Listed) -> None:
        """Takes one more.

        Raises:
            WriteError: There is no room for it.
        """
        path = listed.key.removeprefix(self._prefix).encode()
        if listed.key + "/" == self._prefix:
            path = b""  # what stands for the folder itself
        self._rows.append(_Row(walk_key(path), *listed))
        if len(self._rows) >= _PART_ROWS:
            self._put_away()

    def __iter__(self) -> Iterator[tuple[bytes, Listed]]:
        """All of them with their paths below the prefix, sorted as a walk goes.

        Raises:
            WriteError: They cannot be read back.
        """
        self._rows.sort()
        parts = [_read(part) for part in self._parts]
        with _file_errors():
            for row in heapq.merge(self._rows, *parts):
                path = row.order.replace(b"\0", b"/")
                yield path, Listed(row.key, row.size, row.etag, row.mtime_ns)

    def _put_away(self) -> None:
        self._rows.sort()
        with _file_errors():
            part = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for start in range(0, len(self._rows), _BLOCK_ROWS):
                data = msgspec.msgpack.encode(self._rows[start : start + _BLOCK_ROWS])
                part.write(len(data).to_bytes(4, "big") + data)
            part.seek(0)
        self._parts.append(part)
        self._rows = []


def _read(part: BinaryIO) -> Iterator[_Row]:
    while head := part.read(4):
        yield from _DECODER.decode(part.read(int.from_bytes(head, "big")))


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"cannot keep the list of keys in {tempfile.gettempdir()}: {error.strerror}",
            next_step="TMPDIR names another place.",
        ) from error


def list_objects(bucket: Bucket, prefix: str) -> KeyListing:
    """Everything below a prefix, but for folders in which a key is no path.

    Args:
        bucket: Where.
        prefix: Ends at a slash; empty for the whole bucket.

    Raises:
        WriteError: There is no room for the list.
        CasyncError: As `Bucket.below`.
    """
    listing = KeyListing(prefix)
    try:
        for listed in bucket.below(prefix):
            listing.add(listed)
    except MalformedError:
        listing.__exit__()
        return _list_by_folders(bucket, prefix)
    except BaseException:
        listing.__exit__()
        raise
    return listing


def _list_by_folders(bucket: Bucket, prefix: str) -> KeyListing:
    """The same with a request for each folder, so that one bad key spoils only its own."""
    listing = KeyListing(prefix)
    waiting = [prefix]
    while waiting:
        folder = waiting.pop()
        try:
            level = bucket.level(folder)
        except MalformedError as error:
            path = folder.removeprefix(prefix).rstrip("/").encode()
            listing.refused.append(Refused(path, error.message))
            continue
        for listed in level.objects:
            listing.add(listed)
        waiting += level.prefixes
    return listing
