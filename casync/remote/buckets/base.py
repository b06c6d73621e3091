"""What an object store says of its objects: the port that prepare reads buckets through.

Keys are text without any order of folders in it; a slash is what people put between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from blake3 import blake3

from casync.fs.identity import FileIdentity

__all__ = ["Bucket", "BucketOptions", "ListedFolder", "Listed"]


class Listed(NamedTuple):
    """One object, as a listing shows it.

    Attributes:
        key: Its key.
        size: Bytes.
        etag: What another content has another of, without quotes; empty where there is none.
        mtime_ns: When it was written, in nanoseconds since 1970, to the second.
    """

    key: str
    size: int
    etag: str
    mtime_ns: int

    @property
    def identity(self) -> FileIdentity:
        """What tells it from every other content that the key may have."""
        digest = blake3(self.etag.encode()).digest(length=14)
        halves = int.from_bytes(digest[:7], "big"), int.from_bytes(digest[7:], "big")
        return FileIdentity(*halves, self.size, self.mtime_ns, self.mtime_ns)


class ListedFolder(NamedTuple):
    """What lies directly below a prefix: objects, and prefixes that more lies below."""

    objects: list[Listed]
    prefixes: list[str]


@dataclass(frozen=True, slots=True)
class BucketOptions:
    """How to reach buckets. A scheme takes what has its name, and what has none.

    Attributes:
        s3_endpoint: The URL of a server other than AWS's; http is spoken only where it says so.
        s3_ca: Certificates to trust, in PEM, besides those of the system.
        retry_for: Seconds for which a request is tried again.
    """

    s3_endpoint: str | None = None
    s3_ca: Path | None = None
    retry_for: float = 60.0


class Bucket(Protocol):
    """Where objects are. Any thread may ask.

    Besides what is said, all of it raises DeniedError, NotFoundError (there is no such bucket),
    UnreachableError and RemoteError.
    """

    @property
    def label(self) -> str:
        """What errors call it: its address, without a slash at the end."""
        ...

    @property
    def place(self) -> str:
        """The same with the server's address: what tells it from every other bucket."""
        ...

    def look(self, key: str) -> Listed | None:
        """One object, if there is one.

        Raises:
            UsageError: The key is not one that can be asked for.
        """
        ...

    def below(self, prefix: str) -> Iterator[Listed]:
        """All objects below a prefix, which ends at a slash; all there are for an empty one.

        Raises:
            MalformedError: A key is no path. Nothing says what else is there.
        """
        ...

    def level(self, prefix: str) -> ListedFolder:
        """What lies directly below it. Raises as `below`."""
        ...

    def read(self, listed: Listed, start: int, end: int) -> bytes:
        """Bytes of an object, from one offset to another within it.

        Raises:
            SourceChangedError: It is not the one that was listed any more.
            NotFoundError: It is gone.
        """
        ...
