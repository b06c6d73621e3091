"""The walk below a tree: each folder once, many with one fetch, and on past what cannot be read."""

from __future__ import annotations

import pytest

from casync.errors import CasyncError, MalformedError, NoObjectError
from casync.ids import ChunkId, chunk_id
from casync.limits import MAX_TREE_DEPTH, MAX_TREE_PATH
from casync.objects.below import Below, Reached
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.manifest import Manifest
from casync.objects.node import EMPTY, Content
from tests.support.tree_entries import CONTENT
from tests.support.tree_objects import Objects, file, folder


@pytest.fixture
def objects() -> Objects:
    return Objects()


def contents_of(manifest: Manifest, objects: Objects) -> list[Content]:
    found: list[Content] = []
    for batch in Below(objects.fetch).contents(manifest):
        assert not isinstance(batch, CasyncError)
        found += batch
    return found


def chunks_of(reached: list[Reached]) -> set[bytes]:
    return {chunk.id for found in reached for chunk in found.chunks}


def check_all(manifest: Manifest, objects: Objects) -> None:
    for reached in Below(objects.fetch, strict=True).walk(manifest):
        reached.check()


def chain(objects: Objects, name: bytes, depth: int) -> Manifest:
    """A tree of `depth` nested folders, the root included, and a file in the last."""
    content = objects.folder(file(b"f"))
    for _ in range(depth - 1):
        content = objects.folder(folder(name, content))
    return objects.tree_of(content)


def test_contents_come_with_folders_once(objects: Objects) -> None:
    inner = objects.folder(file(b"a"))
    top = objects.folder(folder(b"x", inner), folder(b"y", inner), file(b"z", EMPTY))
    manifest = objects.tree_of(top)
    found = contents_of(manifest, objects)
    assert sorted(found, key=repr) == sorted([manifest.content, top, inner, CONTENT], key=repr)
    assert len(objects.fetched) == len(set(objects.fetched)) == 3
    assert contents_of(Manifest("file", DEFAULT_PARAMS, CONTENT), objects) == [CONTENT]


def test_a_folder_that_repeats_exponentially_is_read_once(objects: Objects) -> None:
    content = objects.folder(file(b"a"))
    for _ in range(100):
        content = objects.folder(*(folder(b"%03d" % number, content) for number in range(50)))
    assert len(contents_of(objects.tree(folder(b"bomb", content)), objects)) == 104


def test_folders_side_by_side_come_with_one_fetch(objects: Objects) -> None:
    inside = [
        folder(b"%04d" % n, objects.folder(file(b"%04d" % n, Content(0, chunk_id(b"%d" % n), 1))))
        for n in range(900)
    ]
    reached = list(Below(objects.fetch).walk(objects.tree(*inside)))
    assert {chunk_id(b"%d" % n) for n in range(900)} < chunks_of(reached)
    assert objects.calls == 3


def test_the_walk_goes_on_past_folders_that_cannot_be_read(objects: Objects) -> None:
    good = [objects.folder(file(b"f", Content(0, chunk_id(b"%d" % n), 1))) for n in range(3)]
    lost = objects.folder(file(b"lost"))
    del objects.plain[ChunkId(lost.id)]
    torn = objects.content(b"\x05\x00\x00\x00torn"[:-2])
    wrong = objects.content(b"\x02\x00\x00\x00{}" + b"\x00" * 8)
    names = iter(b"abcdef")
    contents = good[0], lost, good[1], torn, wrong, good[2]
    inside = [folder(b"%c" % next(names), content) for content in contents]
    reached = list(Below(objects.fetch).walk(objects.tree(*inside)))
    assert {chunk_id(b"%d" % n) for n in range(3)} < chunks_of(reached)
    faults = [found for found in reached if found.fault is not None]
    kinds = [type(found.fault) for found in faults]
    assert kinds == [MalformedError, MalformedError, NoObjectError]
    with pytest.raises(NoObjectError, match=lost.id.hex()):
        faults[-1].check()


def test_a_second_walk_reads_only_what_is_new_until_that_is_forgotten(objects: Objects) -> None:
    inner = objects.folder(file(b"a"))
    below = Below(objects.fetch)
    list(below.walk(objects.tree(folder(b"x", inner))))
    size = below.size
    second = objects.tree(folder(b"x", inner), folder(b"y", objects.folder(file(b"b"))))
    for _ in range(2):
        objects.fetched = []
        list(below.walk(second))
        assert len(objects.fetched) == 3
        below.forget(size)
    objects.fetched = []
    below.forget((0, 0))
    list(below.walk(second))
    assert len(objects.fetched) == 4


def test_a_tree_too_deep_is_refused_at_the_limit(objects: Objects) -> None:
    check_all(chain(objects, b"d", MAX_TREE_DEPTH), objects)
    manifest = chain(objects, b"d", 3 * MAX_TREE_DEPTH)
    objects.calls = 0
    with pytest.raises(MalformedError, match="nested folders"):
        check_all(manifest, objects)
    assert objects.calls <= MAX_TREE_DEPTH + 1
    assert not any(found.fault for found in Below(objects.fetch).walk(manifest))


def test_a_path_too_long_is_refused_at_the_limit(objects: Objects) -> None:
    name = b"n" * 255
    fits = MAX_TREE_PATH // (len(name) + 1)
    manifest = chain(objects, name, fits)
    check_all(manifest, objects)
    manifest = chain(objects, name, 2000)
    objects.calls = 0
    with pytest.raises(MalformedError, match="path of more than"):
        check_all(manifest, objects)
    assert objects.calls <= fits + 3
