"""Pull against servers in memory, real files, and every shape of target and seed."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from casync.access.endpoints import Endpoints
from casync.errors import (
    DamagedObjectError,
    DigestMismatchError,
    LockedError,
    NoNameError,
    NoObjectError,
    UsageError,
)
from casync.ids import Kind
from casync.names.name import Ref, parse_ref
from casync.ops.pull.wanted import PullOptions
from casync.store.base import Absence, ManifestState
from casync.store.memory import MemoryStore
from tests.support.pulling import MemoryServer, chunk_ids, forecast_file, noise, pull_file, put, run

SHAPES = {
    "empty": b"",
    "one byte": b"x",
    "one chunk": noise(1, 700),
    "noise": noise(2, 300_000),
    "zeros": bytes(1 << 20),
    "holes": noise(3, 9_000) + bytes(200_000) + noise(4, 5_000) + bytes(77_777),
    "repeats": noise(5, 30_000) * 12,
    "ones": b"\xff" * 500_000,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_new_file_equals_the_prepared_one(
    shape: str, tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = SHAPES[shape]
    ident = put(server, data)
    out = tmp_path / "out.img"
    pulled = run(ident, out, server, store)
    assert out.read_bytes() == data
    assert sum(pulled.sources.values()) == len(data)
    assert len(set(server.asked)) == len(server.asked), "a chunk was fetched twice"
    assert os.listdir(tmp_path) == ["out.img"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_gets_the_same_bytes_in_order(
    shape: str, server: MemoryServer, store: MemoryStore
) -> None:
    data = SHAPES[shape]
    out = io.BytesIO()
    run(put(server, data), out, server, store)
    assert out.getvalue() == data


@pytest.mark.parametrize("shape", SHAPES)
def test_without_a_target_everything_lands_in_the_store(
    shape: str, tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = SHAPES[shape]
    ident = put(server, data)
    assert run(ident, None, server, store).outcome == "stored"
    row = store.manifest(ident)
    assert row is not None
    assert row.state is ManifestState.FULL
    assert len(set(server.asked)) == len(server.asked)
    # From now on no server is needed.
    empty = MemoryServer()
    run(ident, tmp_path / "again", empty, store)
    assert (tmp_path / "again").read_bytes() == data
    assert empty.asked == []


def test_the_next_version_fetches_only_what_differs(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    old = noise(6, 400_000)
    new = old[:100_000] + b"inserted" + old[100_000:300_000] + noise(7, 3_000) + old[310_000:]
    out = tmp_path / "vm.img"
    run(put(server, old), out, server, store)
    server.asked.clear()
    pulled = run(put(server, new), out, server, store)
    assert out.read_bytes() == new
    assert pulled.sources["seed"] > 370_000
    assert pulled.sources["server"] < 30_000


def test_a_named_seed_is_cut_and_used(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = noise(8, 200_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "older.img").write_bytes(noise(9, 5_000) + data[50_000:])
    pulled = run(put(server, data), tmp_path / "out", server, store, seeds=(tmp_path / "folder",))
    assert pulled.sources["seed"] > 140_000
    assert (tmp_path / "out").read_bytes() == data


def test_a_seed_that_changed_unnoticed_is_never_trusted(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = noise(10, 200_000)
    ident = put(server, data)
    first = tmp_path / "first"
    run(ident, first, server, store)
    status = first.stat()
    with first.open("r+b") as file:
        file.seek(1000)
        file.write(bytes(100_000))
    os.utime(first, ns=(status.st_atime_ns, status.st_mtime_ns))
    run(ident, tmp_path / "second", server, store)
    assert (tmp_path / "second").read_bytes() == data


def test_an_equal_file_is_left_alone(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = noise(11, 100_000) + bytes(50_000)
    out = tmp_path / "out"
    out.write_bytes(data)
    before = out.stat()
    pulled = run(put(server, data), out, server, store)
    assert pulled.outcome == "up to date"
    assert out.stat().st_ino == before.st_ino
    assert out.stat().st_mtime_ns == before.st_mtime_ns
    assert server.asked == []


def test_an_interrupted_pull_fetches_only_the_rest(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = noise(12, 600_000)
    ident = put(server, data)
    everything = len(list(server.get(Kind.CHUNK, [])))
    assert everything == 0
    poison = list(dict.fromkeys(chunk_ids(server, ident)))[-1]
    server.absent[poison] = Absence.MISSING
    with pytest.raises(NoObjectError, match=poison.hex()):
        run(ident, tmp_path / "out", server, store)
    assert not (tmp_path / "out").exists()
    server.absent.clear()
    server.asked.clear()
    pulled = run(ident, tmp_path / "out", server, store)
    assert (tmp_path / "out").read_bytes() == data
    assert server.asked == [poison]
    assert pulled.sources["part file"] > 500_000


def test_a_server_that_lies_is_skipped(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = noise(13, 100_000)
    ident = put(server, data)
    honest = MemoryServer()
    put(honest, data)
    server.corrupt = set(chunk_ids(server, ident))
    endpoints = Endpoints(store, True, [store], [server, honest])
    pull_file(Ref(manifest=ident), tmp_path / "out", endpoints, PullOptions())
    assert (tmp_path / "out").read_bytes() == data


def test_when_every_server_lies_nothing_is_written(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    ident = put(server, noise(14, 100_000))
    server.corrupt = set(chunk_ids(server, ident))
    with pytest.raises(DamagedObjectError, match="is damaged on memory"):
        run(ident, tmp_path / "out", server, store)
    assert not (tmp_path / "out").exists()


def test_names_come_from_the_first_server(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    put(server, b"one", "vm/a")
    put(server, b"two", "vm/a")
    endpoints = Endpoints(store, True, [store], [server])
    pull_file(parse_ref("vm/a"), tmp_path / "new", endpoints)
    pull_file(parse_ref("vm/a@1"), tmp_path / "old", endpoints)
    assert (tmp_path / "new").read_bytes() == b"two"
    assert (tmp_path / "old").read_bytes() == b"one"
    with pytest.raises(NoNameError):
        pull_file(parse_ref("vm/b"), tmp_path / "none", endpoints)


def test_a_wrong_digest_leaves_the_old_file(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    data = noise(15, 50_000)
    ident = put(server, data)
    out = tmp_path / "out"
    out.write_bytes(b"old")
    with pytest.raises(DigestMismatchError):
        run(ident, out, server, store, expect_sha256=bytes(32))
    assert out.read_bytes() == b"old"
    run(ident, out, server, store, expect_sha256=hashlib.sha256(data).digest())
    assert out.read_bytes() == data


def test_two_pulls_to_one_target_do_not_mix(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    from casync.fs.target.base import open_sink
    from casync.fs.target.place import inspect_place

    ident = put(server, noise(16, 50_000))
    with (
        open_sink(inspect_place(tmp_path / "out", in_place=False), 50_000),
        pytest.raises(LockedError),
    ):
        run(ident, tmp_path / "out", server, store)


IN_PLACE: dict[str, Callable[[bytes], bytes]] = {
    "halves swapped": lambda old: old[len(old) // 2 :] + old[: len(old) // 2],
    "shifted": lambda old: noise(99, 40_000) + old,
    "shifted back": lambda old: old[40_000:],
    "edited": lambda old: old[:9_000] + noise(98, 100) + old[9_100:],
    "shuffled": lambda old: b"".join(
        old[i : i + 20_000] for i in random.Random(5).sample(range(0, len(old), 20_000), 20)
    ),
    "emptied": lambda old: b"",
    "unrelated": lambda old: noise(97, 123_456),
}


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("remembered", [True, False])
def test_an_in_place_pull_uses_the_old_file_first(
    change: str, remembered: bool, tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    old = noise(17, 400_000)
    new = IN_PLACE[change](old)
    out = tmp_path / "out"
    if remembered:
        run(put(server, old), out, server, store)
    else:
        out.write_bytes(old)
    inode = out.stat().st_ino
    server.asked.clear()
    ident = put(server, new)
    endpoints = Endpoints(store, True, [store], [server])
    expected = forecast_file(Ref(manifest=ident), out, endpoints, PullOptions(in_place=True))
    server.asked.clear()
    server.sent = 0
    pulled = run(ident, out, server, store, in_place=True)
    assert out.read_bytes() == new
    assert out.stat().st_ino == inode
    assert pulled.sources == expected.sources
    assert server.sent == expected.fetch
    if change in ("halves swapped", "shifted back", "shuffled"):
        assert pulled.sources.get("server", 0) < 0.15 * len(new)


def test_a_forecast_is_exact_and_writes_nothing(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    old = noise(18, 300_000) + bytes(100_000)
    new = old[:50_000] + noise(19, 20_000) + old[50_000:] + old[10_000:40_000]
    out = tmp_path / "out"
    run(put(server, old), out, server, store)
    ident = put(server, new)
    endpoints = Endpoints(store, True, [store], [server])
    server.asked.clear()
    expected = forecast_file(Ref(manifest=ident), out, endpoints, PullOptions())
    assert server.asked == []
    assert out.read_bytes() == old
    server.sent = 0
    pulled = run(ident, out, server, store)
    assert server.sent == expected.fetch
    assert len(server.asked) == expected.objects
    assert pulled.sources == expected.sources


def test_there_is_nothing_inside_a_file(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    put(server, b"one", "vm")
    endpoints = Endpoints(store, True, [store], [server])
    with pytest.raises(UsageError, match="vm is a file, not a folder"):
        pull_file(parse_ref("vm:etc/passwd"), tmp_path / "out", endpoints)


def test_a_forecast_uses_the_seeds_of_a_read_only_store(
    tmp_path: Path, server: MemoryServer, store: MemoryStore
) -> None:
    old = noise(20, 100_000)
    out = tmp_path / "out"
    run(put(server, old), out, server, store)
    endpoints = Endpoints(MemoryStore(), False, [store], [server])
    expected = forecast_file(
        Ref(manifest=put(server, old + b"more")), out, endpoints, PullOptions()
    )
    assert expected.seeds == [(out, "known")]
    assert expected.sources["seed"] > 90_000
