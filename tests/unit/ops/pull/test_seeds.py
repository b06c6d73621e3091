"""How a pull finds its seeds."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from casync.access.endpoints import Endpoints
from casync.access.progress import SILENT
from casync.fs.identity import FileIdentity
from casync.fs.seed import SeedFile
from casync.ids import ManifestId, chunk_id
from casync.names.name import Ref
from casync.ops.pull.seeds import CutSeed, Seeds
from casync.ops.pull.wanted import PullOptions
from casync.planning.wanted_chunks import WantedChunks
from casync.store.base import Batch, Committed, RememberedFile
from casync.store.memory import MemoryStore
from tests.support.pulling import PARAMS, MemoryServer, forecast_file, noise, put, run

SOME_FILE = FileIdentity(1, 1, 1, 1, 1)


def test_rows_of_vanished_files_are_dropped_and_rows_of_unreadable_ones_stay(
    tmp_path: Path,
) -> None:
    server, store = MemoryServer(), MemoryStore()
    ident = put(server, noise(1, 5_000))
    gone, strange = tmp_path / "gone", tmp_path / ("x" * 300)
    store.commit(Batch(remember=[_row(gone, ident), _row(strange, ident)]))
    run(ident, tmp_path / "out", server, store)
    assert store.recall(bytes(gone)) is None
    assert store.recall(bytes(strange)) is not None


def test_every_file_of_a_large_folder_is_a_seed(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(150):
        (folder / str(number)).write_bytes(noise(number, 200))
    data = b"".join(noise(number, 200) for number in range(150))
    (folder / "zz").write_bytes(data)
    pulled = run(put(server, data), tmp_path / "out", server, store, seeds=(folder,))
    assert pulled.sources == {"seed": len(data)}
    assert pulled.seeds == {folder / "zz": len(data)}


def test_every_byte_that_is_read_from_a_seed_counts_as_its_bytes(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    (tmp_path / "old").write_bytes(noise(1, 30_000))
    data = noise(1, 30_000) * 2
    pulled = run(put(server, data), io.BytesIO(), server, store, seeds=(tmp_path / "old",))
    (seed,) = pulled.seeds
    assert seed == tmp_path / "old"
    assert pulled.sources["seed"] == pulled.seeds[seed] > 50_000
    assert sum(pulled.sources.values()) == len(data)


def test_an_unknown_seed_saves_the_nodes_that_it_shares(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    old = noise(1, 2_000_000)
    (tmp_path / "old").write_bytes(old)
    ident = put(server, old[:1_000_000] + b"new" + old[1_000_000:])
    pulled = run(ident, tmp_path / "out", server, store, seeds=(tmp_path / "old",))
    assert pulled.sources["seed"] > 1_900_000
    assert 0 < len(server.nodes) <= 4


def test_nodes_of_many_unknown_seeds_take_few_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, store = MemoryServer(), MemoryStore()
    for number in range(100):
        (tmp_path / str(number)).write_bytes(noise(number, 20_000))
    ident = put(server, b"".join(noise(number, 20_000) for number in range(99)) + noise(999, 99))
    commits: list[int] = []
    commit = store.commit

    def counted(batch: Batch) -> Committed:
        commits.append(len(batch.objects))
        return commit(batch)

    monkeypatch.setattr(store, "commit", counted)
    pulled = run(ident, tmp_path / "out", server, store, seeds=(tmp_path,))
    assert pulled.sources["seed"] > 99 * 15_000
    assert sum(commits) > 99
    assert len(commits) < 15


def test_a_file_with_only_a_hole_in_common_is_no_seed(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    run(put(server, noise(1, 5_000) + bytes(50_000)), tmp_path / "old", server, store)
    (tmp_path / "old").write_bytes(noise(2, 50_000))
    server.asked.clear()
    data = noise(2, 50_000) + bytes(50_000)
    pulled = run(put(server, data), tmp_path / "out", server, store)
    assert "seed" not in pulled.sources


def test_a_seed_that_is_named_and_remembered_is_listed_once_and_first(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    for name in ("one", "two"):
        run(put(server, noise(1, 5_000) + name.encode()), tmp_path / name, server, store)
    endpoints = Endpoints(store, True, [store], [server])
    options = PullOptions(seeds=(tmp_path / "one", tmp_path))
    ident = put(server, noise(1, 9_000))
    plan = forecast_file(Ref(manifest=ident), tmp_path / "out", endpoints, options)
    assert plan.seeds == [(tmp_path / "one", "known"), (tmp_path / "two", "known")]


def test_many_seeds_need_few_descriptors(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    seeds = Seeds(MemoryStore())
    contents = [noise(number, 200) for number in range(300)]
    for number, data in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(data)
        seeds.add(CutSeed(seeds, SeedFile(path), PARAMS, SILENT))
    assert len(os.listdir("/proc/self/fd")) - before < 100
    for number, data in enumerate(contents):
        (block,) = seeds.lists[number].blocks(WantedChunks())
        assert list(block.ids) == [chunk_id(data)]
        assert seeds.read(number, 0, 1000) == data
    assert len(os.listdir("/proc/self/fd")) - before < 100
    seeds.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_seeds_that_vanish_read_as_nothing(tmp_path: Path) -> None:
    seeds = Seeds(MemoryStore())
    for number in range(70):
        path = tmp_path / str(number)
        path.write_bytes(noise(number, 300))
        seeds.add(CutSeed(seeds, SeedFile(path), PARAMS, SILENT))
        path.unlink()
    assert seeds.read(0, 0, 300) == noise(0, 300)
    assert seeds.read(69, 0, 300) == b""
    seeds.close()


def _row(path: Path, ident: ManifestId) -> RememberedFile:
    return RememberedFile(bytes(path), SOME_FILE, ident, settled=False)
