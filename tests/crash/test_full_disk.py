"""Disks that fill up at any point. Existing data stays; nothing is written by half."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.commands import run
from tests.crash.material import image, noise, updated
from tests.crash.origin import Origin, prepared, serving
from tests.crash.tiny_disk import KINDS, TinyDisk

_KIB = 1024
_NO_SPACE = 6


@pytest.mark.parametrize("kind", KINDS)
def test_prepare_on_any_amount_of_free_space(
    tmp_path: Path, kind: str, summary: Callable[[str], None]
) -> None:
    old = image(20, 2 << 20)
    new = updated(old, 21) + noise(22, 1 << 20)
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(new)
    hashes = list(prepared(tmp_path / "reference", old, new, folder=tmp_path))
    exits: Counter[int] = Counter()
    spaces = [0, 4, 16, 64, *range(128, 4097, 256)]
    with TinyDisk(tmp_path, 24 << 20, kind) as disk:
        store = disk.path / "store"
        for space in spaces:
            disk.sh("rm -rf store")
            _check_prepared(disk, store, tmp_path / "old", hashes[0])
            disk.fill(space * _KIB)

            full = run(
                "prepare", "--store", store, "--name", "disk", tmp_path / "new", before=disk.inside
            )
            exits[full.returncode] += 1
            where = f"{kind}, {space} KiB left"
            if full.returncode:
                assert full.returncode == _NO_SPACE, f"{where}: {full.stderr.decode()}"
                assert f"no space on {store}".encode() in full.stderr, full.stderr.decode()
                assert not full.stdout, where
            _check_readable(disk, store, hashes[0], old, where)

            disk.empty()
            _check_prepared(disk, store, tmp_path / "new", hashes[1])
            _check_readable(disk, store, hashes[1], new, where)
    assert exits[_NO_SPACE] >= 5
    assert exits[0] >= 2
    summary(f"full disk, prepare, {kind}: {len(spaces)} sizes, exits {dict(exits)}, 0 violations")


def _check_prepared(disk: TinyDisk, store: Path, path: Path, hash_: str) -> None:
    done = run("prepare", "--store", store, path, before=disk.inside)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == hash_


def _check_readable(disk: TinyDisk, store: Path, hash_: str, data: bytes, where: str) -> None:
    """Reading needs no space."""
    verified = run("verify", "--store", store, before=disk.inside)
    assert verified.returncode == 0, f"{where}: {verified.stderr.decode()}"
    content = run("cat", "--store", store, hash_, before=disk.inside)
    assert content.returncode == 0, f"{where}: {content.stderr.decode()}"
    assert content.stdout == data, where


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_store_on_any_amount_of_free_space(
    tmp_path: Path, kind: str, summary: Callable[[str], None]
) -> None:
    data = image(23, 1 << 20)
    (tmp_path / "input").write_bytes(data)
    (hash_,) = prepared(tmp_path / "reference", data, folder=tmp_path)
    exits: Counter[int] = Counter()
    spaces = [0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048]
    with TinyDisk(tmp_path, 16 << 20, kind) as disk:
        store = disk.path / "deep" / "store"
        for space in spaces:
            disk.sh("rm -rf deep")
            disk.fill(space * _KIB)
            full = run("prepare", "--store", store, tmp_path / "input", before=disk.inside)
            exits[full.returncode] += 1
            if full.returncode:
                assert full.returncode == _NO_SPACE, f"{space} KiB left: {full.stderr.decode()}"
                assert str(store).encode() in full.stderr, full.stderr.decode()
            disk.empty()
            _check_prepared(disk, store, tmp_path / "input", hash_)
            _check_readable(disk, store, hash_, data, f"{space} KiB left")
    assert exits[_NO_SPACE] >= 5
    summary(f"full disk, new store, {kind}: {len(spaces)} sizes, exits {dict(exits)}, 0 violations")


def test_a_folder_that_stands_for_a_bucket_says_how_much_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(noise(25, 1 << 20))
    (tmp_path / "new").write_bytes(noise(26, 1 << 20))
    with TinyDisk(tmp_path, 16 << 20) as disk:
        store, before = f"file://{disk.path}/store", [*disk.inside, "env"]
        before += [f"XDG_{kind}_HOME={tmp_path / kind}" for kind in ("CACHE", "STATE")]
        assert run("prepare", "--store", store, tmp_path / "old", before=before).returncode == 0
        disk.fill(300 * _KIB)
        full = run("prepare", "--store", store, tmp_path / "new", before=before)
        assert full.returncode == _NO_SPACE
        assert re.search(rb"/seg/\S+: 1\.\d+ MiB needed, \d+ KiB free\.", full.stderr), full.stderr
        disk.empty()
        disk.fill(0)
        full = run("gc", "--store", store, before=before)
        assert full.returncode == _NO_SPACE
        assert re.search(rb"/lease/gc: \d+ B needed, 0 B free\.", full.stderr), full.stderr
        disk.empty()
        assert run("gc", "--store", store, before=before).returncode == 0
        assert run("prepare", "--store", store, tmp_path / "new", before=before).returncode == 0


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with serving(tmp_path_factory.mktemp("origin"), size=4 << 20, seed=24) as found:
        yield found


def _pull(disk: TinyDisk, origin: Origin, hash_: str, store: Path, *flags: str) -> tuple[int, str]:
    done = run(
        *("pull", hash_, "-o", disk.path / "target", "--store", store, "--server", origin.url),
        *flags,
        before=disk.inside,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("flags", [(), ("--cache",)], ids=["plain", "cache"])
@pytest.mark.parametrize("kind", KINDS)
def test_pull_on_any_amount_of_free_space(
    tmp_path: Path,
    origin: Origin,
    kind: str,
    flags: tuple[str, ...],
    summary: Callable[[str], None],
) -> None:
    """The store is on the full disk, too."""
    old, new = origin.hashes
    exits: Counter[int] = Counter()
    spaces = [0, 16, 64, *range(256, 10241, 512)]
    with TinyDisk(tmp_path, 32 << 20, kind) as disk:
        store = disk.path / "store"
        for space in spaces:
            where = f"{kind}, {space} KiB left"
            disk.sh("rm -rf store target .target*")
            assert _pull(disk, origin, old, store)[0] == 0
            disk.fill(space * _KIB)
            status, said = _pull(disk, origin, new, store, *flags)
            exits[status] += 1
            target = disk.sh("cat target")
            if status:
                assert status == _NO_SPACE, f"{where}: {said}"
                assert "no space on" in said, said
                assert target == origin.known[old], where
            else:
                assert target == origin.known[new], where
            disk.empty()
            status, said = _pull(disk, origin, new, store, *flags)
            assert status == 0, f"{where}: {said}"
            assert disk.sh("cat target") == origin.known[new], where
            assert disk.sh("ls -A").split() == [b"lost+found"] * (kind == "ext4") + [
                b"store",
                b"target",
            ]
    assert exits[_NO_SPACE] >= 5
    assert exits[0] >= 2
    summary(
        f"full disk, pull {' '.join(flags)}, {kind}: {len(spaces)} sizes, exits {dict(exits)}, "
        "0 violations"
    )
