"""A store is changed by its owner only, and no link in it is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from casync.errors import CasyncError, DeniedError
from casync.store.lmdb.namespaces import back_up, establish
from casync.store.lmdb.store import LmdbStore
from tests.support.rights import needs_root

_STRANGER = 65534


@pytest.fixture
def place(tmp_path: Path) -> Path:
    with LmdbStore.open(tmp_path / "store", create=True):
        return tmp_path / "store"


@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb", "store.lock", "jobs.key"])
def test_a_link_in_place_of_a_file_of_a_store_is_not_followed(
    place: Path, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (place / name).unlink(missing_ok=True)
    (place / name).symlink_to(victim)
    for read_only in (True, False):
        with pytest.raises(DeniedError, match=f"{name} is a link"):
            LmdbStore.open(place, read_only=read_only)
    assert victim.read_bytes() == b"precious"


def test_a_store_is_not_created_beside_a_link_that_lies_in_wait(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store" / "lock.mdb").symlink_to(victim)
    with pytest.raises(DeniedError, match=r"lock\.mdb is a link"):
        LmdbStore.open(tmp_path / "store", create=True)
    assert victim.read_bytes() == b"precious"


def test_a_further_name_of_a_file_is_not_taken_for_a_lock(place: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (place / "lock.mdb").unlink()
    os.link(tmp_path / "victim", place / "lock.mdb")
    with pytest.raises(DeniedError, match="several hard links"):
        LmdbStore.open(place)
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_folder_that_all_may_change_holds_no_store_to_write_to(place: Path) -> None:
    place.chmod(0o777)
    with pytest.raises(DeniedError, match="any user may change"):
        LmdbStore.open(place)
    with LmdbStore.open(place, read_only=True) as store:
        assert any("without a lock" in warning for warning in store.warnings)


def test_a_data_file_that_others_may_read_is_remarked_on(place: Path) -> None:
    with LmdbStore.open(place) as store:
        assert store.warnings == []
    (place / "data.mdb").chmod(0o644)
    with LmdbStore.open(place) as store:
        assert any("chmod 600" in warning for warning in store.warnings)


def test_the_names_of_namespaces_are_for_their_operator_alone(place: Path, tmp_path: Path) -> None:
    folder = place / "namespaces"
    folder.mkdir(mode=0o755)
    with LmdbStore.open(place) as store:
        establish(store, "acme")
        back_up(store, tmp_path / "backup", advance=lambda _: None)
    for each in (folder, tmp_path / "backup", tmp_path / "backup" / "namespaces"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


@needs_root
def test_the_store_of_another_user_is_read_and_not_written(place: Path) -> None:
    for path in (place, *place.iterdir()):
        os.chown(path, _STRANGER, _STRANGER)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in place.iterdir())
    with pytest.raises(DeniedError, match="belongs to the user"):
        LmdbStore.open(place)
    with LmdbStore.open(place, read_only=True) as store:
        assert list(store.manifests()) == []
    assert sorted((path.name, path.stat().st_mtime_ns) for path in place.iterdir()) == before


@needs_root
def test_no_store_is_created_in_a_folder_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    os.chown(tmp_path / "store", _STRANGER, _STRANGER)
    with pytest.raises(CasyncError, match="belongs to the user"):
        LmdbStore.open(tmp_path / "store", create=True)
    assert list((tmp_path / "store").iterdir()) == []


@needs_root
def test_a_file_that_another_user_has_left_in_our_store_is_not_used(place: Path) -> None:
    os.chown(place / "data.mdb", _STRANGER, _STRANGER)
    with pytest.raises(DeniedError, match=r"data\.mdb belongs to the user"):
        LmdbStore.open(place)
