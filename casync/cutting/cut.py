"""Who cuts an input: children where it is large, this process where it is small.

Starting children takes as long as cutting some 20 MiB. A stream is cut here until it has shown
that it is long.
"""

from __future__ import annotations

import os
from typing import Final

from casync.cutting.children import Cutters, fit_for_children
from casync.cutting.chunk_writer import Taker
from casync.cutting.parallel import cut_in_parallel
from casync.cutting.serial import SerialCutting
from casync.fs.source.base import Positioned, Source
from casync.fs.source.memfd import MemfdBuffer
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams

__all__ = ["cut", "usable_cpus"]

_LARGE: Final = 32 * MIB
"""Bytes from which on children are worth their start."""

_DEFAULT_WORKERS: Final = 4
"""Three keep the one process busy that joins and writes. Each holds some 45 MiB."""


def usable_cpus() -> int:
    """Processors that this process may use, as far as they are worth a child each."""
    return min(len(os.sched_getaffinity(0)), _DEFAULT_WORKERS)


def cut(
    source: Source, chunk_writer: Taker, params: ChunkerParams, *, level: int, workers: int
) -> None:
    """Cuts all of `source`; the chunks are the same whoever does it.

    Args:
        source: What to cut.
        chunk_writer: Gets the chunks.
        params: Chunk sizes.
        level: zstd level.
        workers: How many children. One would only stand in the way of this process.

    Raises:
        CasyncError: What source and store raise; a child died.
    """
    parallel = workers > 1 and fit_for_children(params)

    def in_children(positioned: Positioned, position: int) -> bool:
        try:
            cutters = Cutters(workers, positioned.descriptor, params, level)
        except OSError:  # no memory to share, no processes
            return False
        with cutters:
            cut_in_parallel(positioned, cutters, chunk_writer, params, position)
        return True

    large = source.positioned(_LARGE) if parallel else None
    if large is not None and in_children(large, 0):
        return
    may_grow = parallel and source.length is None
    here = SerialCutting(chunk_writer, params)
    blocks = source.blocks()
    for block in blocks:
        here.feed(block)
        if may_grow and here.position >= _LARGE:
            may_grow = False
            rest = here.stop()
            try:
                buffer = MemfdBuffer(source.label, here.position, rest, blocks, params.max_size)
            except OSError:  # no memory files
                continue
            with buffer:
                if in_children(buffer, here.position):
                    return
    here.finish()
