"""Tells what kind of archive some bytes are: by the bytes first, then by media type and name.

A type or a name that says something else than the bytes is an error, since one of them is not what
its user thinks. Names of programs' own files that are zip inside, such as `.whl` and `.docx`, say
nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from casync.archives.format import ArchiveFormat, ByteReader
from casync.archives.layers import LayerName, begin, layer_of
from casync.archives.msgpack import MessagePack, map_header
from casync.archives.tar import Tar
from casync.archives.zip import Zip
from casync.archives.zip_directory import find_directory
from casync.errors import MalformedError, UsageError

__all__ = [
    "ArchiveKind",
    "check_name",
    "check_type",
    "detect",
    "is_tar",
    "kind_of_name",
    "kind_of_type",
    "kind_of_words",
]

_BLOCK: Final = 512
_FORMATS: Final[dict[str, ArchiveFormat]] = {"tar": Tar(), "zip": Zip(), "msgpack": MessagePack()}


class ArchiveKind(NamedTuple):
    """A format, and the compression around it.

    Attributes:
        format: `tar`, `zip` or `msgpack`.
        layer: What the whole is compressed with; empty for nothing.
    """

    format: str
    layer: LayerName = ""

    @property
    def reader(self) -> ArchiveFormat:
        """Reads the format."""
        return _FORMATS[self.format]

    def __str__(self) -> str:
        """As people say it: `tar`, `tar in gzip`."""
        return f"{self.format} in {self.layer}" if self.layer else self.format


_NAMES: Final = {
    ".tar": ArchiveKind("tar"),
    ".tgz": ArchiveKind("tar", "gzip"),
    ".tar.gz": ArchiveKind("tar", "gzip"),
    ".tzst": ArchiveKind("tar", "zstd"),
    ".tar.zst": ArchiveKind("tar", "zstd"),
    ".tar.lz4": ArchiveKind("tar", "lz4"),
    ".zip": ArchiveKind("zip"),
    ".msgpack": ArchiveKind("msgpack"),
}


_TYPES: Final = {
    "application/x-tar": ArchiveKind("tar"),
    "application/tar": ArchiveKind("tar"),
    "application/gzip": ArchiveKind("tar", "gzip"),
    "application/x-gzip": ArchiveKind("tar", "gzip"),
    "application/x-tgz": ArchiveKind("tar", "gzip"),
    "application/x-tar+gzip": ArchiveKind("tar", "gzip"),
    "application/zstd": ArchiveKind("tar", "zstd"),
    "application/x-lz4": ArchiveKind("tar", "lz4"),
    "application/zip": ArchiveKind("zip"),
    "application/x-zip-compressed": ArchiveKind("zip"),
    "application/msgpack": ArchiveKind("msgpack"),
    "application/x-msgpack": ArchiveKind("msgpack"),
    "application/vnd.msgpack": ArchiveKind("msgpack"),
}
"""Whole media types. A part of one is none: `application/gzip` has "zip" in it."""


def kind_of_type(text: str) -> ArchiveKind:
    """The kind of archive that a media type stands for, or an ending such as `.tgz` or `tgz`.

    Raises:
        UsageError: It stands for none.
    """
    word = text.partition(";")[0].strip().lower()
    kind = _TYPES.get(word) or _NAMES.get("." + word.removeprefix("."))
    if kind is None:
        raise UsageError(
            f"{text} is not the type of an archive",
            next_step="Types are application/x-tar, application/gzip, application/zip, "
            "application/msgpack, or an ending such as tgz.",
        )
    return kind


def check_type(found: ArchiveKind, text: str) -> None:
    """Compares the kind of an archive with a media type.

    Raises:
        UsageError: It says that it is another kind, or is the type of no archive.
    """
    if kind_of_type(text) != found:
        raise UsageError(
            f"the archive is {found}, but the type {text} was given",
            next_step="Leave the type out, or give that of what it is.",
        )


def kind_of_name(name: str) -> ArchiveKind | None:
    """The kind of archive that a file name stands for; None if it says nothing."""
    lower = name.lower()
    return next((kind for ending, kind in _NAMES.items() if lower.endswith(ending)), None)


def kind_of_words(form: str, layer: str) -> ArchiveKind | None:
    """The kind that a format and a layer name; None if there is no such kind."""
    kinds = {(kind.format, str(kind.layer)): kind for kind in _NAMES.values()}
    return kinds.get((form, layer))


def detect(archive: ByteReader, name: str = "") -> ArchiveKind | None:
    """The kind of an archive; None if neither its bytes nor its name are those of one.

    Args:
        archive: The bytes as they are stored.
        name: The name of the file, if it is known.

    Raises:
        UsageError: The bytes are of one kind, the name of another.
        MalformedError: The name is that of an archive, but the bytes are of none.
    """
    said = kind_of_name(name)
    found = _by_content(archive, is_named_zip=said == ArchiveKind("zip"))
    if said is None or found == said:
        return found
    if found is None:
        if said.format == "tar" and _is_zeros(archive, said.layer):
            return said  # a tar without members, or an empty file
        raise MalformedError(f"{name} is not {said}, as its name says, nor another archive")
    check_name(found, name)
    return found


def check_name(found: ArchiveKind, name: str) -> None:
    """Compares the kind of an archive with what its name says.

    Raises:
        UsageError: The name says that it is another kind.
    """
    said = kind_of_name(name)
    if said is not None and said != found:
        raise UsageError(
            f"{name} is {found}, but its name says {said}",
            next_step="Give it the name of what it is.",
        )


def _by_content(archive: ByteReader, *, is_named_zip: bool) -> ArchiveKind | None:
    """The kind that the bytes are of. A zip may follow other bytes where the name says zip."""
    head = archive.read(0, _BLOCK)
    layer = layer_of(head)
    if layer:
        try:
            plain = begin(layer, archive, _BLOCK)
        except MalformedError:
            return None
        return ArchiveKind("tar", layer) if is_tar(plain) else None
    if is_tar(head):
        return ArchiveKind("tar")
    if _is_msgpack(archive, head):
        return ArchiveKind("msgpack")
    is_likely = is_named_zip or head.startswith((b"PK\3\4", b"PK\5\6"))
    return ArchiveKind("zip") if is_likely and find_directory(archive) is not None else None


def _is_zeros(archive: ByteReader, layer: LayerName) -> bool:
    """Whether the first plain bytes are zeros, or there are none."""
    head = archive.read(0, 2 * _BLOCK)
    if not layer:
        return not any(head)
    try:
        return layer_of(head) == layer and not any(begin(layer, archive, 2 * _BLOCK))
    except MalformedError:
        return False


def is_tar(block: bytes) -> bool:
    """Whether a block is a header: its checksum is right, also in layouts without a magic."""
    if len(block) < _BLOCK or not block[0]:
        return False
    try:
        said = int(block[148:156].split(b"\0")[0].strip() or b"x", 8)
    except ValueError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    return said == sum(rest)


def _is_msgpack(archive: ByteReader, head: bytes) -> bool:
    """Whether a file is a map whose first pair is a name and bytes."""
    try:
        size, start = map_header(head)
        if size == 0:
            return archive.length == start
        return next(MessagePack().scan(archive), None) is not None
    except MalformedError:
        return False
