"""Copies a store into another one: only what that one lacks, as it is stored.

Objects come first, in the order in which they lie, each proved by its id. Rows come last, when all
that is below them is there. So a copy that was interrupted at any point is finished by another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.cutting.batch_writer import BatchWriter
from casync.errors import IntegrityError
from casync.fs.sorted_rows import PlaceRow, SortedRows
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.codec import Packed, Unpacker, Verified
from casync.objects.node import Content
from casync.ops.upkeep.mark import Marker, Marks
from casync.ops.upkeep.structure import FaultKind, NodeFault, ObjectKey, Structure
from casync.ops.upkeep.verify import Fault
from casync.store.base import Absence, Batch
from casync.store.copy_rules import lacking, parts
from casync.store.copyable import CopyableStore, PlacedObject, RowsPart

__all__ = ["Copied", "copy"]

_LOOK_UP: Final = 4096
"""Objects that are looked up together."""

_ASKED: Final = 1 << 14
"""Objects that are read by one call, which looks for those that lie close together."""

_PROVED: Final = 256
"""Chunks that are proved by one call."""


class Copied(NamedTuple):
    """The result of a copy, or in a dry run its forecast.

    Attributes:
        versions: Versions of names that were added.
        removed: Versions that were added to the trash.
        manifests: Manifests that were added, those in the trash included.
        indexes: Member indexes of archives that were added.
        objects: Objects that were added.
        stored: Bytes of their payloads.
        left_out: Manifests that need faulty objects, and were left out with their names.
        faults: The faulty objects of the source.
    """

    versions: int
    removed: int
    manifests: int
    indexes: int
    objects: int
    stored: int
    left_out: int
    faults: list[Fault]


def copy(
    source: CopyableStore,
    target: CopyableStore | None,
    *,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Copied:
    """Copies names with their histories, the trash, member indexes, and all that they need.

    The target takes the quota, too, unless it has one. Objects of the source that are missing or
    damaged are results, not errors: manifests that need them are left out.

    Args:
        source: The store.
        target: The store that is added to; None for an empty one, in a dry run.
        dry_run: Only compute what would be copied.
        progress: Receives phases, and advances by bytes of payloads.

    Raises:
        UsageError: A version of a name stands for different contents. Nothing was copied.
        DamagedStoreError: The tables of a store contradict each other.
        NoSpaceError, WriteError: The target cannot be written.
        CasyncError: What the stores raise.
    """
    return _Copy(source, target, progress).run(dry_run=dry_run or target is None)


class _Copy:
    def __init__(
        self, source: CopyableStore, target: CopyableStore | None, progress: Progress
    ) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._structure = Structure(source)
        self._marker = Marker(source)
        self._chunks = Marks()
        self._roots: dict[ManifestId, int] = {}
        self._unpacker = Unpacker()
        self._objects = self._stored = 0

    def run(self, *, dry_run: bool) -> Copied:
        """Runs the copy."""
        self._progress.start("comparing", None)
        rows = self._source.contents.read()
        here = RowsPart() if self._target is None else self._target.contents.about(rows)
        wanted = lacking(rows, here)
        self._roots = wanted.roots
        for ident, length in self._roots.items():
            for chunks in self._structure.walk(ident, length):
                for chunk in chunks:
                    self._chunks.add(chunk)
        wanted.indexes = self._needed_indexes(wanted.indexes)
        if self._roots or wanted.indexes:  # otherwise no object is needed
            self._copy_objects(dry_run=dry_run)
        gone = self._gone(wanted)
        broken = self._broken(gone)
        wanted = wanted.without({*gone, *broken})
        if self._target is not None and not dry_run:
            wanted = self._add_rows(self._target, wanted)
        return Copied(
            versions=wanted.versions,
            removed=wanted.removed,
            manifests=len(wanted.roots),
            indexes=len(wanted.indexes),
            objects=self._objects,
            stored=self._stored,
            left_out=len(broken),
            faults=self._faults(rows, broken),
        )

    def _needed_indexes(self, indexes: dict[bytes, Content]) -> dict[bytes, Content]:
        """Those of archives that are copied, or that the target has. An unreadable one is none."""
        here = self._archives_here(list(indexes))
        return {
            archive: index
            for archive, index in indexes.items()
            if (here[archive] or self._is_content(archive)) and self._marker.mark_index(index)
        }

    def _archives_here(self, archives: Sequence[bytes]) -> dict[bytes, bool]:
        here = dict.fromkeys(archives, False)
        if self._target is not None:
            ids = [ManifestId(archive) for archive in archives]
            for kind in (Kind.CHUNK, Kind.NODE):
                for archive, is_known in zip(archives, self._target.known(kind, ids), strict=True):
                    here[archive] |= is_known
        return here

    def _is_content(self, ident: bytes) -> bool:
        return ident in self._chunks or ident in self._structure.seen

    def _is_needed(self, kind: Kind, ident: ObjectId) -> bool:
        if self._marker.is_marked(kind, ident):
            return True
        if kind is Kind.CHUNK:
            return ident in self._chunks
        return ident in (self._structure.seen if kind is Kind.NODE else self._roots)

    # -- Objects ------------------------------------------------------------------------------

    def _copy_objects(self, *, dry_run: bool) -> None:
        for kind in Kind:
            with SortedRows(PlaceRow, PlaceRow.place, "the list of objects") as rows:
                size = 0
                for placed in self._lacking(kind):
                    size += placed.stored
                    if dry_run:
                        self._objects += 1
                    else:
                        rows.add(PlaceRow(placed.segment, placed.offset, placed.id))
                if dry_run:
                    self._stored += size
                elif rows and self._target is not None:
                    self._progress.start(f"copying {kind.name.lower()}s", size)
                    with closing(BatchWriter(self._target)) as writer:
                        self._send(kind, (ManifestId(row.id) for row in rows), writer)

    def _lacking(self, kind: Kind) -> Iterator[PlacedObject]:
        """What is needed and not in the target, which keeps the rest until it is closed."""
        needed = (
            placed
            for placed in self._source.contents.placed(kind)
            if self._is_needed(kind, placed.id)
        )
        while group := list(islice(needed, _LOOK_UP)):
            ids = [placed.id for placed in group]
            known = [False] * len(ids) if self._target is None else self._target.known(kind, ids)
            yield from (each for each, is_known in zip(group, known, strict=True) if not is_known)

    def _send(self, kind: Kind, idents: Iterator[ObjectId], writer: BatchWriter) -> None:
        while asked := list(islice(idents, _ASKED)):
            answers = zip(asked, self._source.get(kind, asked), strict=True)
            while group := list(islice(answers, _PROVED)):
                proved = [each for each in self._proved(kind, group) if each is not None]
                writer.put(proved)
                size = sum(len(each.payload) for each in proved)
                self._objects += len(proved)
                self._stored += size
                self._progress.advance(size)
        writer.finish(Batch())

    def _proved(
        self, kind: Kind, answers: Sequence[tuple[ObjectId, Packed | Absence]]
    ) -> Iterator[Verified | None]:
        if kind is Kind.CHUNK:
            found = [answer for _, answer in answers if not isinstance(answer, Absence)]
            plains = iter(self._unpacker.unpack_chunks(found))
        for ident, answer in answers:
            fault: NodeFault | None = None
            if isinstance(answer, Absence):
                is_missing = answer is Absence.MISSING
                fault = NodeFault(FaultKind.MISSING if is_missing else FaultKind.DAMAGED, "")
            elif kind is Kind.CHUNK:
                if next(plains) is None:
                    fault = NodeFault(FaultKind.DAMAGED, "it holds other bytes")
            else:
                try:
                    self._unpacker.unpack(answer)
                except IntegrityError as error:
                    fault = NodeFault(FaultKind.DAMAGED, error.message)
            if fault is not None:
                self._structure.note((kind, ident), fault)
                yield None
            elif not isinstance(answer, Absence):
                yield Verified(*answer)

    # -- Rows ---------------------------------------------------------------------------------

    def _add_rows(self, target: CopyableStore, wanted: RowsPart) -> RowsPart:
        added = RowsPart()
        self._progress.start("adding names", None)
        for part in parts(wanted):
            done = target.contents.put(part)
            added.names |= done.names
            added.manifests |= done.manifests
            added.trash |= done.trash
            added.indexes |= done.indexes
        quota = self._source.contents.quota
        if quota and not target.contents.quota:
            target.set_quota(quota)
        return added

    def _gone(self, wanted: RowsPart) -> set[ManifestId]:
        """Manifests that were removed since their rows were read, even if they are back.

        All others had their objects all the time.
        """
        self._source.refresh()
        roots = RowsPart(manifests=wanted.manifests, trash=wanted.trash)
        here = self._source.contents.about(roots)
        return {ident for ident in self._roots if here.created(ident) != roots.created(ident)}

    def _broken(self, gone: Collection[ManifestId]) -> dict[ManifestId, set[ObjectKey]]:
        """Manifests that need faulty objects, with these."""
        if not self._structure.wrong:
            return {}
        memo: dict[Content, frozenset[ObjectKey]] = {}
        needs = {i: self._structure.needs(i, memo) for i in self._roots if i not in gone}
        return {ident: keys for ident, keys in needs.items() if keys}

    def _faults(self, rows: RowsPart, broken: dict[ManifestId, set[ObjectKey]]) -> list[Fault]:
        labels: dict[bytes, list[str]] = {}
        for known in rows.names.values():
            for record in known.versions:
                labels.setdefault(record.manifest, []).append(f"{record.name}@{record.version}")
        faults: list[Fault] = []
        for key, found in sorted(self._structure.wrong.items(), key=lambda item: item[0]):
            hit = sorted(ident for ident, keys in broken.items() if key in keys)
            if found.problem is FaultKind.MISSING and not hit:
                continue  # it went with what needed it
            names = sorted({label for ident in hit for label in labels.get(ident, ())})
            faults.append(Fault(*key, found.problem, found.detail, tuple(hit), tuple(names)))
        return faults
