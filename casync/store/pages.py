"""As much of LMDB's own file layout as it takes to trust a file's length before mapping it.

Reading a mapped page beyond the end of the file kills the process, so a file that is shorter than
its newest meta page promises must not be opened. LMDB itself leaves such files behind: pages that
were allocated and freed in one transaction are never written, and they may be the last ones. So a
page may be missing if the list of free pages has it. Must not map anything: reads only, which fail
with an exception. The layout is that of liblmdb 0.9 on 64-bit machines, in the host's byte order.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.errors import DamagedStoreError, UnsupportedError

__all__ = ["Meta", "check_length", "read_meta"]

_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_PAGE: Final = struct.Struct("=QHHHH")  # number, pad, flags, lower, upper
_META: Final = struct.Struct("=IIQQ")  # magic, version, address, map size
_DB: Final = struct.Struct("=IHHQQQQQ")  # pad, flags, depth, branch, leaf, overflow, entries, root
_TAIL: Final = struct.Struct("=QQ")  # last page, transaction
_NODE: Final = struct.Struct("=HHHH")  # low, high, flags, key size
_NUMBER: Final = struct.Struct("=Q")
_BRANCH, _LEAF, _IS_META = 0x01, 0x02, 0x08
_BIG: Final = 0x01
_NO_PAGE: Final = 2**64 - 1
_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(9, 16))
_TRIES: Final = 5  # a writer may move on while we look


class Meta(NamedTuple):
    """The newest meta page: size of pages, last page in use, root of the free list."""

    page_size: int
    last_page: int
    transaction: int
    free_root: int


def read_meta(fd: int) -> Meta:
    """Reads both meta pages and returns the one that LMDB would use.

    Raises:
        UnsupportedError: A data file of another LMDB.
        DamagedStoreError: One of them is not a meta page; LMDB would refuse, too.
    """
    first = _parse_meta(os.pread(fd, 4096, 0))
    second = _parse_meta(os.pread(fd, 4096, first.page_size))
    return max(first, second, key=lambda meta: meta.transaction)


def _parse_meta(page: bytes) -> Meta:
    if len(page) < _PAGE.size + _META.size + 2 * _DB.size + _TAIL.size:
        raise DamagedStoreError("the data file ends within its meta pages")
    flags = _PAGE.unpack_from(page)[2]
    offset = _PAGE.size
    magic, version, _, _ = _META.unpack_from(page, offset)
    if magic != _MAGIC or not flags & _IS_META:
        raise DamagedStoreError("a meta page of the data file is damaged")
    if version != _DATA_VERSION:
        raise UnsupportedError(
            f"LMDB data version {version}; this program reads version {_DATA_VERSION}"
        )
    offset += _META.size
    free = _DB.unpack_from(page, offset)
    last_page, transaction = _TAIL.unpack_from(page, offset + 2 * _DB.size)
    if free[0] not in _PAGE_SIZES:
        raise DamagedStoreError("a meta page of the data file is damaged")
    return Meta(free[0], last_page, transaction, free[7])


def check_length(fd: int) -> None:
    """Refuses a data file that lacks pages which its newest meta page says are in use.

    Raises:
        DamagedStoreError: It does, or a meta page or the free list is damaged.
        UnsupportedError: A data file of another LMDB.
    """
    for attempt in range(_TRIES):
        try:
            meta = read_meta(fd)
            present = os.fstat(fd).st_size // meta.page_size
            if present > meta.last_page:
                return
            missing = meta.last_page + 1 - present
            free = {page for page in _free_pages(fd, meta) if present <= page <= meta.last_page}
            if len(free) == missing:
                return
            message = f"the data file lacks its last {missing * meta.page_size} bytes"
        except (struct.error, OverflowError, DamagedStoreError) as error:
            message = str(error)
        if attempt == _TRIES - 1:
            raise DamagedStoreError(message)


def _free_pages(fd: int, meta: Meta) -> Iterator[int]:
    """All pages in the free list; struct.error where it makes no sense."""
    size = meta.page_size
    todo = [meta.free_root] if meta.free_root != _NO_PAGE else []
    seen: set[int] = set()
    while todo:
        number = todo.pop()
        if number in seen or number > meta.last_page:
            raise DamagedStoreError("the data file's list of free pages is damaged")
        seen.add(number)
        page = os.pread(fd, size, number * size)
        flags, lower = _PAGE.unpack_from(page)[2:4]
        for pointer in struct.iter_unpack("=H", page[_PAGE.size : lower & ~1]):
            offset = pointer[0]
            low, high, node_flags, key_size = _NODE.unpack_from(page, offset)
            if flags & _BRANCH:
                todo.append(low | high << 16 | node_flags << 32)
            elif flags & _LEAF:
                yield from _list_in(fd, page, offset + _NODE.size + key_size, node_flags, size)
            else:
                raise DamagedStoreError("the data file's list of free pages is damaged")


def _list_in(fd: int, page: bytes, offset: int, flags: int, size: int) -> Iterator[int]:
    """The page numbers of one entry: a count and then as many numbers."""
    if flags & _BIG:
        start = _NUMBER.unpack_from(page, offset)[0] * size + _PAGE.size
        (count,) = _NUMBER.unpack(os.pread(fd, _NUMBER.size, start))
        if start + count * _NUMBER.size > os.fstat(fd).st_size:
            raise DamagedStoreError("the data file's list of free pages is damaged")
        data = os.pread(fd, count * _NUMBER.size, start + _NUMBER.size)
    else:
        (count,) = _NUMBER.unpack_from(page, offset)
        start = offset + _NUMBER.size
        data = page[start : start + count * _NUMBER.size]
    if len(data) != count * _NUMBER.size:
        raise DamagedStoreError("the data file's list of free pages is damaged")
    for (number,) in _NUMBER.iter_unpack(data):
        yield number
