"""Opens stores by folder or address: the storage of an address, and this host's tables of it."""

from __future__ import annotations

import os
import pwd
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from blake3 import blake3

from casync.bucket.keys import MARKER_KEY
from casync.bucket.lease import LEASE_SECONDS
from casync.bucket.storage import ObjectStorage, TagForm
from casync.errors import NoSpaceError, WriteError
from casync.fs.os_errors import write_error
from casync.fs.paths import StrPath, as_path
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import is_storage, open_storage
from casync.store.bucket.creation import find_store, new_marker
from casync.store.bucket.probe import probe
from casync.store.bucket.store import BucketStore
from casync.store.lmdb.store import LmdbStore

__all__ = [
    "is_storage",
    "make_namespace",
    "namespace_address",
    "open_bucket_store",
    "open_store",
    "tables_folder",
]

_NAMESPACES: Final = "namespaces"
_FORM_FILE: Final = "tags"
_FORMS: Final = {form.value: form for form in TagForm}


def open_store(
    place: StrPath,
    *,
    create: bool = False,
    read_only: bool = False,
    allow_network_fs: bool = False,
    tables: StrPath | None = None,
    options: SourceOptions = SourceOptions(),
) -> LmdbStore:
    """Opens a store: in a folder, or in a bucket by its address.

    Args:
        place: The folder, or `s3://BUCKET/PREFIX`, `az://…`, `gs://…` or `file:///FOLDER`.
        create: Create an empty store if there is none.
        read_only: Never write to it.
        allow_network_fs: As of `LmdbStore.open`.
        tables: The folder below which this host keeps the tables of buckets; by default that of
            the command line, unless its environment names another one.
        options: How to reach buckets.

    Raises:
        UsageError: It is not such an address, or the options do not fit.
        UnsafeStorageError: Writers would lose data in that bucket.
        CasyncError: As `LmdbStore.open` and `BucketStore.open_bucket`.
    """
    if not (isinstance(place, str) and is_storage(place)):
        return LmdbStore.open(
            place, create=create, read_only=read_only, allow_network_fs=allow_network_fs
        )
    home = as_path(tables) if tables is not None else _own_tables()
    return open_bucket_store(place, home, create=create, read_only=read_only, options=options)


def _own_tables() -> Path:
    return Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "casync" / "buckets"


def open_bucket_store(
    address: str,
    home: Path,
    *,
    create: bool = False,
    read_only: bool = False,
    sync: bool = True,
    cache_bytes: int = 0,
    key_folder: Path | None = None,
    lease_seconds: int = LEASE_SECONDS,
    probed: Path | None = None,
    around: Callable[[ObjectStorage], ObjectStorage] = lambda storage: storage,
    options: SourceOptions = SourceOptions(),
) -> BucketStore:
    """Opens the store at an address such as `s3://BUCKET/PREFIX` or `file:///FOLDER`.

    Args:
        address: The address.
        home: The folder below which this host keeps its tables of buckets.
        create: Make an empty store if there is none.
        read_only: Never write to the bucket.
        sync: As of `BucketStore.open_bucket`.
        cache_bytes: As of `BucketStore.open_bucket`.
        key_folder: As of `BucketStore.open_bucket`.
        lease_seconds: As of `BucketStore.open_bucket`.
        probed: This host's tables of another prefix of the same bucket. What the probe has found
            there holds here, too.
        around: Wraps the storage that the store uses.
        options: How to reach it.

    Raises:
        UsageError: It is not such an address, or the options do not fit.
        UnsafeStorageError: Writers would lose data there.
        NoStoreError: There is none, and `create` is false.
        CasyncError: As `BucketStore.open_bucket`.
    """
    storage = open_storage(address, options)
    tables = tables_folder(address, home, options)
    try:
        _make_folder(tables)
        if not read_only:
            storage = storage.using(_form(storage, tables, probed))
        return BucketStore.open_bucket(
            around(storage),
            tables,
            create=create,
            read_only=read_only,
            close_storage=True,
            sync=sync,
            cache_bytes=cache_bytes,
            key_folder=key_folder,
            lease_seconds=lease_seconds,
        )
    except BaseException:
        storage.close()
        raise


def _make_folder(tables: Path) -> None:
    try:
        tables.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=tables):
            pass
    except OSError as error:
        found = write_error(error, tables)
        if isinstance(found, NoSpaceError):
            raise found from error
        raise WriteError(
            f"cannot write {tables}, where this machine keeps what it knows of the bucket: "
            f"{error.strerror}",
            next_step="Make it writable, or set XDG_CACHE_HOME to a folder that is.",
        ) from error


def make_namespace(
    address: str, namespace: str, home: Path, options: SourceOptions = SourceOptions()
) -> BucketStore:
    """Opens the store of a namespace; makes an empty one if there is none.

    Args:
        address: The address of the store that it belongs to.
        namespace: The namespace, other than the default one.
        home: As of `open_bucket_store`.
        options: How to reach the bucket.

    Raises:
        NoStoreError: There is no store at the address.
        CasyncError: As `open_bucket_store`.
    """
    with closing(open_storage(address, options)) as storage:
        find_store(storage)
        marker = f"{_NAMESPACES}/{namespace}/{MARKER_KEY}"
        if storage.get(marker) is None:
            storage.create(marker, new_marker(int(time.time())))
    return open_bucket_store(
        namespace_address(address, namespace),
        home,
        create=True,
        probed=tables_folder(address, home, options),
        options=options,
    )


def namespace_address(address: str, namespace: str) -> str:
    """The address of the store of a namespace: below that of the store that it belongs to."""
    return f"{address.rstrip('/')}/{_NAMESPACES}/{namespace}" if namespace else address


def tables_folder(address: str, home: Path, options: SourceOptions) -> Path:
    """Where this host keeps its tables of a bucket, apart from one of the same name elsewhere.

    Args:
        address: The address.
        home: The folder below which all tables are.
        options: How to reach it.
    """
    endpoints = (options.s3_endpoint, options.gs_endpoint, options.az_endpoint)
    text = "\n".join([address.rstrip("/"), *(each or "" for each in endpoints)])
    return home / blake3(text.encode()).hexdigest(length=16)


def _form(storage: ObjectStorage, tables: Path, probed: Path | None) -> TagForm:
    """The form of tags that a storage takes. What the probe finds is remembered."""
    file = tables / _FORM_FILE
    for known in (tables, probed):
        if known is not None:
            with suppress(OSError, UnicodeDecodeError, KeyError):
                return _FORMS[(known / _FORM_FILE).read_text().strip()]
    form = probe(storage)
    with suppress(OSError):  # it is tried again
        tables.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(form.value)
    return form
