"""Reads files of a store ahead of a job that reads them from their beginning to their end.

A thread would gain nothing: the readers of archives hold the interpreter, and so does the proof of
each chunk. So a process of ours reads ahead (`training/read_child.py`). It is started by
`start_ahead`, or when a file is read in order, and kept for the next one. Until it has started, and
where it cannot go on, this process reads by itself, and whatever is wrong is found there.
"""

from __future__ import annotations

import atexit
import io
import mmap
import os
import subprocess
import sys
import threading
from collections import deque
from select import POLLIN, poll
from typing import Final

from casync.access.content_file import ContentFile, FileBytes, Readable
from casync.cutting.children import signals_held_back
from casync.ids import Buffer
from casync.limits import MIB
from casync.store.base import ObjectSource
from casync.training.process_source import ProcessSource
from casync.training.read_child import ANSWER, BLOCK_BYTES, REQUEST, SLOTS, BlockRequest

__all__ = ["READ_BYTES", "open_ahead", "start_ahead"]

READ_BYTES: Final = 4 * MIB
"""Bytes that are read at a time where none are read ahead: some chunks, with one request."""

_LEAST_BYTES: Final = 2 * READ_BYTES
"""Shorter files are read before a process has started."""


def start_ahead(source: ObjectSource) -> None:
    """Starts a process that reads ahead, so that the first file does not wait for it.

    Args:
        source: What will be read.
    """
    store = _store_of(source)
    child = _take(store) if store else None
    if child is not None:
        _give_back(child)


def open_ahead(content: Readable, source: ObjectSource) -> io.BufferedReader:
    """A file that is best read in order. Used by one thread.

    Args:
        content: Its bytes.
        source: Where they come from.
    """
    file = ContentFile(content)
    store = _store_of(source)
    if store and isinstance(content, FileBytes) and content.length >= _LEAST_BYTES:
        file = _AheadFile(content, store)
    return io.BufferedReader(file, READ_BYTES)


def _store_of(source: ObjectSource) -> str:
    """The folder of the store that a process can read ahead; empty if there is none for it."""
    if isinstance(source, ProcessSource) and len(os.sched_getaffinity(0)) > 1:
        return source.folder
    return ""


class _AheadFile(ContentFile):
    """A file whose next blocks a child reads, once it is read in order."""

    def __init__(self, content: FileBytes, store: str) -> None:
        super().__init__(content)
        self._file = content
        self._store = store
        self._child: _Child | None = None
        self._is_alone = False  # a child has failed
        self._in_order = 0  # where a read goes on where the one before it ended
        self._asked = 0  # the child is asked for the blocks up to here
        self._block = memoryview(b"")  # at the position

    def readinto(self, buffer: Buffer) -> int:  # type: ignore[override]
        """As `ContentFile.readinto`, but it may stop at the end of a block."""
        if self._position != self._in_order:
            self._leave()
        elif not self._child and not self._is_alone:
            self._child = _take(self._store)
            self._is_alone = self._child is None
        filled = 0
        if self._child and self._child.is_ready:
            filled = self._from_child(self._child, memoryview(buffer).cast("B"))
            self._position += filled
        if not filled:
            filled = super().readinto(buffer)
        self._in_order = self._position
        return filled

    def close(self) -> None:
        """Leaves the child to the next file."""
        self._leave()
        super().close()

    def _from_child(self, child: _Child, buffer: memoryview) -> int:
        """Fills the buffer from the block; returns 0 at the end, and if the child fails."""
        length = self._file.length
        if not child.is_asked and not self._block:
            self._asked = self._position
        while self._asked < length and child.has_room:
            child.ask(self._file, self._asked)
            self._asked += BLOCK_BYTES
        if child.is_usable and not self._block and self._position < length:
            self._block = child.block()
        if not child.is_usable or not self._block:  # after a fork, the memory is the parent's
            self._is_alone = self._position < length
            self._leave()
            return 0
        taken = min(len(buffer), len(self._block))
        buffer[:taken] = self._block[:taken]
        self._block = self._block[taken:]
        return taken

    def _leave(self) -> None:
        self._block = memoryview(b"")
        if self._child:
            child, self._child = self._child, None
            _give_back(child)


