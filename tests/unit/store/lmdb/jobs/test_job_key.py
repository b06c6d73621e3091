"""Secrets of jobs are sealed with a key that stays with the store."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.errors import CasyncError, DamagedStoreError, DeniedError, NotFoundError
from casync.jobs.item import Item
from casync.store.lmdb.jobs.key import JobKey
from casync.store.lmdb.namespaces import open_namespace
from casync.store.lmdb.store import LmdbStore
from tests.support.small_jobs import items, spec

SECRET = replace(
    spec(),
    source="https://me:hush-word@host/a/?X-Amz-Signature=hush-sign",
    headers=(("Authorization", "Basic hush-head"),),
)
LISTED = [Item("https://host/b?sig=hush-item", "data/b", is_url=True), *items(20)]
ID = "dnl-012345678"


@pytest.fixture
def store(path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(path, create=True) as store:
        yield store


def files_of(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in path.rglob("*") if each.is_file())


def test_no_secret_is_on_disk_in_clear(store: LmdbStore, path: Path) -> None:
    ident = store.jobs.create(SECRET, 1).id
    with store.jobs.claim(ident) as claim:
        store.jobs.add_items(claim, 0, LISTED)
        assert claim.spec == SECRET
        assert list(store.jobs.items(ident)) == LISTED
    assert b"hush" not in files_of(path)
    assert stat.S_IMODE((path / "jobs.key").stat().st_mode) == 0o600


def test_a_job_without_secrets_needs_no_key(store: LmdbStore, path: Path) -> None:
    ident = store.jobs.create(spec(), 1).id
    with store.jobs.claim(ident) as claim:
        store.jobs.add_items(claim, 0, items(20))
    assert not (path / "jobs.key").exists()


def test_a_job_restored_without_its_key_says_which_secrets_to_give_again(
    store: LmdbStore, path: Path, tmp_path: Path
) -> None:
    ident = store.jobs.create(SECRET, 1).id
    with store.jobs.claim(ident) as claim:
        store.jobs.add_items(claim, 0, LISTED)
    store.backup(tmp_path / "copy")
    assert not (tmp_path / "copy" / "jobs.key").exists()
    with LmdbStore.open(tmp_path / "copy") as copy:
        with pytest.raises(NotFoundError) as caught:
            copy.jobs.claim(ident)
        assert "https://***@host/a/?X-Amz-Signature=***, header Authorization" in str(caught.value)
        assert "jobs.key is missing" in str(caught.value)
        assert "casync download" in caught.value.next_step
        assert copy.jobs.find(ident) == claim.row
        assert not copy.jobs.is_running(ident)
        with pytest.raises(NotFoundError, match="its list of objects"):
            list(copy.jobs.items(ident))
        assert copy.jobs.create(SECRET, 2).id == ident
        with copy.jobs.claim(ident) as again:
            assert again.spec == SECRET
            copy.jobs.add_items(again, 0, LISTED)
        assert list(copy.jobs.items(ident)) == LISTED


def test_another_key_does_not_open_a_secret(path: Path, tmp_path: Path) -> None:
    path.mkdir()
    key = JobKey(path, bytes(16))
    sealed = key.seal(ID, b"place", b"secret")
    assert key.open(ID, b"place", sealed, "it") == b"secret"
    other = tmp_path / "other"
    other.mkdir()
    JobKey(other, bytes(16)).seal(ID, b"place", b"secret")
    for opener, ident, place, data in (
        (JobKey(other, bytes(16)), ID, b"place", sealed),
        (JobKey(path, bytes(15) + b"1"), ID, b"place", sealed),
        (key, "dnl-012345679", b"place", sealed),
        (key, ID, b"another", sealed),
        (key, ID, b"place", sealed[:-1] + b"\0"),
        (key, ID, b"place", sealed[:20]),
        (key, ID, b"place", b""),
    ):
        with pytest.raises(NotFoundError, match="not the key that sealed"):
            opener.open(ident, place, data, "it")


def test_equal_secrets_are_sealed_differently(path: Path) -> None:
    path.mkdir()
    key = JobKey(path, bytes(16))
    assert key.seal(ID, b"", b"secret") != key.seal(ID, b"", b"secret")


def test_a_half_made_key_of_a_killed_process_is_replaced(path: Path) -> None:
    path.mkdir()
    (path / "jobs.key.new").write_bytes(b"half")
    key = JobKey(path, bytes(16))
    assert key.open(ID, b"", key.seal(ID, b"", b"x"), "it") == b"x"
    assert not (path / "jobs.key.new").exists()


def test_processes_that_make_the_key_at_once_agree_on_one(path: Path) -> None:
    path.mkdir()
    seal = (
        "import sys; from pathlib import Path; from casync.store.lmdb.jobs.key import JobKey\n"
        "sys.stdin.read()\n"
        f"sealed = JobKey(Path(sys.argv[1]), bytes(16)).seal({ID!r}, b'', b'x')\n"
        "sys.stdout.buffer.write(sealed)"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", seal, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    sealed = [maker.communicate(b"")[0] for maker in makers]
    assert all(JobKey(path, bytes(16)).open(ID, b"", each, "it") == b"x" for each in sealed)


@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "readable"])
def test_a_key_that_others_may_have_made_or_read_is_refused(
    path: Path, tmp_path: Path, kind: str
) -> None:
    path.mkdir()
    key = path / "jobs.key"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(bytes(32))
    elsewhere.chmod(0o600)
    if kind == "link":
        key.symlink_to(elsewhere)
    elif kind == "hard link":
        os.link(elsewhere, key)
    elif kind == "fifo":
        os.mkfifo(key, 0o600)
    else:
        key.write_bytes(bytes(32))
        key.chmod(0o640)
    with pytest.raises(DeniedError):
        JobKey(path, bytes(16)).seal(ID, b"", b"x")
    with pytest.raises(DeniedError):
        JobKey(path, bytes(16)).open(ID, b"", b"x" * 40, "it")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_damaged(path: Path, length: int) -> None:
    path.mkdir()
    (path / "jobs.key").write_bytes(bytes(length))
    (path / "jobs.key").chmod(0o600)
    with pytest.raises(DamagedStoreError, match="not a key of 32 bytes"):
        JobKey(path, bytes(16)).seal(ID, b"", b"x")


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CasyncError):
        JobKey(tmp_path / "missing", bytes(16)).seal(ID, b"", b"x")


def test_each_namespace_has_jobs_and_a_key_of_its_own(store: LmdbStore, path: Path) -> None:
    with open_namespace(path, "tenant", create=True) as tenant:
        ident = tenant.jobs.create(SECRET, 1).id
        assert (tenant.path / "jobs.key").exists()
        assert not (path / "jobs.key").exists()
        assert store.jobs.find(ident) is None
        with tenant.jobs.claim(ident) as claim:
            assert claim.spec == SECRET
            assert not store.jobs.is_running(ident)
