"""A stream as a file that goes forwards."""

from __future__ import annotations

import pytest

from casync.archives.unpacking.forward_file import ForwardFile
from casync.errors import MalformedError
from casync.limits import MAX_ARCHIVE_HEADER

DATA = bytes(range(256)) * 40


@pytest.fixture(params=[1, 7, 512, 100_000])
def file(request: pytest.FixtureRequest) -> ForwardFile:
    size = request.param
    return ForwardFile(DATA[start : start + size] for start in range(0, len(DATA), size))


def test_it_is_read_skipped_and_looked_into(file: ForwardFile) -> None:
    assert file.peek(10) == DATA[:10]
    assert file.read(5) == DATA[:5]
    assert file.tell() == 5
    file.seek(1000)
    assert b"".join(file.blocks(600)) == DATA[1000:1600]
    assert file.peek(3) == DATA[1600:1603]
    assert b"".join(file.rest()) == DATA[1600:]
    assert file.tell() == len(DATA)
    assert file.read(1) == file.peek(1) == b"".join(file.blocks(1)) == b""


def test_beyond_the_end_there_is_less(file: ForwardFile) -> None:
    file.seek(len(DATA) - 3)
    assert file.read(10) == DATA[-3:]
    file.seek(len(DATA) + 100)
    assert file.tell() == len(DATA)


def test_no_header_is_longer_than_a_header_may_be(file: ForwardFile) -> None:
    for size in (-1, MAX_ARCHIVE_HEADER + 1):
        with pytest.raises(MalformedError):
            file.read(size)
