"""Members of zip archives."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.archives.member import MemberKind
from casync.archives.zip import Zip
from casync.errors import IntegrityError, MalformedError, UnsupportedError
from tests.support.archive_bytes import BytesReader
from tests.support.archive_programs import archive_program

CONTENTS = {"a.txt": b"text " * 1000, "b/c": os.urandom(5_000), "b/empty": b"", "ä/ö": b"umlauts"}


def made(contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return out.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    archive = BytesReader(data)
    found = {}
    for one in Zip().scan(archive):
        Zip().check(archive, one)
        if one.kind is MemberKind.FILE:
            found[one.path.decode()] = b"".join(Zip().read(archive, one, 0, one.length))
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read(method: int) -> None:
    """A1"""
    assert read(made(CONTENTS, method)) == CONTENTS


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_part_of_a_member_is_read(method: int) -> None:
    archive = BytesReader(made(CONTENTS, method))
    for one in Zip().scan(archive):
        whole = CONTENTS[one.path.decode()]
        for start, end in ((0, 1), (1, 4_000), (len(whole) - 1, len(whole)), (3, 3)):
            if 0 <= start <= end <= len(whole):
                assert b"".join(Zip().read(archive, one, start, end)) == whole[start:end]


@pytest.mark.parametrize("how", ["file", "stream"])
def test_what_info_zip_made_is_read(tmp_path: Path, how: str) -> None:
    """A1"""
    for name, data in CONTENTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    if how == "file":
        (tmp_path / "link").symlink_to("a.txt")
        subprocess.run([archive_program("zip"), "-qry", "out.zip", "."], cwd=tmp_path, check=True)
        data = (tmp_path / "out.zip").read_bytes()
    else:
        command = [archive_program("zip"), "-qr", "-", "."]  # it stores no links in a stream
        data = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    assert read(data) == CONTENTS
    members = {one.path: one for one in Zip().scan(BytesReader(data))}
    links = {path: one.target for path, one in members.items() if one.kind is MemberKind.SYMLINK}
    assert links == ({b"link": b"a.txt"} if how == "file" else {})
    assert members[b"b"].kind is MemberKind.FOLDER
    assert members[b"a.txt"].mtime == int((tmp_path / "a.txt").stat().st_mtime)


def test_many_members_need_zip64() -> None:
    data = made({str(number): b"" for number in range(66_000)}, zipfile.ZIP_STORED)
    assert sum(1 for _ in Zip().scan(BytesReader(data))) == 66_000


def test_sizes_of_zip64_are_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"data")
    assert read(out.getvalue()) == {"a": b"data"}


def test_bytes_before_an_archive_and_a_comment_after_it_are_passed_over() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"data")
        archive.comment = b"PK\5\6 is in the comment"
    assert read(b"#!/bin/sh\n" + out.getvalue()) == {"a": b"data"}


def test_members_that_overlap_are_refused() -> None:
    """A bomb: many entries of the directory lead to the same bytes."""
    data = made({"a": bytes(100_000)})
    end = data.rindex(b"PK\5\6")
    start = data.index(b"PK\1\2")
    entry = data[start:end]
    bomb = data[:start] + entry * 50
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 50, 50, len(entry) * 50, start, 0)
    with pytest.raises(MalformedError, match="overlap"):
        list(Zip().scan(BytesReader(bomb + tail)))


def test_damage_is_found() -> None:
    data = bytearray(made({"a": b"text " * 1000}, zipfile.ZIP_STORED))
    data[100] ^= 1
    with pytest.raises(IntegrityError):
        read(bytes(data))


def test_a_size_that_lies_is_found() -> None:
    archive = BytesReader(made({"a": b"text " * 1000}))
    (one,) = Zip().scan(archive)
    for length in (4_000, 6_000):
        with pytest.raises(IntegrityError):
            list(Zip().read(archive, replace(one, length=length), 0, length))


def test_an_index_that_lies_is_found_out() -> None:
    archive = BytesReader(made(CONTENTS))
    first, second, *_ = Zip().scan(archive)
    for lie in (
        replace(first, offset=first.offset + 1),
        replace(first, header=second.header, offset=second.offset),
        replace(first, header=1 << 40, offset=(1 << 40) + 50),
        replace(first, header=first.offset),
    ):
        with pytest.raises(IntegrityError):
            Zip().check(archive, lie)


def test_methods_that_are_not_read_are_named() -> None:
    archive = BytesReader(made({"a": b"text"}, zipfile.ZIP_BZIP2))
    (one,) = Zip().scan(archive)
    with pytest.raises(UnsupportedError, match="bzip2"):
        list(Zip().read(archive, one, 0, 4))


def test_encrypted_members_are_listed_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"secret")
    command = [archive_program("zip"), "-q", "-P", "key", "o.zip", "a"]
    subprocess.run(command, cwd=tmp_path, check=True)
    archive = BytesReader((tmp_path / "o.zip").read_bytes())
    (one,) = Zip().scan(archive)
    with pytest.raises(UnsupportedError, match="encrypted"):
        list(Zip().read(archive, one, 0, 6))


def test_an_archive_that_is_cut_off_is_malformed() -> None:
    data = made(CONTENTS)
    for end in (0, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(MalformedError):
            list(Zip().scan(BytesReader(data[:end])))


@pytest.mark.parametrize("length", [262_143, 262_144, 262_165, 262_400, 524_288, 1_048_600])
def test_plain_bytes_that_the_decompressor_holds_back_are_read(length: int) -> None:
    """Zeros of which the last ones come out after all stored bytes went in."""
    assert read(made({"zeros": bytes(length)})) == {"zeros": bytes(length)}


def test_a_date_that_there_is_not_counts_as_none() -> None:
    data = bytearray(made({"a": b"text"}))
    at = data.index(b"PK\1\2")
    data[at + 12 : at + 16] = b"\xff" * 4
    (one,) = Zip().scan(BytesReader(bytes(data)))
    assert one.mtime == 0


def test_bytes_before_the_archive_are_passed_over() -> None:
    assert read(b"#!/bin/sh\n" * 100 + made({"a": b"text"})) == {"a": b"text"}
