"""Fetches an object that another casync server has: only the chunks that the store lacks.

A large one is pulled, as `casync pull` into the store does it. The objects of a small one go into
the batches of its job with those of others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from casync.access.content_file import read_range
from casync.access.metered_server import Meter, MeteredServer
from casync.access.outline import open_outline
from casync.errors import (
    DamagedStoreError,
    IntegrityError,
    MalformedError,
    NoObjectError,
    SourceChangedError,
)
from casync.ids import ChunkId, Kind, ObjectId
from casync.jobs.checksum import Checksum, Verifier
from casync.jobs.fault import ObjectFaultKind
from casync.objects.below import Below
from casync.objects.codec import Verified
from casync.objects.manifest import decode_manifest
from casync.ops.download.ledger import Active
from casync.ops.download.ranges import SPLIT_BYTES
from casync.ops.download.small import SMALL_BYTES
from casync.ops.download.writing import SharedWriter
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull_folder.into_store import pull_into_store
from casync.remote.sources.base import Replica, failed
from casync.store.base import ObjectStore
from casync.store.proved import ProvedReader

__all__ = ["fetch_replica", "small_replica"]

_CONNECTIONS: Final = 4
"""Requests at the same time for one large object, as `pull` makes them."""


def fetch_replica(
    replica: Replica,
    label: str,
    store: ObjectStore,
    checksums: Sequence[Checksum],
    active: Active,
    meter: Meter,
) -> int:
    """Puts an object into `store`, with the manifest that it has on the other side.

    Args:
        replica: The object.
        label: Its address for messages.
        store: The store.
        checksums: What the bytes must match.
        active: Is told of progress.
        meter: See `Meter`.

    Returns:
        Bytes of the object.

    Raises:
        SourceChangedError: It was removed meanwhile.
        IntegrityError: The server sends other bytes, or they do not match a checksum.
        CasyncError: As `pull_into_store`.
    """
    server = MeteredServer(replica.server, meter)
    is_large = active.size is not None and active.size >= SPLIT_BYTES
    options = PullOptions(connections=_CONNECTIONS if is_large else 1)
    with _fetching(label):
        length = pull_into_store(replica.manifest, store, server, options, _Advance(active)).length
    if checksums:
        verifier = Verifier(tuple(checksums))
        for block in read_range(open_outline(replica.manifest, store), store, 0, length):
            verifier.update(block)
        verifier.finish()
    return length


def small_replica(
    replica: Replica, label: str, writer: SharedWriter, meter: Meter
) -> tuple[list[Verified], int] | None:
    """The objects that the store lacks of a small file, with its manifest.

    Args:
        replica: The object.
        label: Its address for messages.
        writer: Knows what is in the store, and on its way to it.
        meter: See `Meter`.

    Returns:
        The objects, to be published in one commit, and the bytes of the file; None if it is no
        small file.

    Raises:
        SourceChangedError: It was removed meanwhile.
        IntegrityError: The server sends other bytes.
        CasyncError: What the server and the store raise.
    """
    reader = ProvedReader(MeteredServer(replica.server, meter))
    nodes: dict[ObjectId, bytes] = {}

    def fetch(kind: Kind, ids: Sequence[ObjectId]) -> Iterable[bytes | None]:
        for ident, data in zip(ids, reader.plain(kind, ids), strict=True):
            nodes[ident] = data
            yield data

    with _fetching(label):
        plain = reader.one(Kind.MANIFEST, replica.manifest)
        manifest = decode_manifest(plain)
        if manifest.kind != "file" or manifest.length > SMALL_BYTES:
            return None
        lengths: dict[ObjectId, int] = {}
        for reached in Below(fetch, strict=True).walk(manifest):
            reached.check()
            lengths.update((ChunkId(ident), length) for ident, length in reached.chunks)
        lacking = list(writer.missing(Kind.CHUNK, lengths))
        chunks = list(zip(lacking, reader.plain(Kind.CHUNK, lacking), strict=True))
        for ident, data in chunks:
            if len(data) != lengths[ident]:
                raise MalformedError(f"chunk {ident.hex()} is listed with another length")
    packer = writer.packer
    new = writer.missing(Kind.NODE, nodes) if nodes else set()
    objects = packer.pack_batch(Kind.CHUNK, chunks)
    objects += [packer.pack(Kind.NODE, ident, nodes[ident]) for ident in new]
    objects.append(packer.pack(Kind.MANIFEST, replica.manifest, plain))
    return objects, manifest.length


@contextmanager
def _fetching(label: str) -> Iterator[None]:
    """Says of errors what they mean for an object.

    Raises:
        SourceChangedError: It was removed meanwhile.
        IntegrityError: The server sends other bytes.
    """
    try:
        yield
    except NoObjectError as error:
        changed = SourceChangedError(f"{label} was removed while it was fetched")
        raise failed(changed, ObjectFaultKind.CHANGED) from error
    except DamagedStoreError:
        raise
    except IntegrityError as error:
        raise failed(error, ObjectFaultKind.CHECKSUM) from error


class _Advance:
    """The `Progress` of a pull, which tells an `Active`."""

    def __init__(self, active: Active) -> None:
        self._active = active
        self._lock = threading.Lock()

    def start(self, what: str, total: int | None) -> None:
        """As `Progress.start`."""
        self._active.done = 0

    def advance(self, count: int) -> None:
        """As `Progress.advance`."""
        with self._lock:
            self._active.done += count

    def note(self, text: str) -> None:
        """As `Progress.note`."""
