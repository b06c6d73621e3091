"""The child processes that cut: starts them, distributes spans, collects answers in order.

Spans go to children in turn, and each child answers in the order of its commands, so the parent
always knows which child answers next.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from casync.cutting.child import (
    ANSWER,
    CHUNK,
    COMMAND,
    MAX_AHEAD,
    SIZE,
    SLOT_BYTES,
    SLOTS,
    SPAN_BYTES,
    ChildAnswer,
    Command,
    Do,
)
from casync.errors import CasyncError
from casync.ids import ChunkId
from casync.objects.chunker import ChunkerParams

__all__ = ["SPAN_BYTES", "Cutters", "fit_for_children", "signals_held_back"]

_OURS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals that a terminal or a service manager sends to the whole group: the parent decides."""


def fit_for_children(params: ChunkerParams) -> bool:
    """Whether chunks are small enough for a span to hold many of them."""
    return params.max_size <= MAX_AHEAD


class Cutters:
    """Child processes that cut one content. Use in a with block, from one thread.

    A span is known by its turn, its number in the sequence of spans. It passes through `cut`,
    `found`, `pack` and `packed`. Before a span is cut, the one `room` turns earlier must be done.

    Args:
        count: Number of children.
        content: Descriptor of the content.
        params: Chunk sizes.
        level: zstd level.

    Raises:
        OSError: The system refuses children, or memory to share with them.
    """

    def __init__(self, count: int, content: int, params: ChunkerParams, level: int) -> None:
        self.room = count * SLOTS
        self._children: list[_Child] = []
        try:
            for _ in range(count):
                self._children.append(_Child(content, params, level))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the children at once. They hold nothing of value."""
        for child in self._children:
            child.close()
        self._children.clear()

    def cut(self, turn: int, offset: int, size: int, *, last: bool) -> None:
        """Hands out the next span: `size` bytes at `offset`; `last` if the content ends with them.

        Raises:
            CasyncError: A child died. So do all methods.
        """
        child, slot = self._whose(turn)
        assert not child.owes(slot), f"turn {turn} came too early"
        child.tell(Command(Do.CUT, slot, last, size, offset))

    def found(self, turn: int) -> tuple[list[tuple[ChunkId, int]], bool]:
        """The chunks of the span as (id, length), end to end, and whether it is all zeros instead.

        A span that could not be read has no chunks. Waits for the child.
        """
        child, slot = self._whose(turn)
        answer = child.answer(Do.CUT, slot)
        lines = child.shared(slot, 0, answer.chunks * CHUNK.size)
        return list(CHUNK.iter_unpack(lines)), answer.zeros

    def pack(self, turn: int, chosen: bytes | bytearray) -> None:
        """Starts packing the chunks of the span whose byte in `chosen` is not 0."""
        child, slot = self._whose(turn)
        child.tell(Command(Do.PACK, slot, False, len(chosen), 0), chosen)

    def packed(self, turn: int) -> tuple[list[int], memoryview]:
        """The sizes of the records of the chosen chunks, and the records. Waits for the child."""
        child, slot = self._whose(turn)
        head = child.answer(Do.PACK, slot).chunks * SIZE.size
        sizes = [size for (size,) in SIZE.iter_unpack(child.shared(slot, 0, head))]
        return sizes, memoryview(child.shared(slot, head, sum(sizes)))

    def _whose(self, turn: int) -> tuple[_Child, int]:
        count = len(self._children)
        return self._children[turn % count], turn // count % SLOTS


class _Child:
    """One child, and the memory that it shares with this process."""

    def __init__(self, content: int, params: ChunkerParams, level: int) -> None:
        fd = os.memfd_create("casync", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, SLOTS * SLOT_BYTES)
            self._shared = mmap.mmap(fd, SLOTS * SLOT_BYTES, prot=mmap.PROT_READ)
            numbers = (content, fd, params.min_size, params.avg_size, params.max_size, level)
            with signals_held_back():
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and numbers
                    [sys.executable, "-P", "-m", "casync.cutting.child", *map(str, numbers)],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=(content, fd),
                )
        finally:
            os.close(fd)
        self._asked: deque[tuple[int, int]] = deque()
        self._answered: dict[tuple[int, int], ChildAnswer] = {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()

    def tell(self, command: Command, more: bytes | bytearray = b"") -> None:
        data = memoryview(COMMAND.pack(*command) + more)
        self._asked.append((command.do, command.slot))
        try:
            while data:
                data = data[os.write(self._commands, data) :]
        except BrokenPipeError:
            raise self._death() from None

    def owes(self, slot: int) -> bool:
        return any((do, slot) in [*self._asked, *self._answered] for do in (Do.CUT, Do.PACK))

    def answer(self, do: int, slot: int) -> ChildAnswer:
        """The answer to a command; answers to earlier commands are kept."""
        while (do, slot) not in self._answered:
            data = os.read(self._answers, ANSWER.size)
            if len(data) < ANSWER.size:
                raise self._death()
            self._answered[self._asked.popleft()] = ChildAnswer(*ANSWER.unpack(data))
        return self._answered.pop((do, slot))

    def shared(self, slot: int, offset: int, size: int) -> bytes:
        start = slot * SLOT_BYTES + offset
        return self._shared[start : start + size]

    def close(self) -> None:
        self._process.kill()
        with self._process:  # closes the pipes, and waits
            self._shared.close()

    def _death(self) -> CasyncError:
        self._process.kill()
        status = self._process.wait()
        how = (
            f"was killed by {signal.Signals(-status).name}"
            if status < 0
            else f"ended with {status}"
        )
        return CasyncError(
            f"a cutting process {how}", next_step="Memory may be short; nothing was published."
        )


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Processes started in the block inherit a mask that blocks signals meant for the parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
