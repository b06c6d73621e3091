"""Copies a store's data file without its free pages: for backups, and to compact a store.

Every page of a copy is checked before anything relies on it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from casync.errors import CasyncError, DamagedStoreError, UsageError
from casync.fs.sync import sync_names
from casync.limits import MAP_BYTES, MIB
from casync.store.lmdb.creation import no_store, publish, store_exists
from casync.store.lmdb.data_file.pages import metas
from casync.store.lmdb.data_file.trees import check_length, check_trees
from casync.store.lmdb.environment import Environment
from casync.store.lmdb.lmdb_errors import REBUILD, translate
from casync.store.lmdb.lock_files import locked
from casync.store.lmdb.meta import read_meta
from casync.store.lmdb.ownership import DATA_FILE, check_owner
from casync.store.lmdb.roots import check_roots

__all__ = ["Compacted", "backup", "compact", "refuse_store", "remove_leftovers"]

_ASIDE: Final = "compacting"


class Compacted(NamedTuple):
    """Bytes of a data file on disk, before and after."""

    before: int
    after: int


def backup(
    environment: Environment,
    folder: Path,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Copies a store into another folder, also while it is in use.

    The copy is a store with the same id, as the store was at one moment.

    Args:
        environment: The store's environment.
        folder: Is created if it is missing; must not hold a store.
        advance: Is called with the number of bytes of each write.

    Raises:
        UsageError: The folder holds a store.
        DeniedError: The folder belongs to another user.
        DamagedStoreError: The store is damaged. No copy is left.
        NoSpaceError, WriteError: The folder cannot be written.
    """
    environment.check_pages(everything=True)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_owner(folder, writable=True)
        with locked(folder):
            refuse_store(folder)
            publish(folder, lambda aside: _copy(environment, aside, advance))
    except (lmdb.Error, OSError) as error:
        raise translate(error, folder, need=_size(environment.path)) from error


def refuse_store(folder: Path) -> None:
    """Refuses a folder that already holds a store.

    Raises:
        UsageError: It holds a store.
    """
    if store_exists(folder):
        raise UsageError(
            f"{folder} already holds a store",
            next_step="Name a new folder, or remove that one first.",
        )


def compact(path: Path, *, advance: Callable[[int], None] = lambda _: None) -> Compacted:
    """Replaces the data file of the store in `path` by a copy without free pages.

    Needs space for the copy beside it. Until the copy is complete, the store is unchanged.

    Args:
        path: The store's folder.
        advance: Is called with the number of bytes of each write.

    Raises:
        NoStoreError: There is no store.
        LockedError: It is open in another process.
        UnsupportedError: It is newer than this program.
        DamagedStoreError: It is damaged.
        NoSpaceError, WriteError: The copy does not fit, or cannot be written.
    """
    if not store_exists(path):
        raise no_store(path)
    environment = Environment(path, read_only=False, map_bytes=MAP_BYTES, alone=True)
    aside = path / _ASIDE
    try:
        _refuse_newer(environment)
        environment.check_pages(everything=True)
        if environment.missing:
            raise DamagedStoreError(
                f"store {path} lacks {', '.join(environment.missing)}", next_step=REBUILD
            )
        with environment.reading() as txn:
            check_roots(txn, environment.databases)
        before = _size(path)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        _copy(environment, aside, advance)
        os.rename(aside / DATA_FILE, path / DATA_FILE)
        sync_names(path)
        return Compacted(before, _size(path))
    except (lmdb.Error, OSError) as error:
        raise translate(error, path, need=_size(path)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        environment.close()


def _refuse_newer(environment: Environment) -> None:
    """Refuses a store of a newer format. One without a format is merely damaged."""
    if "meta" not in environment.missing:
        with environment.reading() as txn:
            read_meta(txn, environment.databases["meta"], environment.path)


def remove_leftovers(path: Path) -> None:
    """Removes the remains of a killed compaction. Call it with the store open."""
    if (path / _ASIDE).exists():
        shutil.rmtree(path / _ASIDE, ignore_errors=True)


def _copy(environment: Environment, folder: Path, advance: Callable[[int], None]) -> None:
    """Writes a copy into `folder`, makes it durable and checks every page of it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(folder / DATA_FILE, flags, 0o600)
    try:
        with closing(_pieces(environment)) as pieces:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
                advance(len(piece))
        os.fsync(fd)
        check_length(fd)
        check_trees(fd, metas(fd)[0].transaction, everything=True)
    finally:
        os.close(fd)


def _pieces(environment: Environment) -> Generator[bytes]:
    """The copy that LMDB makes, through a pipe, so the caller can stop early."""
    source, sink = os.pipe()
    failed: list[CasyncError] = []

    def pump() -> None:
        try:
            environment.copy_to(sink)
        except CasyncError as error:
            failed.append(error)
        finally:
            os.close(sink)

    with suppress(OSError):  # a user's pipe memory is limited
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, MIB)
    pumping = threading.Thread(target=pump)
    pumping.start()
    try:
        while piece := os.read(source, MIB):
            yield piece
    finally:
        os.close(source)  # ends the pump if the caller stops early
        pumping.join()
    if failed:
        raise failed[0]


def _size(path: Path) -> int:
    return (path / DATA_FILE).stat().st_blocks * 512
