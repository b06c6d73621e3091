"""Fetches an object that another casync server has: only the chunks that the store lacks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from casync.access.content_file import read_range
from casync.access.metered_server import Meter, MeteredServer
from casync.access.outline import open_outline
from casync.errors import DamagedStoreError, IntegrityError, NoObjectError, SourceChangedError
from casync.jobs.checksum import Checksum, Verifier
from casync.jobs.fault import ObjectFaultKind
from casync.ops.download.ledger import Active
from casync.ops.download.ranges import SPLIT_BYTES
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull_folder.into_store import pull_into_store
from casync.remote.sources.base import Replica, failed
from casync.store.base import ObjectStore

__all__ = ["fetch_replica"]

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
    try:
        length = pull_into_store(replica.manifest, store, server, options, _Advance(active)).length
    except NoObjectError as error:
        changed = SourceChangedError(f"{label} was removed while it was fetched")
        raise failed(changed, ObjectFaultKind.CHANGED) from error
    except DamagedStoreError:
        raise
    except IntegrityError as error:
        raise failed(error, ObjectFaultKind.CHECKSUM) from error
    if checksums:
        verifier = Verifier(tuple(checksums))
        for block in read_range(open_outline(replica.manifest, store), store, 0, length):
            verifier.update(block)
        verifier.finish()
    return length


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
