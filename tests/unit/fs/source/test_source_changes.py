"""Sources that change while they are read: the result is one version, or an error."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from casync.errors import (
    SourceChangedError,
)
from casync.fs.identity import identity_of
from casync.fs.source.file import (
    FileSource,
)
from casync.limits import KIB
from tests.support.reading import (
    append,
    noise,
    overwrite,
    plain,
    read,
    replace,
    shrink,
    shrink_and_regrow,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(noise(100_000))
    return path


def rename(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


CHANGES = [append, shrink, shrink_and_regrow, overwrite, replace, rename, Path.unlink]


@pytest.mark.parametrize("blocks_before", [0, 1, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_during_reading_is_an_error(
    path: Path, change: Callable[[Path], object], blocks_before: int
) -> None:
    with FileSource(path) as source:
        reading = source.blocks(30_000)
        for _ in range(blocks_before):
            next(reading)
        change(path)
        with pytest.raises(SourceChangedError, match="image"):
            list(reading)


@pytest.mark.parametrize("change", [append, shrink, overwrite, replace])
def test_the_next_reading_sees_what_is_there_now(
    path: Path, change: Callable[[Path], object]
) -> None:
    with FileSource(path) as source:
        reading = source.blocks(30_000)
        next(reading)
        change(path)
        with pytest.raises(SourceChangedError):
            list(reading)
        assert plain(source) == path.read_bytes()
        assert source.length == path.stat().st_size
        stamp = source.stamp()
    assert stamp is not None
    assert stamp.identity == identity_of(path.stat())


def turn_into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [Path.unlink, rename, turn_into_folder])
def test_a_file_that_is_gone_at_the_next_reading_has_changed(
    path: Path, change: Callable[[Path], object]
) -> None:
    with FileSource(path) as source:
        plain(source)
        change(path)
        with pytest.raises(SourceChangedError, match="vanished"):
            plain(source)


def test_a_file_written_all_the_time_gives_one_version_or_an_error(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    length = 256 * KIB
    path.write_bytes(bytes(length))
    stop = threading.Event()
    pause = random.Random(1)

    def write() -> None:
        # The first counter is written before the last one, so the last one is never ahead.
        fd = os.open(path, os.O_WRONLY)
        number = 0
        while not stop.is_set():
            number += 1
            os.pwrite(fd, number.to_bytes(8, "big"), 0)
            os.pwrite(fd, number.to_bytes(8, "big"), length - 8)
            if pause.random() < 0.3:
                stop.wait(pause.random() / 50)
        os.close(fd)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(150):
            try:
                content = read(path, 16 * KIB)
            except SourceChangedError:
                continue
            first, last = int.from_bytes(content[:8], "big"), int.from_bytes(content[-8:], "big")
            assert first - last in {0, 1}
    finally:
        stop.set()
        writer.join()


def test_a_change_within_the_current_clock_tick_is_waited_out(path: Path) -> None:
    changed = path.stat().st_ctime_ns
    ticks = iter([changed, changed, changed + 1, changed + 2])
    with FileSource(path, clock=lambda: next(ticks)):
        assert next(ticks) == changed + 2


def test_a_clock_that_was_set_back_does_not_block_reading(path: Path) -> None:
    with FileSource(path, clock=lambda: 0) as source:
        assert plain(source) == path.read_bytes()
        stamp = source.stamp()
    assert stamp is not None
    assert not stamp.settled
