"""Tells what kind of archive a stream is, by its first bytes and its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.archives.detect import ArchiveKind, check_name, is_tar, kind_of_name
from casync.archives.layers import layer_of
from casync.archives.unpacking.forward_file import ForwardFile
from casync.archives.unpacking.msgpack_members import begins_msgpack
from casync.archives.unpacking.plain_pieces import plain_pieces
from casync.errors import MalformedError, UsageError

__all__ = ["OpenedStream", "open_stream"]

_HEAD: Final = 64 * 1024
"""Bytes in which the first name of a map of MessagePack ends."""

_BLOCK: Final = 512
_ZEROS: Final = 2 * _BLOCK
"""Zeros of a tar without members: two blocks."""

_ZIP: Final = (b"PK\3\4", b"PK\5\6")


class OpenedStream(NamedTuple):
    """An archive of which nothing was read yet.

    Attributes:
        kind: What it is.
        plain: Its bytes without compression.
    """

    kind: ArchiveKind
    plain: ForwardFile


def open_stream(stored: Iterator[bytes], label: str, length: int | None) -> OpenedStream:
    """Looks at the first bytes of an archive.

    Args:
        stored: Its bytes.
        label: Its name, which may say what it is.
        length: How many bytes it has, if that is known.

    Raises:
        UsageError: It is no archive; or the bytes are of one kind, the name of another.
        MalformedError: The name is that of an archive, but the bytes are of none.
        CasyncError: What reading it raises.
    """
    plain = ForwardFile(stored)
    layer = layer_of(plain.peek(_BLOCK))
    said = kind_of_name(label)
    if layer:
        plain = ForwardFile(plain_pieces(layer, plain.rest(), length))
    head = plain.peek(_HEAD)
    is_empty = not head and said == ArchiveKind("tar") and not layer
    if is_tar(head[:_BLOCK]) or is_empty or (len(head) >= _ZEROS and not any(head)):
        kind = ArchiveKind("tar", layer)
    elif not layer and begins_msgpack(head):
        kind = ArchiveKind("msgpack")
    elif not layer and (head.startswith(_ZIP) or said == ArchiveKind("zip")):
        kind = ArchiveKind("zip")
    else:
        as_said = f"{said}, as its name says, nor another" if said else "an"
        wrong = MalformedError if said else UsageError
        raise wrong(
            f"{label} is not {as_said} archive",
            next_step="--unpack takes tar, also in gzip, zstd or lz4, zip and MessagePack.",
        )
    check_name(kind, label)
    return OpenedStream(kind, plain)
