"""What changed from one folder to the next, or between two files."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from casync.access.endpoints import Endpoints
from casync.access.locate import fetch
from casync.access.tree_load import Tree
from casync.names.name import Ref
from casync.objects.node import Content
from casync.objects.tree import Entry
from casync.ops.inspect.diff import changes, differing_ranges
from casync.store.memory import MemoryStore
from tests.support.pulling import PARAMS, noise, outline_of, put
from tests.support.tree_worlds import age, prepared


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "same" / "deep").mkdir(parents=True)
    (root / "sub" / "gone").mkdir(parents=True)
    for name in ("a", "b", "same/deep/x", "sub/gone/y", "sub/z"):
        (root / name).write_bytes(noise(len(name), 3000))
    (root / "l").symlink_to("a")
    age(root)
    return root


def tree(root: Path, store: MemoryStore) -> Tree:
    ident = prepared(root, store).manifest
    found = fetch(Ref(manifest=ident), Endpoints(store, True, [store], []))
    assert isinstance(found, Tree)
    return found


def test_changes_of_a_folder(root: Path) -> None:
    store = MemoryStore()
    old = tree(root, store)
    (root / "a").chmod(0o600)
    with (root / "b").open("ab") as file:
        file.write(b"more")
    (root / "l").unlink()
    (root / "l").symlink_to("b")
    (root / "new").mkdir()
    (root / "new" / "file").write_bytes(b"12345")
    (root / "sub" / "gone" / "y").unlink()
    (root / "sub" / "gone").rmdir()
    (root / "sub" / "gone").write_bytes(b"a file now")
    age(root)
    new = tree(root, store)
    found = {os.fsdecode(change.path): change for change in changes(old, new)}
    assert list(found) == ["a", "b", "l", "new", "new/file", "sub/gone", "sub/gone/y"]
    assert found["a"].what == ["mode"]
    assert found["b"].what == ["content"]
    assert found["l"].what == ["target"]
    assert found["new/file"].old is None
    assert found["sub/gone"].what == ["kind"]
    assert found["sub/gone/y"].new is None
    back = {os.fsdecode(change.path): change for change in changes(new, old)}
    assert list(back) == list(found)
    assert all((back[p].old, back[p].new) == (found[p].new, found[p].old) for p in found)
    assert list(changes(new, new)) == []


def test_folders_that_are_the_same_are_not_walked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    old = tree(root, store)
    (root / "sub" / "z").chmod(0o600)
    new = tree(root, store)
    walked: list[bytes] = []
    entries = Tree.entries

    def note(self: Tree, content: Content) -> Iterator[Entry]:
        walked.append(content.id)
        return entries(self, content)

    monkeypatch.setattr(Tree, "entries", note)
    assert [change.path for change in changes(old, new)] == [b"sub/z"]
    assert len(walked) == 4  # both roots, both `sub`


@pytest.mark.parametrize("seed", range(20))
def test_ranges_of_files(seed: int) -> None:
    rng = random.Random(seed)
    old = bytearray(noise(seed, 200_000))
    old[50_000:50_000] = bytes(rng.randrange(10) * PARAMS.max_size)
    new = bytearray(old)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(new))
        new[at : at + rng.randrange(3) * 10] = rng.randbytes(rng.choice([0, 20, 5000]))
    store = MemoryStore()
    one, two = (outline_of(put(store, bytes(data)), store) for data in (old, new))
    found = list(differing_ranges(one, two))
    assert all(start < end for start, end in found)
    assert all(end < start for (_, end), (start, _) in pairwise(found))
    at = 0
    for start, end in [*found, (max(len(old), len(new)), 0)]:
        assert old[at:start] == new[at:start]
        at = end
    assert bool(found) == (old != new)
    around = sum(end - start for start, end in found)
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
    if len(old) == len(new) and first is not None:
        last = max(i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b)
        assert around <= last - first + 4 * PARAMS.max_size


def test_an_empty_file_differs_everywhere() -> None:
    store = MemoryStore()
    empty, some = (outline_of(put(store, data), store) for data in (b"", b"some"))
    assert list(differing_ranges(empty, some)) == [(0, 4)]
    assert list(differing_ranges(some, empty)) == [(0, 4)]
    assert list(differing_ranges(empty, empty)) == []
