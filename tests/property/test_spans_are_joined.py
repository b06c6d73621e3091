"""Law: content cut from many places at once has the same chunks as content cut from its start."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from casync.cutting import batch_writer as batches
from casync.cutting import parallel
from casync.fs.source import file as source_module
from casync.fs.source.base import Hole, Source
from casync.fs.source.file import FileSource
from casync.fs.source.stream import StreamSource
from casync.objects.chunker import ChunkerParams
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.memory import MemoryStore
from tests.support.byte_streams import params
from tests.support.cutters_here import small_spans
from tests.support.preparing import chunks, content_of, hash_of, noise

PERIOD = noise(3000, 5)


@st.composite
def contents(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Parts of content, and which of them are holes."""
    parts = []
    for kind, length, seed in draw(
        st.lists(
            st.tuples(st.sampled_from("nnpzhh"), st.integers(0, 100_000), st.integers(0, 2)),
            max_size=7,
        )
    ):
        if kind == "n":
            parts.append((noise(length, seed), False))
        elif kind == "p":
            period = PERIOD[: (7, 1000, 3000)[seed]]
            parts.append(((period * (length // len(period) + 1))[:length], False))
        else:
            parts.append((bytes(length), kind == "h"))
    return parts


@contextmanager
def as_file(parts: list[tuple[bytes, bool]]) -> Iterator[Source]:
    fd = os.memfd_create("test")
    try:
        for data, hole in parts:
            if hole:
                os.lseek(fd, len(data), os.SEEK_CUR)
            else:
                os.write(fd, data)
        os.ftruncate(fd, sum(len(data) for data, _ in parts))
        with FileSource(Path("a test"), descriptor=fd, clock=lambda: 1 << 62) as source:
            yield source
    finally:
        os.close(fd)


class Dripping(StreamSource):
    """Yields blocks of a few thousand bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))

    def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
        return super().blocks(7001)


@contextmanager
def as_stream(parts: list[tuple[bytes, bool]]) -> Iterator[Source]:
    yield Dripping(b"".join(data for data, _ in parts))


@pytest.fixture(autouse=True, scope="module")
def small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "_MIN_HOLE", 4096)
        patch.setattr(parallel, "_MOST_PIECES", 20)
        patch.setattr(batches, "COMMIT_BYTES", 32 * 1024)
        yield


@given(
    parts=contents(),
    sizes=params,
    workers=st.integers(2, 5),
    span=st.sampled_from([1500, 4096, 10_000, 65_536]),
    arrive=st.sampled_from([as_file, as_stream]),
)
@example([(bytes(200_000), False)], ChunkerParams(64, 256, 1024), 2, 4096, as_file)
@example([(PERIOD * 100, False)], ChunkerParams(64, 256, 1024), 3, 4096, as_file)
@example([(noise(300_000), False)] * 2, ChunkerParams(64, 256, 1024), 2, 10_000, as_stream)
def test_parallel_is_serial(
    parts: list[tuple[bytes, bool]],
    sizes: ChunkerParams,
    workers: int,
    span: int,
    arrive: Callable[[list[tuple[bytes, bool]]], AbstractContextManager[Source]],
) -> None:
    data = b"".join(part for part, _ in parts)
    store = MemoryStore()
    with small_spans(span), arrive(parts) as source:
        done = prepare(source, store, PrepareOptions(params=sizes, workers=workers))
    assert done.manifest == hash_of(data, sizes)
    assert content_of(store, done.manifest) == data
    cut = chunks(data, sizes)
    assert (done.chunks, done.new) == (len(cut), len(set(cut)))
