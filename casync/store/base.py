"""The ports of a store, as a ladder: whoever can write can also read.

Operations take these, never an adapter. One contract-test class runs on every implementation
(`tests/contract/`).

Objects are named by (kind, id). An object that lies under another kind is missing. What `get`
yields was compared with its stored check, so it is what was put, or it is `DAMAGED`: no source
ever hands out rot as good. Whether a payload holds what its id names is proved by
`codec.Unpacker`, by everybody who did not pack it himself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

import msgspec

from casync.fs.identity import FileIdentity
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.objects.codec import Packed, Verified

__all__ = [
    "Absence",
    "Batch",
    "Committed",
    "ManifestRow",
    "ManifestSource",
    "ManifestState",
    "ObjectSource",
    "ObjectStat",
    "ObjectStore",
    "RememberedFile",
    "Removal",
    "Removed",
    "Traffic",
]


class Absence(Enum):
    """Why an object could not be had."""

    MISSING = "missing"
    DAMAGED = "damaged"
    BUSY = "busy"


class ObjectStat(NamedTuple):
    """Sizes of one object in bytes: plain, and as stored and sent."""

    length: int
    stored: int


class Traffic(NamedTuple):
    """What went over the wire.

    Attributes:
        requests: Requests.
        sent: Bytes to servers.
        received: Bytes from servers.
        delta_bytes: Of these, payloads of deltas.
        delta_plain: Plain bytes that these deltas stood for.
    """

    requests: int
    sent: int
    received: int
    delta_bytes: int = 0
    delta_plain: int = 0

    def __add__(self, other: object) -> Traffic:
        """The traffic of both."""
        if not isinstance(other, Traffic):
            return NotImplemented
        return Traffic(*(one + two for one, two in zip(self, other, strict=True)))


class ObjectSource(Protocol):
    """Somewhere that objects can be had from: a store, or a server."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """Yields one answer per id, in the order asked. Lazy: the caller may stop early.

        The payloads are the caller's own bytes; nothing is locked while the caller works.

        Raises:
            RemoteError, DamagedStoreError: The source as a whole failed. Answers that came before
                are good.
        """
        ...

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of each object, or None where it is missing. Does not read payloads."""
        ...


class ManifestState(Enum):
    """What of a manifest is in a store."""

    FULL = "full"  # everything below it: it may be listed, served, named, collected from
    OUTLINE = "outline"  # the manifest and its nodes: enough to use a local file as a seed


class ManifestRow(NamedTuple):
    """A manifest that a store knows. `created` is in seconds since 1970, for people only."""

    id: ManifestId
    state: ManifestState
    length: int
    created: int


class RememberedFile(msgspec.Struct, frozen=True):
    """A local file that had the bytes of `manifest` when it was last seen: a seed.

    `settled` says that its times were old enough then for equal times to prove equal bytes.
    """

    path: bytes
    identity: FileIdentity
    manifest: bytes
    settled: bool


@dataclass
class Batch:
    """What one commit writes: all of it or nothing.

    Attributes:
        objects: Objects; those that are there already are not stored again.
        manifests: Manifests whose state is now proved. Their objects are in this batch or an
            earlier one of the same process.
        names: Names to move on, in this order, each to a manifest that is full.
        remember: Files to remember as seeds, in place of what was known of the same file.
        forget: Files to forget, by path.
        relies: Manifests that must still be full: the batch uses what is below them unseen.
        mended: Objects that are stored in any case: what is here of them is damaged.
    """

    objects: list[Verified] = field(default_factory=list)
    manifests: list[tuple[ManifestId, ManifestState, int]] = field(default_factory=list)
    names: list[NameUpdate] = field(default_factory=list)
    remember: list[RememberedFile] = field(default_factory=list)
    forget: list[bytes] = field(default_factory=list)
    relies: list[ManifestId] = field(default_factory=list)
    mended: list[Verified] = field(default_factory=list)


class Committed(NamedTuple):
    """What a commit added: new objects, their stored bytes, and the versions that names got."""

    objects: int
    stored: int
    names: list[NameRecord]


class Removed(NamedTuple):
    """What lies in the trash: a version of a name, or a manifest that no name led to.

    Attributes:
        manifest: The manifest.
        record: The version, or None.
        removed: When, in seconds since 1970.
    """

    manifest: ManifestId
    record: NameRecord | None
    removed: int


class Removal(NamedTuple):
    """What is to go into the trash, or came back: versions of names, and manifests.

    Attributes:
        versions: The versions, ordered by name and number.
        manifests: The manifests, ordered.
        more: Some are left out: a server tells only a page of each.
    """

    versions: list[NameRecord]
    manifests: list[ManifestId]
    more: bool = False


class ManifestSource(ObjectSource, Protocol):
    """A source that also knows which manifests it has, and their names."""

    def manifests(self) -> Iterator[ManifestRow]:
        """All full manifests, ordered by id."""
        ...

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """What is known of one manifest, full or outline."""
        ...

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """The newest version of each name that begins with `prefix`, ordered by name."""
        ...

    def history(self, name: Name) -> list[NameRecord]:
        """All versions of a name, the oldest first; empty when there is none."""
        ...

    def resolve(self, ref: Ref) -> ManifestId:
        """The full manifest that a ref points to.

        Raises:
            NoNameError: None.
            UsageError: A prefix that fits several.
        """
        ...


class ObjectStore(ManifestSource, Protocol):
    """A store that can be written."""

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """Which objects are here and stay here for as long as this store is open.

        The answer is what lets a writer skip an object, so nothing may remove one that was
        answered for: the index rows carry generations for that.
        """
        ...

    def commit(self, batch: Batch) -> Committed:
        """Writes a batch. Durable when it returns.

        Raises:
            NoSpaceError: The disk is full; nothing of the batch is visible.
            WriteError: The store cannot be written; it refuses every later commit.
            NoObjectError: A manifest row or name whose manifest is not here.
            LostRaceError: A name is not at the version that was expected.
        """
        ...

    def objects(self, kind: Kind) -> Iterator[ObjectId]:
        """The ids of all objects of `kind`, in order: what a store verifies itself by."""
        ...

    def remembered(self) -> Iterator[RememberedFile]:
        """All remembered files, the newest first."""
        ...

    def recall(self, path: bytes) -> RememberedFile | None:
        """What is remembered of the file at `path`."""
        ...
