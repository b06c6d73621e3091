"""Uploads the objects of a commit before its transaction, beside the commits of other threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

from casync.store.bucket.segments import NoSessionError, SegmentUploads
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.quota import read_quota

__all__ = ["StagedUploads"]


class StagedUploads:
    """What threads have uploaded for their next commits.

    Args:
        environment: The tables.
        make: Makes uploads of the session that is open.
        open_session: Opens one if there is none.
    """

    def __init__(
        self,
        environment: Environment,
        make: Callable[[], SegmentUploads],
        open_session: Callable[[], None],
    ) -> None:
        self._environment = environment
        self._make = make
        self._open_session = open_session
        self._local = threading.local()

    def stage(self, pending: Pending) -> None:
        """Uploads records that the store lacks, unless its quota will refuse them.

        Raises:
            CasyncError: The bucket failed.
        """
        databases = self._environment.databases
        with self._environment.reading() as txn:
            quota = read_quota(txn, databases["meta"])
            if quota is not None and quota.held + pending.size > quota.limit:
                return
            found = txn.cursor(databases["index"]).getmulti(sorted(pending.keys))
            new = pending.without({bytes(key) for key, _ in found})
        uploads = self.take()
        self.upload(uploads, new)
        self._local.staged = uploads

    def upload(self, uploads: SegmentUploads, pending: Pending) -> None:
        """Uploads records, in a session that is opened if there is none. Raises as `stage`."""
        while True:
            try:
                uploads.upload(pending)
            except NoSessionError:
                self._open_session()
            else:
                return

    def take(self) -> SegmentUploads:
        """What this thread has staged, once."""
        staged: SegmentUploads | None = getattr(self._local, "staged", None)
        self._local.staged = None
        return staged or self._make()
