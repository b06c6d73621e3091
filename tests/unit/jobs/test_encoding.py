"""Keys in rows: any bytes come back, and text is kept as it is."""

from __future__ import annotations

import pytest

from casync.jobs.encoding import kept_key
from casync.jobs.fault import ObjectFault, ObjectFaultKind, decode_fault, encode_fault
from casync.jobs.item import Item, decode_items, encode_items
from casync.jobs.origin import Origin, decode_origin, encode_origin

LATIN1 = b"caf\xe9/50%/\xff b".decode("utf-8", "surrogateescape")
KEYS = ["a/b", "a%41/ü", LATIN1]


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_any_bytes_come_back(key: str) -> None:
    """D2: file names on web servers and disks need not be UTF-8."""
    origin = Origin("http://host", key, bytes(32), 5)
    assert decode_origin(encode_origin(origin)) == origin
    items = [Item(key, "ds/x"), Item("b", "ds/b")]
    assert decode_items(encode_items(items)) == items


def test_only_keys_that_are_no_text_are_written_otherwise() -> None:
    assert [kept_key(key) for key in KEYS] == ["a/b", "a%41/ü", "\x00636166e92f3530252fff2062"]


def test_a_fault_shows_bytes_that_are_no_text() -> None:
    url = f"http://host/{LATIN1}"
    fault = ObjectFault(0, "x", url, ObjectFaultKind.HTTP, f"{LATIN1} is gone", 1, 1, 1)
    found = decode_fault(encode_fault(fault))
    assert (found.url, found.message) == (
        r"http://host/caf\udce9/50%/\udcff b",
        r"caf\udce9/50%/\udcff b is gone",
    )
