"""Opens LMDB with the one set of flags that all openers of a store must share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import lmdb

from casync.limits import GIB

__all__ = ["open_lmdb"]

_MAX_DATABASES: Final = 32
_MAX_READERS: Final = 1024
_SMALLEST_MAP: Final = GIB


def open_lmdb(
    path: Path, *, read_only: bool, map_bytes: int, lock: bool = True
) -> lmdb.Environment:
    """Opens the folder `path` with the flags that all openers share.

    The map is halved until the system grants it.

    Raises:
        lmdb.Error, MemoryError: From LMDB.
    """
    while True:
        try:
            return lmdb.open(
                os.fsencode(path),
                map_size=map_bytes,
                subdir=True,
                readonly=read_only,
                create=False,
                lib_version=0,
                max_dbs=_MAX_DATABASES,
                max_readers=_MAX_READERS,
                max_spare_txns=0,
                sync=True,
                metasync=True,
                map_async=False,
                writemap=False,
                meminit=True,
                readahead=False,
                lock=lock,
                mode=0o600,
            )
        except (MemoryError, lmdb.MemoryError):
            if map_bytes // 2 < _SMALLEST_MAP:
                raise
            map_bytes //= 2
