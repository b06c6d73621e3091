"""`store reindex --salvage` brings back every object that is undamaged in the raw file.

What is undamaged is found out without our code for segments: an object's bytes are searched for in
the file as it was, and compared with where it was damaged.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from casync.errors import CasyncError
from casync.ids import Kind
from casync.objects.codec import Packed
from casync.objects.record import check_bytes
from casync.store.lmdb.salvage import salvage
from casync.store.lmdb.store import LmdbStore
from tests.crash.commands import run
from tests.crash.lmdb_pages import PAGE_BYTES, Page, map_pages
from tests.crash.material import image, updated
from tests.crash.promises import content_of

_SEED = 20260103
_BEFORE_ID = 16
"""Bytes of a record before its id (docs/FORMAT.md section 5)."""


class Original(NamedTuple):
    """A store before it is damaged.

    Attributes:
        path: Its folder.
        data: Its data file.
        pages: What its pages are.
        known: Contents by hash.
        places: For each object, the (start, end) of each whole record of it in the file.
    """

    path: Path
    data: bytes
    pages: list[Page]
    known: dict[str, bytes]
    places: dict[tuple[Kind, bytes], list[tuple[int, int]]]

    def pages_of(self, *roles: str, database: str | None = None) -> list[Page]:
        return [
            page for page in self.pages if page.role in roles and database in (None, page.database)
        ]

    def undamaged(self, damaged: Iterable[tuple[int, int]]) -> set[tuple[Kind, bytes]]:
        """The objects that have a record which no damaged (start, end) touches."""
        ranges = list(damaged)
        return {
            key
            for key, places in self.places.items()
            if any(all(b <= start or end <= a for a, b in ranges) for start, end in places)
        }


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """Small chunks, so that the index has branch pages; several commits, so that pages are free."""
    folder = tmp_path_factory.mktemp("original")
    old = image(30, 3 << 20)
    known: dict[str, bytes] = {}
    for number, data in enumerate((old, updated(old, 31), updated(old, 32))):
        (folder / "input").write_bytes(data)
        done = run(
            *("prepare", "--store", folder / "store", "--chunk-size", "512"),
            *("--name", f"disk/{number % 2}", folder / "input"),
        )
        assert done.returncode == 0, done.stderr.decode()
        known[done.stdout.decode().strip()] = data
    data = (folder / "store" / "data.mdb").read_bytes()
    return Original(folder / "store", data, map_pages(data), known, _places(folder / "store", data))


def _places(path: Path, data: bytes) -> dict[tuple[Kind, bytes], list[tuple[int, int]]]:
    places: dict[tuple[Kind, bytes], list[tuple[int, int]]] = {}
    with LmdbStore.open(path, read_only=True) as store:
        for kind in Kind:
            idents = list(store.objects(kind))
            for ident, packed in zip(idents, store.get(kind, idents), strict=True):
                assert isinstance(packed, Packed)
                wanted = ident + check_bytes(packed.payload) + packed.payload
                found: list[tuple[int, int]] = []
                at = data.find(wanted)
                while at >= 0:
                    found.append((at - _BEFORE_ID, at + len(wanted)))
                    at = data.find(wanted, at + 1)
                assert found
                places[kind, ident] = found
    return places


def _damage(data: bytes, ranges: Iterable[tuple[int, int]]) -> bytes:
    damaged = bytearray(data)
    for start, end in ranges:
        damaged[start:end] = bytes(end - start)
    return bytes(damaged)


def _whole(pages: Iterable[Page]) -> list[tuple[int, int]]:
    return [(page.number * PAGE_BYTES, (page.number + page.span) * PAGE_BYTES) for page in pages]


def _check(original: Original, damaged: list[tuple[int, int]], folder: Path) -> int:
    """Damages, salvages, compares. Returns how many objects came back."""
    folder.mkdir()
    file = folder / "broken.mdb"
    file.write_bytes(_damage(original.data, damaged))
    expected = original.undamaged(damaged)
    with LmdbStore.open(folder / "new", create=True) as store:
        said = salvage(file, store)
        back = {(kind, ident) for kind in Kind for ident in store.objects(kind)}
        lost = expected - back
        assert not lost, f"{len(lost)} of {len(expected)} undamaged objects did not come back"
        assert said.objects == len(back)
        listed = {row.id.hex() for row in store.manifests()}
        for hash_ in listed:
            assert content_of(store, hash_) == original.known[hash_]
        if expected == original.places.keys():
            assert listed == original.known.keys()
    shutil.rmtree(folder)
    return len(back)


def test_meta_root_branch_and_leaf_pages_are_not_needed(
    original: Original, quick_path: Path, summary: Callable[[str], None]
) -> None:
    of = original.pages_of
    assert of("branch", database="index")
    first, second = of("meta")
    cases = {
        "first meta page": [first],
        "second meta page": [second],
        "both meta pages": [first, second],
        "all root pages": of("root"),
        "all branch pages": of("branch"),
        "all leaf pages": of("leaf"),
        "everything but segments": of("meta", "root", "branch", "leaf"),
    }
    cases |= {
        f"{page.role} {page.database} {page.number}": [page]
        for page in of("root", "branch", "leaf")
    }
    for number, pages in enumerate(cases.values()):
        back = _check(original, _whole(pages), quick_path / f"{number}")
        assert back == len(original.places)
    summary(
        f"salvage without meta, root, branch, leaf pages: {len(cases)} cases, each brings back "
        f"all {len(original.places)} objects"
    )


def test_all_undamaged_objects_of_damaged_segments_are_salvaged(
    original: Original, quick_path: Path, summary: Callable[[str], None]
) -> None:
    rng = random.Random(_SEED)
    pages = [
        (number * PAGE_BYTES, (number + 1) * PAGE_BYTES)
        for page in original.pages_of("value", database="segments")
        for number in range(page.number, page.number + page.span)
    ]
    hard_links = [
        (page.number * PAGE_BYTES, (page.number + 1) * PAGE_BYTES)
        for page in original.pages_of("value", database="segments")
    ]
    cases = [[page] for page in hard_links] + [hard_links]
    cases += [rng.sample(pages, rng.choice([1, 2, 5, 20, 60])) for _ in range(60)]
    for _ in range(60):
        starts = [rng.randrange(len(original.data)) for _ in range(rng.choice([1, 3, 30]))]
        cases.append([(at, min(at + rng.choice([1, 7, 512]), len(original.data))) for at in starts])
    fewest = min(
        _check(original, case, quick_path / f"{number}") for number, case in enumerate(cases)
    )
    summary(
        f"salvage of damaged segments: {len(cases)} cases, seed {_SEED}, every undamaged object "
        f"came back, {fewest} of {len(original.places)} at least"
    )


def test_everything_left_in_a_truncated_file_is_salvaged(
    original: Original, quick_path: Path, summary: Callable[[str], None]
) -> None:
    rng = random.Random(_SEED + 1)
    sizes = [0, 1, PAGE_BYTES, 2 * PAGE_BYTES - 1]
    sizes += [rng.randrange(len(original.data)) for _ in range(30)]
    for number, size in enumerate(sizes):
        folder = quick_path / f"{number}"
        folder.mkdir()
        (folder / "broken.mdb").write_bytes(original.data[:size])
        with LmdbStore.open(folder / "new", create=True) as store:
            salvage(folder / "broken.mdb", store)
            back = {(kind, ident) for kind in Kind for ident in store.objects(kind)}
            assert original.undamaged([(size, len(original.data))]) <= back
        shutil.rmtree(folder)
    summary(f"salvage of truncated files: {len(sizes)} sizes, every undamaged object came back")


def test_the_command_salvages_a_store_that_cannot_be_opened(
    original: Original, tmp_path: Path, summary: Callable[[str], None]
) -> None:
    of = original.pages_of
    broken = tmp_path / "broken"
    shutil.copytree(original.path, broken)
    damaged = _whole(of("meta", "root", "branch"))
    (broken / "data.mdb").write_bytes(_damage(original.data, damaged))
    with pytest.raises(CasyncError):
        LmdbStore.open(broken).close()
    refused = run("verify", "--store", broken)
    assert refused.returncode == 4
    assert b"--salvage" in refused.stderr

    new = tmp_path / "new"
    done = run("store", "reindex", "--salvage", broken / "data.mdb", "--store", new, "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["objects"] == len(original.places)
    assert run("verify", "--store", new).returncode == 0
    for hash_, data in original.known.items():
        assert run("cat", "--store", new, hash_).stdout == data
    names = run("ls", "--store", new).stdout.decode()
    assert "disk/0" in names
    assert "disk/1" in names
    summary(f"salvage by command: all {len(original.places)} objects, all names")
