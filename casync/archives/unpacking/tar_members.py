"""Takes a tar apart, in any of its layouts, sparse members and extended attributes included."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from casync.archives.member import MemberKind, Special, shown
from casync.archives.tar import LABEL, kind_of
from casync.archives.tar_headers import Extents, TarHeader, tar_headers
from casync.archives.unpacking.forward_file import ForwardFile
from casync.archives.unpacking.unpacked_member import (
    MemberBlock,
    RefusedMember,
    UnpackedMember,
    unpacked_path,
)
from casync.errors import MalformedError

__all__ = ["unpack_tar"]

_SPECIAL: Final[dict[bytes, Literal["pipe", "block", "character"]]] = {
    b"3": "character",
    b"4": "block",
    b"6": "pipe",
}
_MAX_OWNER: Final = 255


def unpack_tar(file: ForwardFile) -> Iterator[UnpackedMember | RefusedMember]:
    """The members of a tar in its order.

    Raises:
        MalformedError: The archive is damaged, or ends early.
        CasyncError: What reading the file raises.
    """
    for header in tar_headers(file):
        kind = kind_of(header)
        special = _SPECIAL.get(header.type)
        if kind is MemberKind.OTHER and special is None:
            if header.type != LABEL:
                yield RefusedMember(header.name, f"its type is {shown(header.type)}")
            continue
        try:
            path = unpacked_path(header.name, kind)
            target = header.target
            if kind is MemberKind.HARDLINK:
                target = unpacked_path(target, MemberKind.FILE)
        except MalformedError as error:
            yield RefusedMember(header.name, error.message)
            continue
        yield UnpackedMember(
            path=path,
            kind=kind,
            mode=header.mode,
            mtime_ns=header.mtime_ns,
            length=header.length,
            blocks=_blocks(file, header) if kind is MemberKind.FILE else iter(()),
            target=target,
            uid=header.uid,
            gid=header.gid,
            user=_owner(header.user),
            group=_owner(header.group),
            attributes=_attributes(header.fields),
            special=None if special is None else Special(special, *header.device),
        )


def _blocks(file: ForwardFile, header: TarHeader) -> Iterator[MemberBlock]:
    """The bytes of a file; the holes of a sparse one as numbers of zeros."""
    extents: Extents = [(0, header.length)] if header.extents is None else header.extents
    at = 0
    for start, count in extents:
        if start > at:
            yield start - at
        left = count
        for block in file.blocks(count):
            left -= len(block)
            yield block
        if left:
            raise MalformedError(
                f"the archive ends at byte {file.tell()}, inside {shown(header.name)}"
            )
        at = start + count
    if header.length > at:
        yield header.length - at


def _owner(name: bytes) -> str:
    """A name of an owner; empty if it is none that a tree can have."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() and len(text) <= _MAX_OWNER else ""


def _attributes(fields: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """Extended attributes as GNU tar and star write them, or as libarchive does."""
    found: dict[bytes, bytes] = {}
    for key, value in fields.items():
        if key.startswith(b"LIBARCHIVE.xattr."):
            name = unquote_to_bytes(key.removeprefix(b"LIBARCHIVE.xattr."))
            try:
                found.setdefault(name, base64.b64decode(value + b"=" * (-len(value) % 4)))
            except binascii.Error:
                continue
        elif key.startswith(b"SCHILY.xattr."):
            name = key.removeprefix(b"SCHILY.xattr.")
            # A key cannot have an equals sign; GNU tar writes it, and the percent sign, like this.
            found[name.replace(b"%3D", b"=").replace(b"%25", b"%")] = value
    return tuple(sorted(found.items()))
