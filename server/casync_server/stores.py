"""The stores of a server: the default one, and one for each namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from casync.store.lmdb.namespaces import (
    each_namespace,
    namespace_folder,
    open_for_reading,
    open_namespace,
)
from casync.store.lmdb.store import LmdbStore
from casync_server.options import ServeOptions
from casync_server.replica.stores import BucketStores
from casync_server.settings import ServerSettings

__all__ = ["FolderStores", "ServedStores", "stores_of"]


class ServedStores(Protocol):
    """Where the stores are, and how they are opened. The default namespace is the empty text."""

    @property
    def shared(self) -> bool:
        """Whether other hosts change them, too."""
        ...

    def folder(self, namespace: str) -> Path:
        """The folder with the data file of a namespace on this host."""
        ...

    def place(self, namespace: str) -> str:
        """The store of a namespace, as `--store` takes it."""
        ...

    def namespaces(self) -> Iterator[str]:
        """All namespaces but the default one.

        Raises:
            CasyncError: They cannot be read.
        """
        ...

    def open_for_clients(self, namespace: str, *, read_only: bool) -> LmdbStore:
        """Opens the store of a namespace other than the default one, to answer requests.

        Raises:
            NoStoreError: There is none.
            CasyncError: It cannot be opened.
        """
        ...

    def open_for_work(self, namespace: str) -> LmdbStore:
        """Opens the store of a namespace for jobs or a collection.

        Raises:
            NoStoreError: There is none.
            CasyncError: It cannot be opened.
        """
        ...


class FolderStores:
    """Stores in a folder. See `ServedStores`.

    Args:
        path: The folder of the default one.
    """

    shared = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def folder(self, namespace: str) -> Path:
        """See `ServedStores`."""
        return namespace_folder(self._path, namespace)

    def place(self, namespace: str) -> str:
        """See `ServedStores`."""
        return str(self.folder(namespace))

    def namespaces(self) -> Iterator[str]:
        """See `ServedStores`."""
        return each_namespace(self._path)

    def open_for_clients(self, namespace: str, *, read_only: bool) -> LmdbStore:
        """See `ServedStores`."""
        open_store = open_for_reading if read_only else open_namespace
        return open_store(self._path, namespace)

    def open_for_work(self, namespace: str) -> LmdbStore:
        """See `ServedStores`."""
        return open_namespace(self._path, namespace) if namespace else LmdbStore.open(self._path)


def stores_of(options: ServeOptions, settings: ServerSettings) -> ServedStores:
    """The stores that a server with these options has."""
    if options.bucket is None:
        return FolderStores(options.store)
    return BucketStores(options, options.bucket, settings)
