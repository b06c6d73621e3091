"""A folder as a bucket that is slow where a test wants it, and what waits for it in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from casync.bucket.storage import Tag
from casync.remote.storages.folder import FolderStorage

__all__ = ["StallingStorage", "running"]

WAIT_SECONDS: Final = 300.0


class StallingStorage(FolderStorage):
    """A storage where the write of one key takes as long as the test wants.

    Attributes:
        stalls: How the next such key begins; empty for none.
        may_go_on: Is set by the test.
    """

    stalls = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_writing, self.may_go_on = threading.Event(), threading.Event()

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        self._stall(key)
        super().put(key, data)

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        self._stall(key)
        return super().swap(key, data, tag)

    def wait(self) -> None:
        """Waits for that write."""
        assert self.is_writing.wait(WAIT_SECONDS)

    def _stall(self, key: str) -> None:
        if self.stalls and key.startswith(self.stalls):
            self.stalls = ""
            self.is_writing.set()
            assert self.may_go_on.wait(WAIT_SECONDS)


@contextmanager
def running(action: Callable[[], object]) -> Iterator[threading.Thread]:
    """Runs an action in a thread, which has ended when the block ends."""
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
