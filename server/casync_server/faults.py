"""Stores on which workers die: which one it was, and that it is not used until its file changes.

Each thread marks the store that it is using in memory that outlives the process, and Python's fault
handler writes there which thread a fatal signal hit. So the supervisor knows whose store it was,
also while other threads read other stores.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import re
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from casync.errors import DamagedStoreError
from casync.fs.identity import FileIdentity, identity_of
from casync.store.lmdb.namespaces import DEFAULT
from casync.store.lmdb.ownership import DATA_FILE
from casync_server.stores import ServedStores

__all__ = ["Faults", "StoreMarks", "culprit", "data_file_identity", "marks_file"]

_MARK: Final = struct.Struct("=Q64s")  # thread, name of a namespace
_MOST_THREADS: Final = 1024
_MARKS_BYTES: Final = _MARK.size * _MOST_THREADS
_TEXT_BYTES: Final = 1024 * 1024
_FREE: Final = bytes(64)
_HIT: Final = re.compile(rb"^Current thread 0x([0-9a-f]+)", re.MULTILINE)


def marks_file() -> int:
    """Makes the memory of one worker; returns its descriptor."""
    fd = os.memfd_create("casync-marks", os.MFD_CLOEXEC)
    os.truncate(fd, _MARKS_BYTES)
    os.lseek(fd, _MARKS_BYTES, os.SEEK_SET)  # where the fault handler writes
    return fd


def culprit(fd: int) -> str | None:
    """The namespace whose store a dead worker was using when it died of a fault.

    Args:
        fd: From `marks_file`.

    Returns:
        Empty for the default one; None if it used no store, or died otherwise.
    """
    found = _HIT.search(os.pread(fd, _TEXT_BYTES, _MARKS_BYTES))
    if found is None:
        return None
    hit = int(found[1], 16)
    for thread, name in _MARK.iter_unpack(os.pread(fd, _MARKS_BYTES, 0)):
        if thread == hit and name != _FREE:
            namespace = name.rstrip(b"\0").decode()
            return "" if namespace == DEFAULT else namespace
    return None


class StoreMarks:
    """The marks of the threads of this process, and its fault handler.

    Args:
        fd: From `marks_file`.
    """

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, _MARKS_BYTES)
        self._lock = threading.Lock()
        self._threads = 0
        self._local = threading.local()
        faulthandler.enable(fd, all_threads=True)

    def watcher(self, namespace: str) -> Callable[[bool], None]:
        """Returns what a thread calls when it begins to use a store, and when it ends."""
        name = (namespace or DEFAULT).encode().ljust(len(_FREE), b"\0")
        marks, local = self._map, self._local

        def watch(uses: bool) -> None:
            try:
                at: int = local.at
            except AttributeError:
                at = local.at = self._place()
            if at:
                marks[at : at + len(_FREE)] = name if uses else _FREE

        return watch

    def _place(self) -> int:
        """Where this thread marks stores; 0 if there are too many threads."""
        with self._lock:
            if self._threads == _MOST_THREADS:
                return 0
            start = self._threads * _MARK.size
            self._threads += 1
        _MARK.pack_into(self._map, start, threading.get_ident(), _FREE)
        return start + _MARK.size - len(_FREE)


def data_file_identity(folder: Path) -> FileIdentity | None:
    """The state of the data file of a store; None if it cannot be seen."""
    try:
        return identity_of((folder / DATA_FILE).stat())
    except OSError:
        return None


class Faults:
    """What a worker knows of stores on which others died.

    Args:
        stores: The stores of the server.
        refused: The namespaces that are not used while their files are in these states.
        marks: Marks stores in use; None without a supervisor.
    """

    def __init__(
        self,
        stores: ServedStores,
        refused: Mapping[str, FileIdentity | None] | None = None,
        marks: StoreMarks | None = None,
    ) -> None:
        self._stores = stores
        self._refused = dict(refused or {})
        self._marks = marks

    def check(self, namespace: str) -> None:
        """Refuses a store on which workers died, until its file changes.

        Raises:
            DamagedStoreError: It is such a store.
        """
        if namespace not in self._refused:
            return
        folder = self._stores.folder(namespace)
        if data_file_identity(folder) == self._refused[namespace]:
            place = self._stores.place(namespace)
            raise DamagedStoreError(
                f"store {place}: workers died on it, and its file in {folder} is unchanged",
                next_step=f"Run `casync verify --store {place}`.",
            )
        self._refused.pop(namespace, None)

    def watcher(self, namespace: str) -> Callable[[bool], None]:
        """As `StoreMarks.watcher`."""
        return _ignore if self._marks is None else self._marks.watcher(namespace)


def _ignore(uses: bool) -> None:
    """Marks nothing."""
