"""Moves names and manifests to the trash and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.errors import NoNameError, UsageError
from casync.ids import ManifestId
from casync.names.name import Ref, parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.store.base import Batch
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import put_manifest

pytestmark = pytest.mark.stores("lmdb")

LONG = "/".join(["x" * 200] * 4)  # too long for a key


def refs(*texts: str) -> list[Ref]:
    return [parse_ref(text) for text in texts]


def listed(store: LmdbStore) -> tuple[set[ManifestId], list[str]]:
    names = list(store.names())
    versions = [f"{r.name}@{r.version}" for n in names for r in store.history(parse_name(n.name))]
    return {row.id for row in store.manifests()}, versions


def labels(store: LmdbStore) -> list[str]:
    return [
        f"{r.record.name}@{r.record.version}" if r.record else r.manifest.hex()
        for r in store.removed()
    ]


@pytest.mark.parametrize("name", ["disk", LONG])
def test_a_name_is_removed_with_manifests_only_it_refers_to(store: LmdbStore, name: str) -> None:
    one = put_manifest(store, b"1", name)
    two = put_manifest(store, b"2", name)
    three = put_manifest(store, b"3", name, "other")
    before = listed(store)
    planned = store.removal(refs(name))
    assert listed(store) == before
    assert store.remove(refs(name)) == planned
    assert [record.version for record in planned.versions] == [1, 2, 3]
    assert set(planned.manifests) == {one, two}
    assert listed(store) == ({three}, ["other@1"])
    assert labels(store) == [f"{name}@{version}" for version in (1, 2, 3)]
    for text in (name, f"{name}@1", one.hex()):
        with pytest.raises(NoNameError):
            store.resolve(parse_ref(text))
    assert store.manifest(one) is None

    assert store.restore(refs(name)) == planned
    assert listed(store) == before
    assert labels(store) == []


def test_one_of_many_versions_is_removed(store: LmdbStore) -> None:
    one, two, three = (put_manifest(store, plain, "disk") for plain in (b"1", b"2", b"3"))
    assert store.remove(refs("disk@2")).manifests == [two]
    assert listed(store) == ({one, three}, ["disk@1", "disk@3"])
    store.remove(refs("disk@3"))
    assert store.resolve(parse_ref("disk")) == one
    assert put_manifest(store, b"4", "disk")
    assert listed(store)[1] == ["disk@1", "disk@4"]  # numbers are never reused
    store.restore(refs("disk"))
    assert listed(store)[1] == ["disk@1", "disk@2", "disk@3", "disk@4"]
    assert store.resolve(parse_ref("disk@2")) == two
    assert store.resolve(parse_ref("disk")) != three


def test_a_removed_name_continues_its_numbers(store: LmdbStore) -> None:
    first = put_manifest(store, b"1", "disk")
    put_manifest(store, b"2", "disk")
    store.remove(refs("disk"))
    put_manifest(store, b"3", "disk")
    assert listed(store)[1] == ["disk@3"]
    store.remove(refs("disk"))
    name = parse_name("disk")
    put_manifest(store, b"1")
    store.commit(Batch(names=[NameUpdate(name, first, 0)]))
    assert listed(store)[1] == ["disk@4"]


def test_a_hash_is_removed_only_without_names(store: LmdbStore) -> None:
    bare = put_manifest(store, b"bare")
    named = put_manifest(store, b"named", "disk")
    put_manifest(store, b"later", "disk")
    with pytest.raises(UsageError, match="disk@1"):
        store.remove(refs(named.hex()))
    assert store.remove(refs(bare.hex()[:12])).manifests == [bare]
    assert labels(store) == [bare.hex()]
    assert store.remove(refs("disk@1", "disk@2")).versions
    assert store.restore(refs(bare.hex())).manifests == [bare]
    assert store.restore(refs(named.hex())).versions == []
    assert {row.id for row in store.manifests()} == {bare, named}


@pytest.mark.parametrize("texts", [["disk", "nobody"], ["disk", "0" * 64], ["disk@1", "disk@7"]])
def test_removal_is_all_or_nothing(store: LmdbStore, texts: list[str]) -> None:
    put_manifest(store, b"1", "disk")
    before = listed(store)
    for remove in (store.removal, store.remove):
        with pytest.raises(NoNameError):
            remove(refs(*texts))
    assert listed(store) == before
    store.remove(refs("disk"))
    with pytest.raises(NoNameError):
        store.restore(refs(*texts))
    assert listed(store) == (set(), [])


def test_a_manifest_put_again_leaves_the_trash(store: LmdbStore) -> None:
    ident = put_manifest(store, b"1", "disk")
    store.remove(refs("disk"))
    assert put_manifest(store, b"1") == ident
    assert listed(store) == ({ident}, [])
    assert labels(store) == ["disk@1"]
    assert store.restore(refs("disk")).manifests == []
    assert listed(store) == ({ident}, ["disk@1"])


def test_reindex_leaves_the_trash_alone(path: Path, store: LmdbStore) -> None:
    kept = put_manifest(store, b"kept", "disk")
    put_manifest(store, b"gone", "disk")
    bare = put_manifest(store, b"bare")
    store.remove(refs("disk@2", bare.hex()))
    removed = store.removed()
    store.close()
    assert reindex(path).manifests == 1
    with LmdbStore.open(path) as again:
        assert listed(again) == ({kept}, ["disk@1"])
        assert again.removed() == removed
        again.restore(refs("disk", bare.hex()))
        assert len(listed(again)[0]) == 3
