"""The port of object storage: what a store in a bucket asks of S3, Azure, Google or a folder.

A reader sees what a writer wrote as soon as the writer was told so. Everything but `swap` may be
tried again by the adapter: keys are written once, or always with the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import BinaryIO, Final, NamedTuple, NewType, Protocol, Self

from casync.errors import MalformedError

__all__ = ["ListedKey", "ObjectStorage", "StoredObject", "Tag", "TagForm", "check_key"]

_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_KEY_BYTES: Final = 256
"""Leaves room for a prefix: S3 has keys of 1024 bytes at most."""

Tag = NewType("Tag", str)
"""What a storage calls one state of an object: an ETag."""


class TagForm(Enum):
    """How tags are written in the condition of `swap`: in quotes (RFC 9110), or without (Ceph)."""

    QUOTED = "quoted"
    BARE = "bare"


class StoredObject(NamedTuple):
    """The bytes of a whole object, and the tag of this state."""

    data: bytes
    tag: Tag


class ListedKey(NamedTuple):
    """A key in a listing.

    Attributes:
        key: The key, below the prefix of the store.
        size: Its bytes.
        modified: When it was written, by the storage's clock, in seconds since 1970.
    """

    key: str
    size: int
    modified: float


def check_key(key: str) -> None:
    """Refuses what is no key: keys are paths that stay inside and mean the same to every storage.

    Raises:
        MalformedError: It is none.
    """
    if len(key) > _KEY_BYTES or not _KEY.fullmatch(key):
        raise MalformedError(f"{key!r} is not a key of a storage")


class ObjectStorage(Protocol):
    """Objects below a prefix. Used by several threads at once.

    All methods raise UnreachableError, DeniedError, NoSpaceError or another CasyncError when the
    storage fails. A write that raises UnreachableError may have happened, or may still happen.
    """

    @property
    def place(self) -> str:
        """Its address in messages, without secrets."""
        ...

    def using(self, form: TagForm) -> Self:
        """This storage, with tags in another form; the first is `QUOTED`. Connections are shared.

        The probe (`casync.store.bucket.probe`) finds the form that works.
        """
        ...

    def get(self, key: str) -> StoredObject | None:
        """A whole object; None if there is none."""
        ...

    def tag(self, key: str) -> Tag | None:
        """The tag of an object's present state, without its bytes; None if there is none."""
        ...

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """The bytes of each range (start, end) of an object; None if there is no object.

        A range beyond the end of the object has fewer bytes. Ranges that lie close together are
        fetched with one request.
        """
        ...

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        """Writes an object, durably. An older one with this key is replaced.

        Args:
            key: The key.
            data: The bytes, or a file that is read from its beginning to its end.
        """
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Writes an object unless there is one. Whether it was written by this call.

        False, too, if an earlier try of the same call wrote it: the caller looks at its bytes.
        """
        ...

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        """Replaces an object that is still in the state `tag`; the new tag, or None if it is not.

        None, too, if an earlier try of the same call replaced it: the caller looks at its bytes.

        Raises:
            UnsupportedError: The storage cannot compare and swap.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[ListedKey]:
        """All keys that begin with `prefix`, in any order."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes objects. Keys without an object are no error."""
        ...

    def close(self) -> None:
        """Closes all connections. Later calls, and those that wait to retry, raise StoppedError."""
        ...
