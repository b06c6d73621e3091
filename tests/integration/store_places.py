"""Run by test_store_places.py in its own namespaces: a store on an unusual file system.

usage: store_places.py CASE FOLDER

Each case makes its own mounts below FOLDER, asserts, and prints "held" when everything did.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from casync.errors import CasyncError, DeniedError, NoSpaceError, UnsupportedError, WriteError
from casync.fs.filesystem import Coherence, classify, file_system
from casync.ids import Kind
from casync.objects.codec import Packed, Verified
from casync.store.base import Batch
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import ids_of, noise, pack


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def expect(error: type[CasyncError], action: Callable[[], object]) -> CasyncError:
    with pytest.raises(error) as caught:
        action()
    assert caught.type is error
    return caught.value


def fill(path: Path, count: int = 10) -> list[Verified]:
    packed = [pack(noise(20_000, seed)) for seed in range(count)]
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=packed))
    return packed


def check_reads(
    store: LmdbStore, packed: list[Verified], refusal: type[CasyncError] = WriteError
) -> None:
    assert list(store.get(Kind.CHUNK, ids_of(packed))) == [Packed(*item) for item in packed]
    expect(refusal, lambda: store.commit(Batch(objects=[pack(b"new")])))


def read_only_file_system(folder: Path) -> None:
    """A read-only store can be read and served, not written."""
    mount("-t", "tmpfs", "none", folder)
    path = folder / "store"
    packed = fill(path)
    mount("-o", "remount,ro,bind", folder)
    error = expect(WriteError, lambda: LmdbStore.open(path))
    assert "read-only" in error.message
    expect(WriteError, lambda: LmdbStore.open(folder / "other", create=True))
    with LmdbStore.open(path, read_only=True) as store:
        assert len(store.warnings) == 1
        check_reads(store, packed)


def unwritable_folder(folder: Path) -> None:
    """The same as an ordinary user."""
    path = folder / "store"
    packed = fill(path)
    for file in path.iterdir():
        file.chmod(0o400)
    path.chmod(0o500)
    error = expect(DeniedError, lambda: LmdbStore.open(path))
    assert "cannot write the store" in error.message
    with LmdbStore.open(path, read_only=True) as store:
        assert "without a lock" in store.warnings[0]
        check_reads(store, packed, DeniedError)
    path.chmod(0o000)
    expect(DeniedError, lambda: LmdbStore.open(path, read_only=True))
    expect(DeniedError, lambda: LmdbStore.open(path))
    path.chmod(0o700)


def full_disk(folder: Path) -> None:
    """At many places within a commit, and over and over."""
    mount("-t", "tmpfs", "-o", "size=12m", "none", folder)
    path, ballast = folder / "store", folder / "ballast"
    acknowledged = fill(path)
    for turn in range(12):
        ballast.write_bytes(bytes(4_000_000 - turn * 177_777))
        packed: list[Verified] = []
        with LmdbStore.open(path) as store:
            for step in range(200):
                packed = [pack(noise(30_000, turn * 10**6 + step * 100 + n)) for n in range(10)]
                try:
                    store.commit(Batch(objects=packed))
                except NoSpaceError as error:
                    message = error.message
                    break
                acknowledged += packed
            assert re.match(r"no space on .*: \S+ K?M?i?B needed, \S+ K?M?i?B free", message)
            more = Batch(objects=[pack(noise(500_000, turn))])
            expect(NoSpaceError, partial(store.commit, more))
            everything = list(store.get(Kind.CHUNK, ids_of(acknowledged)))
            assert everything == [Packed(*item) for item in acknowledged]
            assert store.known(Kind.CHUNK, ids_of(packed)) == [False] * len(packed)
        fill_up(ballast)
        for read_only in (True, False):
            with LmdbStore.open(path, read_only=read_only) as store:
                store.check()
                everything = list(store.get(Kind.CHUNK, ids_of(acknowledged)))
                assert everything == [Packed(*item) for item in acknowledged]
        ballast.unlink()
        with LmdbStore.open(path) as store:
            if turn < 6:
                store.commit(Batch(objects=packed[:1]))
                acknowledged += packed[:1]
        if (path / "data.mdb").stat().st_size > 8_000_000:
            break
    # There is no room for another store, and nothing that looks like one stays.
    fill_up(ballast)
    expect(NoSpaceError, lambda: LmdbStore.open(folder / "another", create=True))
    ballast.unlink()
    LmdbStore.open(folder / "another", create=True).close()


def fill_up(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (2**16, 2**12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def overlay(folder: Path) -> None:
    """Allowed, with a warning."""
    mount("-t", "tmpfs", "none", folder)
    for name in ("lower", "upper", "work", "merged"):
        (folder / name).mkdir()
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    mount("-t", "overlay", "none", "-o", layers, folder / "merged")
    path = folder / "merged" / "store"
    assert file_system(path.parent).coherence is Coherence.LAYERED
    with LmdbStore.open(path, create=True) as store:
        assert len(store.warnings) == 1
        assert "overlay" in store.warnings[0]
    with LmdbStore.open(path) as store:
        assert store.warnings == []
        store.commit(Batch(objects=[pack(b"x")]))


def fuse(folder: Path) -> None:
    """Refused, unless told otherwise.

    Where /dev/fuse is root's alone, others can see only that FUSE would be known.
    """
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        assert classify(0x65735546) == ("FUSE", Coherence.NETWORK)
        return
    mounted = folder / "mounted"
    mounted.mkdir()
    serve_fuse(mounted)
    found = file_system(mounted)
    assert (found.name, found.coherence) == ("FUSE", Coherence.NETWORK)
    error = expect(UnsupportedError, lambda: LmdbStore.open(mounted, create=True))
    assert "FUSE" in error.message
    assert "--allow-network-fs" in error.next_step
    subprocess.run(["umount", mounted], check=True)


def serve_fuse(folder: Path) -> None:
    """A file system of one empty folder, by the kernel's FUSE protocol."""
    device = os.open("/dev/fuse", os.O_RDWR)
    mode = f"rootmode={stat.S_IFDIR:o},user_id=0,group_id=0"
    libc_mount("fuse", folder, f"fd={device},{mode}")
    attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, *[0] * 8, stat.S_IFDIR | 0o755, 2, *[0] * 5)
    answers = {
        3: struct.pack("<QII", 0, 0, 0) + attributes,  # GETATTR
        17: struct.pack("<QQQQQIIII", *[0] * 9) + bytes(24),  # STATFS
        26: struct.pack("<IIIIHHIIHHI", 7, 31, 0, 0, 0, 0, 4096, 0, 0, 0, 0) + bytes(28),  # INIT
    }

    def run() -> None:
        while True:
            try:
                request = os.read(device, 2**20)
            except OSError:
                return
            operation, unique = struct.unpack_from("<IQ", request, 4)
            body = answers.get(operation, b"")
            error = 0 if operation in answers else -errno.ENOENT
            os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    threading.Thread(target=run, daemon=True).start()


def libc_mount(kind: str, folder: Path, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (kind.encode(), bytes(folder), kind.encode(), 0, options.encode())
    if libc.mount(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


CASES = {
    case.__name__: case
    for case in (read_only_file_system, unwritable_folder, full_disk, overlay, fuse)
}

if __name__ == "__main__":
    CASES[sys.argv[1]](Path(sys.argv[2]))
    print("held")
