"""Cutting without child processes: the same workers over the same memory, in this process."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from casync.cutting import child as cutter_worker
from casync.cutting import cut as cutting
from casync.cutting import parallel
from casync.cutting.child import SLOT_BYTES, SLOTS, ChildAnswer, Command, CutterWorker, Do
from casync.cutting.children import Cutters
from casync.objects.chunker import ChunkerParams


class _WorkerHere:
    """The part of a child that `Cutters` uses. Obeys at once; answers in order, as a pipe does."""

    def __init__(self, content: int, params: ChunkerParams, level: int) -> None:
        self._fd = os.memfd_create("test", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, SLOTS * SLOT_BYTES)
        self._map = mmap.mmap(self._fd, SLOTS * SLOT_BYTES, prot=mmap.PROT_READ)
        self._worker = CutterWorker(content, self._fd, params, level)
        self._answers: dict[tuple[int, int], ChildAnswer] = {}

    def tell(self, command: Command, more: bytes = b"") -> None:
        if command.do == Do.CUT:
            answer = self._worker.cut(command)
        else:
            answer = self._worker.pack(command.slot, more)
        self._answers[command.do, command.slot] = answer

    def answer(self, do: int, slot: int) -> ChildAnswer:
        return self._answers.pop((do, slot))

    def owes(self, slot: int) -> bool:
        return any((do, slot) in self._answers for do in (Do.CUT, Do.PACK))

    def shared(self, slot: int, offset: int, size: int) -> bytes:
        start = slot * SLOT_BYTES + offset
        return self._map[start : start + size]

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)


class CuttersHere(Cutters):
    """Cuts like children, whose processes would take too long to start for many examples."""

    def __init__(self, count: int, content: int, params: ChunkerParams, level: int) -> None:
        self.room = count * SLOTS
        self._children = [_WorkerHere(content, params, level) for _ in range(count)]  # type: ignore[misc]


@contextmanager
def small_spans(size: int, cutters: type[Cutters] = CuttersHere) -> Iterator[None]:
    """Spans of `size` bytes, so that little data has many of them, and no input is too small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "_LARGE", size)
        patch.setattr(cutting, "Cutters", cutters)
        patch.setattr(parallel, "SPAN_BYTES", size)
        patch.setattr(cutter_worker, "SPAN_BYTES", size)
        patch.setattr(parallel, "_LEAST_SPAN", 1)
        yield
