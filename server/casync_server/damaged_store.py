"""The default store of a server when it is damaged: the namespaces beside it are served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from casync.errors import CasyncError, DamagedStoreError, StoppedError
from casync.fs.identity import FileIdentity
from casync_server.faults import data_file_identity

__all__ = ["DamagedStore"]


class DamagedStore:
    """Stands for a store that cannot be opened: every use of it says why.

    When its file has changed and it can be opened again, clients are asked to retry, and the worker
    ends; the next worker opens it.

    Args:
        path: The store's folder.
        identity: The state of its file before it was opened in vain.
        error: Why it cannot be opened.
        reopen: Tries to open it, and closes it.
        renew: Ends this worker once the store can be opened.
    """

    def __init__(
        self,
        path: Path,
        identity: FileIdentity | None,
        error: DamagedStoreError,
        *,
        reopen: Callable[[], None],
        renew: Callable[[], None],
    ) -> None:
        self.path = path
        self.warnings = [
            f"{error.message}; requests for it get 500 damaged-store. {error.next_step}".rstrip()
        ]
        self._identity = identity
        self._error = error
        self._reopen = reopen
        self._renew = renew

    def __getattr__(self, name: str) -> NoReturn:
        identity = data_file_identity(self.path)
        if identity == self._identity:
            raise DamagedStoreError(self._error.message, next_step=self._error.next_step)
        try:
            self._reopen()
        except DamagedStoreError as error:
            self._identity, self._error = identity, error
            raise
        except CasyncError as error:
            raise StoppedError(f"the store cannot be opened: {error.message}") from error
        self._renew()
        raise StoppedError("the store is whole again and will be opened in a moment")

    def close(self) -> None:
        """Does nothing: there is nothing open."""
