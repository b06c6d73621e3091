"""Streams as sources: pipes, files as standard input, and unusual streams."""

from __future__ import annotations

import gzip
import io
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from casync.errors import (
    CasyncError,
    SourceChangedError,
    UsageError,
)
from casync.fs.source.file import (
    FileSource,
    Hole,
    StreamSource,
    open_source,
)
from tests.support.reading import (
    append,
    noise,
    overwrite,
    plain,
    replace,
    shrink,
    write_sparse,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(noise(100_000))
    return path


class Dribble(io.RawIOBase):
    """Returns one to three bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._random = random.Random(3)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        part = self._data.read(min(len(view), self._random.randint(1, 3)))
        view[: len(part)] = part
        return len(part)


def test_a_stream_comes_in_full_blocks() -> None:
    data = noise(10_000)
    source = StreamSource(Dribble(data))  # type: ignore[arg-type]
    blocks = list(source.blocks(4096))
    assert [len(block) for block in blocks if isinstance(block, bytes)] == [4096, 4096, 1808]
    assert b"".join(block for block in blocks if isinstance(block, bytes)) == data
    assert source.stamp() is None
    assert not source.repeatable


def test_a_pipe_is_read_to_its_end() -> None:
    data = noise(500_000)
    reader, writer = os.pipe()

    def write() -> None:
        with open(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    with open(reader, "rb") as stream, open_source(stream) as source:
        assert isinstance(source, StreamSource)
        assert source.label == "standard input"
        assert plain(source, 100_000) == data
    thread.join()


def test_a_non_blocking_stream_is_refused() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with (
        open(writer, "wb"),
        open(reader, "rb", buffering=0) as stream,
        pytest.raises(UsageError, match="non-blocking"),
    ):
        list(StreamSource(stream).blocks())


def test_a_failing_stream_raises() -> None:
    class Broken(io.RawIOBase):
        def read(self, _: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(CasyncError, match="cannot read tape: Input/output error"):
        list(StreamSource(Broken(), "tape").blocks())  # type: ignore[arg-type]


def test_a_closed_stream_is_a_usage_error() -> None:
    stream = io.BytesIO(b"x")
    stream.close()
    with pytest.raises(UsageError, match="closed"):
        list(StreamSource(stream).blocks())


def test_open_source_takes_paths(path: Path) -> None:
    with open_source(path) as source:
        assert isinstance(source, FileSource)
        assert source.label == str(path)


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_stream_that_is_a_file_is_read_as_that_file(path: Path, buffering: int) -> None:
    with path.open("rb", buffering=buffering) as stream:
        with open_source(stream) as source:
            assert isinstance(source, FileSource)
            assert plain(source) == path.read_bytes()
            assert plain(source) == path.read_bytes()
            stamp = source.stamp()
        assert stream.read() == b""
    assert stamp is not None
    assert stamp.path == os.fsencode(os.path.realpath(path))


def test_holes_of_standard_input_are_found(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    write_sparse(path, 1 << 40, {})
    with path.open("rb") as stream, open_source(stream) as source:
        assert list(source.blocks()) == [Hole(1 << 40)]


def test_a_stream_in_the_middle_of_a_file_gives_the_rest(path: Path) -> None:
    with path.open("rb") as stream:
        stream.read(10)
        with open_source(stream) as source:
            assert source.stamp() is None
            assert plain(source) == path.read_bytes()[10:]


@pytest.mark.parametrize("change", [Path.unlink, replace])
def test_a_stream_whose_path_leads_elsewhere_is_not_remembered(
    path: Path, change: Callable[[Path], object]
) -> None:
    content = path.read_bytes()
    with path.open("rb") as stream:
        change(path)
        with open_source(stream) as source:
            assert plain(source) == content
            assert source.stamp() is None


@pytest.mark.parametrize("change", [append, shrink, overwrite])
def test_a_change_of_standard_input_is_an_error(
    path: Path, change: Callable[[Path], object]
) -> None:
    with path.open("rb") as stream, open_source(stream) as source:
        reading = source.blocks(30_000)
        next(reading)
        change(path)
        with pytest.raises(SourceChangedError):
            list(reading)
        assert plain(source) == path.read_bytes()


def test_a_decompressing_stream_is_read_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "image.gz"
    path.write_bytes(gzip.compress(b"plain bytes"))
    with gzip.open(path) as stream, open_source(stream) as source:  # type: ignore[arg-type]
        assert plain(source) == b"plain bytes"


@pytest.mark.parametrize("make", [io.BytesIO, lambda data: io.BufferedReader(io.BytesIO(data))])
def test_an_in_memory_stream_is_read(make: Callable[[bytes], BinaryIO]) -> None:
    with open_source(make(b"abc")) as source:
        assert plain(source) == b"abc"
