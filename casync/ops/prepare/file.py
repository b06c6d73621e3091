"""Prepares a file: puts its content into a store and returns the hash that names it.

The hash depends only on the bytes and the chunk sizes. The manifest is published in the last
commit, after a check that the source did not change, so an unfinished prepare leaves only chunks,
which the next one reuses.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from casync.access.naming import SignerHere, add_name
from casync.access.progress import SILENT, Progress
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.chunk_writer import ChunkWriter
from casync.cutting.cut import cut, usable_cpus
from casync.cutting.serial import SerialCutting
from casync.errors import (
    CasyncError,
    DigestMismatchError,
    SourceChangedError,
    UnreachableError,
    UsageError,
)
from casync.fs.source.base import FileStamp, Hole, Source
from casync.ids import Kind, ManifestId
from casync.jobs.fault import ObjectFaultKind
from casync.limits import MIB
from casync.names.name import Name, NameRecord
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.objects.codec import DEFAULT_LEVEL, Packer
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.ops.prepare.prepared import Prepared
from casync.store.base import Batch, ManifestState, ObjectStore, RememberedFile
from casync.store.proved import ProvedReader

__all__ = ["PrepareOptions", "prepare", "publish"]

_MAX_WORKERS: Final = 64
_SIZES_LOOKED_AT: Final = 8
"""Manifests whose chunk sizes are compared with the requested ones; most stores use one choice."""

_ZEROS: Final = bytes(MIB)


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How to prepare.

    Attributes:
        params: Chunk sizes.
        level: zstd level of new payloads.
        name: A name to point to the result.
        signer: Signs the update of the name.
        expect_sha256: The expected SHA-256 of the content.
        reread: Read a file even if it is remembered and unchanged.
        mend: Prove the objects that the store has of it already, and store damaged ones again.
        workers: Processes that cut and pack large inputs; 0 for the number of usable CPUs.
    """

    params: ChunkerParams = DEFAULT_PARAMS
    level: int = DEFAULT_LEVEL
    name: Name | None = None
    signer: SignerHere | None = None
    expect_sha256: bytes | None = None
    reread: bool = False
    mend: bool = False
    workers: int = 0


def prepare(
    source: Source,
    store: ObjectStore,
    options: PrepareOptions = PrepareOptions(),
    progress: Progress = SILENT,
) -> Prepared:
    """Puts the bytes of `source` into `store`.

    Args:
        source: The source. If it changes or breaks off while it is read, it is read once more if
            possible.
        store: The store.
        options: How to prepare.
        progress: Advances by every byte.

    Raises:
        SourceChangedError: The source changed while it was read.
        DigestMismatchError: Its SHA-256 is not the expected one. Nothing is published.
        UsageError: An option is out of range, or the content exceeds the limits of the format.
        NoSpaceError, WriteError: The store cannot be written.
        CasyncError: The source cannot be read.
    """
    started = time.monotonic()
    if not 0 <= options.workers <= _MAX_WORKERS:
        raise UsageError(f"0 to {_MAX_WORKERS} workers, not {options.workers}")
    if not options.reread and options.expect_sha256 is None:
        known = _remembered(source.stamp(), store, options.params)
        if known is not None:
            manifest, length = known
            record = _set_name(store, options, manifest)
            seconds = time.monotonic() - started
            return Prepared(manifest, length, 0, 0, 0, 0, True, record, seconds)
    _note_other_sizes(store, options.params, progress)
    try:
        done = _read(source, store, options, progress)
    except (SourceChangedError, UnreachableError) as error:
        broke_off = error.fault in (ObjectFaultKind.SHORT_BODY, ObjectFaultKind.STALL)
        if not source.repeatable or not (isinstance(error, SourceChangedError) or broke_off):
            raise
        progress.note(f"{error.message}; reading it again")
        done = _read(source, store, options, progress)
    return done._replace(seconds=time.monotonic() - started)


def _remembered(
    stamp: FileStamp | None, store: ObjectStore, params: ChunkerParams
) -> tuple[ManifestId, int] | None:
    """The full manifest of a file that is certainly unchanged, and its length."""
    row = store.recall(stamp.path) if stamp is not None else None
    if stamp is None or row is None or not row.settled or row.identity != stamp.identity:
        return None
    ident = ManifestId(row.manifest)
    present = store.manifest(ident)
    if present is None or present.state is not ManifestState.FULL:
        return None
    for manifest in _readable(store, [ident]):  # a damaged manifest is made again
        if manifest.kind == "file" and manifest.params == params:
            return ident, manifest.length
    return None


