"""Files and devices that are overwritten where they differ."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casync.errors import LockedError, NoSpaceError, WriteError
from casync.fs.identity import identity_of
from casync.fs.target.base import Sink, open_sink
from casync.fs.target.place import TargetPlace, inspect_place
from casync.limits import MIB
from tests.support.forked import in_namespace, run_python, start_python
from tests.support.rights import ROOT, needs_root

OLD = bytes(range(1, 255)) * 100


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.write_bytes(OLD)
    return path


def sink_at(path: Path, length: int = len(OLD)) -> Sink:
    return open_sink(inspect_place(path, in_place=True), length)


def test_only_what_is_written_changes(target: Path) -> None:
    inode = target.stat().st_ino
    with sink_at(target) as sink:
        assert sink.resumed
        assert sink.read(0, 1000) == OLD[:1000]
        sink.write(100, [b"new", b"er"])
        assert sink.commit() == []
        assert sink.identity() == identity_of(target.stat())
    assert target.read_bytes() == OLD[:100] + b"newer" + OLD[105:]
    assert target.stat().st_ino == inode


def test_a_growing_file_reads_as_zeros_beyond_its_end(target: Path) -> None:
    length = 2 * len(OLD)
    with sink_at(target, length) as sink:
        assert target.stat().st_size == len(OLD)
        assert sink.read(len(OLD) - 1, 11) == OLD[-1:] + bytes(10)
        assert sink.read(length - 5, 11) == bytes(5)
        assert sink.read(length, 11) == b""
        sink.write(length - 100, [b"!"])
        assert sink.read(length - 101, 3) == b"\0!\0"
        sink.commit()
    assert target.read_bytes() == OLD + bytes(len(OLD) - 100) + b"!" + bytes(99)


def test_a_shrinking_file_keeps_its_old_bytes_until_commit(target: Path) -> None:
    with sink_at(target, 10) as sink:
        sink.write(0, [sink.read(len(OLD) - 10, 10)])
        assert target.stat().st_size == len(OLD)
        sink.commit()
    assert target.read_bytes() == OLD[-10:]


def test_a_run_that_wrote_nothing_changes_nothing(target: Path) -> None:
    for length in (0, len(OLD), 2 * len(OLD)):
        sink = sink_at(target, length)
        sink.close()
        sink.close()
        assert target.read_bytes() == OLD


def test_an_interrupted_run_leaves_what_it_wrote(target: Path) -> None:
    with sink_at(target, 2 * len(OLD)) as sink:
        sink.write(0, [b"new"])
    with sink_at(target, 2 * len(OLD)) as sink:
        assert sink.read(0, 5) == b"new" + OLD[3:5]


def test_zeros_become_holes_and_holes_stay_holes(tmp_path: Path) -> None:
    path = tmp_path / "target"
    length = 8 * MIB
    with path.open("wb") as file:
        file.truncate(length)
        file.seek(4 * MIB + 100)
        file.write(b"x" * MIB)
    with sink_at(path, length) as sink:
        before = sink.allocated
        sink.zero(0, 4 * MIB)
        assert sink.allocated == before
        sink.zero(4 * MIB + 101, MIB - 2)
        assert sink.allocated < before // 2
        sink.commit()
    data = path.read_bytes()
    assert data.replace(b"\0", b"") == b"xx"
    assert (data[4 * MIB + 100], data[5 * MIB + 99]) == (ord("x"), ord("x"))


def test_zeros_may_reach_beyond_the_old_end(target: Path) -> None:
    with sink_at(target, 3 * len(OLD)) as sink:
        sink.zero(10, 3 * len(OLD) - 10)
        sink.commit()
    assert target.read_bytes() == OLD[:10] + bytes(3 * len(OLD) - 10)


def test_a_second_pull_is_refused(target: Path) -> None:
    with sink_at(target), pytest.raises(LockedError, match="another pull"):
        sink_at(target)
    sink_at(target).close()


def test_a_file_with_record_locks_is_refused(target: Path) -> None:
    code = """
import fcntl
with open(path, "rb") as file:
    fcntl.lockf(file, fcntl.LOCK_SH, 1, 100)
    print("locked", flush=True)
    input()
