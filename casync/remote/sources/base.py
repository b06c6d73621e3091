"""The port of sources: buckets, web servers, folders and other stores of objects to read from.

An object has a key, which is text. Sources need not have folders; slashes in keys stand for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

from blake3 import blake3

from casync.errors import CasyncError
from casync.fs.identity import FileIdentity
from casync.ids import ManifestId
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import (
    NO_VALIDATORS,
    Sameness,
    Validators,
    opaque_tag,
    sameness,
)
from casync.remote.sources.answer_body import AnswerBody, BlockBody
from casync.store.server import Server

__all__ = [
    "ADDRESS_STEP",
    "AsksMany",
    "ObjectAnswer",
    "Listed",
    "ListedFolder",
    "ListsByEntry",
    "ReadRange",
    "folder_of",
    "range_to_read",
    "RemoteSource",
    "Replica",
    "decode_key",
    "encode_key",
    "failed",
]

ADDRESS_STEP: Final = "Check the address; `casync ls URL/` lists a folder."
"""What to do where there is nothing at an address."""

_UNKNOWN_TIME_NS: Final = 2**63 - 1
"""A time that is always too young for the scan cache."""

_Error = TypeVar("_Error", bound=CasyncError)


def failed(error: _Error, fault: ObjectFaultKind, status: int = 0) -> _Error:
    """`error`, with what went wrong at the source, and the status of a refusal."""
    error.fault, error.status = fault, status
    return error


def encode_key(key: str) -> bytes:
    """The bytes of a key."""
    return key.encode("utf-8", "surrogateescape")


def decode_key(data: bytes) -> str:
    """The key of some bytes; those that are not UTF-8 become surrogates."""
    return data.decode("utf-8", "surrogateescape")


class Listed(NamedTuple):
    """One object, as a listing or an answer describes it.

    Attributes:
        key: Its key below the root of the source, decoded; bytes that are not UTF-8 are surrogates.
        size: Its size in bytes; None where the source does not say it exactly.
        validators: What tells its state from others.
        is_key: Whether it can be read. Otherwise the key is what a listing shows instead of one.
    """

    key: str
    size: int | None
    validators: Validators = NO_VALIDATORS
    is_key: bool = True

    @property
    def mtime_ns(self) -> int:
        """Time of its last change, in nanoseconds since 1970; 0 if it is not known."""
        return self.validators.last_modified or 0

    @property
    def token(self) -> bytes:
        """What a reader may take for a proof: equal ones of one key mean equal bytes.

        Empty if there is none. A time that had been settled when it was asked for is one, as the
        time of a local file is.
        """
        validators = self.validators
        if etag := opaque_tag(validators.strong_etag):
            return f"etag {etag}".encode()
        if validators.version:
            return f"version {validators.version}".encode()
        return f"time {validators.last_modified}".encode() if validators.settled else b""

    @property
    def identity(self) -> FileIdentity:
        """An identity that changes with its content. No cache keeps one without a token."""
        token = self.token
        digest = blake3(token).digest(length=14)
        halves = int.from_bytes(digest[:7], "big"), int.from_bytes(digest[7:], "big")
        time_ns = self.mtime_ns if token else _UNKNOWN_TIME_NS
        return FileIdentity(*halves, self.size or 0, time_ns, time_ns)

    def is_same_as(self, other: Listed) -> bool:
        """Whether two descriptions of one key are certainly of the same bytes."""
        return bool(self.token) and self.token == other.token and not self.differs_from(other)

    def differs_from(self, other: Listed) -> bool:
        """Whether the object certainly changed between two descriptions of it."""
        found = sameness(self.validators, self.size, other.validators, other.size)
        times = self.validators.last_modified, other.validators.last_modified
        if found is Sameness.UNKNOWN and None not in times:
            return times[0] != times[1]
        return found is Sameness.CHANGED


class ListedFolder(NamedTuple):
    """The objects and the prefixes directly below a prefix.

    Attributes:
        objects: The objects.
        prefixes: The prefixes.
        odd: Entries that can be no keys, below the prefix as the source shows them.
    """

    objects: list[Listed]
    prefixes: list[str]
    odd: Sequence[str] = ()


def folder_of(prefix: str, below: Iterable[Listed]) -> ListedFolder:
    """The objects and prefixes directly below a prefix, from all objects below it."""
    objects: list[Listed] = []
    prefixes: dict[str, None] = {}
    for listed in below:
        first, slash, _ = listed.key[len(prefix) :].partition("/")
        if slash:
            prefixes[f"{prefix}{first}/"] = None
        else:
            objects.append(listed)
    return ListedFolder(objects, list(prefixes))


class ReadRange(NamedTuple):
    """The bytes that an answer has, from `start` up to `end`, and whether they were asked for."""

    start: int
    end: int
    is_ranged: bool


def range_to_read(
    listed: Listed, start: int, end: int | None, same: Validators | None, unless: Validators | None
) -> ReadRange | None:
    """What `RemoteSource.open` answers with, where an object's state is known before it is read.

    Args:
        listed: The object as it is now, with its size.
        start: Offset of the first byte that is asked for.
        end: Offset after the last one; None for the end of the object.
        same: As of `RemoteSource.open`.
        unless: As of `RemoteSource.open`.

    Returns:
        The range; None if the object still has the validators of `unless`.
    """
    size = listed.size
    assert size is not None

    def has(validators: Validators | None) -> bool:
        return validators is not None and listed._replace(validators=validators).is_same_as(listed)

    if has(unless):
        return None
    if (start > 0 or end is not None) and has(same):
        return ReadRange(start, size if end is None else min(end, size), True)
    return ReadRange(0, size, False)


class Replica(NamedTuple):
    """What an object is in another store: manifest, nodes and chunks.

    Attributes:
        manifest: Its manifest.
        server: Has the manifest, and everything below it.
    """

    manifest: ManifestId
    server: Server


class ObjectAnswer:
    """One opened object. Use in a with block.

    Args:
        listed: The object, as this answer describes it; replaces what was known before.
        start: Offset of the first byte: the requested one, or 0.
        blocks: The bytes, as they come.
        close: Ends the answer.
        is_ranged: Whether the source answered with the requested part, and thus can do so again.
        replica: The object in the store of the other side, of which only missing chunks need to be
            fetched; `blocks` fetches all. None where the source has bytes only.
        body: The same bytes for readers that have memory for them; by default copied from `blocks`.

    Attributes:
        read_into: Reads the bytes in place of `blocks`. See `AnswerBody`.
    """

    def __init__(
        self,
        listed: Listed,
        start: int,
        blocks: Iterator[bytes],
        close: Callable[[], object],
        *,
        is_ranged: bool,
        replica: Replica | None = None,
        body: AnswerBody | None = None,
    ) -> None:
        self.replica = replica
        self.listed = listed
        self.start = start
        self.is_ranged = is_ranged
        self._blocks = blocks
        self._close = close
        self.read_into = (BlockBody(blocks) if body is None else body).read_into

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the answer; the rest of it is not read."""
        self._close()

    def blocks(self) -> Iterator[bytes]:
        """The bytes from `start` on, once.

        Raises:
            UnreachableError: The answer broke off, or is shorter than it said.
            SourceChangedError: The object changed meanwhile.
            CasyncError: It cannot be read.
        """
        return self._blocks


