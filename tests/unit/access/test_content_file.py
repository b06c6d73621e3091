"""Content as a file: any range, any seek, and only proved bytes."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence

import pytest

from casync.access.content_file import ContentFile, FileBytes, read_range
from casync.access.outline import Outline
from casync.errors import DamagedObjectError, NoObjectError
from casync.fs.source.file import StreamSource
from casync.ids import Kind, ObjectId
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packed
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.base import Absence
from casync.store.memory import MemoryStore
from tests.support.pulling import outline_of

PARAMS = ChunkerParams(256, 1024, 4096)
DATA = (
    random.Random(1).randbytes(50_000)
    + bytes(100_000)
    + random.Random(2).randbytes(3_000)
    + b"\xff" * 40_000
    + random.Random(3).randbytes(20_000) * 2
)


class Rotten(MemoryStore):
    """A store that answers for chunks with `answer` once it is set."""

    answer: Absence | None = None

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for answer in super().get(kind, ids):
            yield self.answer if self.answer and kind is Kind.CHUNK else answer


def prepared(data: bytes = DATA) -> tuple[Rotten, Outline]:
    store = Rotten()
    options = PrepareOptions(params=PARAMS)
    ident = prepare(StreamSource(io.BytesIO(data)), store, options).manifest
    return store, outline_of(ident, store)


def test_every_range_is_the_range_of_the_content() -> None:
    store, outline = prepared()
    rng = random.Random(4)
    edges = [0, 1, 49_999, 50_000, 150_000, 153_000, len(DATA) - 1, len(DATA)]
    cases = [(a, b) for a in edges for b in edges if a <= b]
    picks = [sorted(rng.choices(range(len(DATA)), k=2)) for _ in range(50)]
    cases += [(start, end) for start, end in picks]
    for start, end in cases:
        assert b"".join(read_range(outline, store, start, end)) == DATA[start:end]


def test_pieces_are_no_longer_than_a_chunk() -> None:
    store, outline = prepared()
    pieces = list(read_range(outline, store, 0, len(DATA), ahead=1))
    assert b"".join(pieces) == DATA
    assert max(len(piece) for piece in pieces if any(piece)) <= PARAMS.max_size


def test_reads_and_seeks_agree_with_a_file_in_memory() -> None:
    store, outline = prepared()
    model = io.BytesIO(DATA)
    rng = random.Random(5)
    with io.BufferedReader(ContentFile(FileBytes(outline, store))) as file:
        for _ in range(200):
            if rng.random() < 0.5:
                size = rng.choice([0, 1, 100, 70_000, -1])
                assert file.read(size) == model.read(size)
            else:
                whence = rng.choice([io.SEEK_SET, io.SEEK_END])
                offset = rng.randrange(len(DATA)) - (len(DATA) if whence else 0)
                assert file.seek(offset, whence) == model.seek(offset, whence)
            assert file.tell() == model.tell()


def test_reads_past_the_end_are_empty_and_seeks_before_the_start_fail() -> None:
    store, outline = prepared()
    file = ContentFile(FileBytes(outline, store))
    file.seek(len(DATA) + 10)
    assert file.read(5) == b""
    with pytest.raises(ValueError, match="before the start"):
        file.seek(-1)
    assert not file.writable()


def test_empty_content_is_an_empty_file() -> None:
    store, outline = prepared(b"")
    assert ContentFile(FileBytes(outline, store)).read() == b""


@pytest.mark.parametrize(
    ("answer", "error"), [(Absence.MISSING, NoObjectError), (Absence.DAMAGED, DamagedObjectError)]
)
def test_a_missing_or_damaged_chunk_is_an_error(answer: Absence, error: type[Exception]) -> None:
    store, outline = prepared()
    store.answer = answer
    with pytest.raises(error, match=answer.value):
        ContentFile(FileBytes(outline, store)).read(10)
