"""Namespaces: stores inside a store, isolated from each other.

The store itself is the default namespace. Each further one is a whole store in a folder below it,
and shares nothing with it: answers, sizes, times and damage of one reveal nothing about another
(docs/adr/0010). Every operation on a store works on a namespace, given its folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from casync.errors import CasyncError, NoStoreError, UsageError
from casync.fs.os_errors import writing
from casync.limits import NAMESPACE_MAP_BYTES
from casync.store.lmdb.backup import refuse_store
from casync.store.lmdb.creation import store_exists
from casync.store.lmdb.lmdb_errors import reading_errors
from casync.store.lmdb.store import LmdbStore

__all__ = [
    "DEFAULT",
    "back_up",
    "each_namespace",
    "establish",
    "namespace_folder",
    "open_for_reading",
    "open_namespace",
    "parse_namespace",
]

DEFAULT: Final = "default"
"""The user's name for the store itself; rows use the empty text."""

_FOLDER: Final = "namespaces"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


def parse_namespace(text: str) -> str:
    """Reads a namespace as a user types it; empty for the store itself.

    Raises:
        UsageError: It is not a valid name of a namespace.
    """
    if text == DEFAULT:
        return ""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"not a valid name of a namespace: {text}",
            next_step="Use 1 to 64 lower-case letters, digits, `-` and `_`; begin with a letter "
            "or digit.",
        )
    return text


def namespace_folder(store: Path, namespace: str) -> Path:
    """The folder of a namespace's store; that of the store itself for the default one."""
    return store / _FOLDER / namespace if namespace else store


def each_namespace(store: Path) -> Iterator[str]:
    """The namespaces of the store in `store` besides the default one, in order.

    Raises:
        WriteError, DeniedError: The folder cannot be read.
    """
    with reading_errors(store):
        folder = store / _FOLDER
        found = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    yield from (name for name in found if _NAME.fullmatch(name) and store_exists(folder / name))


def open_namespace(
    store: Path, namespace: str, *, create: bool = False, read_only: bool = False
) -> LmdbStore:
    """Opens the store of a namespace other than the default one.

    Args:
        store: The folder of the store that it belongs to.
        namespace: The namespace.
        create: Create it if it is missing.
        read_only: As for `LmdbStore.open`.

    Raises:
        NoStoreError: It is missing, and `create` is false.
        CasyncError: As `LmdbStore.open`.
    """
    folder = namespace_folder(store, namespace)
    if create:
        with writing(store):
            _make_private(folder.parent)
    if not create and not store_exists(folder):
        raise NoStoreError(
            f"no namespace {namespace} in store {store}",
            next_step=f"`casync token new --namespace {namespace}` creates it.",
        )
    return LmdbStore.open(
        folder,
        create=create,
        read_only=read_only,
        map_bytes=NAMESPACE_MAP_BYTES,
        allow_network_fs=True,  # where the store itself may lie
    )


def open_for_reading(store: Path, namespace: str = "") -> LmdbStore:
    """Opens a store to read it; for writing if that is possible, so that it keeps member indexes.

    Args:
        store: The folder of the store.
        namespace: One of its namespaces; empty for the default one.

    Raises:
        CasyncError: As `open_namespace`.
    """

    def opened(*, read_only: bool) -> LmdbStore:
        if namespace:
            return open_namespace(store, namespace, read_only=read_only)
        return LmdbStore.open(store, read_only=read_only)

    try:
        return opened(read_only=False)
    except CasyncError:
        return opened(read_only=True)


def establish(store: LmdbStore, namespace: str, *, quota: int | None = None) -> None:
    """Creates a namespace of a store if it is missing, and sets its quota.

    Args:
        store: The store.
        namespace: The namespace; empty for the default one.
        quota: Bytes, 0 for no limit; None leaves it unchanged.

    Raises:
        CasyncError: As `LmdbStore.open`, and `casync.store.lmdb.quota.set_quota`.
    """
    if not namespace:
        own: AbstractContextManager[LmdbStore] = nullcontext(store)
    else:
        own = open_namespace(store.path, namespace, create=True)
    with own as opened:
        if quota is not None:
            opened.set_quota(quota)


def _make_private(folder: Path) -> None:
    """Makes a folder that only its user may list: the names in it are those of tenants."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def back_up(store: LmdbStore, folder: Path, *, advance: Callable[[int], None]) -> None:
    """Copies a store with its namespaces, each as it is at one moment.

    The store itself is copied last, so an interrupted backup is not a store.

    Args:
        store: The store.
        folder: As for `LmdbStore.backup`.
        advance: Is called with the number of bytes of each write.

    Raises:
        CasyncError: As `LmdbStore.backup`.
    """
    refuse_store(folder)
    for namespace in each_namespace(store.path):
        with writing(folder):
            _make_private(folder)
            _make_private(folder / _FOLDER)
        with open_namespace(store.path, namespace, read_only=True) as each:
            each.backup(namespace_folder(folder, namespace), advance=advance)
    store.backup(folder, advance=advance)
