"""Measures how much a store holds, and the disk space that it takes."""

from __future__ import annotations

from typing import NamedTuple

from casync.ids import Kind
from casync.store.base import ManifestState
from casync.store.lmdb.databases import JOB_DATABASES
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.gc_totals import GcTotals, read_totals
from casync.store.lmdb.jobs.rows import is_job_key
from casync.store.lmdb.ownership import DATA_FILE
from casync.store.lmdb.push_rows import decode_push
from casync.store.lmdb.quota import read_quota
from casync.store.lmdb.rows import (
    decode_index,
    decode_manifest_row,
    decode_segment_use,
    index_prefix,
)
from casync.store.lmdb.scan import scan, scan_keys

__all__ = ["KindUse", "StoreUsage", "measure"]


class KindUse(NamedTuple):
    """Objects of one kind: their number, and their bytes, plain and stored."""

    number: int
    length: int
    stored: int


class StoreUsage(NamedTuple):
    """What a store holds; sizes in bytes.

    Attributes:
        manifests: Number of full manifests.
        logical: Bytes of the content of full manifests.
        outlines: Number of manifests of which only the nodes are here.
        names: Number of names.
        objects: Use by kind; empty if not measured.
        segments: Number of segments.
        used: Bytes of all segments.
        live: Bytes of the records that the index points to.
        free: Bytes of free pages of the data file: later content reuses them, and a compaction
            returns them to the disk.
        file: Disk space of the data file.
        map: Address space reserved for it.
        quota: Bytes of live records that the store may hold; 0 for no limit.
        pushes: Number of open pushes. Objects since the oldest of them are not collected.
        jobs: Number of jobs, finished ones included.
        job_bytes: Bytes of pages with the rows of jobs, and with the origins of names.
        collections: Totals of all collections so far.
    """

    manifests: int
    logical: int
    outlines: int
    names: int
    objects: dict[Kind, KindUse]
    segments: int
    used: int
    live: int
    free: int
    file: int
    map: int
    quota: int
    pushes: int
    jobs: int
    job_bytes: int
    collections: GcTotals


def measure(environment: Environment, *, now: int, objects: bool = True) -> StoreUsage:
    """Measures a store.

    Args:
        environment: The store's environment.
        now: Seconds since 1970.
        objects: Also walk the whole index and count objects: about a second per million.

    Raises:
        DamagedStoreError: A row is damaged.
    """
    manifests = [decode_manifest_row(*row) for row in scan(environment, "manifests")]
    full = [row.length for row in manifests if row.state is ManifestState.FULL]
    uses = [decode_segment_use(value) for _, value in scan(environment, "segment_use")]
    with environment.reading() as txn:
        quota = read_quota(txn, environment.databases["meta"])
        totals = read_totals(txn, environment.databases["meta"])
        job_bytes = sum(_page_bytes(txn, environment, name) for name in JOB_DATABASES)
    known = "pushes" in environment.databases
    pushes = [decode_push(value) for _, value in scan(environment, "pushes")] if known else []
    return StoreUsage(
        manifests=len(full),
        logical=sum(full),
        outlines=len(manifests) - len(full),
        names=sum(1 for _ in scan_keys(environment, "names")),
        objects={kind: _kind_use(environment, kind) for kind in Kind} if objects else {},
        segments=len(uses),
        used=sum(use.used for use in uses),
        live=sum(use.live for use in uses),
        free=environment.free_bytes,
        file=(environment.path / DATA_FILE).stat().st_blocks * 512,
        map=environment.map_bytes,
        collections=totals,
        pushes=sum(push.protects(now) for push in pushes),
        jobs=sum(map(is_job_key, scan_keys(environment, "jobs"))) if job_bytes else 0,
        job_bytes=job_bytes,
        quota=quota.limit if quota is not None else 0,
    )


def _page_bytes(txn: Txn, environment: Environment, name: str) -> int:
    """Bytes of the pages of a database; 0 if the store lacks it."""
    if name not in environment.databases:
        return 0
    found = txn.stat(environment.databases[name])
    pages = found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"]
    return int(pages * found["psize"])


def _kind_use(environment: Environment, kind: Kind) -> KindUse:
    number = length = stored = 0
    for _, value in scan(environment, "index", prefix=index_prefix(kind)):
        row = decode_index(value)
        number += 1
        length += row.length
        stored += row.stored
    return KindUse(number, length, stored)
