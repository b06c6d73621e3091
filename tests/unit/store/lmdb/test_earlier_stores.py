"""Stores of earlier releases open for ever; tests/vectors holds small ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from casync.ids import Kind
from casync.objects.codec import Packed, Unpacker
from casync.store.base import Batch
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import pack
from tests.support.small_store import fill
from tests.unit.store.lmdb.test_reindex import check_rows

VECTORS = Path(__file__).parents[3] / "vectors"


@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_store_of_format_1_opens(tmp_path: Path, rebuilt: bool) -> None:
    path = tmp_path / "old"
    path.mkdir()
    packed = (VECTORS / "store-format-1.mdb.zst").read_bytes()
    (path / "data.mdb").write_bytes(zstandard.ZstdDecompressor().decompress(packed))
    small = fill(tmp_path / "new", versions=2, chunks=20, size=300)
    if rebuilt:
        assert reindex(path).objects == len(small.objects)
    unpacker = Unpacker()
    with LmdbStore.open(path) as store:
        for (kind, ident), item in small.objects.items():
            (answer,) = store.get(kind, [ident])
            assert isinstance(answer, Packed)
            # Another zstd may pack the same bytes differently.
            assert unpacker.unpack(answer) == unpacker.unpack(item)
        check_rows(store, small, set(small.manifests))
        assert [file.path for file in store.remembered()] == [b"/disk1", b"/disk0"]
        store.check()
        assert store.commit(Batch(objects=[pack(b"new")])).objects == 1
        assert store.usage().objects[Kind.CHUNK].number == 1 + sum(
            kind is Kind.CHUNK for kind, _ in small.objects
        )
