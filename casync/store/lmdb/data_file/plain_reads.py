"""Opens a store's data file for plain reads, past LMDB."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casync.errors import DamagedStoreError
from casync.store.lmdb.lmdb_errors import SALVAGE, reading_errors
from casync.store.lmdb.ownership import DATA_FILE

__all__ = ["data_file"]


@contextmanager
def data_file(path: Path) -> Iterator[int]:
    """The descriptor of the data file of the store in `path`.

    Raises:
        DamagedStoreError: The block raised it; the store's path is added.
        DeniedError: The file cannot be read.
    """
    with reading_errors(path):
        fd = os.open(path / DATA_FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield fd
        except DamagedStoreError as error:
            raise DamagedStoreError(f"store {path}: {error.message}", next_step=SALVAGE) from error
        finally:
            os.close(fd)
