"""Making an empty store, and nothing but a whole one.

The data file is made aside and renamed into place when it is complete and on disk, so that whoever
finds a data file finds a store, whatever killed its maker. The folder aside goes when the names
are on disk, too, so that whoever finds it knows that they may not be.
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

from casync.errors import UnsupportedError, WriteError
from casync.fs.durable import sync_folder, sync_parents
from casync.fs.filesystem import Coherence, file_system
from casync.store.lmdb.databases import DATABASES, LATER_DATABASES
from casync.store.lmdb.environment import DATA_FILE
from casync.store.lmdb.lmdb_errors import translate
from casync.store.lmdb.lock_files import locked, make_lock_file
from casync.store.lmdb.meta import FIRST_GENERATION, write_meta
from casync.store.lmdb.opening import open_lmdb

__all__ = ["create", "finish", "publish", "store_exists"]

_ASIDE: Final = "creating"
_EMPTY_STORE_BYTES: Final = 1024 * 1024  # generously


def store_exists(path: Path) -> bool:
    """Whether the folder `path` holds a store, of any condition."""
    try:
        return (path / DATA_FILE).stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise translate(error, path) from error


def create(path: Path, *, map_bytes: int, allow_network_fs: bool) -> list[str]:
    """Makes an empty store in the folder `path`, unless somebody else just did.

    Returns:
        Warnings for people.

    Raises:
        UnsupportedError: The file system cannot be trusted with a store.
        WriteError, NoSpaceError: The place cannot be written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        warnings = _judge(path, allow_network_fs)
        with locked(path):
            if not store_exists(path):
                publish(path, partial(_fill_empty, map_bytes=map_bytes))
    except FileExistsError as error:
        raise WriteError(f"{path} is not a folder, so there cannot be a store") from error
    except (lmdb.Error, OSError, MemoryError) as error:
        raise translate(error, path, need=_EMPTY_STORE_BYTES) from error
    return warnings


def _judge(path: Path, allow_network_fs: bool) -> list[str]:
    found = file_system(path)
    if found.coherence is Coherence.NETWORK:
        if not allow_network_fs:
            raise UnsupportedError(
                f"{path} lies on {found.name}, where a store is not safe",
                next_step="Choose a local folder with --store, or use --allow-network-fs when "
                "only one machine ever opens it.",
            )
        return [f"the store {path} lies on {found.name}; only one machine may open it"]
    if found.coherence is Coherence.LAYERED:
        return [f"the store {path} lies on {found.name} and may vanish with it"]
    return []


def publish(path: Path, fill: Callable[[Path], None]) -> None:
    """Makes a store appear in `path`, which is locked: whole, on disk, and at once.

    Args:
        path: A folder without a store.
        fill: Writes the data file into the folder that it is given.

    Raises:
        OSError: The place cannot be written.
        What `fill` raises.
    """
    aside = path / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)  # of a maker that was killed
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
    """Does what the maker of the store in `path` left undone when it was killed, if it was.

    Raises:
        WriteError, NoSpaceError: The place cannot be written.
    """
    try:
        if (path / _ASIDE).exists():
            with locked(path):  # a maker that still runs ends first
                _finish(path)
    except OSError as error:
        raise translate(error, path, need=0) from error


def _finish(path: Path) -> None:
    sync_folder(path)
    sync_parents(path)
    shutil.rmtree(path / _ASIDE, ignore_errors=True)
