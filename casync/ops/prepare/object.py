"""Prepare one object of a bucket, as a file."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import Final

from casync.access.naming import add_name
from casync.access.progress import SILENT, Progress
from casync.errors import IncompleteError
from casync.fs.scan_cache import ScanCache
from casync.ids import ManifestId
from casync.objects.node import EMPTY
from casync.objects.tree import File, Meta
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.prepared import Prepared
from casync.remote.buckets.base import Bucket, Listed
from casync.remote.buckets.source import BucketSource
from casync.store.base import Batch, ManifestState, ObjectStore

__all__ = ["NEVER_TOO_YOUNG", "prepare_object"]

NEVER_TOO_YOUNG: Final = 2**63 - 1
"""When an object counts as seen, in nanoseconds: its ETag tells apart what times cannot."""

_SEEN: Final = File(b"", Meta(0, 0, 0, 0, "", "", ()), None, EMPTY)
"""The entry of a sighting of which only the manifest counts."""


def prepare_object(
    bucket: Bucket,
    listed: Listed,
    store: ObjectStore,
    options: PrepareOptions,
    *,
    scan_cache: ScanCache,
    progress: Progress = SILENT,
) -> Prepared:
    """Puts one object into `store`.

    Args:
        bucket: Where it is.
        listed: It, as it was seen just now.
        store: Where to put it.
        options: How.
        scan_cache: Remembers it.
        progress: Is told of every byte.

    Raises:
        CasyncError: As `prepare`, and as `Bucket.read`.
    """
    started = time.monotonic()
    source, place = BucketSource(bucket, listed), f"{bucket.place}/{listed.key}"
    if not options.reread and options.expect_sha256 is None:
        with suppress(IncompleteError):  # gone since it was looked for
            known = _unchanged(listed, place, store, options, scan_cache)
            if known is not None:
                batch = Batch(relies=[known])
                add_name(batch, options.name, known, options.signer)
                names = store.commit(batch).names
                record = names[0] if names else None
                seconds = time.monotonic() - started
                return Prepared(known, listed.size, 0, 0, 0, 0, True, record, seconds)
    new = scan_cache.new(place, options.params, NEVER_TOO_YOUNG)
    try:
        prepared = prepare(source, store, options, progress)
        new.add(b"", source.listed.identity, _SEEN)
        new.keep(prepared.manifest)
    finally:
        new.drop()
    return prepared


def _unchanged(
    listed: Listed, place: str, store: ObjectStore, options: PrepareOptions, scan_cache: ScanCache
) -> ManifestId | None:
    """The manifest of an object that is certainly what it was, if all of that is here."""
    last = scan_cache.last(place, options.params)
    if last is None:
        return None
    with closing(last):
        seen = last.find(b"", listed.identity)
    row = store.manifest(last.manifest) if seen is not None else None
    full = row is not None and row.state is ManifestState.FULL
    return last.manifest if full else None
