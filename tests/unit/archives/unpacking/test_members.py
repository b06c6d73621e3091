"""Members with their bytes and metadata, from archives that are read once."""

from __future__ import annotations

import base64
import io
import stat
import tarfile
import zipfile
from collections.abc import Iterable

import msgspec
import pytest

from casync.archives import plain_bytes
from casync.archives.member import MemberKind, Special
from casync.archives.unpacking.forward_file import ForwardFile
from casync.archives.unpacking.msgpack_members import begins_msgpack, unpack_msgpack
from casync.archives.unpacking.tar_members import unpack_tar
from casync.archives.unpacking.unpacked_member import RefusedMember, UnpackedMember
from casync.archives.unpacking.zip_members import unpack_zip
from casync.errors import IntegrityError, MalformedError, UnsupportedError
from tests.support.archive_bytes import BytesReader


def bytes_of(member: UnpackedMember) -> bytes:
    return b"".join(block if isinstance(block, bytes) else bytes(block) for block in member.blocks)


def read_all(members: Iterable[UnpackedMember | RefusedMember]) -> dict[bytes, bytes]:
    return {one.path: bytes_of(one) for one in members if isinstance(one, UnpackedMember)}


def forward(data: bytes) -> ForwardFile:
    return ForwardFile(data[start : start + 100] for start in range(0, len(data), 100))


