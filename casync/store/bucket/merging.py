"""Joins runs of a store in a bucket into one that changes the same."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from casync.bucket.head import RunEntry
from casync.bucket.run import encode_run
from casync.bucket.run_merge import merge
from casync.store.bucket.catch_up import HeadMovedError
from casync.store.bucket.state_reader import StateReader

__all__ = ["merged_run"]

_AT_ONCE: Final = 8


def merged_run(state: StateReader, entries: Sequence[RunEntry]) -> bytes:
    """The run that replaces runs which follow each other.

    Raises:
        HeadMovedError: One of them was merged away.
        CasyncError: As `StateReader.run`.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(state.run, entries))
    runs = [run for run in found if run is not None]
    if len(runs) < len(found):
        raise HeadMovedError("a run was merged away")
    return encode_run(*merge(runs, is_first=entries[0].first == 0))
