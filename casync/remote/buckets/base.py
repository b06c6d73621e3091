"""The port through which `prepare` reads buckets.

Keys are plain text. Buckets have no folders; by convention, slashes in keys stand for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from blake3 import blake3

from casync.fs.identity import FileIdentity
from casync.fs.paths import StrPath

__all__ = ["Bucket", "BucketOptions", "ListedFolder", "Listed"]


class Listed(NamedTuple):
    """One object in a listing.

    Attributes:
        key: Its key.
        size: Its size in bytes.
        etag: Its ETag without quotes, which changes with the content; empty if it has none.
        mtime_ns: Time of its last change, in nanoseconds since 1970, to the second.
    """

    key: str
    size: int
    etag: str
    mtime_ns: int

    @property
    def identity(self) -> FileIdentity:
        """An identity that changes with the object's content."""
        digest = blake3(self.etag.encode()).digest(length=14)
        halves = int.from_bytes(digest[:7], "big"), int.from_bytes(digest[7:], "big")
        return FileIdentity(*halves, self.size, self.mtime_ns, self.mtime_ns)


class ListedFolder(NamedTuple):
    """The objects and the prefixes directly below a prefix."""

    objects: list[Listed]
    prefixes: list[str]


@dataclass(frozen=True, slots=True)
class BucketOptions:
    """How to reach buckets. A scheme uses the options with its own prefix, and those without one.

    Attributes:
        s3_endpoint: URL of a server other than AWS. Only an `http://` URL allows plain http.
        s3_ca: PEM file of certificates to trust besides those of the system.
        retry_for: Seconds for which a request is retried.
    """

    s3_endpoint: str | None = None
    s3_ca: StrPath | None = None
    retry_for: float = 60.0


class Bucket(Protocol):
    """A bucket of objects. Safe for threads.

    Besides the errors below, all methods raise DeniedError, NotFoundError (there is no such
    bucket), UnreachableError and RemoteError.
    """

    @property
    def label(self) -> str:
        """Its address for messages, without a slash at the end."""
        ...

    @property
    def place(self) -> str:
        """Its address with that of the server, which is unique among all buckets."""
        ...

    def find(self, key: str) -> Listed | None:
        """The object with a key, or None.

        Raises:
            UsageError: The key is invalid.
        """
        ...

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """All objects below a prefix, which ends with a slash; an empty one lists the bucket.

        Raises:
            MalformedError: A key below it is not a path, so the rest cannot be listed.
        """
        ...

    def list_folder(self, prefix: str) -> ListedFolder:
        """The objects and prefixes directly below a prefix. Raises as `list_below`."""
        ...

    def read(self, listed: Listed, start: int, end: int) -> bytes:
        """The bytes of an object from `start` up to `end`.

        Raises:
            SourceChangedError: The object changed since it was listed.
            NotFoundError: The object is gone.
        """
        ...
