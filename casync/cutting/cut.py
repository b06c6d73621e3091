"""Cuts an input: large ones in child processes, small ones in this process.

Starting children takes as long as cutting some 20 MiB. A stream is cut in this process until it
proves to be long.
"""

from __future__ import annotations

import os
from typing import Final

from casync.cutting.children import Cutters, fit_for_children
from casync.cutting.chunk_writer import RecordTaker
from casync.cutting.parallel import cut_in_parallel
from casync.cutting.serial import SerialCutting
from casync.fs.source.base import Positioned, Source
from casync.fs.source.memfd import MemfdBuffer
from casync.limits import MIB
from casync.objects.chunker import ChunkerParams

__all__ = ["cut", "usable_cpus"]

_LARGE: Final = 32 * MIB
"""Bytes from which on starting children pays."""

_DEFAULT_WORKERS: Final = 4
"""Three children keep the parent busy, which joins and writes. Each holds some 45 MiB."""


def usable_cpus() -> int:
    """CPUs that this process may use, at most as many as children pay for."""
    return min(len(os.sched_getaffinity(0)), _DEFAULT_WORKERS)


def cut(
    source: Source, chunk_writer: RecordTaker, params: ChunkerParams, *, level: int, workers: int
) -> None:
    """Cuts all of `source`. The chunks are the same whichever process cuts.

    Args:
        source: The input.
        chunk_writer: Takes the chunks.
        params: Chunk sizes.
        level: zstd level.
        workers: Number of children; with one, this process cuts.

    Raises:
        CasyncError: What source and store raise; a child died.
    """
    parallel = workers > 1 and fit_for_children(params)

    def in_children(positioned: Positioned, position: int) -> bool:
        try:
            cutters = Cutters(workers, positioned.descriptor, params, level)
        except OSError:  # no shared memory, or no processes
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
            except OSError:  # memfd is not available
                continue
            with buffer:
                if in_children(buffer, here.position):
                    return
    here.finish()
