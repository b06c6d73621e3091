"""Opens the store that `--store` names: a folder, or a bucket by its address."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from casync.errors import UsageError
from casync_cli.environment import default_cache
from casync_cli.parsing.paths import parse_path

if TYPE_CHECKING:
    from casync.remote.sources.options import SourceOptions
    from casync.store.lmdb.store import LmdbStore

__all__ = ["bucket_home", "folder_of", "is_address", "open_place"]

_MISSPELT: Final = re.compile("(file|s3|aws|gs|gcp|az|azure):(?!//)")
"""What would be a folder with a colon in its name."""


def is_address(place: str) -> bool:
    """Whether a store is named by an address, instead of a folder."""
    return "://" in place


def folder_of(place: str, instead: str = "") -> Path:
    """The folder of a store.

    Args:
        place: Its folder or address.
        instead: What to do if it lies in a bucket.

    Raises:
        UsageError: It does, or its address lacks a slash.
    """
    if found := _MISSPELT.match(place):
        scheme, path = found[1], place[found.end() :].lstrip("/")
        right = f"file:///{path}" if scheme == "file" else f"{scheme}://{path}"
        raise UsageError(
            f"{place} is not the address of a store",
            next_step=f"Write {right}; a folder of that name is ./{place}.",
        )
    if is_address(place):
        raise UsageError(
            f"this command needs a store in a folder, and {place} is a bucket", next_step=instead
        )
    return parse_path(place, "--store")


def bucket_home() -> Path:
    """The folder below which this machine keeps its tables of buckets.

    Raises:
        UsageError: The user has no home.
    """
    home = default_cache()
    if home is None:
        raise UsageError(
            "there is no home for what this machine knows of buckets",
            next_step="Set HOME or XDG_CACHE_HOME to an absolute path.",
        )
    return home / "buckets"


def open_place(
    place: str,
    options: Callable[[], SourceOptions],
    *,
    create: bool,
    read_only: bool,
    allow_network_fs: bool,
) -> LmdbStore:
    """Opens a store.

    Args:
        place: Its folder or address.
        options: Makes the options for buckets.
        create: Create an empty store if there is none.
        read_only: Never write.
        allow_network_fs: As of `LmdbStore.open`.

    Raises:
        CasyncError: As `LmdbStore.open` or `open_bucket_store`.
    """
    if not is_address(place):
        from casync.store.lmdb.store import LmdbStore

        return LmdbStore.open(
            folder_of(place),
            create=create,
            read_only=read_only,
            allow_network_fs=allow_network_fs,
        )
    from casync.bucket_stores import open_bucket_store

    return open_bucket_store(
        place, bucket_home(), create=create, read_only=read_only, options=options()
    )
