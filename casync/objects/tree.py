"""Trees: a folder as a stream of entries, sorted by name.

The stream is content like the bytes of a file: two versions of a folder of a million entries share
most of their chunks, and a reader never holds all of it. A folder inside a folder is an entry that
names a stream of its own. Entries hold names, never paths, so an entry cannot lead out of its
folder (docs/FORMAT.md section 6.1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from casync.errors import MalformedError
from casync.ids import Buffer
from casync.limits import (
    MAX_ATTRIBUTE_BYTES,
    MAX_CHUNK_SIZE,
    MAX_ENTRY_BYTES,
    MAX_FILE_NAME,
    MAX_LINK_TARGET,
    MAX_TREE_PATH,
)
from casync.objects.node import Content, check_content
from casync.sizes import format_count

__all__ = [
    "EARLIEST_NS",
    "LATEST_NS",
    "Device",
    "Entry",
    "EntryReader",
    "File",
    "Folder",
    "Leaf",
    "Link",
    "Meta",
    "Pipe",
    "bounded_time",
    "check_file_name",
    "decode_root",
    "encode_entry",
    "encode_root",
]

_LENGTH: Final = struct.Struct("<I")
_MODES: Final = 0o7777
_MAX_U32: Final = 2**32 - 1
EARLIEST_NS: Final = -(2**63)
LATEST_NS: Final = 2**63 - 1
"""Nanoseconds since 1970 that an entry can hold: 1677 to 2262. File systems go further."""


class Meta(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What every entry has besides its name and its content.

    Attributes:
        mode: The lower 12 bits: permissions, setuid, setgid, sticky.
        mtime_ns: Nanoseconds since 1970.
        uid: The owner's number.
        gid: The group's number.
        user: The owner's name on the preparing machine, or empty.
        group: The group's name on the preparing machine, or empty.
        attributes: Extended attributes, including ACLs, as (name, value), sorted by name.
    """

    mode: int
    mtime_ns: int
    uid: int
    gid: int
    user: str
    group: str
    attributes: tuple[tuple[bytes, bytes], ...]


class _Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: bytes
    meta: Meta


class Folder(_Entry, frozen=True, tag="folder"):
    """A folder; `content` is the stream of its entries."""

    content: Content


class _Leaf(_Entry, frozen=True):
    # Of a hard link: path from the root of the tree to the first of the file's names in the tree.
    # None in that first one, and for a file with a single name.
    first: bytes | None


class File(_Leaf, frozen=True, tag="file"):
    """A regular file."""

    content: Content


class Link(_Leaf, frozen=True, tag="link"):
    """A symbolic link."""

    target: bytes


class Device(_Leaf, frozen=True, tag="device"):
    """A block device or a character device."""

    block: bool
    major: int
    minor: int


class Pipe(_Leaf, frozen=True, tag="pipe"):
    """A named pipe."""


Leaf: TypeAlias = File | Link | Device | Pipe
"""Every entry but a folder: what may have several hard links."""

Entry: TypeAlias = Leaf | Folder

_DECODER: Final = msgspec.msgpack.Decoder(type=Entry)
_ENCODER: Final = msgspec.msgpack.Encoder()


def bounded_time(mtime_ns: int) -> int:
    """The nearest time that an entry can hold, in nanoseconds since 1970."""
    return min(max(mtime_ns, EARLIEST_NS), LATEST_NS)


def check_file_name(name: bytes) -> None:
    """Refuses a name that cannot stand in a folder.

    Raises:
        MalformedError: It is empty, too long, `.` or `..`, or holds a slash or NUL.
    """
    if not 1 <= len(name) <= MAX_FILE_NAME:
        raise MalformedError(
            f"file name of {format_count(len(name), 'byte')}; 1 to {MAX_FILE_NAME} allowed"
        )
    if name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise MalformedError(f"impossible file name {name.decode(errors='surrogateescape')!r}")


def encode_entry(entry: Entry) -> bytes:
    """Encodes an entry as it stands in the stream of its folder.

    Raises:
        MalformedError: A reader would refuse it.
    """
    check_file_name(entry.name)
    _check(entry)
    return _framed(entry)


def encode_root(root: Folder) -> bytes:
    """Encodes the content of a tree's manifest: the entry of the root folder, without a name.

    Raises:
        MalformedError: A reader would refuse it.
    """
    if root.name:
        raise MalformedError("the root of a tree has no name")
    _check(root)
    return _framed(root)


