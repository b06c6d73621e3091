"""FastCDC: where content is cut into chunks.

The algorithm is Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for
Data Deduplication" (USENIX ATC 2016), as the `fastcdc` package implements it; docs/FORMAT.md
section 3 gives table and masks. Cuts are part of the format, so the installed library is checked
against a built-in vector before its first use. Takes buffers and returns lengths.

A cut depends only on the next `max_size` bytes. Hence the two shortcuts here: bytes after the last
certain cut carry over to the next buffer, and a run of zeros is cut by arithmetic.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from blake3 import blake3

from casync.errors import UnsupportedError, UsageError
from casync.ids import Buffer
from casync.limits import KIB, MAX_AVERAGE, MAX_CHUNK_SIZE, MIN_AVERAGE, MIN_CHUNK_SIZE

__all__ = ["ALGORITHM", "DEFAULT_PARAMS", "ChunkerParams", "Cutter", "Pieces", "Zeros"]

ALGORITHM: Final = "fastcdc-v1"

_VECTOR_SEED: Final = b"casync fastcdc-v1 vector"
_VECTOR_BYTES: Final = 1 << 20
_VECTOR_DIGEST: Final = "81796d945df6912f1f69362bac90d12f20d4a1fa0fb16a0c9a68b48d7289b67b"


@dataclass(frozen=True, slots=True)
class ChunkerParams:
    """Chunk sizes in bytes, and the algorithm that they apply to.

    Raises:
        UsageError: The sizes are out of bounds or out of order.
        UnsupportedError: The algorithm is unknown.
    """

    min_size: int
    avg_size: int
    max_size: int
    algorithm: str = ALGORITHM

    def __post_init__(self) -> None:
        """Refuses sizes that trip an assertion of the library, or make it cut surprisingly."""
        if self.algorithm != ALGORITHM:
            raise UnsupportedError(f"unknown chunker {self.algorithm}")
        if not MIN_AVERAGE <= self.avg_size <= MAX_AVERAGE:
            raise UsageError(f"average chunk size must be {MIN_AVERAGE} to {MAX_AVERAGE} bytes")
        if not MIN_CHUNK_SIZE <= self.min_size <= self.avg_size <= self.max_size <= MAX_CHUNK_SIZE:
            raise UsageError("chunk sizes must be min <= avg <= max, within 64 bytes and 16 MiB")
        if self.max_size < KIB:
            raise UsageError("maximum chunk size must be at least 1024 bytes")

    @classmethod
    def from_average(cls, average: int) -> ChunkerParams:
        """The usual spread: from a quarter of the average to four times the average."""
        return cls(average // 4, average, average * 4)


DEFAULT_PARAMS: Final = ChunkerParams.from_average(16 * KIB)
"""4/16/64 KiB; docs/adr/0003 explains why."""


class Pieces(NamedTuple):
    """Chunks that lie end to end from the start of `buffer`; the rest is uncut."""

    buffer: Buffer
    lengths: list[int]


class Zeros(NamedTuple):
    """`times` chunks of `length` zero bytes each, cut without reading them."""

    length: int
    times: int


@cache
def _library() -> Callable[..., Iterator[Any]]:
    """The compiled library's generator of chunks, checked to cut as the format says.

    Raises:
        UnsupportedError: It is missing, not compiled, or cuts differently.
    """
    package = importlib.util.find_spec("fastcdc")
    if package is None:
        raise UnsupportedError("the fastcdc package is not installed")
    # Checked before the import: without it, the package prints to stdout and continues slowly.
    places = package.submodule_search_locations
    if importlib.machinery.PathFinder.find_spec("fastcdc_cy", places) is None:
        raise UnsupportedError(
            "the fastcdc package has no compiled part for this Python",
            next_step="Install a C compiler and reinstall fastcdc, or use Python 3.11 or 3.12.",
        )
    try:
        cut = importlib.import_module("fastcdc.fastcdc_cy").fastcdc_cy
    except ImportError as error:
        raise UnsupportedError(
            f"the fastcdc package cannot be loaded: {error}", next_step="Reinstall fastcdc."
        ) from error
    data = blake3(_VECTOR_SEED).digest(length=_VECTOR_BYTES) + bytes(_VECTOR_BYTES)
    digest = blake3()
    for params in (DEFAULT_PARAMS, ChunkerParams(64, 256, 1024), ChunkerParams.from_average(65536)):
        chunks = cut(data, params.min_size, params.avg_size, params.max_size)
        digest.update(b"".join([chunk.length.to_bytes(4, "little") for chunk in chunks]))
    if digest.hexdigest() != _VECTOR_DIGEST:
        raise UnsupportedError(
            f"the installed fastcdc package cuts differently from {ALGORITHM}",
            next_step="Install fastcdc 1.7.",
        )
    return cut  # type: ignore[no-any-return]


class Cutter:
    """Cuts one stream. Feed it bytes and zeros in order, then finish.

    Args:
        params: Chunk sizes.

    Raises:
        UnsupportedError: There is no usable library.
    """

    def __init__(self, params: ChunkerParams) -> None:
        self._params = params
        self._cut = _library()
        self._rest: Buffer = b""

    @property
    def rest(self) -> bytes:
        """The bytes since the last cut."""
        return bytes(self._rest)

    def feed(self, data: Buffer) -> Pieces:
        """Takes the next bytes; returns the chunks that are now certain."""
        return self._take(self.rest + data if self._rest else data, final=False)

    def feed_zeros(self, count: int) -> Iterator[Pieces | Zeros]:
        """Takes `count` zero bytes without reading them.

        Lazy: all zeros are taken once the iterator is exhausted.
        """
        size = self._params.max_size
        # Extends the open chunk with zeros until a cut falls inside the hole.
        while self._rest and count:
            step = min(count, size)
            count -= step
            yield self.feed(bytes(step))
            if self.rest.count(0) == len(self._rest):
                count += len(self._rest)
                self._rest = b""
                break
        # Zeros are cut at the maximum whatever the sizes; docs/FORMAT.md section 3.4 proves it and
        # names the bytes that are exceptions.
        if count >= size:
            yield Zeros(size, count // size)
            count %= size
        if count:
            self._rest = bytes(count)

    def finish(self, data: Buffer = b"") -> Pieces:
        """Ends the stream with its last bytes; returns the last chunks."""
        rest = self._rest
        return self._take(self.rest + data if rest and data else rest or data, final=True)

    def _take(self, buffer: Buffer, *, final: bool) -> Pieces:
        sizes = self._params
        # A cut that the end of the buffer forces is true only at the end of the stream.
        certain = len(buffer) if final else len(buffer) - sizes.max_size
        lengths: list[int] = []
        done = 0
        if certain >= 0 and buffer:
            for chunk in self._cut(buffer, sizes.min_size, sizes.avg_size, sizes.max_size):
                if done > certain:
                    break
                lengths.append(chunk.length)
                done += chunk.length
        self._rest = buffer[done:]
        return Pieces(buffer, lengths)
