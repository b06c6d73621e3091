"""Pages are limited in items and in bytes, and never empty while there is more."""

from __future__ import annotations

from casync_server.http.page import page_of


def test_a_page_is_limited_in_items() -> None:
    items = iter(range(10))
    assert page_of(items, 3, lambda _: 1) == ([0, 1, 2], True)
    assert next(items) == 4
    assert page_of(range(3), 3, lambda _: 1) == ([0, 1, 2], False)
    assert page_of([], 3, lambda _: 1) == ([], False)


def test_a_page_is_limited_in_bytes() -> None:
    assert page_of(range(10), 1000, lambda _: 2**18) == ([0, 1], True)
    assert page_of(range(2), 1000, lambda _: 2**18) == ([0, 1], False)
    assert page_of(range(2), 1000, lambda _: 2**30) == ([0], True)
    assert page_of(range(1), 1000, lambda _: 2**30) == ([0], False)
