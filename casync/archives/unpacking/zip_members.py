"""Takes a zip apart, in the order of its directory. Owners are not read: few programs write any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from casync.archives.format import ByteReader
from casync.archives.member import MemberKind
from casync.archives.plain_bytes import PlainBytes
from casync.archives.unpacking.unpacked_member import RefusedMember, UnpackedMember
from casync.archives.zip import Zip

__all__ = ["unpack_zip"]

_NS: Final = 1_000_000_000


def unpack_zip(archive: ByteReader) -> Iterator[UnpackedMember | RefusedMember]:
    """The members of a zip.

    Raises:
        MalformedError: The directory is damaged, or says that there are far more plain bytes than
            an archive has.
        UnsupportedError: A member is encrypted, or stored by an unknown method.
        IntegrityError: A member is damaged.
    """
    refused: list[bytes] = []
    bound = PlainBytes(archive.length)
    for member in Zip().scan(archive, refused.append):
        yield from _taken(refused)
        bound.take(member.length, member.path)
        if member.kind is MemberKind.OTHER:
            yield RefusedMember(member.path, "it is neither a file, a folder nor a link")
            continue
        is_file = member.kind is MemberKind.FILE
        yield UnpackedMember(
            path=member.path,
            kind=member.kind,
            mode=member.mode,
            mtime_ns=member.mtime * _NS,
            length=member.length if is_file else 0,
            blocks=iter(Zip().read(archive, member, 0, member.length)) if is_file else iter(()),
            target=member.target,
        )
    yield from _taken(refused)


def _taken(refused: list[bytes]) -> Iterator[RefusedMember]:
    """The names that stood for no path."""
    for name in refused:
        yield RefusedMember(name, "its name leads out of the archive, or is empty")
    refused.clear()
