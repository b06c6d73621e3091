"""What kind of archive some bytes are."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import lz4.frame
import msgspec
import pytest
import zstandard

from casync.archives.detect import ArchiveKind, check_type, detect, kind_of_name, kind_of_type
from casync.errors import MalformedError, UsageError
from tests.support.archive_bytes import BytesReader


def tar(layout: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=layout) as archive:
        info = tarfile.TarInfo("a")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"data"))
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"data")
    return out.getvalue()


KINDS = [
    (tar(), "tar", "", ".tar"),
    (tar(tarfile.GNU_FORMAT), "tar", "", ".tar"),
    (gzip.compress(tar()), "tar", "gzip", ".tgz"),
    (zstandard.compress(tar()), "tar", "zstd", ".tar.zst"),
    (lz4.frame.compress(tar()), "tar", "lz4", ".tar.lz4"),
    (zipped(), "zip", "", ".zip"),
    (msgspec.msgpack.encode({"a": b"data"}), "msgpack", "", ".msgpack"),
    (msgspec.msgpack.encode({}), "msgpack", "", ".msgpack"),
]


@pytest.mark.parametrize(("data", "what", "layer", "ending"), KINDS, ids=range(len(KINDS)))
def test_bytes_say_what_they_are(data: bytes, what: str, layer: str, ending: str) -> None:
    """A6"""
    found = detect(BytesReader(data))
    assert found == (what, layer)
    assert detect(BytesReader(data), "x" + ending) == found == kind_of_name("x" + ending)


def test_a_tar_without_a_magic_is_told_by_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"data")
    command = ["tar", "-C", str(tmp_path), "--format=v7", "-c", "a"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert b"ustar" not in data
    assert detect(BytesReader(data)) == ArchiveKind("tar")


def test_a_name_that_says_something_else_is_an_error() -> None:
    """A6"""
    for name in ("a.zip", "a.tgz", "a.msgpack"):
        with pytest.raises(UsageError, match="is tar, but its name says"):
            detect(BytesReader(tar()), name)


def test_names_of_files_that_are_zip_inside_say_nothing() -> None:
    for name in ("a.whl", "a.docx", "a.jar", "a"):
        assert detect(BytesReader(zipped()), name) == ArchiveKind("zip")


@pytest.mark.parametrize(
    "data",
    [b"", b"text", bytes(5_000), gzip.compress(b"no tar"), b"\x81\xa1a\x05", b"PK\3\4no"],
    ids=range(6),
)
def test_other_bytes_are_no_archive(data: bytes) -> None:
    assert detect(BytesReader(data)) is None
    with pytest.raises(MalformedError):
        detect(BytesReader(data), "a.zip")


def test_a_tar_without_members_and_an_empty_file_named_tar_are_tars() -> None:
    for data in (b"", bytes(10_240)):
        assert detect(BytesReader(data), "a.tar") == ArchiveKind("tar")


def test_a_zip_after_other_bytes_is_one_where_its_name_says_so() -> None:
    data = b"#!/bin/sh\n" * 100 + zipped()
    assert detect(BytesReader(data), "a.zip") == ArchiveKind("zip")
    assert detect(BytesReader(data), "a.run") is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("application/x-tar", ArchiveKind("tar")),
        ("application/gzip", ArchiveKind("tar", "gzip")),
        ("Application/X-GZip; charset=binary", ArchiveKind("tar", "gzip")),
        ("application/zip", ArchiveKind("zip")),
        ("application/x-msgpack", ArchiveKind("msgpack")),
        ("tgz", ArchiveKind("tar", "gzip")),
        (".tar.zst", ArchiveKind("tar", "zstd")),
    ],
)
def test_a_media_type_is_compared_whole(text: str, kind: ArchiveKind) -> None:
    """A6"""
    assert kind_of_type(text) == kind
    check_type(kind, text)
    other = ArchiveKind("tar", "lz4")
    with pytest.raises(UsageError, match="the archive is tar in lz4, but the type"):
        check_type(other, text)


@pytest.mark.parametrize(
    "text", ["", "zip/gzip", "application/octet-stream", "x-tar", "text/plain"]
)
def test_a_type_of_no_archive_is_refused(text: str) -> None:
    """A6"""
    with pytest.raises(UsageError, match="is not the type of an archive"):
        kind_of_type(text)
