"""A store in a bucket with ten million chunks, opened by a host that has seen it and by a new one.

`python -m tests.large.many_chunks [NUMBER]` makes the runs and the head of such a store in a folder
that stands for a bucket; there are no segments, as opening reads none. Time and memory of each step
are checked (`steps.py`). Needs some GB: `make manychunks`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from casync.bucket.head import BucketHead, RunEntry, encode_head
from casync.bucket.keys import HEAD_KEY, MARKER_KEY, SessionPart, run_key
from casync.bucket.marker import MARKER_FORMAT, PrefixMarker, encode_marker
from casync.bucket.run import RunRow, SegmentSize, encode_run
from casync.bucket.run_columns import ROW_BYTES
from casync.bucket.storage import ObjectStorage
from casync.ids import ID_BYTES, Kind
from casync.limits import BUCKET_SEGMENT_BYTES, MERGED_RUN_BYTES
from casync.objects.record import RECORD_BYTES
from casync.remote.storages.folder import FolderStorage
from tests.large.steps import timed

__all__ = ["make"]

_STORE: Final = bytes(range(16))
_SESSION: Final = b"m" * 16
_CHUNK_BYTES: Final = 16 * 1024
_HEAD_BYTES: Final = 64
_IN_A_SEGMENT: Final = (BUCKET_SEGMENT_BYTES - _HEAD_BYTES) // (RECORD_BYTES + _CHUNK_BYTES)
_ROWS_A_SECOND: Final = 500_000
_WARM_SECONDS: Final = 1.0


def main() -> None:
    """Runs all steps; an AssertionError says what is wrong."""
    parser = argparse.ArgumentParser(prog="manychunks", description=__doc__)
    parser.add_argument("number", nargs="?", type=int, default=10_000_000)
    parser.add_argument(
        "--work", type=Path, default=Path("/var/tmp"), help="a folder with enough space"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casync-manychunks-", dir=options.work) as folder:
        bucket = Path(folder) / "bucket"
        bytes_of_runs = make(FolderStorage(bucket), options.number)
        print(f"{options.number} chunks, {bytes_of_runs} bytes of runs", flush=True)
        environment = {"XDG_CACHE_HOME": str(Path(folder) / "cache")}
        ls = ("ls", "--store", f"file://{bucket}")
        _, cold = timed("open cold", *ls, environment=environment)
        rate = options.number / cold.cpu
        print(f"{options.number / cold.seconds:.0f} rows a second, {rate:.0f} of CPU", flush=True)
        _, warm = timed("open warm", *ls, environment=environment)
        stats = ("store", "stats", *ls[1:])
        counted, _ = timed("count", *stats, environment=environment)
        assert counted["objects"]["chunk"]["count"] == options.number
        assert rate >= _ROWS_A_SECOND  # of CPU, as other programs run here, too
        assert warm.cpu < _WARM_SECONDS


def make(storage: ObjectStorage, number: int, *, seed: int = 1) -> int:
    """Makes a store with `number` chunks; returns the bytes of its runs.

    Args:
        storage: An empty bucket.
        number: Chunks.
        seed: Of their ids.
    """
    marker = PrefixMarker(MARKER_FORMAT, "store", _STORE.hex(), 0)
    storage.create(MARKER_KEY, encode_marker(marker))
    source = random.Random(seed)
    entries: list[RunEntry] = []
    in_a_run = MERGED_RUN_BYTES // ROW_BYTES
    for start in range(0, number, in_a_run):
        data = _run(source, range(start, min(start + in_a_run, number)))
        version = len(entries)
        entries.append(
            RunEntry(_SESSION, version, 1, len(data), version and version + 1, version + 1)
        )
        storage.put(run_key(entries[-1].part), data)
    head = BucketHead(1, _STORE, max(len(entries), 1), 1, tuple(entries), ())
    storage.create(HEAD_KEY, encode_head(head))
    return sum(entry.size for entry in entries)


def _run(source: random.Random, numbers: Sequence[int]) -> bytes:
    """A run with chunks that were stored one after the other."""
    first = numbers[0] // _IN_A_SEGMENT
    size = _HEAD_BYTES + _IN_A_SEGMENT * (RECORD_BYTES + _CHUNK_BYTES)
    segments = [
        SegmentSize(SessionPart(_SESSION, number), size)
        for number in range(first, numbers[-1] // _IN_A_SEGMENT + 1)
    ]
    ids = source.randbytes(ID_BYTES * len(numbers))
    rows = sorted(
        RunRow(
            ids[at * ID_BYTES : (at + 1) * ID_BYTES],
            number // _IN_A_SEGMENT - first,
            _HEAD_BYTES + number % _IN_A_SEGMENT * (RECORD_BYTES + _CHUNK_BYTES),
            _CHUNK_BYTES,
            _CHUNK_BYTES,
            1,
        )
        for at, number in enumerate(numbers)
    )
    return encode_run(_STORE, segments, {Kind.CHUNK: rows}, [])


if __name__ == "__main__":
    main()
