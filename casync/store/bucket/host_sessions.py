"""The sessions of this host: the kernel knows which of their processes live.

A process that is killed cannot close its session, which would hold objects for a day. So each
session has a byte of the lock file, locked while its process lives, and the next writer of the same
host ends sessions whose bytes are free. Ending one that lives costs its writer a repeated command.
"""

from __future__ import annotations

import random

from casync.store.bucket.tables import drop_host_session, each_host_session, put_host_session
from casync.store.lmdb.byte_lock import WRITER_BYTES, ByteLocks
from casync.store.lmdb.environment import Environment, Txn

__all__ = ["HostSessions"]


class HostSessions:
    """The sessions that processes with these tables have opened.

    Args:
        environment: The tables.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._locks = ByteLocks(environment.path)

    def add(self, txn: Txn, session: bytes) -> None:
        """Notes a session of this process, before it is opened."""
        number = random.choice(WRITER_BYTES)  # noqa: S311 - any free number
        while not self._locks.take(number):
            number = random.choice(WRITER_BYTES)  # noqa: S311
        put_host_session(txn, self._environment.databases, session, number)

    def drop(self, txn: Txn, session: bytes) -> None:
        """Forgets a session that has ended."""
        drop_host_session(txn, self._environment.databases, session)

    def dead(self, txn: Txn) -> list[bytes]:
        """Sessions whose processes have ended, of others than this one."""
        databases = self._environment.databases
        other = ByteLocks(self._environment.path)
        try:
            return [
                session
                for session, number in each_host_session(txn, databases)
                if not other.is_taken(number)
            ]
        finally:
            other.close()

    def close(self) -> None:
        """Frees the bytes of this process."""
        self._locks.close()
