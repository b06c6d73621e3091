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
from casync.archives.unpacking.acl_text import ACL_ATTRIBUTES, NO_OWNERS, Owners, access_list
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


def unpack_tar(
    file: ForwardFile, owners: Owners = NO_OWNERS
) -> Iterator[UnpackedMember | RefusedMember]:
    """The members of a tar in its order.

    Args:
        file: The tar.
        owners: Gives the numbers of names in access control lists that are text.

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
        attributes, mode = _attributes(header, kind, owners)
        yield UnpackedMember(
            path=path,
            kind=kind,
            mode=mode,
            mtime_ns=header.mtime_ns,
            length=header.length,
            blocks=_blocks(file, header) if kind is MemberKind.FILE else iter(()),
            target=target,
            uid=header.uid,
            gid=header.gid,
            user=_owner(header.user),
            group=_owner(header.group),
            attributes=attributes,
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


def _attributes(
    header: TarHeader, kind: MemberKind, owners: Owners
) -> tuple[tuple[tuple[bytes, bytes], ...], int]:
    """Extended attributes as GNU tar and star write them, or as libarchive does; and the mode.

    Access control lists are attributes, too. bsdtar writes modes without them.
    """
    found: dict[bytes, bytes] = {}
    mode = header.mode
    for key, value in header.fields.items():
        if key in ACL_ATTRIBUTES and value and kind is not MemberKind.SYMLINK:
            is_default = key == b"SCHILY.acl.default"
            acl = access_list(value, owners, is_default=is_default)
            if acl.attribute:
                found.setdefault(ACL_ATTRIBUTES[key], acl.attribute)
            if not is_default:
                mode = mode & ~0o777 | acl.mode
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
    return tuple(sorted(found.items())), mode
