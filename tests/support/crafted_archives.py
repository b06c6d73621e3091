"""Archives that no program writes: numbers, names and directories by hand."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile

ZEROS = bytes(1024)
"""The end of a tar."""


def tar_of(name: str, data: bytes = b"data") -> bytes:
    """A tar with one file, up to its end."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def tar_header(kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header of tar with fields as they are: `size`, `mtime`, `real`, `uid`, `target`."""
    places = {"uid": 108, "size": 124, "mtime": 136, "target": 157, "real": 483}
    info = tarfile.TarInfo("crafted")
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for name, value in fields.items():
        block[places[name] : places[name] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def hard_link(name: str, target: str) -> bytes:
    """A hard link in a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.LNKTYPE, target
    return info.tobuf(tarfile.GNU_FORMAT)


def extended(kind: bytes, body: bytes) -> bytes:
    """A pax header, or a long name of GNU."""
    info = tarfile.TarInfo("extended")
    info.type, info.size = kind, len(body)
    return info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)


def pax(key: bytes, value: bytes) -> bytes:
    """A pax header with one record."""
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest) + 1
    while len(b"%d" % size) + len(rest) != size:
        size += 1
    return extended(b"x", b"%d" % size + rest)


def zip_of(*names: str, data: bytes = b"data " * 100) -> bytes:
    """A zip whose members are all the same."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def changed_zip(data: bytes, record: bytes, at: int, layout: str, *values: int) -> bytes:
    """A zip with other numbers in the first record of a kind."""
    changed = bytearray(data)
    struct.pack_into("<" + layout, changed, data.index(record) + at, *values)
    return bytes(changed)


def wide_zip(length: int, stored: int, header: int) -> bytes:
    """A zip with one member, whose numbers are in a field of zip64."""
    data = zip_of("wide")
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    field = struct.pack("<2H3Q", 1, 24, length, stored, header)
    record = bytearray(data[start:end] + field)
    record[20:28] = b"\xff" * 8
    record[42:46] = b"\xff" * 4
    struct.pack_into("<H", record, 30, len(field))
    return (
        data[:start]
        + record
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(record), start, 0)
    )
