"""The ports of a store, as a ladder: a writable store is also a source.

Operations take these ports, never an adapter. The contract tests (`tests/contract/`) run on every
implementation.

Objects are named by (kind, id); an object under another kind is missing. `get` compares payloads
with their stored checks, so bit rot is returned as `DAMAGED`. `codec.Unpacker` proves that a
payload matches its id; every reader of foreign payloads must use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from casync.fs.identity import FileIdentity
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.names.name_update import NameUpdate
from casync.objects.codec import Packed, Verified
from casync.objects.node import Content
from casync.objects.record import ChunkRecords

if TYPE_CHECKING:
    from casync.jobs.origin import Origin
    from casync.store.jobs import JobUpdate

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
    """Why a source does not return an object."""

    MISSING = "missing"
    DAMAGED = "damaged"
    BUSY = "busy"


class ObjectStat(NamedTuple):
    """Sizes of one object in bytes: plain, and as stored and sent."""

    length: int
    stored: int


class Traffic(NamedTuple):
    """Network traffic.

    Attributes:
        requests: Number of requests.
        sent: Bytes to servers.
        received: Bytes from servers.
        delta_bytes: Bytes of delta payloads among `received`.
        delta_plain: Plain bytes that these deltas encode.
    """

    requests: int
    sent: int
    received: int
    delta_bytes: int = 0
    delta_plain: int = 0

    def __add__(self, other: object) -> Traffic:
        """Adds two traffics."""
        if not isinstance(other, Traffic):
            return NotImplemented
        return Traffic(*(one + two for one, two in zip(self, other, strict=True)))


class ObjectSource(Protocol):
    """A source of objects: a store, or a server."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """Yields one answer per id, in the order asked. Lazy: the caller may stop early.

        The payloads are copies that the caller owns; nothing stays locked between answers.

        Raises:
            RemoteError, DamagedStoreError: The source as a whole failed. Earlier answers are good.
        """
        ...

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of each object, None for a missing one. Does not read payloads."""
        ...


class ManifestState(Enum):
    """How much of a manifest is in a store."""

    FULL = "full"  # everything below it: it may be listed, served and named
    OUTLINE = "outline"  # the manifest and its nodes: enough to use a local file as a seed


class ManifestRow(NamedTuple):
    """A manifest in a store. `created` is in seconds since 1970, for people only."""

    id: ManifestId
    state: ManifestState
    length: int
    created: int


class RememberedFile(msgspec.Struct, frozen=True):
    """A local file that had the content of `manifest` when it was last seen: a possible seed.

    `settled`: its times were old enough then for equal times to prove equal bytes.
    """

    path: bytes
    identity: FileIdentity
    manifest: bytes
    settled: bool


@dataclass
class Batch:
    """The content of one commit, which is written atomically.

    Attributes:
        objects: Objects; those that the store has already are not stored again.
        manifests: Manifests with their proved state and length. Their objects are in this batch or
            an earlier one of the same process.
        names: Updates of names, applied in order; each manifest must be full.
        remember: Files to remember as seeds; each replaces an earlier row of the same path.
        forget: Paths of files to forget.
        relies: Manifests that must still be full, because the batch relies on objects below them.
        outlines: Manifests that must still be here, because manifests of the batch rely on nodes
            below them.
        mended: Objects to store even if the store has them, because its copy is damaged.
        records: Chunks, as `objects`, that were made into records where they were cut.
        job: The progress of a job.
        origins: Where names came from, each with the manifest that the batch gives to it.
        member_indexes: Ids of contents that are archives, each with its member index, whose objects
            are in this batch or an earlier one of the same process.
        unprotected: Whether a collection may delete the objects before rows lead to them, since
            their loss is noticed: a process that lives long would hold up others for them.
    """

    objects: list[Verified] = field(default_factory=list)
    manifests: list[tuple[ManifestId, ManifestState, int]] = field(default_factory=list)
    names: list[NameUpdate] = field(default_factory=list)
    remember: list[RememberedFile] = field(default_factory=list)
    forget: list[bytes] = field(default_factory=list)
    relies: list[ManifestId] = field(default_factory=list)
    outlines: list[ManifestId] = field(default_factory=list)
    mended: list[Verified] = field(default_factory=list)
    records: list[ChunkRecords] = field(default_factory=list)
    job: JobUpdate | None = None
    origins: list[tuple[Name, Origin]] = field(default_factory=list)
    member_indexes: list[tuple[bytes, Content]] = field(default_factory=list)
    unprotected: bool = False

    @property
    def is_objects(self) -> bool:
        """Whether it has objects alone, so that it may be written before the one before it."""
        rows = (self.manifests, self.names, self.remember, self.forget, self.relies, self.outlines)
        return self.job is None and not any((*rows, self.mended, self.origins, self.member_indexes))

    @property
    def publishes(self) -> bool:
        """Whether no object of it and of earlier batches waits for rows that lead to it."""
        rows = self.manifests or self.member_indexes
        return self.job is None and bool(rows or self.unprotected)


