"""Sources that are files and devices: what is read, refused and remembered."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import (
    DeniedError,
    NotFoundError,
    UsageError,
)
from casync.fs.filesystem import Coherence, FileSystem
from casync.fs.identity import identity_of
from casync.fs.source import file as module
from casync.fs.source.file import (
    BLOCK_BYTES,
    FileSource,
    Hole,
    coarse_clock,
)
from casync.limits import KIB, MIB
from tests.support.reading import noise, plain, read, sparse_content, write_sparse
from tests.support.rights import ROOT, needs_root

SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(noise(100_000))
    return path


@pytest.mark.parametrize("size", [1000, 4096, 99_999, 100_000, BLOCK_BYTES])
def test_a_file_is_read_whole_in_blocks_of_any_size(path: Path, size: int) -> None:
    with FileSource(path) as source:
        blocks = list(source.blocks(size))
        assert source.length == 100_000
    assert all(isinstance(block, bytes) and len(block) <= size for block in blocks)
    assert read(path, size) == path.read_bytes()


def test_an_empty_file_has_no_blocks(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with FileSource(tmp_path / "empty") as source:
        assert list(source.blocks()) == []
        assert source.length == 0


def test_a_link_to_a_file_is_followed(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read(link) == path.read_bytes()
    with FileSource(link) as source:
        stamp = source.stamp()
    assert stamp is not None
    assert stamp.path == os.fsencode(os.path.realpath(path))


def test_a_hole_is_reported_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    write_sparse(path, 5 << 40, {1 << 40: b"x" * 4096})
    with FileSource(path) as source:
        blocks = list(source.blocks())
    read_bytes = sum(len(block) for block in blocks if isinstance(block, bytes))
    told = sum(block.length for block in blocks if isinstance(block, Hole))
    assert read_bytes < MIB
    assert read_bytes + told == 5 << 40


@pytest.mark.parametrize("size", [64 * KIB, BLOCK_BYTES])
@pytest.mark.parametrize(
    ("length", "offsets"),
    [
        pytest.param(3 * MIB, [], id="all hole"),
        pytest.param(1000, [], id="small hole"),
        pytest.param(3 * MIB, [0], id="data first"),
        pytest.param(3 * MIB, [3 * MIB - 100], id="data last"),
        pytest.param(3 * MIB + 1, [MIB], id="odd end"),
        pytest.param(20 * MIB, range(0, 20 * MIB, 128 * KIB), id="many small holes"),
        pytest.param(20 * MIB, range(0, 20 * MIB, 512 * KIB), id="many holes"),
        pytest.param(9 * MIB, [300 * KIB, 700 * KIB, 5 * MIB, 5 * MIB + 8 * KIB], id="mixed"),
    ],
)
def test_sparse_files_are_read_exactly(
    tmp_path: Path, length: int, offsets: list[int], size: int
) -> None:
    path = tmp_path / "sparse"
    parts = {offset: noise(100, offset) for offset in offsets}
    write_sparse(path, length, parts)
    with FileSource(path) as source:
        blocks = list(source.blocks(size))
    assert all(len(block) <= size for block in blocks if isinstance(block, bytes))
    assert b"".join(
        bytes(b.length) if isinstance(b, Hole) else b for b in blocks
    ) == sparse_content(length, parts)


@given(
    parts=st.dictionaries(st.integers(0, 2 * MIB), st.integers(1, 100 * KIB), max_size=6),
    tail=st.integers(0, MIB),
    size=st.integers(1, 64).map(lambda number: number * 16 * KIB),
)
def test_any_sparse_file_is_read_exactly(
    tmp_path_factory: pytest.TempPathFactory, parts: dict[int, int], tail: int, size: int
) -> None:
    path = tmp_path_factory.mktemp("sparse") / "file"
    end = max((offset + length for offset, length in parts.items()), default=0)
    data = {offset: noise(length, offset) for offset, length in sorted(parts.items())}
    write_sparse(path, end + tail, data)
    assert read(path, size) == sparse_content(end + tail, data)
    path.unlink()


@contextmanager
def loop_device(path: Path) -> Iterator[Path]:
    command = ["losetup", "--find", "--show", "--read-only", str(path)]
    device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield Path(device)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def plain_file(path: Path) -> Iterator[Path]:
    yield path


@pytest.mark.parametrize("kind", [plain_file, pytest.param(loop_device, marks=needs_root)])
def test_files_and_devices_give_their_bytes(tmp_path: Path, kind: Callable[[Path], object]) -> None:
    path = tmp_path / "disk"
    path.write_bytes(noise(3 * MIB))
    with kind(path) as place, FileSource(place) as source:  # type: ignore[attr-defined]
        assert source.length == 3 * MIB
        assert plain(source, MIB) == path.read_bytes()
        assert plain(source, MIB) == path.read_bytes()
        assert (source.stamp() is None) == (kind is loop_device)


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, bind_socket])
def test_folders_pipes_and_sockets_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(Path("thing"))
    with pytest.raises(UsageError, match="thing is ") as caught:
        FileSource(Path("thing"))
    assert caught.value.next_step


def test_a_character_device_is_refused() -> None:
    with pytest.raises(UsageError, match="neither a file nor a block device"):
        FileSource(Path("/dev/zero"))


def test_inspecting_a_pipe_does_not_disturb_its_writer(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    ends: list[str] = []

    def write() -> None:
        with fifo.open("wb") as file:
            ends.append("opened")
            file.write(b"all of it")

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(100):
        with pytest.raises(UsageError):
            FileSource(fifo)
    assert ends == []
    assert fifo.read_bytes() == b"all of it"
    writer.join()


@pytest.mark.parametrize("name", ["nothing", "image/below"])
def test_a_missing_file_is_not_found(path: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match=name):
        FileSource(path.parent / name)


def test_an_impossible_path_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="null"):
        FileSource(Path("a\0b"))


def test_an_unreadable_file_is_denied(path: Path) -> None:
    path.chmod(0)
    if ROOT:
        os.seteuid(65534)
    try:
        with pytest.raises(DeniedError, match="image"):
            FileSource(path)
    finally:
        if ROOT:
            os.seteuid(0)


def test_a_file_with_more_bytes_than_its_size_is_refused() -> None:
    with (
        FileSource(Path("/proc/self/status")) as source,
        pytest.raises(UsageError, match="more bytes than its size says"),
    ):
        plain(source)


@pytest.mark.parametrize(("age", "settled"), [(2 * SECOND, True), (2 * SECOND - 1, False)])
def test_a_file_is_settled_two_seconds_after_its_last_change(
    path: Path, age: int, settled: bool
) -> None:
    status = path.stat()
    with FileSource(path, clock=lambda: status.st_ctime_ns + age) as source:
        stamp = source.stamp()
    assert stamp is not None
    assert stamp.identity == identity_of(status)
    assert stamp.settled is settled


def test_a_file_from_the_future_is_not_settled(path: Path) -> None:
    later = coarse_clock() + 10**6 * SECOND
    os.utime(path, ns=(later, later))
    with FileSource(path, clock=lambda: path.stat().st_ctime_ns + 5 * SECOND) as source:
        stamp = source.stamp()
    assert stamp is not None
    assert not stamp.settled


def test_a_file_without_a_path_is_not_remembered(path: Path) -> None:
    with FileSource(path) as source:
        path.unlink()
        assert source.stamp() is None


def test_a_file_on_a_network_is_not_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "file_system", lambda _: FileSystem("NFS", Coherence.NETWORK))
    with FileSource(path) as source:
        assert source.stamp() is None
