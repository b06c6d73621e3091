from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from casync.errors import LockedError, UnsupportedError
from casync.ids import Kind, ManifestId
from casync.names.name import Name
from casync.store.base import Absence, ManifestState
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore
from tests.contract.editable_contract import listed, refs
from tests.contract.store_contract import put_manifest
from tests.support.small_store import SmallStore, fill

REBUILT = ("index", "segment_use", "manifests", "names", "name_log")


def drop(path: Path, *names: str, delete: bool) -> None:
    with lmdb.open(str(path), map_size=2**30, max_dbs=32, lib_version=0) as environment:
        for name in names:
            database = environment.open_db(name.encode(), create=False)
            with environment.begin(write=True) as txn:
                txn.drop(database, delete=delete)


def damage(path: Path, payload: bytes) -> None:
    data = bytearray((path / "data.mdb").read_bytes())
    at = data.find(payload)
    while at >= 0:
        data[at + len(payload) // 2] ^= 1
        at = data.find(payload, at + 1)
    (path / "data.mdb").write_bytes(data)


def everything(store: LmdbStore) -> dict[str, object]:
    """Everything that a store shows, except times."""
    return {
        "objects": {kind: list(store.get(kind, list(store.objects(kind)))) for kind in Kind},
        "manifests": [row[:3] for row in store.manifests()],
        "names": [
            [(r.version, r.manifest, r.created) for r in store.history(Name(name.name))]
            for name in store.names()
        ],
        "use": store.usage()._replace(file=0, free=0),
        "seeds": list(store.remembered()),
    }


@pytest.mark.parametrize("delete", [True, False], ids=["dropped", "emptied"])
@pytest.mark.parametrize("lost", [*REBUILT, "all of them", "none"])
def test_lost_rows_are_rebuilt(path: Path, lost: str, delete: bool) -> None:
    small = fill(path)
    with LmdbStore.open(path) as store:
        before = everything(store)
        store_id = store.store_id
    drop(
        path,
        *(REBUILT if lost == "all of them" else [lost] if lost != "none" else []),
        delete=delete,
    )
    seen: list[int] = []
    report = reindex(path, advance=seen.append)
    assert report == (len(small.objects), 3, 0, 4, len(seen), 0)
    with LmdbStore.open(path) as store:
        assert everything(store) == before
        assert store.store_id == store_id
        assert sum(seen) == store.usage().used


@pytest.mark.parametrize("delete", [True, False], ids=["dropped", "emptied"])
def test_the_id_comes_from_the_segments(path: Path, delete: bool) -> None:
    fill(path)
    with LmdbStore.open(path) as store:
        before = everything(store)
        store_id = store.store_id
    drop(path, "meta", "index", delete=delete)
    reindex(path)
    with LmdbStore.open(path) as store:
        assert store.store_id == store_id
        assert everything(store) == before


def test_a_manifest_is_full_only_with_everything_below_it(path: Path) -> None:
    small = fill(path)
    shared = set.intersection(*small.manifests.values())
    lost = next(
        key for keys in small.manifests.values() for key in keys - shared if key[0] is Kind.CHUNK
    )
    hit = [ident for ident, keys in small.manifests.items() if lost in keys]
    whole = [ident for ident in small.manifests if ident not in hit]
    assert hit
    assert whole
    damage(path, bytes(small.objects[lost].payload))
    report = reindex(path)
    assert (report.manifests, report.outlines, report.damaged) == (len(whole), len(hit), 1)
    with LmdbStore.open(path) as store:
        check_rows(store, small, set(whole))
        assert list(store.get(*lost_args(lost))) == [Absence.MISSING]


def test_without_a_node_there_is_not_even_an_outline(path: Path) -> None:
    small = fill(path, versions=1)
    ((ident, keys),) = small.manifests.items()
    node = next(key for key in sorted(keys) if key[0] is Kind.NODE)
    damage(path, bytes(small.objects[node].payload))
    report = reindex(path)
    assert (report.manifests, report.outlines, report.names) == (0, 0, 0)
    with LmdbStore.open(path) as store:
        assert store.manifest(ident) is None
        assert list(store.names()) == []


def test_a_failed_reindex_changes_nothing(path: Path) -> None:
    fill(path)
    with LmdbStore.open(path) as store:
        before = everything(store)
        with pytest.raises(LockedError):
            reindex(path)
        assert everything(store) == before
    with lmdb.open(str(path), map_size=2**30, max_dbs=32, lib_version=0) as environment:
        meta = environment.open_db(b"meta", create=False)
        with environment.begin(write=True, db=meta) as txn:
            txn.put(b"format", (9).to_bytes(4, "little"))
    data = (path / "data.mdb").read_bytes()
    with pytest.raises(UnsupportedError, match="format 9"):
        reindex(path)
    assert (path / "data.mdb").read_bytes() == data


def lost_args(key: tuple[Kind, bytes]) -> tuple[Kind, list[ManifestId]]:
    return key[0], [ManifestId(key[1])]


def check_rows(store: LmdbStore, small: SmallStore, whole: set[ManifestId]) -> None:
    """Checks that exactly the `whole` manifests are full, with exactly their versions of names."""
    assert {row.id for row in store.manifests()} == whole
    for ident in small.manifests:
        row = store.manifest(ident)
        assert (row is not None and row.state is ManifestState.FULL) == (ident in whole)
    for name, idents in small.history.items():
        versions = [(number, ident) for number, ident in enumerate(idents, 1) if ident in whole]
        assert [(r.version, r.manifest) for r in store.history(name)] == versions
        newest = store.version(name, 0)
        assert (newest and newest.manifest) == (versions[-1][1] if versions else None)


def test_reindex_leaves_the_trash_alone(path: Path) -> None:
    store = LmdbStore.open(path, create=True)
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