class Committed(NamedTuple):
    """The result of a commit: new objects, their stored bytes, and the versions of its names."""

    objects: int
    stored: int
    names: list[NameRecord]


class Removed(NamedTuple):
    """An entry of the trash: a version of a name, or a manifest that had no name.

    Attributes:
        manifest: The manifest.
        record: The version, or None.
        removed: Time of the removal, in seconds since 1970.
    """

    manifest: ManifestId
    record: NameRecord | None
    removed: int


class Removal(NamedTuple):
    """Versions and manifests that move into the trash, or out of it.

    Attributes:
        versions: Versions of names, ordered by name and number.
        manifests: Manifests, ordered by id.
        more: Whether the lists are incomplete: a server lists only a page of each.
    """

    versions: list[NameRecord]
    manifests: list[ManifestId]
    more: bool = False


class ManifestSource(ObjectSource, Protocol):
    """A source that can also list its manifests and names."""

    def manifests(self) -> Iterator[ManifestRow]:
        """All full manifests, ordered by id."""
        ...

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """The row of one manifest, full or outline."""
        ...

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """The newest version of each name that begins with `prefix`, ordered by name."""
        ...

    def history(self, name: Name) -> list[NameRecord]:
        """All versions of a name, the oldest first; empty if there is none."""
        ...

    def resolve(self, ref: Ref) -> ManifestId:
        """The full manifest that a ref points to.

        Raises:
            NoNameError: There is none.
            UsageError: Several manifests have the prefix.
        """
        ...


class ObjectStore(ManifestSource, Protocol):
    """A store that can be written."""

    @property
    def commits_at_once(self) -> int:
        """How many commits of objects alone one writer should have running at the same time.

        More than one where each waits for a network.
        """
        ...

    def expect_commits(self) -> None:
        """Does beforehand, in a thread of the caller's, what the first commit would wait for.

        Raises:
            CasyncError: As `commit`, which fails then, too.
        """
        ...

    def refresh(self) -> None:
        """Sees from here on all that others had committed before this call.

        Raises:
            CasyncError: The store cannot be read.
        """
        ...

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        """Which objects are here, and stay here for as long as this store is open.

        Writers skip known objects, so no collection may delete them: their index rows carry the
        generation of this call.
        """
        ...

    def stage(self, batch: Batch) -> None:
        """Sends objects ahead of the `commit` of this batch, which this thread calls next.

        Raises:
            CasyncError: As `commit`.
        """
        ...

    def commit(self, batch: Batch) -> Committed:
        """Writes a batch. Durable on return.

        Raises:
            NoSpaceError: The disk is full; nothing of the batch is visible.
            WriteError: The store cannot be written; it refuses every later commit.
            NoObjectError: A manifest of the batch is missing, or one that it relies on.
            IncompleteError: The manifest of a name is not full.
            LostRaceError: A name is not at its expected version, or the job has another runner or
                none.
        """
        ...

    def objects(self, kind: Kind) -> Iterator[ObjectId]:
        """The ids of all objects of `kind`, in order."""
        ...

    def by_place(self, kind: Kind) -> Iterator[ObjectId]:
        """The ids of all objects of `kind`, in the order in which reading them costs least.

        `verify` walks them. In a bucket neighbours of this order come with one request.
        """
        ...

    def remembered(self) -> Iterator[RememberedFile]:
        """All remembered files, the newest first."""
        ...

    def recall(self, path: bytes) -> RememberedFile | None:
        """The remembered file at `path`, if there is one."""
        ...