def decode_root(data: Buffer) -> Folder:
    """Reads what `encode_root` writes.

    Raises:
        MalformedError: It is anything else.
    """
    frames = _Frames()
    entries = [_decoded(body) for body in frames.feed(data)]
    frames.finish()
    if len(entries) != 1 or not isinstance(entries[0], Folder) or entries[0].name:
        raise MalformedError("tree that is not one folder without a name")
    return entries[0]


class EntryReader:
    """Reads the stream of one folder, in pieces of any size."""

    def __init__(self) -> None:
        self._frames = _Frames()
        self._last = b""

    def feed(self, data: Buffer) -> Iterator[Entry]:
        """The entries that end in `data`. Consume all of them before the next call.

        Raises:
            MalformedError: Bytes that `encode_entry` does not write, or names out of order.
        """
        for body in self._frames.feed(data):
            entry = _decoded(body)
            check_file_name(entry.name)
            if entry.name <= self._last:
                raise MalformedError("folder whose names are not sorted")
            self._last = entry.name
            yield entry

    def finish(self) -> None:
        """Ends the stream.

        Raises:
            MalformedError: The stream ends inside an entry.
        """
        self._frames.finish()


class _Frames:
    """Splits a stream into the bytes of its entries, in time linear in the stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()  # the open entry, as far as it came

    def feed(self, data: Buffer) -> Iterator[bytes]:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_ENTRY_BYTES:
                raise MalformedError(f"entry of {length} bytes; at most {MAX_ENTRY_BYTES} allowed")
            end = start + _LENGTH.size + length
            if end > len(buffer):
                break
            yield bytes(memoryview(buffer)[start + _LENGTH.size : end])
            start = end
        del buffer[:start]

    def finish(self) -> None:
        if self._buffer:
            raise MalformedError("folder that ends inside an entry")


def _framed(entry: Entry) -> bytes:
    body = _ENCODER.encode(entry)
    if len(body) > MAX_ENTRY_BYTES:
        raise MalformedError(f"entry of {len(body)} bytes; at most {MAX_ENTRY_BYTES} allowed")
    return _LENGTH.pack(len(body)) + body


def _decoded(body: bytes) -> Entry:
    try:
        entry: Entry = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"not an entry: {error}") from error
    _check(entry)
    if _ENCODER.encode(entry) != body:
        raise MalformedError("entry that is not in its one encoding")
    return entry


def _check(entry: Entry) -> None:
    """Checks everything but the entry's name, which the root lacks."""
    _check_meta(entry.meta)
    if isinstance(entry, File | Folder):
        check_content(entry.content, MAX_CHUNK_SIZE)
    elif isinstance(entry, Link):
        if not 1 <= len(entry.target) <= MAX_LINK_TARGET or b"\0" in entry.target:
            raise MalformedError("link with an impossible target")
    elif isinstance(entry, Device) and not 0 <= entry.major | entry.minor <= _MAX_U32:
        raise MalformedError(f"entry with impossible device {entry.major}:{entry.minor}")
    if not isinstance(entry, Folder) and entry.first is not None:
        if len(entry.first) > MAX_TREE_PATH:
            raise MalformedError(
                f"path of {len(entry.first)} bytes; at most {MAX_TREE_PATH} allowed"
            )
        for name in entry.first.split(b"/"):
            check_file_name(name)


def _check_meta(meta: Meta) -> None:
    if not 0 <= meta.mode <= _MODES:
        raise MalformedError(f"entry with impossible mode {meta.mode:o}")
    if not EARLIEST_NS <= meta.mtime_ns <= LATEST_NS:
        raise MalformedError(f"entry with impossible time {meta.mtime_ns}")
    if not 0 <= meta.uid | meta.gid <= _MAX_U32:
        raise MalformedError(f"entry with impossible owner {meta.uid}:{meta.gid}")
    if len(meta.user) > MAX_FILE_NAME or len(meta.group) > MAX_FILE_NAME:
        raise MalformedError("entry whose owner or group has a name that is too long")
    last = b""
    for name, value in meta.attributes:
        if not last < name or len(name) > MAX_FILE_NAME or b"\0" in name:
            raise MalformedError("attributes that are not sorted or have impossible names")
        if len(value) > MAX_ATTRIBUTE_BYTES:
            raise MalformedError(
                f"attribute of {len(value)} bytes; at most {MAX_ATTRIBUTE_BYTES} allowed"
            )
        last = name
