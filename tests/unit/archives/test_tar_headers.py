"""Headers of tar, against `tarfile` and against those who craft them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any, cast

import pytest

from casync.archives.tar_headers import TarHeader, tar_headers
from casync.errors import MalformedError
from tests.support.archive_programs import archive_program

LAYOUTS = [
    *("--format=v7", "--format=ustar", "--format=oldgnu", "--format=gnu", "--format=posix"),
    *(f"--format=posix --sparse --sparse-version={version}" for version in ("0.0", "0.1", "1.0")),
    "--format=gnu --sparse",
]


def headers(data: bytes) -> list[TarHeader]:
    return list(tar_headers(io.BytesIO(data)))


def extended(kind: bytes, body: bytes) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = kind, len(body)
    return info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)


def made_folder(place: Path, *, is_short: bool) -> None:
    place.mkdir()
    (place / "a").write_bytes(os.urandom(3000))
    (place / "hard").hardlink_to(place / "a")
    (place / "soft").symlink_to("a" if is_short else "t" * 150)
    os.mkfifo(place / "pipe")
    deep = place / ("d" * 90) / ("e" * 60 if is_short else "e" * 200)
    deep.mkdir(parents=True)
    (deep / "z").touch()
    with (place / "sparse").open("wb") as file:
        for start in range(1 << 17, 30 << 17, 1 << 17):  # more than a header has room for
            file.seek(start)
            file.write(b"data")
        file.truncate(4 << 20)
    os.utime(place / "a", ns=(0, 981_173_106_789_012_345))


def compare(data: bytes) -> None:
    ours = headers(data)
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as archive:
        theirs = archive.getmembers()
    assert len(ours) == len(theirs)
    for one, info in zip(ours, theirs, strict=True):
        assert one.name.rstrip(b"/") == info.name.encode().rstrip(b"/")
        assert (one.start, one.offset) == (info.offset, info.offset_data)
        assert (one.mode, one.uid, one.gid) == (info.mode & 0o7777, info.uid, info.gid)
        assert (one.user, one.group) == (info.uname.encode(), info.gname.encode())
        assert (one.target, one.mtime_ns // 10**9) == (info.linkname.encode(), int(info.mtime))
        assert one.length == (info.size if info.isreg() else 0)
        found = None if one.extents is None else [pair for pair in one.extents if pair[1]]
        sparse = cast(Any, info).sparse
        assert found == (sparse and [pair for pair in sparse if pair[1]])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_headers_of_gnu_tar_say_what_tarfile_reads(tmp_path: Path, layout: str) -> None:
    """A1"""
    made_folder(tmp_path / "d", is_short="v7" in layout or "ustar" in layout)
    command = ["tar", "-C", str(tmp_path / "d"), *layout.split(), "-c", "."]
    made = subprocess.run(command, capture_output=True, check=False)  # v7 has no long names
    compare(made.stdout)
    if "posix" in layout:
        assert 981_173_106_789_012_345 in {one.mtime_ns for one in headers(made.stdout)}


@pytest.mark.parametrize("layout", ["ustar", "pax", "gnutar"])
def test_headers_of_bsdtar_say_what_tarfile_reads(tmp_path: Path, layout: str) -> None:
    """A1"""
    made_folder(tmp_path / "d", is_short=layout == "ustar")
    command = [archive_program("bsdtar"), "-C", str(tmp_path / "d"), f"--format={layout}"]
    compare(subprocess.run([*command, "-cf", "-", "."], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_many_extended_headers_of_one_member_are_refused(kind: bytes) -> None:
    with pytest.raises(MalformedError, match="is damaged"):
        headers(extended(kind, b"") * 5000)


def test_a_long_pax_header_takes_linear_time() -> None:
    """`tarfile` takes a quarter of an hour for this one (CVE-2024-6232)."""
    with pytest.raises(MalformedError, match="at byte 0"):
        headers(extended(b"x", b"1" * 1_000_000))
    record = b"1000000 comment=" + b"1" * (1_000_000 - 17) + b"\n"
    member = tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT)
    assert [one.name for one in headers(extended(b"x", record) + member)] == [b"a"]


@pytest.mark.parametrize(
    "sparse",
    [
        b"0,10,5,10",  # overlap
        b"5,10,0,3",  # out of order
        b"0,2000",  # beyond the end
        b"0,100",  # fewer bytes than are stored
        b"0,1,2",  # half a pair
        b"-1,512",
    ],
)
def test_a_sparse_map_that_lies_is_refused(sparse: bytes) -> None:
    info = tarfile.TarInfo("a")
    info.size = 512
    info.pax_headers = {"GNU.sparse.size": "1024", "GNU.sparse.map": sparse.decode()}
    with pytest.raises(MalformedError):
        headers(info.tobuf(tarfile.PAX_FORMAT) + bytes(1536))


def test_a_sparse_map_that_does_not_end_is_refused() -> None:
    info = tarfile.TarInfo("a")
    info.size = 1 << 40
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    for body in (b"9999999999\n" * 1000, b"1" * 5120, b"3\n1\n2\n", b"x\n" * 512):
        info.pax_headers = fields
        with pytest.raises(MalformedError):
            headers(info.tobuf(tarfile.PAX_FORMAT) + body + bytes(-len(body) % 512))
