"""Prepares one object of a source as a file."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import Final

from casync.access.naming import add_name
from casync.access.progress import SILENT, Progress
from casync.errors import IncompleteError
from casync.fs.scan_cache import NEVER_TOO_YOUNG, ScanCache
from casync.ids import ManifestId
from casync.objects.node import EMPTY
from casync.objects.tree import File, Meta
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.prepared import Prepared
from casync.remote.sources.base import Listed, RemoteSource
from casync.remote.sources.remote_object import RemoteObject
from casync.store.base import Batch, ManifestState, ObjectStore

__all__ = ["prepare_object"]

_SEEN: Final = File(b"", Meta(0, 0, 0, 0, "", "", ()), None, EMPTY)
"""The entry in the scan cache of a single object, of which only the manifest matters."""


def prepare_object(
    source: RemoteSource,
    listed: Listed,
    store: ObjectStore,
    options: PrepareOptions,
    *,
    scan_cache: ScanCache,
    progress: Progress = SILENT,
) -> Prepared:
    """Puts one object into `store`.

    Args:
        source: The source.
        listed: The object, as it was just listed.
        store: The store.
        options: How to prepare.
        scan_cache: Remembers the object.
        progress: Advances by every byte.

    Raises:
        CasyncError: As `prepare`, and as `RemoteSource.open`.
    """
    started = time.monotonic()
    reader, place = RemoteObject(source, listed), f"{source.place}/{listed.key}"
    if not options.reread and options.expect_sha256 is None:
        with suppress(IncompleteError):  # the manifest was removed since the look-up
            known = _unchanged(listed, place, store, options, scan_cache)
            if known is not None:
                batch = Batch(relies=[known])
                add_name(batch, options.name, known, options.signer)
                names = store.commit(batch).names
                record = names[0] if names else None
                seconds = time.monotonic() - started
                return Prepared(known, listed.size or 0, 0, 0, 0, 0, True, record, seconds)
    new = scan_cache.new(place, options.params, NEVER_TOO_YOUNG)
    try:
        prepared = prepare(reader, store, options, progress)
        new.add(b"", reader.listed.identity, _SEEN)
        new.keep(prepared.manifest)
    finally:
        new.drop()
    return prepared


def _unchanged(
    listed: Listed, place: str, store: ObjectStore, options: PrepareOptions, scan_cache: ScanCache
) -> ManifestId | None:
    """The full manifest of an object that is certainly unchanged, or None."""
    last = scan_cache.last(place, options.params)
    if last is None:
        return None
    with closing(last):
        seen = last.find(b"", listed.identity)
    row = store.manifest(last.manifest) if seen is not None else None
    full = row is not None and row.state is ManifestState.FULL
    return last.manifest if full else None
