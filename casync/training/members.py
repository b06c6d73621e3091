"""Members of an archive in its order, each with its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from casync.access.locate import Located, locate, readable
from casync.access.member_indexes import BAD_INDEX, ArchivePlace, indexes_of
from casync.access.outline import Outline
from casync.archives.byte_files import FileReader
from casync.archives.detect import ArchiveKind, detect
from casync.archives.format import ByteReader
from casync.archives.layers import open_layer, open_onwards
from casync.archives.member import MemberKind
from casync.archives.plain_bytes import PlainBytes
from casync.errors import UsageError
from casync.names.name import Ref, parse_ref
from casync.store.base import ManifestSource
from casync.training.read_ahead import open_ahead

__all__ = ["members"]


def members(ref: str | Ref, source: ManifestSource) -> Iterator[tuple[str, bytes]]:
    """The files in an archive with their bytes, in the order of the archive.

    Memory holds 4 MiB besides the largest file. Every chunk is proved.

    Args:
        ref: The archive, or one in a folder as `REF:PATH`.
        source: A store, or a `RemoteClient`.

    Raises:
        UsageError: It is no archive.
        NotFoundError: There is no such name, or nothing at the path.
        UnsupportedError: A file is sparse or encrypted.
        NoObjectError, IntegrityError: Something is missing or damaged, or the files have far more
            bytes than archives have. Earlier files are good.
    """
    ref = parse_ref(ref) if isinstance(ref, str) else ref
    found = locate(ref if ref.path else ref.whole, source)
    content = readable(ref, found, source)
    with open_ahead(content, source) as file:
        stored = FileReader(file, content.length)
        kind = detect(stored, (ref.path or ref.name or "").rpartition("/")[2])
        if kind is None:
            raise UsageError(f"{ref} is a file, not an archive")
        plain = _plain(ref, found, source, kind, stored)
        bound = PlainBytes(content.length)
        for member in kind.reader.scan(plain):
            if member.kind is MemberKind.FILE:
                bound.take(member.length, member.path)
                data = b"".join(kind.reader.read(plain, member, 0, member.length))
                yield member.path.decode(errors="surrogateescape"), data


def _plain(
    ref: Ref, found: Located, source: ManifestSource, kind: ArchiveKind, stored: ByteReader
) -> ByteReader:
    """The plain bytes of the archive. An index that is kept saves decompressing all of it first."""
    if kind.layer and isinstance(found.content, Outline):
        outline, is_proved = found.content, ref.manifest is not None
        place = ArchivePlace(outline.content, outline.id, found.path, is_proved)
        index = indexes_of(source).find(place)
        with suppress(*BAD_INDEX):
            if index is not None and index.kind == kind:
                return open_onwards(kind.layer, stored, index.length)
    return open_layer(kind.layer, stored)