def tar(*infos: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def only(data: bytes) -> UnpackedMember | RefusedMember:
    (member,) = unpack_tar(forward(data))
    return member


def test_a_tar_gives_all_that_it_says_of_a_member() -> None:
    """A1"""
    attributes = {
        "mtime": "-1.5",
        "SCHILY.xattr.user.b": "text=\n",
        "SCHILY.xattr.user.empty": "",
        "LIBARCHIVE.xattr.user.b": base64.b64encode(b"later").decode(),
        "LIBARCHIVE.xattr.user.a%3d": base64.b64encode(b"\xff").decode().rstrip("="),
    }
    member = only(
        tar(info("a", size=1, mode=0o4711, uid=7, gid=1 << 22, uname="ann", pax_headers=attributes))
    )
    assert isinstance(member, UnpackedMember)
    assert (member.mode, member.uid, member.gid, member.user, member.group) == (
        *(0o4711, 7, 1 << 22),
        *("ann", ""),
    )
    assert member.mtime_ns == -1_500_000_000
    assert member.attributes == (
        *((b"user.a=", b"\xff"), (b"user.b", b"text=\n")),
        *((b"user.empty", b""),),
    )


def test_devices_and_pipes_are_told_apart() -> None:
    data = tar(
        info("c", tarfile.CHRTYPE, devmajor=1, devminor=3),
        info("b", tarfile.BLKTYPE, devmajor=8, devminor=1),
        info("p", tarfile.FIFOTYPE),
    )
    found = [one.special for one in unpack_tar(forward(data)) if isinstance(one, UnpackedMember)]
    assert found == [Special("character", 1, 3), Special("block", 8, 1), Special("pipe")]


def test_names_are_paths_or_are_refused() -> None:
    data = tar(
        *(info(name, tarfile.DIRTYPE) for name in (".", "./", "/", "./d/", "/e/./f//")),
        *(info(name) for name in ("../out", "a/../b", "./")),
        info("hard", tarfile.LNKTYPE, linkname="/e/../x"),
        info("odd", b"Q"),
        info("label", b"V"),
    )
    members = [*unpack_tar(forward(data))]
    assert [one.path for one in members if isinstance(one, UnpackedMember)] == [
        *(b"", b"", b"", b"d", b"e/f"),
    ]
    refused = [one.name for one in members if isinstance(one, RefusedMember)]
    assert refused == [b"../out", b"a/../b", b"./", b"hard", b"odd"]


def test_bytes_that_were_not_read_are_passed_over() -> None:
    data = tar(*(info(str(number), size=number * 1000) for number in range(5)))
    taken = [one.path for one in unpack_tar(forward(data)) if isinstance(one, UnpackedMember)]
    assert taken == [b"0", b"1", b"2", b"3", b"4"]


def test_a_tar_that_ends_inside_a_member_is_malformed() -> None:
    data = tar(info("a", size=5000))
    with pytest.raises(MalformedError, match="inside a"):
        read_all(unpack_tar(forward(data[:3000])))


def test_holes_of_a_sparse_member_are_numbers() -> None:
    """A1"""
    fields = {"GNU.sparse.size": "1000000", "GNU.sparse.map": "1000,5,999990,3"}
    member = next(unpack_tar(forward(tar(info("a", size=8, pax_headers=fields)))))
    assert isinstance(member, UnpackedMember)
    assert member.length == 1_000_000
    assert [*member.blocks] == [1000, b"xxxxx", 998_985, b"xxx", 7]


@pytest.mark.parametrize("count", [3, 20, 70_000])
def test_a_map_of_msgpack_is_streamed(count: int) -> None:
    """A1"""
    contents = {f"d/{number}": b"v" * (number % 300) for number in range(count)}
    data = msgspec.msgpack.encode(contents)
    assert begins_msgpack(data[:1000])
    found = read_all(unpack_msgpack(forward(data)))
    assert found == {name.encode(): value for name, value in contents.items()}
    for broken in (data[:-1], data + b"x"):
        with pytest.raises(MalformedError):
            list(unpack_msgpack(forward(broken)))


def test_what_is_no_map_of_names_to_bytes_is_told() -> None:
    values = ({"a": 1}, {1: b"a"}, [1], "a", {"a": None}, {"a": {"b": b""}})
    assert not any(begins_msgpack(msgspec.msgpack.encode(value)) for value in values)
    assert begins_msgpack(msgspec.msgpack.encode({}))


def zipped(*members: tuple[zipfile.ZipInfo, bytes]) -> BytesReader:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members:
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return BytesReader(out.getvalue())


def test_a_zip_gives_files_folders_and_links() -> None:
    """A1"""
    link, folder = zipfile.ZipInfo("l"), zipfile.ZipInfo("d/")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    folder.external_attr = (stat.S_IFDIR | 0o750) << 16
    bad, whole = zipfile.ZipInfo("../bad"), zipfile.ZipInfo("./")
    members = ((zipfile.ZipInfo("a"), b"data"), (link, b"a"), (folder, b""), (bad, b""))
    found = [*unpack_zip(zipped(*members, (whole, b"")))]
    file, symlink, directory, refused = found
    assert isinstance(file, UnpackedMember)
    assert isinstance(symlink, UnpackedMember)
    assert isinstance(directory, UnpackedMember)
    assert bytes_of(file) == b"data"
    assert (symlink.kind, symlink.target) == (MemberKind.SYMLINK, b"a")
    assert (directory.path, directory.mode) == (b"d", 0o750)
    assert isinstance(refused, RefusedMember)


def test_a_zip_that_is_damaged_encrypted_or_a_bomb_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = zipped((zipfile.ZipInfo("a"), b"data" * 1000))
    data = bytearray(good.read(0, good.length))
    start = data.index(b"PK\1\2")
    wrong_sum = bytearray(data)
    wrong_sum[start + 16] ^= 1
    encrypted = bytearray(data)
    encrypted[start + 8] |= 1
    for changed, error in ((wrong_sum, IntegrityError), (encrypted, UnsupportedError)):
        with pytest.raises(error):
            read_all(unpack_zip(BytesReader(bytes(changed))))
    monkeypatch.setattr(plain_bytes, "FREE_UNPACKED_BYTES", 0)
    monkeypatch.setattr(plain_bytes, "MAX_UNPACKED_RATIO", 5)
    with pytest.raises(MalformedError, match="bomb"):
        list(unpack_zip(good))
