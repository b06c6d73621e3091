"""Writes gzip and tgz so that archives can grow.

A tgz is one gzip member with all members of the tar archive, and one with the zeros at its end. To
append, the second one is dropped. The first one is flushed at boundaries of members, so that what
follows a changed member is the same again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from casync.archives.writing.new_member import MemberWithBytes
from casync.archives.writing.tar_writer import tar_members
from casync.ids import Buffer
from casync.limits import KIB

__all__ = ["DEFLATE_BUILD", "DEFLATE_LEVEL", "TGZ_END", "gzip_member", "write_tgz"]

DEFLATE_LEVEL: Final = 6
"""The level that gzip and zip take if no other is given."""

DEFLATE_BUILD: Final = zlib.ZLIB_RUNTIME_VERSION
"""The zlib that deflates here. Another one may give other bytes."""

_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""Deflated, without a name, a time or a system."""

_TRAILER: Final = struct.Struct("<II")
_FLUSH_BYTES: Final = 64 * KIB
"""Plain bytes after which the next boundary is flushed. A flush costs up to 100 bytes, and matches
with what was before."""

TGZ_END: Final = _HEADER + bytes.fromhex("63601805a360148c5400002eafb5ef00040000")
"""1024 zeros as a gzip member. They are written down, so that no build of zlib matters."""


def write_tgz(members: Iterable[MemberWithBytes], level: int = DEFLATE_LEVEL) -> Iterator[Buffer]:
    """A gzipped tar archive of members, in their order.

    Raises:
        CasyncError: As `write_tar`.
    """
    yield from gzip_member(tar_members(members), level)
    yield TGZ_END


def gzip_member(runs: Iterable[Iterable[Buffer]], level: int = DEFLATE_LEVEL) -> Iterator[bytes]:
    """One gzip member, which may be flushed after each run. Nothing if there are no runs.

    Args:
        runs: Its plain bytes. Blocks of a run are read before the next run.
        level: The level of zlib, 1 to 9.

    Raises:
        CasyncError: What reading the runs raises.
    """
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc, length, unflushed = 0, 0, 0
    begun = False
    for run in runs:
        if not begun:
            begun = True
            yield _HEADER
        for block in run:
            crc = zlib.crc32(block, crc)
            length += len(block)
            unflushed += len(block)
            if data := deflate.compress(block):
                yield data
        if unflushed >= _FLUSH_BYTES:
            unflushed = 0
            yield deflate.flush(zlib.Z_FULL_FLUSH)
    if begun:
        yield deflate.flush() + _TRAILER.pack(crc, length & 0xFFFFFFFF)
