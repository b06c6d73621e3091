"""Law: the hash depends on the bytes and the chunk sizes, not on how the bytes arrive."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.cutting import batch_writer as batches
from casync.cutting import serial
from casync.fs.source.file import Hole, StreamSource
from casync.objects.chunker import ChunkerParams
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.memory import MemoryStore
from tests.support.preparing import content_of, hash_of

KINDS = ("noise", "zeros", "repeat")
PARTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 60_000), st.integers(0, 3)), max_size=8
)
PARAMS = st.sampled_from(
    [
        ChunkerParams(64, 256, 1024),
        ChunkerParams(256, 1024, 4096),
        ChunkerParams(1000, 3000, 3001),
        ChunkerParams.from_average(16384),
    ]
)


def bytes_of(parts: list[tuple[str, int, int]]) -> list[tuple[str, bytes]]:
    made = {"zeros": bytes, "repeat": lambda length: (b"abcdefg" * (length // 7 + 1))[:length]}
    return [
        (kind, made[kind](length) if kind in made else random.Random(seed).randbytes(length))
        for kind, length, seed in parts
    ]


class Split(StreamSource):
    """Yields the parts split at random, and zeros as holes or as bytes."""

    def __init__(self, parts: list[tuple[str, bytes]], chance: random.Random) -> None:
        super().__init__(io.BytesIO())
        self._parts = parts
        self._chance = chance

    def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
        for kind, data in self._parts:
            start = 0
            while start < len(data):
                end = start + self._chance.choice((1, 100, 5000, 70_000))
                part = data[start:end]
                start += len(part)
                hole = kind == "zeros" and self._chance.random() < 0.7
                yield Hole(len(part)) if hole else part


@pytest.fixture(autouse=True, scope="module")
def small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serial, "_HELD_BYTES", 16 * 1024)
        patch.setattr(serial, "_HELD_CHUNKS", 20)
        patch.setattr(batches, "COMMIT_BYTES", 32 * 1024)
        yield


@given(
    parts=PARTS,
    params=PARAMS,
    workers=st.integers(1, 16),
    chance=st.integers(0, 2**32).map(random.Random),
)
def test_determinism(
    parts: list[tuple[str, int, int]], params: ChunkerParams, workers: int, chance: random.Random
) -> None:
    made = bytes_of(parts)
    data = b"".join(part for _, part in made)
    store = MemoryStore()
    done = prepare(Split(made, chance), store, PrepareOptions(params=params, workers=workers))
    assert done.manifest == hash_of(data, params)
    assert done.length == len(data)
    assert content_of(store, done.manifest) == data
