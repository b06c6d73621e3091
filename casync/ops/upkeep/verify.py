"""Verifies a store: lists every damaged or missing object, and the manifests that need it.

The structure is walked first, then payloads are read, decoded, hashed and compared with their ids.
Memory holds the ids of nodes and the faults, but no list of all chunks.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.errors import NoObjectError, UsageError
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.names.name import Name
from casync.objects.node import Content
from casync.ops.upkeep.payloads import Payloads
from casync.ops.upkeep.structure import FaultKind, NodeFault, ObjectKey, Structure
from casync.store.base import ManifestRow, ManifestState, ObjectStore

__all__ = ["Fault", "FaultKind", "VerifyOptions", "VerifyReport", "verify"]

_JOB_OBJECTS: Final = 256
"""Objects that one worker reads per job."""

_MAX_RECENT: Final = 1 << 20
"""Recent chunks of chosen manifests that are not read again: at most about 100 MiB of memory."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How to verify.

    Attributes:
        quick: Verify only the structure; read no chunk.
        sample: Percentage of objects whose payloads are read, chosen at random.
        seed: Seed of the random choice.
        workers: Number of reading threads; 0 for the number of usable CPUs.
    """

    quick: bool = False
    sample: float = 100.0
    seed: int = 0
    workers: int = 0


class Fault(NamedTuple):
    """A faulty object.

    Attributes:
        kind: Its kind.
        id: Its id.
        problem: The kind of the fault.
        detail: How it was noticed; may be empty.
        manifests: The full manifests that need it; empty if there are none.
        names: The names of those manifests, as NAME@N.
    """

    kind: Kind
    id: ObjectId
    problem: FaultKind
    detail: str
    manifests: tuple[ManifestId, ...]
    names: tuple[str, ...]


class VerifyReport(NamedTuple):
    """The result of a verification.

    Attributes:
        manifests: Number of full manifests walked.
        names: Number of versions of names checked; 0 if manifests were chosen.
        nodes: Number of distinct nodes below the manifests.
        objects: Number of objects whose payloads were read and hashed.
        length: Their plain bytes.
        faults: The faults, ordered by kind and id.
        seconds: Duration.
    """

    manifests: int
    names: int
    nodes: int
    objects: int
    length: int
    faults: list[Fault]
    seconds: float


def verify(
    store: ObjectStore,
    manifests: Sequence[ManifestId] | None = None,
    options: VerifyOptions = VerifyOptions(),
    progress: Progress = SILENT,
) -> VerifyReport:
    """Verifies a store. Faults are results, not errors.

    Args:
        store: The store.
        manifests: Full manifests to verify, or None for all objects of the store, including those
            that no manifest needs.
        options: How to verify.
        progress: Advances by the plain bytes of each manifest that was walked, then by every hashed
            byte.

    Raises:
        UsageError: An option is out of range.
        NoObjectError: A chosen manifest is not full here.
        DamagedStoreError: The store's own tables cannot be read.
    """
    if not 0 < options.sample <= 100:
        raise UsageError(f"a sample is above 0 and at most 100 percent, not {options.sample:g}")
    if options.workers < 0:
        raise UsageError(f"not a number of workers: {options.workers}")
    return _Verifier(store, options, progress).run(manifests)


class _Verifier:
    def __init__(self, store: ObjectStore, options: VerifyOptions, progress: Progress) -> None:
        self._store = store
        self._options = options
        self._progress = progress
        self._structure = Structure(store)
        self._random = random.Random(options.seed)  # noqa: S311 - a sample, not a secret
        self._manifests = 0
        self._names = 0

    def run(self, manifests: Sequence[ManifestId] | None) -> VerifyReport:
        """Runs the verification."""
        started = time.monotonic()
        chosen = None if manifests is None else [self._row(ident) for ident in set(manifests)]
        payloads = Payloads(self._store, self._options.workers, self._structure, self._progress)
        try:
            if chosen is None:
                self._verify_all(payloads)
            else:
                self._verify_chosen(chosen, payloads)
            payloads.finish()
        finally:
            payloads.close()
        return VerifyReport(
            manifests=self._manifests,
            names=self._names,
            nodes=len(self._structure.seen),
            objects=payloads.objects,
            length=payloads.length,
            faults=self._faults(chosen),
            seconds=time.monotonic() - started,
        )

    def _row(self, ident: ManifestId) -> ManifestRow:
        row = self._store.manifest(ident)
        if row is None or row.state is not ManifestState.FULL:
            raise NoObjectError(f"manifest {ident.hex()} is incomplete here")
        return row

    def _verify_all(self, payloads: Payloads) -> None:
        self._progress.start("checking structure", None)
        for row in self._store.manifests():
            self._manifests += 1
            for _ in self._structure.walk(row.id, row.length):
                pass
            self._progress.advance(row.length)
        self._check_names()
        if self._options.quick:
            return
        self._progress.start("verifying", None)
        for kind in Kind:
            ids = self._store.by_place(kind)
            while group := list(islice(ids, _JOB_OBJECTS)):
                payloads.check(kind, self._sampled(group), listed=True)

    def _verify_chosen(self, rows: Sequence[ManifestRow], payloads: Payloads) -> None:
        self._progress.start("verifying", None)
        recent: set[ChunkId] = set()
        for row in rows:
            self._manifests += 1
            for chunks in self._structure.walk(row.id, row.length):
                if self._options.quick:
                    continue
                fresh = [ident for ident in dict.fromkeys(chunks) if ident not in recent]
                if len(recent) + len(fresh) > _MAX_RECENT:
                    recent.clear()
                recent.update(fresh)
                for start in range(0, len(fresh), _JOB_OBJECTS):
                    group = self._sampled(fresh[start : start + _JOB_OBJECTS])
                    payloads.check(Kind.CHUNK, group, listed=False)

    def _sampled(self, ids: Sequence[ObjectId]) -> list[ObjectId]:
        if self._options.sample == 100:
            return list(ids)
        return [ident for ident in ids if self._random.random() * 100 < self._options.sample]

    def _versions(self) -> Iterator[tuple[str, ManifestId]]:
        """All versions of all names, with what they point to."""
        for newest in self._store.names():
            # A first version is all that there is, and most names have no other.
            log = self._store.history(Name(newest.name)) if newest.version > 1 else []
            for record in log or [newest]:
                yield f"{record.name}@{record.version}", ManifestId(record.manifest)

    def _is_full(self, ident: ManifestId) -> bool:
        row = self._store.manifest(ident)
        return row is not None and row.state is ManifestState.FULL

    def _check_names(self) -> None:
        for label, ident in self._versions():
            self._names += 1
            if not self._is_full(ident):
                found = NodeFault(
                    FaultKind.MISSING, f"{label} points to it, but it is incomplete here"
                )
                self._structure.note((Kind.MANIFEST, ident), found)

    def _faults(self, chosen: Sequence[ManifestRow] | None) -> list[Fault]:
        wrong = self._structure.wrong
        if not wrong:
            return []
        self._progress.start("finding affected manifests", None)
        needed_by: dict[ObjectKey, list[ManifestId]] = {key: [] for key in wrong}
        memo: dict[Content, frozenset[ObjectKey]] = {}
        for row in chosen if chosen is not None else self._store.manifests():
            for key in self._structure.needs(row.id, memo):
                needed_by.setdefault(key, []).append(row.id)
        self._store.refresh()
        names: dict[ManifestId, list[str]] = {}
        hit = {ident for idents in needed_by.values() for ident in idents}
        hit |= {ManifestId(ident) for kind, ident in wrong if kind is Kind.MANIFEST}
        for label, ident in self._versions():
            if ident in hit:
                names.setdefault(ident, []).append(label)
        there = {ident for ident in hit if self._is_full(ident)}
        found = (
            _fault(key, wrong[key], there & set(needed_by[key]), names) for key in sorted(needed_by)
        )
        return [fault for fault in found if self._is_fault(fault)]

    def _is_fault(self, fault: Fault) -> bool:
        """Whether a missing object is still needed, and missing: others may remove and add."""
        if fault.problem is not FaultKind.MISSING:
            return True
        is_here = self._store.stat(fault.kind, [fault.id]) != [None]
        if fault.kind is Kind.MANIFEST:
            is_here = is_here and self._is_full(ManifestId(fault.id))
        return bool(fault.manifests or fault.names) and not is_here


def _fault(
    key: ObjectKey,
    found: NodeFault,
    manifests: Collection[ManifestId],
    names: dict[ManifestId, list[str]],
) -> Fault:
    kind, ident = key
    pointed = dict.fromkeys([*manifests, ManifestId(ident)])
    labels = sorted({label for manifest in pointed for label in names.get(manifest, ())})
    return Fault(kind, ident, found.problem, found.detail, tuple(sorted(manifests)), tuple(labels))
