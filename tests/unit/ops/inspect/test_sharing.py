"""How manifests share a store."""

from __future__ import annotations

import pytest

from casync.errors import NoObjectError
from casync.ids import Kind, ManifestId
from casync.ops.inspect.sharing import sharing
from casync.store.memory import MemoryStore
from tests.support.damaging import put
from tests.support.preparing import noise


def test_shared_and_own_bytes_add_up() -> None:
    store = MemoryStore()
    common, more = noise(200_000, 1), noise(100_000, 2)
    manifests = [put(store, data) for data in (common, common + more, noise(50_000, 3))]
    first, second, third = sharing(store, manifests)
    assert [share.length for share in (first, second, third)] == [200_000, 300_000, 50_000]
    assert [share.stored for share in (first, second, third)] == [
        share.shared[number] for number, share in enumerate((first, second, third))
    ]
    assert first.shared[1] == second.shared[0]
    assert 150_000 < first.shared[1] < first.stored
    assert first.own == first.stored - first.shared[1]
    assert second.own == second.stored - second.shared[0]
    assert (third.own, third.shared[:2]) == (third.stored, [0, 0])
    (alone,) = sharing(store, manifests[:1])
    assert alone.own == alone.stored == first.stored
    union = first.own + second.own + first.shared[1] + third.own
    everything = [
        stat.stored
        for kind in Kind
        for stat in store.stat(kind, list(store.objects(kind)))
        if stat is not None
    ]
    assert union == sum(everything)


def test_an_unknown_manifest_is_an_error() -> None:
    with pytest.raises(NoObjectError):
        sharing(MemoryStore(), [ManifestId(bytes(32))])
