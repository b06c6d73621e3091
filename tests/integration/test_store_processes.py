"""Several processes share one store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from casync.ids import Kind
from casync.objects.codec import Packed
from casync.store.base import Batch
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import ids_of, noise, pack

ROOT = Path(__file__).parents[2]


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.store_worker", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.strip()


def allocated(path: Path) -> int:
    return (path / "data.mdb").stat().st_blocks * 512


def test_many_processes_create_one_store(tmp_path: Path) -> None:
    path = tmp_path / "store"
    workers = [start("create", path) for _ in range(6)]
    assert len({finish(worker) for worker in workers}) == 1
    assert sorted(entry.name for entry in path.iterdir()) == ["data.mdb", "lock.mdb", "store.lock"]


@pytest.mark.parametrize("map_bytes", [2**20, 2**42], ids=["tiny map", "usual map"])
def test_writers_grow_one_store_together(tmp_path: Path, map_bytes: int) -> None:
    """The map of each becomes too small, by its own writes or by others."""
    path = tmp_path / "store"
    workers = [start("write", path, str(seed), str(map_bytes)) for seed in range(3)]
    assert [finish(worker) for worker in workers] == ["done"] * 3
    with LmdbStore.open(path) as store:
        store.check()
        assert store.usage().objects[Kind.CHUNK].number == 3 * 40 * 8
        for seed in range(3):
            packed = [
                pack(noise(30_000, seed * 10**6 + turn * 100 + n))
                for turn in range(40)
                for n in range(8)
            ]
            assert list(store.get(Kind.CHUNK, ids_of(packed))) == [Packed(*p) for p in packed]


def test_a_reader_sees_what_others_add_beyond_its_map(tmp_path: Path) -> None:
    path = tmp_path / "store"
    LmdbStore.open(path, create=True).close()
    with LmdbStore.open(path, read_only=True, map_bytes=2**20) as store:
        assert finish(start("write", path, "7", str(2**42))) == "done"
        packed = [pack(noise(30_000, 7 * 10**6 + n)) for n in range(8)]
        assert list(store.get(Kind.CHUNK, ids_of(packed))) == [Packed(*p) for p in packed]
        assert all(store.known(Kind.CHUNK, ids_of(packed)))


def churn(store: LmdbStore, turns: int, seed: int) -> None:
    """Small commits, each of which rewrites the last segment and frees its old pages."""
    for turn in range(turns):
        store.commit(Batch(objects=[pack(noise(500, seed * 1000 + turn))]))


def test_a_killed_reader_does_not_block_reuse_of_space(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=[pack(noise(900_000))]))
        churn(store, 10, 1)
        reader = start("read", path)
        assert reader.stdout is not None
        assert reader.stdout.readline().startswith("ready")
        before = allocated(path)
        churn(store, 20, 2)
        held = allocated(path) - before
        assert held > 10 * 900_000, "a live reader keeps its snapshot"
        reader.kill()
        reader.communicate()
        before = allocated(path)
        churn(store, 40, 3)
        assert allocated(path) - before < 3_000_000
        assert store.reader_check() == 0


def test_a_killed_reader_is_cleared_when_a_store_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        for _ in range(3):
            reader = start("read", path)
            assert reader.stdout is not None
            assert reader.stdout.readline().startswith("ready")
            reader.kill()
            reader.communicate()
        assert store.reader_check() == 3
        reader = start("read", path)
        assert reader.stdout is not None
        assert reader.stdout.readline().startswith("ready")
        reader.kill()
        reader.communicate()
        finish(start("create", path))  # opens the store, and so clears it
        assert store.reader_check() == 0


def test_a_killed_writer_leaves_the_store_as_it_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store"
    for seed in range(3):
        writer = start("write", path, str(seed), str(2**42))
        while not (path / "data.mdb").exists() or allocated(path) < (seed + 1) * 2_000_000:
            assert writer.poll() is None
        writer.kill()
        writer.communicate()
        with LmdbStore.open(path) as store:
            store.check()
            for kind in Kind:
                ids = list(store.objects(kind))
                assert all(isinstance(answer, Packed) for answer in store.get(kind, ids))
