"""The contract of copies: between any two kinds of stores, everything arrives, and only that."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from casync.bucket.storage import ObjectStorage
from casync.errors import UsageError
from casync.ids import Kind
from casync.names.name import parse_name, parse_ref
from casync.ops.upkeep.copy import copy
from casync.ops.upkeep.verify import verify
from casync.remote.storages.folder import FolderStorage
from casync.store.base import Batch
from casync.store.copyable import NameVersions
from casync.store.lmdb.contents import LmdbContents
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise
from tests.support.damaging import false_chunk
from tests.support.memory_storage import MemoryStorage
from tests.support.whole_stores import KINDS, Places, fill_all, put_content


@pytest.fixture(params=["memory", "folder"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    def bucket(name: str) -> ObjectStorage:
        return MemoryStorage() if request.param == "memory" else FolderStorage(tmp_path / name)

    return Places(tmp_path, bucket)


def objects_of(store: LmdbStore) -> dict[Kind, list[Any]]:
    return {kind: list(store.get(kind, list(store.objects(kind)))) for kind in Kind}


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_copy_has_all_rows_and_objects_as_they_are_stored(
    places: Places, source: str, target: str
) -> None:
    with places.open(source, "a") as one, places.open(target, "b") as other:
        fill_all(one)
        planned = copy(one, other, dry_run=True)
        assert other.contents.read().names == {}
        copied = copy(one, other)
        assert copied == planned
        assert other.contents.read() == one.contents.read()
        assert objects_of(other) == objects_of(one)
        assert other.contents.quota == one.contents.quota
        assert verify(other).faults == []
    with places.open(target, "b") as again:
        assert verify(again).faults == []


@pytest.mark.parametrize("target", KINDS)
def test_a_second_copy_moves_only_what_is_new(places: Places, target: str) -> None:
    with places.open("disk", "a") as one, places.open(target, "b") as other:
        fill_all(one)
        assert copy(one, other).objects > 200
        assert copy(one, other)[:6] == (0, 0, 0, 0, 0, 0)
        put_content(one, [noise(700, 5000), b"archive"], "new")
        copied = copy(one, other)
        assert (copied.versions, copied.manifests) == (1, 1)
        assert copied.objects == 3  # a chunk, a node and a manifest
        assert other.contents.read() == one.contents.read()


@pytest.mark.parametrize("source", KINDS)
def test_a_copy_that_finds_all_rows_looks_for_no_object(
    places: Places, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cost is that of comparing names, whatever lies below them."""
    with places.open(source, "a") as one, places.open("lmdb", "b") as other:
        fill_all(one)
        copy(one, other)
        monkeypatch.delattr(LmdbContents, "placed")
        again = copy(one, other)
    assert (again.manifests, again.objects, again.faults) == (0, 0, [])


def test_what_was_written_is_put_back_after_two_more_copies(places: Places) -> None:
    with (
        places.open("disk", "a") as one,
        places.open("bucket", "b") as two,
        places.open("disk", "c") as three,
    ):
        fill_all(one)
        copy(one, two)
        copy(two, three)
        assert three.contents.read() == one.contents.read()
        assert objects_of(three) == objects_of(one)


def test_nothing_that_the_target_has_is_changed(places: Places) -> None:
    with places.open("disk", "a") as one, places.open("bucket", "b") as other:
        for number in range(3):
            put_content(one, [b"%d" % number], "both", f"own/{number}")
        copy(one, other)
        put_content(other, [b"ahead"], "both")
        put_content(other, [b"mine"], "mine")
        other.remove([parse_ref("own/1")])
        before = other.contents.read()
        put_content(one, [b"later"], "own/0")
        copied = copy(one, other)
        assert (copied.versions, copied.removed) == (1, 0)
        after = other.contents.read()
        for name in ("both", "mine", "own/1", "own/2"):
            assert after.names[name] == before.names[name]
        assert [each.version for each in after.names["own/0"].versions] == [1, 2]


def test_stores_whose_names_differ_are_refused_before_anything_moves(places: Places) -> None:
    with places.open("disk", "a") as one, places.open("bucket", "b") as other:
        put_content(one, [b"one"], "same", "more")
        put_content(other, [b"other"], "same")
        before = objects_of(other)
        with pytest.raises(UsageError, match="differ in what same@1 stands for"):
            copy(one, other)
        assert objects_of(other) == before
        assert list(other.contents.read().names) == ["same"]


def test_numbers_of_versions_that_are_gone_are_not_given_again(places: Places) -> None:
    with places.open("disk", "a") as one, places.open("bucket", "b") as other:
        fill_all(one)
        copy(one, other)
        put_content(other, [b"again"], "gone")
        assert [record.version for record in other.history(parse_name("gone"))] == [2]
        assert other.contents.read().names["gone"] == NameVersions(
            tuple(other.history(parse_name("gone"))), (), 1
        )


@pytest.mark.parametrize("target", KINDS)
def test_damage_is_left_out_with_what_needs_it(places: Places, target: str) -> None:
    plain = noise(2000, 77)
    with places.open("disk", "a") as one, places.open(target, "b") as other:
        broken = put_content(one, [noise(900, 1), plain], "broken", "hurt/1")
        whole = put_content(one, [noise(900, 1), noise(901, 2)], "whole")
        one.commit(Batch(mended=[false_chunk(plain, bytes(len(plain)))]))
        copied = copy(one, other)
        (fault,) = copied.faults
        assert (fault.kind, fault.manifests) == (Kind.CHUNK, (broken,))
        assert fault.names == ("broken@1", "hurt/1@1")
        assert copied.left_out == 1
        assert [row.id for row in other.manifests()] == [whole]
        assert [record.name for record in other.names()] == ["whole"]
        assert verify(other).faults == []


class Killed(BaseException):
    """The process ends here."""


class Dying:
    """A storage of a process that is killed at one of its writes: nothing happens afterwards.

    Args:
        storage: The storage.
        life: Writes that it lives for.
    """

    def __init__(self, storage: ObjectStorage, life: int) -> None:
        self._storage = storage
        self._life = life
        self.is_dead = False

    def around(self, _: ObjectStorage) -> ObjectStorage:
        """The storage of the process."""
        return cast("ObjectStorage", self)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)
        if name not in ("put", "create", "swap", "delete"):
            return self._while_alive(method) if callable(method) else method
        return self._counted(method)

    def _while_alive(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.is_dead:
                raise Killed
            return method(*arguments)

        return call

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.is_dead or not self._life:
                self.is_dead = True
                raise Killed
            self._life -= 1
            return method(*arguments)

        return call


def test_a_copy_that_is_killed_at_any_write_is_finished_by_another(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "a", create=True) as one:
        fill_all(one)
        wanted, expected = one.contents.read(), objects_of(one)
        for life in count():
            storage = MemoryStorage()
            dying = Dying(storage, life)
            places = Places(tmp_path / str(life), {"b": storage}.__getitem__)
            with suppress(Killed), places.open("bucket", "b", dying.around) as other:
                copy(one, other)
            with places.open("bucket", "b") as other:
                assert verify(other).faults == []
                copy(one, other)
                assert other.contents.read() == wanted
                assert objects_of(other) == expected
            if not dying.is_dead:
                break
    assert life > 5