@runtime_checkable
class AsksMany(Protocol):
    """A `RemoteSource` that tells of many objects at once whether they are unchanged."""

    def unchanged(self, known: Sequence[tuple[str, Validators]]) -> list[bool]:
        """Which objects certainly have the strong ETags that they had; False says nothing.

        Args:
            known: Their keys, each with its validators.

        Raises:
            CasyncError: The source cannot be asked.
        """
        ...


@runtime_checkable
class ListsByEntry(Protocol):
    """A `RemoteSource` that lists a folder with bounded memory."""

    def iter_folder(self, prefix: str) -> Iterator[Listed]:
        """The objects and prefixes directly below a prefix; the keys of prefixes end with a slash.

        What can be no key is among them, as `Listed.is_key` says. Raises as
        `RemoteSource.list_folder`.
        """
        ...


class RemoteSource(Protocol):
    """Objects by key. Safe for threads.

    Besides the errors below, all methods raise DeniedError, NotFoundError (there is no such
    bucket), UnreachableError and RemoteError. Errors about the source have a `fault`.
    """

    @property
    def label(self) -> str:
        """Its address for messages, without secrets and without a slash at the end."""
        ...

    @property
    def place(self) -> str:
        """Its address with that of the server, which is unique among all sources; no secrets."""
        ...

    def find(self, key: str) -> Listed | None:
        """The object with a key, or None.

        Raises:
            UsageError: The key is invalid.
        """
        ...

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """All objects below a prefix, which ends with a slash; an empty one lists everything.

        Raises:
            UsageError: The source cannot be listed.
            MalformedError: A key below it is not a path, so the rest cannot be listed.
        """
        ...

    def list_folder(self, prefix: str) -> ListedFolder:
        """The objects and prefixes directly below a prefix. Raises as `list_below`."""
        ...

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        """Opens an object, or a part of it.

        Args:
            key: Its key.
            start: Offset of the first byte.
            end: Offset after the last byte; None for the end of the object.
            same: Validators of the object that the part belongs to. One that changed, or that
                cannot be proved to be the same, is answered whole.
            unless: Validators of an object that is not needed again.

        Returns:
            The answer, which begins at `start`, or at 0 where the source ignores ranges; None if
            the object still has the validators of `unless`.

        Raises:
            NotFoundError: There is no such object.
            UsageError: The key is invalid.
        """
        ...

    def close(self) -> None:
        """Closes it, with the connections that it shares with other sources of its server."""
        ...
