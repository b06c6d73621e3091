"""A tar and a zip with a million members, read, unpacked and made anew in bounds of memory.

`python -m tests.large.many_members [NUMBER]` makes them in a folder, a thousand in each of theirs.
Memory is checked at each step (`steps.py`). Needs some GB: `make manymembers`.
"""

from __future__ import annotations

import argparse
import struct
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any, Final

from tests.large.steps import MEMORY_BYTES
from tests.large.steps import step as measured

__all__ = ["read_back", "write_tar", "write_zip"]

_IN_A_FOLDER: Final = 1000

_CREATE_BYTES: Final = 256 << 20
"""Peak memory allowed for making an archive."""


def main() -> None:
    """Runs all steps; an AssertionError says what is wrong."""
    parser = argparse.ArgumentParser(prog="manymembers", description=__doc__)
    parser.add_argument("number", nargs="?", type=int, default=1_000_000)
    parser.add_argument(
        "--work", type=Path, default=Path("/var/tmp"), help="a folder with enough space"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casync-manymembers-", dir=options.work) as folder:
        for name, write in (("many.tar", write_tar), ("many.zip", write_zip)):
            archive = Path(folder) / name
            write(archive, options.number)
            print(f"{name}: {options.number} members, {archive.stat().st_size} bytes", flush=True)
            read_back(archive, options.number)


def read_back(archive: Path, number: int, *, most: int = MEMORY_BYTES) -> None:
    """Reads an archive of `write_tar` or `write_zip` by all ways, and makes others of it.

    Each step may take `most` bytes of memory.
    """
    name, last = archive.name, number - 1
    store = archive.parent / f"{name}.store"

    def step(title: str, *arguments: str | Path, bound: int = most) -> dict[str, Any]:
        return measured(title, *arguments, "--store", store, most=bound)

    step("prepare", "prepare", archive, "--name", name)
    few = step("index, and list some", "archive", "ls", name, "--suffix", f"/{last:07d}")
    assert [entry["path"] for entry in few["entries"]] == [_path(last)]
    assert len(step("list all", "archive", "ls", name)["entries"]) == number
    got = archive.with_suffix(".got")
    step("get one", "archive", "get", f"{name}:{_path(last)}", "-o", got)
    assert got.read_bytes() == _data(last)
    unpacked = step("unpack", "prepare", "--unpack", archive, "--name", "unpacked")
    assert (unpacked["files"], unpacked["left_out"]) == (number, [])
    for title, made, given in (
        ("make of members", "made.tar", f"{name}:"),
        ("make of files", "made.msgpack", "unpacked"),
    ):
        step(title, "archive", "create", made, given, bound=min(most, _CREATE_BYTES))


def write_tar(path: Path, number: int) -> None:
    """Writes a tar with so many members."""
    with path.open("wb") as file:
        for index in range(number):
            data = _data(index)
            info = tarfile.TarInfo(_path(index))
            info.size = len(data)
            file.write(info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512))
        file.write(bytes(1024))


def write_zip(path: Path, number: int) -> None:
    """Writes a zip with so many members, and zip64 at its end. `zipfile` needs a GB for that."""
    directory = bytearray()
    with path.open("wb") as file:
        for index in range(number):
            name, data = _path(index).encode(), _data(index)
            shared = struct.pack("<4H3L2H", 0, 0, 0, 33, zlib.crc32(data), *[len(data)] * 2, 12, 0)
            place = file.tell()
            file.write(b"PK\3\4" + struct.pack("<H", 20) + shared + name + data)
            directory += b"PK\1\2" + struct.pack("<2H", 20, 20) + shared
            directory += struct.pack("<3H2L", 0, 0, 0, 0, place) + name
        start = file.tell()
        file.write(directory)
        places = number, number, len(directory), start
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *places)
        file.write(wide + struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0))


def _path(index: int) -> str:
    return f"{index // _IN_A_FOLDER:04d}/{index:07d}"


def _data(index: int) -> bytes:
    return b"%07d" % index * (index % 16)


if __name__ == "__main__":
    main()
