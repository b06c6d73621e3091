"""Repairs a store: fetches damaged and missing objects from servers, and stores them again.

Received objects are proved before they are stored, as in a pull. Malformed objects stay: they were
stored like that, so servers cannot have better ones.
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
"""Objects of one request and one commit."""


class Repaired(NamedTuple):
    """The result of a repair.

    Attributes:
        mended: Objects that were damaged or missing and are stored again; in a dry run, those
            that servers have.
        stored: Bytes of their payloads.
        faults: Faults that remain.
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
    """Verifies a store and repairs it with objects from servers.

    Args:
        store: The store.
        servers: Each is asked for the objects that the previous ones lack.
        manifests: Full manifests to repair, or None for the whole store.
        dry_run: Only ask which server has what.
        progress: Advances by every hashed byte.

    Raises:
        RemoteError: A server failed, and faults remain that it might repair.
        NoObjectError, DamagedStoreError: As `verify`.
        NoSpaceError, WriteError: The store cannot be written. Earlier repairs stay.
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
        """Repairs until verification finds nothing new that could be repaired.

        Faults below a damaged node are found only after the node is repaired.
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
        """Fetches objects from one server after the other."""
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
        """The objects that a server has, with the bytes that it would send."""
        stats = zip(ids, server.stat(kind, ids), strict=True)
        return {ident: stat.stored for ident, stat in stats if stat is not None}

    def _fetch(
        self, server: ObjectSource, kind: Kind, ids: Sequence[ObjectId]
    ) -> dict[ObjectId, int]:
        """As `_ask`, but fetches, proves and stores the objects."""
        proved: list[Verified] = []
        for answer in server.get(kind, ids):
            if isinstance(answer, Packed):
                try:
                    proved.append(self._unpacker.verify(answer)[0])
                except IntegrityError as error:
                    self._progress.note(f"a server sent bad bytes: {error.message}")
        self._store.commit(Batch(mended=proved))
        return {item.id: len(item.payload) for item in proved}
