"""Checks LMDB's data file before its pages are touched.

LMDB maps its file and has no checksums. Touching a mapped page beyond the end of the file kills the
process, so two things are checked first: the file is as long as its newest meta page promises, and
no value reaches beyond it. The checks read and never map, so they fail with an exception. The
layout is that of liblmdb 0.9 on 64-bit machines, in the host's byte order.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from casync.errors import DamagedStoreError, UnsupportedError

__all__ = ["MetaPage", "check_length", "check_values", "metas"]

_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_PAGE: Final = struct.Struct("=QHHHH")  # number, pad, flags, lower, upper
_META: Final = struct.Struct("=IIQQ")  # magic, version, address, map size
_DB: Final = struct.Struct("=IHHQQQQQ")  # pad, flags, depth, branch, leaf, overflow, entries, root
_TAIL: Final = struct.Struct("=QQ")  # last page, transaction
_NODE: Final = struct.Struct("=HHHH")  # low, high, flags, key size
_NUMBER: Final = struct.Struct("=Q")
_BRANCH, _LEAF, _IS_META = 0x01, 0x02, 0x08
_BIG, _SUB_DATABASE = 0x01, 0x02
_NO_PAGE: Final = 2**64 - 1
_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(9, 16))
_TRIES: Final = 5  # a writer may change pages during the check


class MetaPage(NamedTuple):
    """A meta page.

    Attributes:
        page_size: Bytes of a page.
        last_page: Number of the last page in use.
        transaction: The transaction that wrote it.
        free_root: Root of the list of free pages.
        main_root: Root of the database that holds the others.
    """

    page_size: int
    last_page: int
    transaction: int
    free_root: int
    main_root: int


class _Value(NamedTuple):
    """A node of a leaf: the bytes of its page, and where its data lies in them."""

    page: bytes
    offset: int
    size: int
    flags: int


def metas(fd: int) -> list[MetaPage]:
    """Both meta pages, the one that LMDB uses first.

    Raises:
        UnsupportedError: The file was written by another version of LMDB.
        DamagedStoreError: One of them is not a meta page; LMDB refuses such a file, too.
    """
    first = _parse_meta(os.pread(fd, 4096, 0))
    second = _parse_meta(os.pread(fd, 4096, first.page_size))
    return sorted((first, second), key=lambda meta: meta.transaction, reverse=True)


def _parse_meta(page: bytes) -> MetaPage:
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
    main = _DB.unpack_from(page, offset + _DB.size)
    last_page, transaction = _TAIL.unpack_from(page, offset + 2 * _DB.size)
    if free[0] not in _PAGE_SIZES:
        raise DamagedStoreError("a meta page of the data file is damaged")
    return MetaPage(free[0], last_page, transaction, free[7], main[7])


def check_length(fd: int) -> None:
    """Refuses a data file that lacks pages which its newest meta page lists as used.

    LMDB never writes pages that were allocated and freed in one transaction, and these may be the
    last ones. So a page may be missing if it is in the list of free pages.

    Raises:
        DamagedStoreError: Pages are missing, or a meta page or the free list is damaged.
        UnsupportedError: The file was written by another version of LMDB.
    """
    for attempt in range(_TRIES):
        try:
            meta = metas(fd)[0]
            present = os.fstat(fd).st_size // meta.page_size
            if present > meta.last_page:
                return
            missing = meta.last_page + 1 - present
            free = {page for page in _free_pages(fd, meta) if present <= page <= meta.last_page}
            if len(free) == missing:
                return
            message = f"the data file lacks its last {missing * meta.page_size} bytes"
        except DamagedStoreError as error:
            message = str(error)
        except (struct.error, OverflowError):
            message = "the data file's list of free pages is damaged or cut off"
        if attempt == _TRIES - 1:
            raise DamagedStoreError(message)


def check_values(
    fd: int, transaction: int, *, everything: bool = False, free: bool = False
) -> bool:
    """Refuses a data file with a value that reaches beyond the pages in use.

    Values lie in leaf pages or, when large, in pages of their own. Only databases with large values
    are walked: about a page for every hundred segments.

    Args:
        fd: The data file.
        transaction: The snapshot to check. The caller should hold a reader of it.
        everything: Walk all databases.
        free: Walk the list of free pages, too, which writers take pages from.

    Returns:
        False if the snapshot's meta page has been overwritten.

    Raises:
        DamagedStoreError: There is such a value, or a damaged page.
    """
    found = [meta for meta in metas(fd) if meta.transaction == transaction]
    if not found:
        return False
    meta = found[0]
    try:
        for database in _values(fd, meta, meta.main_root):
            if not database.flags & _SUB_DATABASE:
                continue
            _, _, _, _, _, large, _, root = _DB.unpack_from(database.page, database.offset)
            if large or everything:
                _check_large(_values(fd, meta, root), meta)
        if free:
            _check_large(_values(fd, meta, meta.free_root), meta)
    except (struct.error, OverflowError) as error:
        raise DamagedStoreError(f"a page of the data file is damaged: {error}") from error
    return True


def _check_large(values: Iterable[_Value], meta: MetaPage) -> None:
    """Walks the values of one tree; those in pages of their own must end inside the file."""
    end = (meta.last_page + 1) * meta.page_size
    for value in values:
        if value.flags & _BIG:
            (number,) = _NUMBER.unpack_from(value.page, value.offset)
            if number * meta.page_size + _PAGE.size + value.size > end:
                raise DamagedStoreError("a value reaches beyond the data file")


def _values(fd: int, meta: MetaPage, root: int) -> Iterator[_Value]:
    """All nodes in the leaves below `root`; struct.error for a damaged page."""
    size = meta.page_size
    todo = [root] if root != _NO_PAGE else []
    seen: set[int] = set()
    while todo:
        number = todo.pop()
        if number in seen or number > meta.last_page:
            raise DamagedStoreError("a tree of the data file is damaged")
        seen.add(number)
        page = os.pread(fd, size, number * size)
        its_number, _, flags, lower, _ = _PAGE.unpack_from(page)
        if its_number != number or flags not in (_BRANCH, _LEAF):
            raise DamagedStoreError("a tree of the data file is damaged")
        if not _PAGE.size <= lower <= len(page) or lower % 2:
            raise DamagedStoreError("a tree of the data file is damaged")
        for (offset,) in struct.iter_unpack("=H", page[_PAGE.size : lower]):
            low, high, node_flags, key_size = _NODE.unpack_from(page, offset)
            data = offset + _NODE.size + key_size
            inside = 0 if flags == _BRANCH else low | high << 16
            if inside and node_flags & _BIG:
                inside = _NUMBER.size
            if offset < lower or data + inside > size:
                raise DamagedStoreError("a node of the data file reaches out of its page")
            if flags == _BRANCH:
                todo.append(low | high << 16 | node_flags << 32)
            else:
                yield _Value(page, data, low | high << 16, node_flags)


def _free_pages(fd: int, meta: MetaPage) -> Iterator[int]:
    """All pages in the free list; struct.error if it is damaged."""
    for value in _values(fd, meta, meta.free_root):
        if value.flags & _BIG:
            number = _NUMBER.unpack_from(value.page, value.offset)[0]
            start = number * meta.page_size + _PAGE.size
            size = min(value.size, os.fstat(fd).st_size)
            data = os.pread(fd, size, start)
        else:
            data = value.page[value.offset : value.offset + value.size]
        (count,) = _NUMBER.unpack_from(data)  # then as many page numbers
        if len(data) < (count + 1) * _NUMBER.size:
            raise DamagedStoreError("the data file's list of free pages is damaged")
        for (page,) in _NUMBER.iter_unpack(data[_NUMBER.size : (count + 1) * _NUMBER.size]):
            yield page
