"""Creates an empty store atomically.

The data file is made aside, and renamed into place when it is complete and on disk. So a data file
always means a whole store, however its creator ended. The folder aside is removed when the names
are on disk, too: if it is there, they may not be.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import lmdb

from casync.errors import NoStoreError, UnsupportedError, WriteError
from casync.fs.filesystem import Coherence, file_system
from casync.fs.sync import sync_names, sync_parents
from casync.store.lmdb.databases import DATABASES, LATER_DATABASES
from casync.store.lmdb.lmdb_errors import translate
from casync.store.lmdb.lock_files import LMDB_LOCK_FILE, locked, make_lock_file
from casync.store.lmdb.meta import FIRST_GENERATION, write_meta
from casync.store.lmdb.opening import open_lmdb
from casync.store.lmdb.ownership import DATA_FILE, check_owner

__all__ = ["create", "finish", "no_store", "publish", "store_exists"]

_ASIDE: Final = "creating"
_EMPTY_STORE_BYTES: Final = 1024 * 1024  # an upper bound


def no_store(path: Path) -> NoStoreError:
    """The error for a path without a store, where none is made."""
    if os.path.isfile(path):
        return NoStoreError(f"{path} is not a store, which is a folder")
    return NoStoreError(
        f"no store at {path}",
        next_step="`casync prepare`, `get`, `download` and `pull` make one; so do `serve` and "
        "`token new` with --create.",
    )


def store_exists(path: Path) -> bool:
    """Whether the folder `path` holds a store, damaged or not.

    An empty data file is one that lost its bytes if LMDB has opened it: its lock file is there.
    """
    try:
        return (path / DATA_FILE).lstat().st_size > 0 or (path / LMDB_LOCK_FILE).exists()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise translate(error, path) from error


def create(path: Path, *, map_bytes: int, allow_network_fs: bool) -> list[str]:
    """Creates an empty store in the folder `path`, unless another process just did.

    Returns:
        Warnings for the user.

    Raises:
        UnsupportedError: The file system is not safe for a store.
        DeniedError: The folder belongs to another user.
        WriteError, NoSpaceError: The folder cannot be written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_owner(path, writable=True)
        warnings = _judge(path, allow_network_fs)
        with locked(path):
            if not store_exists(path):
                publish(path, partial(_fill_empty, map_bytes=map_bytes))
    except FileExistsError as error:
        raise WriteError(f"cannot create a store at {path}: it is not a folder") from error
    except (lmdb.Error, OSError, MemoryError) as error:
        raise translate(error, path, need=_EMPTY_STORE_BYTES) from error
    return warnings


def _judge(path: Path, allow_network_fs: bool) -> list[str]:
    found = file_system(path)
    if found.coherence is Coherence.NETWORK:
        if not allow_network_fs:
            raise UnsupportedError(
                f"{path} is on {found.name}, where a store is not safe",
                next_step="Choose a local folder with --store, or add --allow-network-fs if only "
                "one machine ever opens it.",
            )
        return [f"the store {path} is on {found.name}; only one machine may open it"]
    if found.coherence is Coherence.LAYERED:
        return [f"the store {path} is on {found.name} and may vanish with it"]
    return []


def publish(path: Path, fill: Callable[[Path], None]) -> None:
    """Makes a store appear in the locked folder `path` atomically, whole and on disk.

    Args:
        path: A folder without a store.
        fill: Writes the data file into the folder that it is given.

    Raises:
        OSError: The folder cannot be written.
        What `fill` raises.
    """
    aside = path / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)  # of a killed creator
    aside.mkdir(mode=0o700)
    fill(aside)
    os.rename(aside / DATA_FILE, path / DATA_FILE)
    _finish(path)


def _fill_empty(folder: Path, map_bytes: int) -> None:
    make_lock_file(folder)
    environment = open_lmdb(folder, read_only=False, map_bytes=map_bytes)
    try:
        names = (*DATABASES, *LATER_DATABASES)
        databases = {name: environment.open_db(name.encode()) for name in names}
        with environment.begin(write=True, buffers=True) as txn:
            write_meta(txn, databases["meta"], uuid.uuid4().bytes, FIRST_GENERATION)
    finally:
        environment.close()


def finish(path: Path) -> None:
    """Finishes the creation of the store in `path`, if its creator was killed.

    Raises:
        DeniedError: The folder belongs to another user.
        WriteError, NoSpaceError: The folder cannot be written.
    """
    try:
        check_owner(path, writable=True)
        if (path / _ASIDE).exists():
            with locked(path):  # waits for a creator that is still running
                _finish(path)
    except OSError as error:
        raise translate(error, path, need=0) from error


def _finish(path: Path) -> None:
    sync_names(path)
    sync_parents(path)
    shutil.rmtree(path / _ASIDE, ignore_errors=True)