"""
    with start_python(code, target) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(LockedError, match=f"process {other.pid}"):
            sink_at(target)
        other.communicate("\n")
    sink_at(target).close()


def test_a_file_that_was_replaced_after_inspection_is_refused(target: Path) -> None:
    place = inspect_place(target, in_place=True)
    target.with_name("other").write_bytes(b"other")
    os.replace(target.with_name("other"), target)
    with pytest.raises(WriteError, match="replaced"):
        open_sink(place, 10)
    target.unlink()
    target.symlink_to("/etc/hostname")
    with pytest.raises(WriteError):
        open_sink(place, 10)


def test_a_limit_on_file_size_is_checked_before_the_first_byte(target: Path) -> None:
    code = "told(lambda: open_sink(inspect_place(path, in_place=True), 4 << 20))"
    prefix = ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh"]
    for size in (len(OLD), 8 << 20):
        os.truncate(target, size)
        assert run_python(code, target, prefix=prefix).startswith("NoSpaceError")
        assert target.stat().st_size == size


def test_a_disk_that_fills_up_is_an_error(target: Path) -> None:
    code = """
def work():
    with open(path, "wb") as file:
        file.truncate(4 << 20)
    with open_sink(inspect_place(path, in_place=True), 4 << 20) as sink:
        sink.write(0, [os.urandom(4 << 20)])
told(work)
"""
    prefix = in_namespace('mount -t tmpfs -o size=1m none "${target%/*}"')
    assert run_python(code, target, prefix=prefix).startswith(f"NoSpaceError no space on {target}")


# -- Devices ---------------------------------------------------------------------------------------


def file_as_device(path: Path) -> Iterator[TargetPlace]:
    """Applies the rules of devices to a file, so that they are tested without root."""
    yield inspect_place(path, in_place=True)._replace(is_device=True)


def loop_device(path: Path) -> Iterator[TargetPlace]:
    command = ["losetup", "--find", "--show", str(path)]
    environment = os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    found = subprocess.run(command, capture_output=True, check=True, env=environment)
    device = found.stdout.decode().strip()
    try:
        yield inspect_place(Path(device), in_place=False)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True, env=environment)


@pytest.fixture(params=[file_as_device, pytest.param(loop_device, marks=needs_root)])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TargetPlace]:
    path = tmp_path / "image"
    path.write_bytes(b"o" * MIB)
    yield from request.param(path)


def test_a_device_is_always_written_in_place(device: TargetPlace) -> None:
    assert (device.in_place, device.is_device, device.length) == (True, True, MIB)


def test_a_device_keeps_the_bytes_after_the_content(device: TargetPlace) -> None:
    with open_sink(device, 1000) as sink:
        assert sink.allocated == MIB
        assert sink.read(MIB - 1, 10) == b"o"
        sink.write(0, [b"n" * 500])
        sink.zero(500, 500)
        sink.commit()
    data = device.path.read_bytes()
    assert data == b"n" * 500 + bytes(500) + b"o" * (MIB - 1000)


def test_large_zeros_on_a_device_are_exact(device: TargetPlace) -> None:
    with open_sink(device, MIB) as sink:
        sink.zero(4000, 500_001)
        sink.zero(600_000, 10)
        sink.commit()
    data = device.path.read_bytes()
    assert data == (
        b"o" * 4000
        + bytes(500_001)
        + b"o" * (600_000 - 504_001)
        + bytes(10)
        + b"o" * (MIB - 600_010)
    )


def test_a_device_that_is_too_small_is_refused(device: TargetPlace) -> None:
    with pytest.raises(NoSpaceError, match=f"no space on .*: {MIB + 1} B needed, {MIB} B free"):
        open_sink(device, MIB + 1)
    assert device.path.read_bytes() == b"o" * MIB
    with open_sink(device, MIB) as sink:
        sink.commit()


def test_a_device_takes_one_pull_at_a_time(device: TargetPlace) -> None:
    with open_sink(device, MIB), pytest.raises(LockedError, match="another pull"):
        open_sink(device, MIB)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDONLY | os.O_EXCL)
    try:
        yield
    finally:
        os.close(fd)


def test_a_device_in_use_is_refused(device: TargetPlace) -> None:
    with exclusive(device.path):
        if ROOT and device.path.is_block_device():
            with pytest.raises(LockedError, match="in use"):
                open_sink(device, MIB)
        else:  # files have no such owners
            open_sink(device, MIB).close()
    open_sink(device, MIB).close()
