"""Members of tar archives."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from casync.archives.member import SPARSE, Member, MemberKind
from casync.archives.tar import Tar
from casync.errors import IntegrityError, MalformedError, UnsupportedError
from tests.support.archive_bytes import BytesReader

LONG = "folder/" * 30 + "ä" * 60


def contents(archive: BytesReader) -> dict[bytes, bytes]:
    return {
        one.path: b"".join(Tar().read(archive, one, 0, one.length))
        for one in Tar().scan(archive)
        if one.kind is MemberKind.FILE
    }


def made(*members: tuple[str, bytes], layout: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=layout) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("layout", ["v7", "ustar", "gnu", "oldgnu", "posix"])
def test_every_layout_of_gnu_tar_is_read(tmp_path: Path, layout: str) -> None:
    """A1"""
    files = {"a": b"", "b/c.txt": os.urandom(5_000), "b/d": b"x" * 512}
    if layout not in ("v7", "ustar"):
        files[LONG] = b"long"
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    made_by_tar = subprocess.run(
        ["tar", "-C", tmp_path, f"--format={layout}", "-c", "."], capture_output=True, check=True
    ).stdout
    archive = BytesReader(made_by_tar)
    assert contents(archive) == {name.encode(): data for name, data in files.items()}
    for one in Tar().scan(archive):
        Tar().check(archive, one)
        assert one.raw == (b"./" + one.path)


def test_links_and_folders_have_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "hard").hardlink_to(tmp_path / "file")
    (tmp_path / "soft").symlink_to("file")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = ["file", "hard", "soft", "folder", "pipe"]
    out = subprocess.run(
        ["tar", "-C", tmp_path, "-c", *names], capture_output=True, check=True
    ).stdout
    found = {one.path: one for one in Tar().scan(BytesReader(out))}
    kinds = [found[name.encode()].kind for name in names]
    assert kinds == [
        MemberKind.FILE,
        MemberKind.HARDLINK,
        MemberKind.SYMLINK,
        MemberKind.FOLDER,
        MemberKind.OTHER,
    ]
    assert found[b"hard"].target == found[b"soft"].target == b"file"
    assert [one.length for one in found.values()] == [4, 0, 0, 0, 0]


def test_a_sparse_member_is_listed_and_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    for layout in ("gnu", "posix"):
        command = ["tar", "-C", str(tmp_path), f"--format={layout}", "-S", "-c", "sparse"]
        out = subprocess.run(command, capture_output=True, check=True).stdout
        archive = BytesReader(out)
        (one,) = Tar().scan(archive)
        assert one.method == SPARSE
        with pytest.raises(UnsupportedError):
            list(Tar().read(archive, one, 0, 1))


def test_headers_alone_are_read() -> None:
    archive = BytesReader(made(*((str(n), bytes(1 << 20)) for n in range(10))))
    assert len(list(Tar().scan(archive))) == 10
    assert archive.was_read < archive.length / 20


def test_names_that_lead_out_are_left_out_and_others_are_normal() -> None:
    data = made(("../out", b"1"), ("/absolute", b"2"), ("a/./b//c", b"3"), ("x/../y", b"4"))
    assert contents(BytesReader(data)) == {b"absolute": b"2", b"a/b/c": b"3"}


def test_an_archive_that_is_cut_off_is_malformed() -> None:
    data = made(("a", bytes(3_000)), ("b", b"1" * 3_000))
    for end in (600, 4_000, 4_300, 5_000):
        with pytest.raises(MalformedError):
            list(Tar().scan(BytesReader(data[:end])))


def test_a_damaged_header_does_not_end_an_archive() -> None:
    data = bytearray(made(("a", bytes(3_000)), ("b", b"1" * 3_000)))
    data[512 + 3072 + 5] ^= 1
    with pytest.raises(MalformedError, match="byte 3584"):
        list(Tar().scan(BytesReader(bytes(data))))


def test_archives_that_were_joined_are_refused_as_tar_would_read_only_the_first() -> None:
    data = made(("a", b"1"))
    with pytest.raises(MalformedError, match="goes on after its end at byte 1024"):
        list(Tar().scan(BytesReader(data + data)))


def test_an_archive_without_its_zeros_is_whole() -> None:
    data = made(("a", bytes(512)))[:1024]
    assert contents(BytesReader(data)) == {b"a": bytes(512)}


def test_sizes_that_lie_are_refused() -> None:
    for size in (-512, -1, 1 << 62):
        info = tarfile.TarInfo("a")
        info.size = size
        with pytest.raises(MalformedError):
            list(Tar().scan(BytesReader(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))))
        info.type = tarfile.XHDTYPE
        with pytest.raises(MalformedError):
            list(Tar().scan(BytesReader(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))))


def test_an_index_that_lies_is_found_out() -> None:
    archive = BytesReader(made(("a", b"first"), ("b", b"second")))
    first, second = Tar().scan(archive)
    lies = [
        Member(b"a", first.kind, second.header, second.offset, 6, 6),
        Member(b"a", first.kind, first.header, first.offset + 1, 4, 4),
        Member(b"a", first.kind, 512, first.offset, 5, 5),
        Member(b"a", first.kind, 1 << 40, first.offset, 5, 5),
    ]
    for lie in lies:
        with pytest.raises(IntegrityError):
            Tar().check(archive, lie)
