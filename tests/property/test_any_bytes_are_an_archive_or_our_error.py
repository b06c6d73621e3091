"""Law: whatever bytes an archive has, reading it gives members and bytes, or an error of ours."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable

import lz4.frame
import msgspec
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from casync.archives.detect import detect
from casync.archives.format import ArchiveFormat
from casync.archives.member import MemberKind
from casync.archives.msgpack import MessagePack
from casync.archives.tar import Tar
from casync.archives.unpacking.msgpack_members import unpack_msgpack
from casync.archives.unpacking.opened_stream import open_stream
from casync.archives.unpacking.tar_members import unpack_tar
from casync.archives.unpacking.unpacked_member import UnpackedMember
from casync.archives.unpacking.zip_members import unpack_zip
from casync.archives.zip import Zip
from casync.errors import CasyncError
from tests.support.archive_bytes import BytesReader

_CONTENTS = {"a": b"text " * 300, "b/c": bytes(range(256)), "b/empty": b""}


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _CONTENTS.items():
            archive.writestr(name, data)
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in _CONTENTS.items():
            info = tarfile.TarInfo(name * 60)
            info.size, info.mtime = len(data), 1.5
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


_FORMATS: list[tuple[ArchiveFormat, bytes]] = [
    (Zip(), _zip()),
    (Tar(), _tar()),
    (MessagePack(), msgspec.msgpack.encode(_CONTENTS)),
]

_LAYERS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    zstandard.compress,
    lz4.frame.compress,
]


@given(st.sampled_from(_FORMATS), st.data())
def test_a_damaged_archive_gives_members_or_an_error_of_ours(
    made: tuple[ArchiveFormat, bytes], data: st.DataObject
) -> None:
    archive_format, whole = made
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=4))
        changed[at : at + len(piece)] = piece
    archive = BytesReader(bytes(changed[: data.draw(st.integers(0, len(changed)))] or changed))
    count = 0
    try:
        for member in archive_format.scan(archive):
            count += 1
            assert count <= len(whole)
            if member.kind is MemberKind.FILE:
                pieces = archive_format.read(archive, member, 0, member.length)
                assert sum(map(len, pieces)) == member.length
    except CasyncError:
        pass


@given(st.sampled_from([whole for _, whole in _FORMATS]), st.sampled_from(_LAYERS), st.data())
def test_a_damaged_stream_gives_members_or_an_error_of_ours(
    whole: bytes, compress: Callable[[bytes], bytes], data: st.DataObject
) -> None:
    changed = bytearray(compress(whole))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=4))
        changed[at : at + len(piece)] = piece
    stored = bytes(changed[: data.draw(st.integers(0, len(changed)))] or changed)
    size = data.draw(st.sampled_from([1, 37, 512, 1 << 20]))
    pieces = (stored[start : start + size] for start in range(0, len(stored), size))
    try:
        kind, plain = open_stream(pieces, "a", None)
        if kind.format == "zip":
            members = unpack_zip(BytesReader(b"".join(plain.rest())))
        else:
            members = (unpack_tar if kind.format == "tar" else unpack_msgpack)(plain)
        for member in members:
            if isinstance(member, UnpackedMember):
                sizes = [one if isinstance(one, int) else len(one) for one in member.blocks]
                assert sum(sizes) == member.length
    except CasyncError:
        pass


@given(st.binary(max_size=2000), st.sampled_from(["", "a.tar", "a.tgz", "a.zip", "a.msgpack"]))
def test_any_bytes_are_an_archive_or_none_or_give_an_error_of_ours(data: bytes, name: str) -> None:
    archive = BytesReader(data)
    try:
        kind = detect(archive, name)
        if kind is not None and not kind.layer:
            list(kind.reader.scan(archive))
    except CasyncError:
        pass
