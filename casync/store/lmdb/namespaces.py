"""Namespaces: stores inside of a store, one for each circle that must not know of the others.

The store itself is the default namespace. Each further one is a whole store in a folder below it,
and shares nothing with it: what one holds cannot be seen in the answers, sizes, times or damage of
another, because it is not there (docs/adr/0010). So whatever works on a store works on a namespace,
given its folder. Must not know tokens, nor who selects a namespace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from casync.errors import NoStoreError, UsageError
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
    "open_namespace",
    "parse_namespace",
]

DEFAULT: Final = "default"
"""What people call the store itself; in rows it is the empty text."""

_FOLDER: Final = "namespaces"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


def parse_namespace(text: str) -> str:
    """Reads what somebody typed; empty for the store itself.

    Raises:
        UsageError: No namespace may be called so.
    """
    if text == DEFAULT:
        return ""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"no namespace can be called {text}",
            next_step="Use 1 to 64 lower-case letters, digits, `-` and `_`, no sign first.",
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
        create: Make it when it is not there.
        read_only: As for `LmdbStore.open`.

    Raises:
        NoStoreError: It is not there.
        CasyncError: As `LmdbStore.open`.
    """
    folder = namespace_folder(store, namespace)
    if not create and not store_exists(folder):
        raise NoStoreError(
            f"no namespace {namespace} in store {store}",
            next_step=f"`casync token new --namespace {namespace}` makes it.",
        )
    return LmdbStore.open(
        folder,
        create=create,
        read_only=read_only,
        map_bytes=NAMESPACE_MAP_BYTES,
        allow_network_fs=True,  # where the store itself may lie
    )


def establish(store: LmdbStore, namespace: str, *, quota: int | None = None) -> None:
    """Makes a namespace of a store where it is not there yet, and bounds what it may hold.

    Args:
        store: The store.
        namespace: The namespace.
        quota: Bytes, 0 for no bound; None leaves it as it is.

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


def back_up(store: LmdbStore, folder: Path, *, advance: Callable[[int], None]) -> None:
    """Copies a store with its namespaces, each as it is at a moment of its own.

    The store itself comes last: a copy that broke off is no store.

    Args:
        store: The store.
        folder: As of `LmdbStore.backup`.
        advance: Is told the bytes that were written.

    Raises:
        CasyncError: As `LmdbStore.backup`.
    """
    refuse_store(folder)
    for namespace in each_namespace(store.path):
        with open_namespace(store.path, namespace, read_only=True) as each:
            each.backup(namespace_folder(folder, namespace), advance=advance)
    store.backup(folder, advance=advance)
