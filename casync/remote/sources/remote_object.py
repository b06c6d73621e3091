"""An object of a source, to prepare from.

Large objects are read in ranges, several at once, if the source proved that it can answer ranges,
and their validators prove that all ranges are of one version. Others are read as one stream, which
goes on after an answer that broke off. Checksums that the source gives are verified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from casync.errors import DigestMismatchError, NotFoundError, SourceChangedError, UnreachableError
from casync.jobs.checksum import Verifier
from casync.jobs.fault import ObjectFaultKind
from casync.limits import MIB
from casync.remote.sources.base import Listed, ObjectAnswer, RemoteSource, failed

__all__ = ["RemoteObject", "read_whole"]

_RANGE_BYTES: Final = 4 * MIB
"""Bytes of one request: large enough that the round trip does not matter."""

_AT_ONCE: Final = 8
"""Concurrent requests. Their answers are held in memory."""

_FRUITLESS: Final = 5
"""Answers that broke off without progress, after which an object is given up."""


class RemoteObject:
    """An object of a source. Implements `casync.fs.source.base.Source`.

    Args:
        source: The source.
        listed: The object, as it was listed.

    Attributes:
        listed: The object, as it was described by the answers of the last read.
    """

    repeatable = True

    def __init__(self, source: RemoteSource, listed: Listed) -> None:
        self.label = f"{source.label}/{listed.key}"
        self.listed = listed
        self._source = source
        self._used = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def length(self) -> int | None:
        """Bytes of the object, or None if they are not known."""
        return self.listed.size

    def stamp(self) -> None:
        """None: stores remember only local files as seeds."""
        return

    def positioned(self, least: int) -> None:
        """None: there is no file that child processes could read."""
        return

    def blocks(self, size: int = _RANGE_BYTES) -> Iterator[bytes]:
        """Reads everything, in blocks of at most `size` bytes. See `Source`."""
        if self._used:
            self.renew()
        self._used = True
        length = self.listed.size
        in_ranges = length is not None and length > size and bool(self.listed.token)
        answer = self._open(0, size if in_ranges else None)
        if in_ranges and answer.is_ranged:
            yield from _verified(self._ranges(answer, size), self.listed, self.label)
        else:
            self.listed = answer.listed
            blocks = _verified(self._stream(answer), self.listed, self.label)
            yield from _joined(blocks, size)

    def renew(self) -> None:
        """Looks the object up again.

        Raises:
            SourceChangedError: The object is gone.
            CasyncError: As `RemoteSource.find`.
        """
        found = self._source.find(self.listed.key)
        if found is None:
            raise _vanished(self.label)
        self.listed = found

    def _ranges(self, first: ObjectAnswer, size: int) -> Iterator[bytes]:
        """Everything in ranges, of which the first is open."""
        assert self.listed.size is not None
        coming: deque[Future[bytes]] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="range")
        try:
            coming.append(pool.submit(self._read, first, 0, size))
            for start in range(size, self.listed.size, size):
                end = min(start + size, self.listed.size)
                coming.append(pool.submit(self._read, None, start, end))
                if len(coming) == _AT_ONCE:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            first.close()

    def _read(self, answer: ObjectAnswer | None, start: int, end: int) -> bytes:
        """The bytes of a range, whose answer may be open already."""
        tries = 0
        while True:
            answer = answer or self._open(start, end)
            try:
                with answer:
                    self._compare(answer.listed)
                    if not answer.is_ranged or answer.start != start:
                        raise _changed(self.label)
                    return _exactly(answer, end - start, self.label)
            except UnreachableError:
                tries, answer = tries + 1, None
                if tries == _FRUITLESS:
                    raise

    def _stream(self, answer: ObjectAnswer) -> Iterator[bytes]:
        """Everything in one stream, which begins with an open answer."""
        done = fruitless = 0
        while True:
            before = done
            with answer:
                skipped = done - answer.start  # bytes that come again
                try:
                    for block in answer.blocks():
                        fresh = block[skipped:] if skipped else block
                        skipped -= len(block) - len(fresh)
                        done += len(fresh)
                        if fresh:
                            yield fresh
                    return
                except UnreachableError as error:
                    fruitless = fruitless + 1 if done == before else 0
                    if fruitless == _FRUITLESS:
                        raise
                    broken = error
            answer = self._open(done, None)
            if done and not answer.listed.is_same_as(self.listed):
                answer.close()
                if not self.listed.differs_from(answer.listed):
                    raise broken  # nothing proves that the rest belongs to what came
                raise _changed(self.label)
            self.listed = answer.listed

    def _open(self, start: int, end: int | None) -> ObjectAnswer:
        try:
            answer = self._source.open(self.listed.key, start, end, same=self.listed.validators)
        except NotFoundError as error:
            raise _vanished(self.label) from error
        assert answer is not None
        return answer

    def _compare(self, listed: Listed) -> None:
        """Raises SourceChangedError if an answer is of another version of the object."""
        if self.listed.differs_from(listed):
            raise _changed(self.label)


def read_whole(source: RemoteSource, key: str, max_bytes: int) -> tuple[bytes, Listed]:
    """Reads a small object by one answer, so that its bytes are of one version.

    Args:
        source: The source.
        key: Its key.
        max_bytes: The size beyond which it counts as changed.

    Returns:
        Its bytes, and the object as the answer described it.

    Raises:
        SourceChangedError: It is larger.
        DigestMismatchError: It does not have the checksum that the source gives.
        CasyncError: As `RemoteSource.open`.
    """
    label = f"{source.label}/{key}"
    tries = 0
    while True:
        answer = source.open(key)
        assert answer is not None
        try:
            with answer:
                parts: list[bytes] = []
                room = max_bytes
                for block in _verified(answer.blocks(), answer.listed, label):
                    room -= len(block)
                    if room < 0:
                        raise SourceChangedError(f"{label} grew while it was read")
                    parts.append(block)
                return b"".join(parts), answer.listed
        except UnreachableError:
            tries += 1
            if tries == _FRUITLESS:
                raise


def _exactly(answer: ObjectAnswer, size: int, label: str) -> bytes:
    parts: list[bytes] = []
    left = size
    for block in answer.blocks():
        parts.append(block)
        left -= len(block)
        if left < 0:
            raise _changed(label)
    if left:
        raise failed(
            SourceChangedError(f"{label} shrank while it was read"), ObjectFaultKind.CHANGED
        )
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _joined(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, in blocks of at most `size`, and small ones joined."""
    waiting = bytearray()
    for block in blocks:
        waiting += block
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


def _verified(blocks: Iterator[bytes], listed: Listed, label: str) -> Iterator[bytes]:
    """The same bytes; raises DigestMismatchError at the end unless they have the checksums."""
    verifier = Verifier(listed.validators.checksums)
    for block in blocks:
        verifier.update(block)
        yield block
    try:
        verifier.finish()
    except DigestMismatchError as error:
        wrong = DigestMismatchError(f"{label}: {error.message}")
        raise failed(wrong, ObjectFaultKind.CHECKSUM) from error


def _changed(label: str) -> SourceChangedError:
    return failed(SourceChangedError(f"{label} changed while it was read"), ObjectFaultKind.CHANGED)


def _vanished(label: str) -> SourceChangedError:
    return failed(
        SourceChangedError(f"{label} vanished while it was read"), ObjectFaultKind.CHANGED
    )
