"""An open LMDB environment: its databases, transactions, map and readers.

It keeps the rules that LMDB requires: every opener reserves the same large map, transactions are
short and end before the map changes, one thread of a process writes at a time, slots of dead
readers are cleared, and a store that failed to write is not written again.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, TypeAlias, TypeVar

import lmdb

from casync.errors import CasyncError, DamagedStoreError, NoSpaceError, WriteError
from casync.sizes import format_size
from casync.store.lmdb.data_file.leaf_checks import LeafChecks
from casync.store.lmdb.data_file.plain_reads import data_file
from casync.store.lmdb.data_file.trees import check_length, check_trees
from casync.store.lmdb.databases import DATABASES, LATER_DATABASES
from casync.store.lmdb.lmdb_errors import SALVAGE, exceeded_limit, reading_errors, translate
from casync.store.lmdb.lock_files import LMDB_LOCK_FILE, locked, make_lock_file
from casync.store.lmdb.map_lock import RWLock
from casync.store.lmdb.opening import open_lmdb
from casync.store.lmdb.ownership import DATA_FILE, check_owner
from casync.store.lmdb.presence import be_present, require_usable
from casync.store.lmdb.reserve import hold_space

__all__ = ["Environment", "Txn"]

Txn: TypeAlias = "lmdb.Transaction[memoryview]"
_T = TypeVar("_T")

_NO_LOCK: Final = frozenset({errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT})
_READER_CHECK_SECONDS: Final = 3600.0
_MOST_RETRIES: Final = 64
_META_PAGES: Final = 2


class Environment:
    """An LMDB environment with the databases of a store. Safe for threads, not for forks.

    Missing databases are absent from `databases`; the caller decides what that means.

    Args:
        path: The store's folder, which holds a data file.
        read_only: Never write.
        map_bytes: Address space to reserve.
        alone: Open it exclusively: no other process has it open until it is closed.

    Raises:
        DamagedStoreError, UnsupportedError, DeniedError, WriteError, LockedError: It cannot be
            opened.
    """

    _NAMES: ClassVar[tuple[str, ...]] = (*DATABASES, *LATER_DATABASES)

    def __init__(self, path: Path, *, read_only: bool, map_bytes: int, alone: bool = False) -> None:
        self.path = path
        self.writable = not read_only
        self._map_lock = RWLock()
        self._writing = threading.Lock()
        self._process = os.getpid()
        self._closed = self._full = False
        self._broken = ""
        self.leaves = LeafChecks(path)
        self._held = 0  # the last page when space behind it was reserved
        with reading_errors(path):
            is_ours, self.warnings = check_owner(path, writable=self.writable)
        self._presence = be_present(path, writable=self.writable, alone=alone) if is_ours else None
        try:
            with data_file(path) as fd:
                check_length(fd)
            self._lmdb = self._open(read_only, map_bytes, lock=is_ours)
        except BaseException:
            self._leave()
            raise
        try:
            self.reader_check()
            self.leaves.begin(self.check_pages())  # before LMDB follows any of them
            self.databases = self._open_databases()
        except BaseException:
            self._lmdb.close()
            self._leave()
            raise
        if self.map_bytes < map_bytes:
            self.warnings.append(
                f"address space is limited: only {format_size(self.map_bytes)} for the store"
            )

    def _leave(self) -> None:
        if self._presence is not None:
            self._presence.close()

    def watch(self, watcher: Callable[[bool], None]) -> None:
        """Calls `watcher` with true when a thread begins to use the map, with false at the end."""
        self._map_lock.watch = watcher

    def check_pages(
        self, whole: Collection[str] = (), *, everything: bool = False, free: bool = False
    ) -> frozenset[str]:
        """Looks for pages on which LMDB would abort, miss rows or overwrite what is in use.

        Args:
            whole: Databases to check row by row, besides small ones.
            everything: Check all of them so: about a second per million objects.
            free: Check the list of free pages, even if this process never writes.

        Returns:
            Databases that were not checked row by row.

        Raises:
            DamagedStoreError: There is such a page.
        """
        free = free or self.writable
        check = partial(check_trees, whole=whole, everything=everything, free=free)
        unread = self.snapshot(check)
        self.leaves.trust(self.databases if everything else whole)
        return unread

    def snapshot(self, action: Callable[[int, int], _T | None]) -> _T:
        """Runs `action` with the data file's descriptor and the number of the newest transaction.

        No writer reuses pages of that transaction meanwhile.

        Args:
            action: Only reads. Returns None if the transaction's meta page has been overwritten,
                and is called again with a newer one.

        Raises:
            DamagedStoreError: The store cannot be read, or `action` raised it.
        """
        with data_file(self.path) as fd:
            for attempt in range(_MOST_RETRIES):
                try:
                    with self.reading() as txn:
                        found = action(fd, txn.id())
                    if found is not None:
                        return found
                except DamagedStoreError:
                    if attempt == _MOST_RETRIES - 1 or self._locked:
                        raise
        raise self._outgrown()

    def _open(self, read_only: bool, map_bytes: int, *, lock: bool) -> lmdb.Environment:
        opened = self._open_locked(read_only, map_bytes) if lock else None
        if opened is None:
            with reading_errors(self.path):
                opened = open_lmdb(self.path, read_only=True, map_bytes=map_bytes, lock=False)
        # LMDB itself omits the lock if the whole file system is read-only.
        is_writable = lock and os.access(self.path / LMDB_LOCK_FILE, os.W_OK)
        self._locked = not read_only or is_writable
        if not self._locked:
            self.warnings.append(
                f"store {self.path} is read without a lock; reads fail if another process writes"
            )
        return opened

    def _open_locked(self, read_only: bool, map_bytes: int) -> lmdb.Environment | None:
        """Opens it with a lock file; None if that cannot be written, and need not be."""
        try:
            make_lock_file(self.path)
            return open_lmdb(self.path, read_only=read_only, map_bytes=map_bytes)
        except (lmdb.Error, OSError, MemoryError) as error:
            code = error.code if isinstance(error, lmdb.Error) else getattr(error, "errno", 0)
            if not read_only or code not in _NO_LOCK:
                raise translate(error, self.path, need=None if read_only else 0) from error
            return None

    def _open_databases(self) -> dict[str, lmdb._Database]:
        databases: dict[str, lmdb._Database] = {}
        with reading_errors(self.path):
            for name in self._NAMES:
                with suppress(lmdb.NotFoundError):
                    databases[name] = self._open_database(name)
        return databases

    def _open_database(self, name: str) -> lmdb._Database:
        for _ in range(_MOST_RETRIES):
            try:
                with self._map_lock.using():
                    return self._lmdb.open_db(name.encode(), create=False)
            except lmdb.MapResizedError:
                self._adopt()
        raise self._outgrown()

    def _outgrown(self) -> DamagedStoreError:
        return DamagedStoreError(f"store {self.path} grows faster than it can be mapped")

    @property
    def missing(self) -> list[str]:
        """Databases that every store has and this one lacks."""
        return [name for name in DATABASES if name not in self.databases]

    @property
    def map_bytes(self) -> int:
        """Address space that is reserved now."""
        return int(self._lmdb.info()["map_size"])

    def reader_check(self) -> int:
        """Clears the slots of dead readers; returns how many. Pages they held can be reused."""
        self._checked = time.monotonic()
        with reading_errors(self.path):
            return self._lmdb.reader_check()

    @contextmanager
    def reading(self) -> Iterator[Txn]:
        """A short read transaction. Copy what it returns before it ends.

        Raises:
            DamagedStoreError, LockedError: The store cannot be read.
        """
        require_usable(self.path, self._process, closed=self._closed)
        if time.monotonic() - self._checked > _READER_CHECK_SECONDS:
            self.reader_check()
        with reading_errors(self.path):
            txn = self._begin_reading()
            try:
                yield txn
            finally:
                txn.abort()
                self._map_lock.leave()

    def _begin_reading(self) -> Txn:
        """Begins a transaction with the map lock held; the caller releases the lock."""
        for _ in range(_MOST_RETRIES):
            self._map_lock.enter()
            try:
                return self._lmdb.begin(buffers=True)
            except lmdb.MapResizedError:
                self._map_lock.leave()
                self._adopt()
            except BaseException:
                self._map_lock.leave()
                raise
        raise self._outgrown()

    def write(self, action: Callable[[Txn], _T], *, need: int) -> _T:
        """Runs `action` in one write transaction on this thread and commits it.

        If the map is too small, it grows and `action` runs again from the start.

        Args:
            action: Writes. If it raises a CasyncError, the store is unchanged.
            need: About how many bytes it writes, for growth and for messages.

        Raises:
            NoSpaceError: The disk is full; nothing was written.
            WriteError: The store is read-only, or cannot be written (any more).
            LockedError: Another process opened it, and this one was forked from that.
        """
        if not self.writable:
            raise WriteError(f"store {self.path} is read-only")
        with self._writing:
            require_usable(self.path, self._process, closed=self._closed)
            if self._full:
                self._reopen()
            if self._broken:
                raise WriteError(
                    f"store {self.path} failed to write before: {self._broken}",
                    next_step="Open it again when the cause is resolved.",
                )
            try:
                return self._write(action, need)
            except CasyncError:
                raise
            except (lmdb.Error, OSError, MemoryError) as error:
                # After a failed sync, data handed to the kernel may be lost although later syncs
                # succeed, so nothing is built on it. A full disk is not broken: the next writer
                # starts from what the file has.
                failure = translate(error, self.path, need=need)
                is_limited = exceeded_limit(self.path, need)  # may hide that the disk failed
                self._full = isinstance(failure, NoSpaceError) and not is_limited
                self._broken = "" if self._full else failure.message
                raise failure from error

    def _write(self, action: Callable[[Txn], _T], need: int) -> _T:
        self.reader_check()
        for _ in range(_MOST_RETRIES):
            try:
                with self._map_lock.using():
                    txn = self._lmdb.begin(write=True, buffers=True)
                    try:
                        result = action(txn)
                    except BaseException:
                        txn.abort()
                        raise
                    txn.commit()
                self._hold_space()
                return result
            except lmdb.MapFullError:
                self._grow(need)
            except lmdb.MapResizedError:
                self._adopt()
        raise WriteError(f"store {self.path}: its map cannot be made large enough")

    def copy_to(self, fd: int) -> None:
        """Writes a data file without free pages, as the store is at one moment, to a descriptor.

        Other processes read and write meanwhile; pages that they free are reused only afterwards.

        Raises:
            DamagedStoreError: A page cannot be read, or the descriptor cannot be written.
        """
        with self.reading() as txn:
            self._lmdb.copyfd(fd, compact=True, txn=txn)

    @property
    def free_bytes(self) -> int:
        """Bytes of free pages in the data file."""
        with self.reading() as txn:
            trees = [txn.stat(db) for db in self.databases.values()]
            main = self._lmdb.stat()
            last = self._lmdb.info()["last_pgno"]
        used = sum(
            tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"]
            for tree in (main, *trees)
        )
        return max(last + 1 - _META_PAGES - used, 0) * int(main["psize"])

    def _reopen(self) -> None:
        """Closes LMDB and opens the file again."""
        with self._map_lock.alone():
            map_bytes = self.map_bytes
            self._closed = True  # stays so if this fails
            self._lmdb.close()
            self._lmdb = self._open(False, map_bytes, lock=True)
            for name in self.databases:
                self.databases[name] = self._lmdb.open_db(name.encode(), create=False)
            self._closed = self._full = False

    def _hold_space(self) -> None:
        """Reserves space behind the last page, for commands that free space."""
        last = self._lmdb.info()["last_pgno"]
        if last != self._held:
            with suppress(OSError):
                hold_space(self.path / DATA_FILE, (last + 1) * self._lmdb.stat()["psize"])
            self._held = last

    def _adopt(self) -> None:
        """Takes over the map size that another process has grown the store to."""
        with self._map_lock.alone():
            self._resize(0)

    def _grow(self, need: int) -> None:
        with self._map_lock.alone(), locked(self.path):
            before = self.map_bytes
            self._resize(0)
            if self.map_bytes <= before:
                self._resize(2 * max(before, need))

    def _resize(self, size: int) -> None:
        try:
            self._lmdb.set_mapsize(size)
        except BaseException:
            # The old map is gone; without any, every access would kill the process.
            self._closed = True
            self._lmdb.close()
            raise

    def add_missing_databases(self) -> None:
        """Creates missing databases, empty.

        Raises:
            DamagedStoreError: The file has a database of an unknown name instead.
            NoSpaceError, WriteError: As `write`.
        """
        absent = [name for name in self._NAMES if name not in self.databases]

        def add(txn: Txn) -> dict[str, lmdb._Database]:
            found: dict[str, lmdb._Database] = {}
            for name in absent:  # another process may have added it
                with suppress(lmdb.NotFoundError):
                    found[name] = self._lmdb.open_db(name.encode(), txn=txn, create=False)
            lacking = [name for name in absent if name not in found]
            if lacking and self._lmdb.stat()["entries"] > len(self.databases) + len(found):
                raise DamagedStoreError(  # one has a damaged name, so it is not missing
                    f"store {self.path} lacks {', '.join(lacking)}", next_step=SALVAGE
                )
            return found | {name: self._lmdb.open_db(name.encode(), txn=txn) for name in lacking}

        if absent:
            self.databases.update(self.write(add, need=0))

    def close(self) -> None:
        """Waits for running transactions, then closes. May be called again, or after a fork."""
        if os.getpid() != self._process:
            return  # LMDB would free what the process that opened it reads
        with self._writing, self._map_lock.alone():
            self._closed = True
            self._lmdb.close()
            self._leave()
