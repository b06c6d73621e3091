"""The world of the model of buckets: a bucket, writers, a remover and a collector, as values."""

from __future__ import annotations

from typing import Final, NamedTuple

from casync.bucket.commit import (
    NewRun,
    after_swap,
    runs_to_read,
    with_session,
    without_session,
)
from casync.bucket.head import BucketHead
from casync.bucket.keys import SessionPart

__all__ = [
    "COLLECTOR",
    "NEEDS",
    "REMOVER",
    "SILENT",
    "Bucket",
    "Collector",
    "Found",
    "Ops",
    "Tables",
    "World",
    "Writer",
    "damage",
    "start",
    "tables_at",
]

NEEDS: Final = {"M0": "X", "M1": "XA", "M2": "XB"}
STORE: Final = bytes(16)
REMOVER, COLLECTOR = b"r" * 16, b"c" * 16
SILENT: Final = 0


class Found(NamedTuple):
    """The number of states, and what was lost with the steps to it; empty if nothing was."""

    states: int
    lost: str


class Tables(NamedTuple):
    """A host's tables: the version that they stand at, rows of chunks, and manifests."""

    version: int
    rows: frozenset[tuple[str, SessionPart, int]]
    manifests: frozenset[str]

    def find(self, chunk: str) -> tuple[str, SessionPart, int] | None:
        return next((row for row in self.rows if row[0] == chunk), None)


class Ops(NamedTuple):
    """A run: rows that are put, chunks that are gone, manifests that come and go."""

    put: frozenset[tuple[str, SessionPart, int]] = frozenset()
    gone: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


class Bucket(NamedTuple):
    head: BucketHead
    segments: frozenset[SessionPart]
    runs: frozenset[tuple[SessionPart, Ops]]

    def run(self, part: SessionPart) -> Ops | None:
        return next((ops for name, ops in self.runs if name == part), None)


class Writer(NamedTuple):
    step: str = "open"
    life: int = 0
    session: bytes = b""
    number: int = 0
    since: int = 0
    relied: str = ""
    seen: BucketHead | None = None
    new: Ops = Ops()


class Collector(NamedTuple):
    step: str = "idle"
    rounds: int = 0
    today: int = 0
    safe: int = 0
    marked: frozenset[str] = frozenset()
    number: int = 0
    seen: BucketHead | None = None
    new: Ops = Ops()
    doomed: frozenset[object] = frozenset()


class World(NamedTuple):
    bucket: Bucket
    writers: tuple[Writer, ...]
    collector: Collector
    removed: bool = False


def tables_at(bucket: Bucket, head: BucketHead) -> Tables | None:
    """Tables that are brought to a head; None if a run is gone, so that the head is read again."""
    tables = Tables(0, frozenset(), frozenset())
    for run in runs_to_read(head, 0).runs:
        ops = bucket.run(run.part)
        if ops is None:
            return None
        changed = {row[0] for row in ops.put} | ops.gone
        rows = frozenset(row for row in tables.rows if row[0] not in changed) | ops.put
        tables = Tables(run.last, rows, (tables.manifests | ops.named) - ops.removed)
    return tables._replace(version=head.version)


def damage(bucket: Bucket) -> str:
    """What is lost; empty if nothing is."""
    tables = tables_at(bucket, bucket.head)
    if tables is None:
        return "a run of the head"
    for manifest in tables.manifests:
        for chunk in NEEDS[manifest]:
            row = tables.find(chunk)
            if row is None or row[1] not in bucket.segments:
                return f"{chunk} of {manifest}"
    return ""


def start(writers: int) -> World:
    """A store with a manifest, and an open session of the remover and of the collector."""
    first = SessionPart(b"0" * 16, 0)
    run = SessionPart(b"0" * 16, 1)
    head = with_session(BucketHead.new(STORE), first.session, SILENT)
    head = after_swap(head, first.session, number=2, now=SILENT, run=NewRun(run, 1))
    head = without_session(head, first.session) or head
    head = with_session(with_session(head, REMOVER, SILENT), COLLECTOR, SILENT)
    ops = Ops(frozenset({("X", first, 1)}), named=frozenset({"M0"}))
    bucket = Bucket(head, frozenset({first}), frozenset({(run, ops)}))
    return World(bucket, (Writer(),) * writers, Collector())
