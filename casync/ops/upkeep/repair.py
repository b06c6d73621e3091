"""Repair: what is damaged or missing in a store is fetched from servers and stored again.

What a server sends is proved before it is stored, as in a pull. Must not know what else damage
could mean: an object that breaks the format was stored like that, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.errors import IntegrityError, RemoteError
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.codec import Packed, Unpacker, Verified
from casync.ops.upkeep.structure import FaultKind, ObjectKey
from casync.ops.upkeep.verify import Fault, VerifyOptions, verify
from casync.store.base import Batch, ObjectSource, ObjectStore

__all__ = ["Repaired", "repair"]

_AT_ONCE: Final = 256
"""Objects that one request asks for, and one commit writes."""


class Repaired(NamedTuple):
    """What a repair did.

    Attributes:
        mended: Objects that were damaged or missing and are stored again; in a dry run those
            that servers have.
        stored: Their bytes as they were sent; in a dry run as they would be.
        faults: What is still wrong.
    """

    mended: list[ObjectKey]
    stored: int
    faults: list[Fault]


def repair(
    store: ObjectStore,
    servers: Sequence[ObjectSource],
    manifests: Sequence[ManifestId] | None = None,
    *,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Repaired:
    """Verifies a store and mends what servers have.

    Args:
        store: What to repair.
        servers: Are asked one after the other for what those before did not have.
        manifests: Full manifests whose content to repair, or None for everything.
        dry_run: Only ask who has what.
        progress: Is told of every byte that was hashed.

    Raises:
        RemoteError: No server could be asked, and something is left that one might have.
        NoObjectError, DamagedStoreError: As `verify`.
        NoSpaceError, WriteError: The store cannot be written. What was mended stays mended.
    """
    return _Repair(store, servers, progress).run(manifests, dry_run=dry_run)


class _Repair:
    def __init__(
        self, store: ObjectStore, servers: Sequence[ObjectSource], progress: Progress
    ) -> None:
        self._store = store
        self._servers = servers
        self._progress = progress
        self._unpacker = Unpacker()
        self._failures: list[RemoteError] = []
        self._mended: dict[ObjectKey, int] = {}

    def run(self, manifests: Sequence[ManifestId] | None, *, dry_run: bool) -> Repaired:
        """Mends until a look at the store finds nothing new that could be mended.

        What lies below a damaged node is seen only when that is mended.
        """
        left: dict[ObjectKey, Fault] = {}
        options = VerifyOptions()
        while True:
            report = verify(self._store, manifests, options, self._progress)
            found = {(fault.kind, fault.id): fault for fault in report.faults}
            fresh = [key for key in found if key not in left and key not in self._mended]
            left |= found
            wanted = [key for key in fresh if left[key].problem is not FaultKind.MALFORMED]
            before = len(self._mended)
            for kind in Kind:
                ids = [ident for of, ident in wanted if of is kind]
                for start in range(0, len(ids), _AT_ONCE):
                    self._mend(kind, ids[start : start + _AT_ONCE], dry_run=dry_run)
            for key in self._mended:
                left.pop(key, None)
            if dry_run or len(self._mended) == before:
                break
            if manifests is None:  # all payloads were read; the rest is structure
                options = VerifyOptions(quick=True)
        if self._failures and any(f.problem is not FaultKind.MALFORMED for f in left.values()):
            raise self._failures[0]
        faults = [left[key] for key in sorted(left)]
        return Repaired(sorted(self._mended), sum(self._mended.values()), faults)

    def _mend(self, kind: Kind, ids: list[ObjectId], *, dry_run: bool) -> None:
        """Has the servers give some objects, one server after the other."""
        ask = self._ask if dry_run else self._fetch
        for server in self._servers:
            try:
                had = ask(server, kind, ids)
            except RemoteError as error:
                self._failures.append(error)
                continue
            self._mended |= {(kind, ident): size for ident, size in had.items()}
            ids = [ident for ident in ids if ident not in had]
            if not ids:
                return

    def _ask(
        self, server: ObjectSource, kind: Kind, ids: Sequence[ObjectId]
    ) -> dict[ObjectId, int]:
        """What a server has of some objects, with the bytes that it would send."""
        stats = zip(ids, server.stat(kind, ids), strict=True)
        return {ident: stat.stored for ident, stat in stats if stat is not None}

    def _fetch(
        self, server: ObjectSource, kind: Kind, ids: Sequence[ObjectId]
    ) -> dict[ObjectId, int]:
        """The same, and stores it: as far as it is what it should be."""
        proved: list[Verified] = []
        for answer in server.get(kind, ids):
            if isinstance(answer, Packed):
                try:
                    proved.append(self._unpacker.verify(answer)[0])
                except IntegrityError as error:
                    self._progress.note(f"a server sent bad bytes: {error.message}")
        self._store.commit(Batch(mended=proved))
        return {item.id: len(item.payload) for item in proved}
