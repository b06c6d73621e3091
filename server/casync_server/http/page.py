"""Pages of listings, limited in items and in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from casync.limits import KIB

__all__ = ["page_of"]

_T = TypeVar("_T")

_PAGE_BYTES: Final = 512 * KIB
"""Bytes of the texts in a page, which is in memory as a whole."""


def page_of(items: Iterable[_T], limit: int, size: Callable[[_T], int]) -> tuple[list[_T], bool]:
    """The first items, and whether there are more.

    Args:
        items: The items. At most one more than the page holds is taken.
        limit: Items in the page.
        size: Bytes of the texts of an item. The first item is in the page, whatever its size.
    """
    page: list[_T] = []
    room = _PAGE_BYTES
    for item in items:
        room -= size(item)
        if page and (room < 0 or len(page) == limit):
            return page, True
        page.append(item)
    return page, False