def _readable(store: ObjectStore, ids: Sequence[ManifestId]) -> Iterator[Manifest]:
    """The manifests that can be read."""
    for data in ProvedReader(store).found(Kind.MANIFEST, ids):
        if data is not None:
            with suppress(CasyncError):
                yield decode_manifest(data)


def _note_other_sizes(store: ObjectStore, params: ChunkerParams, progress: Progress) -> None:
    """Notes if the store's content has other chunk sizes, as equal bytes are then stored twice."""
    ids = [row.id for row in islice(store.manifests(), _SIZES_LOOKED_AT)]
    found = {manifest.params for manifest in _readable(store, ids)}
    if found and params not in found:
        other = found.pop()
        progress.note(
            f"the store holds content of other chunk sizes (average {other.avg_size} bytes, not "
            f"{params.avg_size}); nothing is shared with it"
        )


def _set_name(
    store: ObjectStore, options: PrepareOptions, manifest: ManifestId
) -> NameRecord | None:
    if options.name is None:
        return None
    batch = Batch()
    add_name(batch, options.name, manifest, options.signer)
    return store.commit(batch).names[0]


def _read(
    source: Source, store: ObjectStore, options: PrepareOptions, progress: Progress
) -> Prepared:
    """Reads the source once, and publishes it."""
    writer = BatchWriter(store, mends=options.mend)
    writer.expect()
    workers = options.workers or usable_cpus()
    try:
        chunk_writer = ChunkWriter(writer, level=options.level, threads=workers, progress=progress)
        progress.start("reading", source.length)
        if options.expect_sha256 is None:
            cut(source, chunk_writer, options.params, level=options.level, workers=workers)
        else:
            _cut_and_compare(source, chunk_writer, options.params, options.expect_sha256)
        content = chunk_writer.finish()
        manifest = Manifest("file", options.params, content)
        ident, record = publish(manifest, writer, options, stamp=source.stamp())
    finally:
        writer.close()
    return Prepared(
        manifest=ident,
        length=content.length,
        chunks=chunk_writer.chunks,
        new=chunk_writer.new,
        reused=chunk_writer.chunks - chunk_writer.new,
        stored=writer.stored,
        unchanged=False,
        name=record,
        seconds=0.0,
    )


def publish(
    manifest: Manifest,
    writer: BatchWriter,
    options: PrepareOptions,
    *,
    stamp: FileStamp | None = None,
    relies: Sequence[ManifestId] = (),
) -> tuple[ManifestId, NameRecord | None]:
    """Publishes a manifest in the same commit as the rest of its content.

    Args:
        manifest: The manifest, whose content `writer` has taken.
        writer: Writes the rest, and the manifest.
        options: The name, and its signer.
        stamp: The file to remember as a seed.
        relies: Full manifests whose objects are reused without a look-up.

    Returns:
        The hash, and the version of the name.

    Raises:
        NoSpaceError, WriteError, NoObjectError, LostRaceError: As `ObjectStore.commit`.
    """
    packed = Packer(options.level).pack_new(Kind.MANIFEST, encode_manifest(manifest))
    ident, length = ManifestId(packed.id), manifest.content.length
    batch = Batch(objects=[packed], manifests=[(ident, ManifestState.FULL, length)])
    batch.relies += relies
    if stamp is not None:
        batch.remember.append(RememberedFile(stamp.path, stamp.identity, ident, stamp.settled))
    add_name(batch, options.name, ident, options.signer)
    names = writer.finish(batch).names
    return ident, names[0] if names else None


def _cut_and_compare(
    source: Source, chunk_writer: ChunkWriter, params: ChunkerParams, expected: bytes
) -> None:
    """Cuts in this process, and checks the SHA-256 of all bytes."""
    cutting = SerialCutting(chunk_writer, params)
    digest = _Digest()
    try:
        for block in source.blocks():
            cutting.feed(block)
            digest.update(block)
        cutting.finish()
        if (found := digest.finish()) != expected:
            raise DigestMismatchError(
                f"{source.label} has the SHA-256 {found.hex()}, not {expected.hex()}"
            )
    finally:
        digest.close()


class _Digest:
    """The SHA-256 of a stream, computed in a thread, one block behind the caller."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sha256")
        self._running: Future[None] | None = None

    def update(self, block: bytes | Hole) -> None:
        """Takes the next block."""
        self._wait()
        self._running = self._executor.submit(self._update, block)

    def finish(self) -> bytes:
        """The digest of all blocks."""
        self._wait()
        return self._sha256.digest()

    def close(self) -> None:
        """Ends the thread."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()

    def _update(self, block: bytes | Hole) -> None:
        if isinstance(block, bytes):
            self._sha256.update(block)
            return
        for done in range(0, block.length, MIB):
            self._sha256.update(_ZEROS[: block.length - done])
