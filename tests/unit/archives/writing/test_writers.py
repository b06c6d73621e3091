"""Archives that the writers make: determinism, lengths, and what our readers and Python read."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, cast

import msgspec
import pytest

from casync.archives.format import ArchiveFormat
from casync.archives.member import MemberKind
from casync.archives.msgpack import MessagePack
from casync.archives.tar import Tar
from casync.archives.writing.gzip_writer import TGZ_END, write_tgz
from casync.archives.writing.msgpack_writer import msgpack_size, write_msgpack
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.archives.writing.tar_writer import TAR_END, tar_size, write_tar
from casync.archives.writing.zip_writer import ZipWriter, stored_zip_size, write_zip
from casync.archives.zip import Zip
from casync.errors import SourceChangedError, UsageError
from tests.support.archive_bytes import BytesReader

LONG = b"/".join([b"a-folder-with-a-long-name"] * 20) + "/ä".encode() + b"x" * 150
CONTENTS = {
    b"a.txt": b"text " * 5_000,
    b"empty": b"",
    "ä/ö".encode(): b"umlauts",
    b"bad\xff": b"not UTF-8",
    b"large": bytes(range(256)) * 8_000,
    b"x" * 100: b"100",
    b"x" * 101: b"101",
    b"p" * 155 + b"/" + b"n" * 100: b"prefix and name",
    LONG: b"long",
    b"long\xff" * 40: b"neither short nor UTF-8",
}
FILES = [NewMember(path, length=len(data), mtime=1_700_000_000) for path, data in CONTENTS.items()]
OTHERS = [
    NewMember(b"folder", MemberKind.FOLDER, mode=0o1755, mtime=3),
    NewMember(b"folder/" + LONG, MemberKind.FOLDER, mode=0o700),
    NewMember(b"link", MemberKind.SYMLINK, mode=0o777, target=b"../elsewhere"),
    NewMember(b"long-link", MemberKind.SYMLINK, mode=0o777, target=b"t" * 300),
]
HARDLINK = NewMember(b"again", MemberKind.HARDLINK, target=b"a.txt")
OLD = NewMember(b"before-1970", mtime=-5)


def with_bytes(members: Iterable[NewMember]) -> Iterator[MemberWithBytes]:
    for member in members:
        data = CONTENTS[member.path] if member.length else b""
        yield member, [data[:7], b"", memoryview(data)[7:]]


def zipped(members: Iterable[MemberWithBytes], level: int = 0) -> bytes:
    return b"".join(write_zip(members, io.BytesIO(), level))


def seen(archive_format: ArchiveFormat, data: bytes) -> list[tuple[NewMember, bytes]]:
    archive = BytesReader(data)
    found = []
    for one in archive_format.scan(archive):
        archive_format.check(archive, one)
        content = b""
        if one.kind is MemberKind.FILE:
            content = b"".join(archive_format.read(archive, one, 0, one.length))
        member = NewMember(one.path, one.kind, len(content), one.mode, one.mtime, one.target)
        found.append((member, content))
    return found


def expected(members: Iterable[NewMember]) -> list[tuple[NewMember, bytes]]:
    return [(one, CONTENTS[one.path] if one.length else b"") for one in members]


def test_our_reader_reads_what_is_written_as_tar() -> None:
    """A3"""
    members = [*FILES, *OTHERS, HARDLINK, OLD]
    data = b"".join(write_tar(with_bytes(members)))
    assert seen(Tar(), data) == expected(members)


def test_python_reads_what_is_written_as_tar_and_tgz() -> None:
    """A3"""
    members = [*FILES, *OTHERS, HARDLINK]
    for made in (write_tar(with_bytes(members)), write_tgz(with_bytes(members))):
        with tarfile.open(fileobj=io.BytesIO(b"".join(made))) as archive:
            infos = archive.getmembers()
            assert [i.name.encode(errors="surrogateescape") for i in infos] == [
                one.path for one in members
            ]
            assert all((i.uid, i.gid, i.uname, i.gname) == (0, 0, "", "") for i in infos)
            for one, info in zip(members, infos, strict=True):
                assert (info.mode, info.mtime) == (one.mode, one.mtime)
                if one.kind is MemberKind.FILE:
                    file = archive.extractfile(info)
                    assert file is not None
                    assert file.read() == CONTENTS[one.path]


def test_pax_headers_stand_only_where_ustar_has_no_room() -> None:
    short = [one for one in FILES if len(one.path) <= 100 or one.path[:3] == b"ppp"]
    data = b"".join(write_tar(with_bytes([*short, OTHERS[0], OTHERS[2], HARDLINK])))
    assert b"PaxHeader" not in data
    assert b"PaxHeader" in b"".join(write_tar(with_bytes([OLD])))


def test_a_file_of_8_gib_has_its_length_in_a_pax_header() -> None:
    member = NewMember(b"disk.img", length=2**33)
    blocks = write_tar([(member, ())])
    header = bytes(next(blocks))
    assert tarfile.TarInfo.frombuf(header[-512:], "utf-8", "strict").size == 0
    assert b" size=8589934592\n" in header
    assert tar_size(member) == len(header) + 2**33


def test_the_end_of_a_tgz_is_a_gzip_member_of_its_own() -> None:
    """A4"""
    data = b"".join(write_tgz(with_bytes(FILES)))
    assert data.endswith(TGZ_END)
    assert gzip.decompress(TGZ_END) == TAR_END
    tar = b"".join(write_tar(with_bytes(FILES)))
    assert gzip.decompress(data[: -len(TGZ_END)]) + TAR_END == gzip.decompress(data) == tar
    assert b"".join(write_tgz([])) == TGZ_END


def test_a_tgz_is_the_same_again_after_a_changed_member() -> None:
    """A4"""
    noise = zlib.compress(bytes(range(256)), 9) * 2_000
    large = [(NewMember(b"%d" % i, length=len(noise)), [noise]) for i in range(3)]
    data = b"".join(write_tgz(large))
    other = b"".join(write_tgz([(NewMember(b"0", length=70_000), [bytes(70_000)]), *large[1:]]))
    half = len(data) // 2
    assert data[half:-60] in other


def test_our_reader_reads_what_is_written_as_zip() -> None:
    """A3"""
    members = [one for one in [*FILES, *OTHERS, OLD] if b"\xff" not in one.path]
    for level in (0, 6):
        found = seen(Zip(), zipped(with_bytes(members), level))
        assert [(one._replace(target=b""), data) for one, data in found] == [
            (one._replace(target=b""), data) for one, data in expected(members)
        ]


def test_python_reads_what_is_written_as_zip() -> None:
    """A3"""
    members = [one for one in FILES if b"\xff" not in one.path]
    for level in (0, 6):
        data = zipped(with_bytes([*members, *OTHERS]), level)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            for one in members:
                assert archive.read(one.path.decode()) == CONTENTS[one.path]
            assert archive.read("link") == b"../elsewhere"
            assert archive.getinfo("folder/").is_dir()


def test_the_length_of_an_archive_follows_from_its_members() -> None:
    """A3"""
    tar = b"".join(write_tar(with_bytes([*FILES, *OTHERS])))
    assert sum(map(tar_size, [*FILES, *OTHERS])) + len(TAR_END) == len(tar)
    stored = zipped(with_bytes([*FILES, *OTHERS]))
    assert stored_zip_size([*FILES, *OTHERS]) == len(stored)
    packed = b"".join(write_msgpack(len(FILES), with_bytes(FILES)))
    assert 5 + sum(map(msgpack_size, FILES)) == len(packed)


def test_members_beyond_4_gib_are_written_with_zip64() -> None:
    """A3"""
    spool = io.BytesIO()
    writer = ZipWriter(spool, offset=5 * 2**30)
    blocks = b"".join(writer.member(NewMember(b"a", length=3), [b"abc"]))
    end = b"".join(writer.end())
    start = 5 * 2**30

    class Shifted(io.BytesIO):
        """The end of a large archive, as a file that begins far before it."""

        def seek(self, offset: int, whence: int = 0) -> int:
            at = super().seek(offset - start if whence == 0 else offset, whence)
            return at + start

        def tell(self) -> int:
            return super().tell() + start

    with zipfile.ZipFile(cast(BinaryIO, Shifted(blocks + end))) as archive:
        (info,) = archive.infolist()
        assert (info.header_offset, archive.read(info)) == (start, b"abc")


def test_files_in_messagepack_are_read_by_another_decoder_and_by_ours() -> None:
    """A3"""
    data = b"".join(write_msgpack(len(FILES), with_bytes(FILES)))
    assert data[0] == 0xDF
    found = msgspec.msgpack.decode(data)
    keys = [key if isinstance(key, bytes) else key.encode() for key in found]
    assert dict(zip(keys, found.values(), strict=True)) == CONTENTS
    assert [(one.path, data) for one, data in seen(MessagePack(), data)] == [*CONTENTS.items()]


@pytest.mark.parametrize(
    "write",
    [
        write_tar,
        write_tgz,
        zipped,
        lambda members: zipped(members, 6),
        lambda members: write_msgpack(1, members),
    ],
)
@pytest.mark.parametrize("length", [4, 6, 2_000_000])
def test_a_member_with_another_length_than_announced_is_refused(
    write: Callable[[Iterable[MemberWithBytes]], Iterable[object]], length: int
) -> None:
    """A3"""
    with pytest.raises(SourceChangedError, match=r"data should have .* bytes, but has"):
        list(write([(NewMember(b"data", length=length), [b"12345"])]))


def test_what_a_format_has_no_room_for_is_refused() -> None:
    link = [(OTHERS[2], ())]
    with pytest.raises(UsageError, match="files only, and link is none"):
        list(write_msgpack(1, link))
    with pytest.raises(UsageError, match="zip has no room for again"):
        zipped([(HARDLINK, ())])
    with pytest.raises(UsageError, match="more than 4294967295 bytes"):
        list(write_msgpack(1, [(NewMember(b"a", length=2**32), ())]))
    with pytest.raises(SourceChangedError, match="members changed"):
        list(write_msgpack(2, with_bytes(FILES[:1])))
    with pytest.raises(SourceChangedError, match="members changed"):
        list(write_msgpack(1, with_bytes(FILES[:2])))