class _Child:
    """A child, and the memory that it shares with this process."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.is_usable = True
        self._has_started = False
        self._waiting: deque[int] = deque()  # slots of blocks that were asked for
        self._next = 0
        fd = os.memfd_create("casync", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, SLOTS * BLOCK_BYTES)
            self._shared = memoryview(mmap.mmap(fd, SLOTS * BLOCK_BYTES, prot=mmap.PROT_READ))
            with signals_held_back():
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                    [sys.executable, "-P", "-m", "casync.training.read_child", store, str(fd)],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(fd,),
                )
        finally:
            os.close(fd)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._poll = poll()
        self._poll.register(self._answers, POLLIN)

    @property
    def is_ready(self) -> bool:
        """Whether it has started, or failed. It says so with an answer."""
        if not self._has_started and self.is_usable:
            self._has_started = bool(self._poll.poll(0))
            if self._has_started:
                self._answer()
        return self._has_started or not self.is_usable

    @property
    def is_asked(self) -> bool:
        """Whether there are blocks that it was asked for."""
        return bool(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether a block may be asked for: the one in use is not overwritten."""
        return self.is_usable and len(self._waiting) < SLOTS - 1

    def ask(self, file: FileBytes, start: int) -> None:
        """Asks for a block."""
        content, params = file.outline.content, file.outline.params
        sizes = params.min_size, params.avg_size, params.max_size
        slot, self._next = self._next, (self._next + 1) % SLOTS
        asked = BlockRequest(content.id, content.level, content.length, *sizes, start, slot)
        try:
            self._requests.write(REQUEST.pack(*asked))
        except OSError:
            self.is_usable = False
        self._waiting.append(slot)

    def block(self) -> memoryview:
        """The next block that was asked for; empty if it could not be read."""
        start = self._waiting.popleft() * BLOCK_BYTES
        return self._shared[start : start + self._answer()]

    def _answer(self) -> int:
        data = self._answers.read(ANSWER.size) or b""
        if len(data) < ANSWER.size:
            self.is_usable = False
            return 0
        (size,) = ANSWER.unpack(data)
        return int(size)

    def drain(self) -> None:
        """Waits for what was asked for."""
        while self._waiting and self.is_usable:
            self.block()

    def close(self) -> None:
        """Ends it at once. It holds nothing of value."""
        self.is_usable = False
        self._process.kill()
        with self._process:  # closes the pipes, and waits
            pass

    def forget(self) -> None:
        """Leaves it to the process that this one was forked from."""
        self.is_usable = False
        self._requests.close()
        self._answers.close()
        self._process.returncode = 0  # or Popen would say that it still runs


_lock: Final = threading.Lock()
_idle: Final[dict[str, _Child]] = {}
"""A child for each store, which waits for the next file."""

_children: Final[set[_Child]] = set()


def _take(store: str) -> _Child | None:
    """A child for one file; None if the system refuses one."""
    with _lock:
        child = _idle.pop(store, None)
    if child is None or not child.is_usable:
        try:
            child = _Child(store)
        except OSError:
            return None
        _children.add(child)
    return child


def _give_back(child: _Child) -> None:
    child.drain()
    with _lock:
        if child.is_usable and child.store not in _idle:
            _idle[child.store] = child
            return
    if child in _children:
        _children.discard(child)
        child.close()


def _close_all() -> None:
    _idle.clear()
    while _children:
        _children.pop().close()


def _after_in_child() -> None:
    for child in list(_children):
        child.forget()
    _children.clear()
    _idle.clear()
    _lock.release()


atexit.register(_close_all)
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_in_child
)
