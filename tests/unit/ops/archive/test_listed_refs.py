"""Refs of a list, walked more than once."""

from __future__ import annotations

import tracemalloc

from casync.limits import MIB
from casync.ops.archive.listed_refs import ListedRefs


def test_refs_come_in_their_order_each_time() -> None:
    texts = [(f"a{n}", f"b\udcff/{n}" if n % 3 else None) for n in range(1500)]
    listed = ListedRefs(iter(texts))
    assert listed
    assert list(listed) == list(listed) == texts
    assert not ListedRefs([])


def test_many_refs_take_little_memory() -> None:
    """A3"""
    tracemalloc.start()
    listed = ListedRefs((f"shards/{n:06}.tar:train/{n:06}.jpg", None) for n in range(100_000))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 8 * MIB
    assert sum(1 for _ in listed) == 100_000
