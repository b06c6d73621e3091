"""Reading trees from untrusted objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace

from casync.errors import MalformedError, NoObjectError, UsageError
from casync.ids import Kind, ObjectId, chunk_id
from casync.limits import KIB, MAX_BATCH_IDS, MAX_TREE_DEPTH, MAX_TREE_PATH, MIB
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.manifest import Manifest
from casync.objects.node import EMPTY, Content, NodeBuilder, Run
from casync.objects.tree import Folder, Link, Meta, encode_entry, encode_root
from casync.objects.tree_walk import entries, find, read_folders, root_of, tour, walk_tree
from tests.support.tree_entries import CONTENT, META
from tests.support.tree_objects import Objects, file, folder


@pytest.fixture
def objects() -> Objects:
    return Objects()


def test_a_walk_yields_paths(objects: Objects) -> None:
    inner = objects.folder(file(b"a"), folder(b"b"))
    manifest = objects.tree(file(b"m"), folder(b"n", inner), file(b"o"))
    root = root_of(manifest, objects.fetch)
    assert [b"/".join(path) for path, _ in walk_tree(root, objects.fetch)] == [
        b"m",
        b"n",
        b"n/a",
        b"n/b",
        b"o",
    ]


def test_an_entry_is_found_by_its_path(objects: Objects) -> None:
    inner = objects.folder(file(b"a"), folder(b"b"), Link(b"up", META, None, b".."))
    root = root_of(objects.tree(file(b"m"), folder(b"n", inner)), objects.fetch)
    assert find(root, b"", objects.fetch) == find(root, b"/", objects.fetch) == root
    assert find(root, b"n/a", objects.fetch) == find(root, b"/n//a/", objects.fetch) == file(b"a")
    for missing in (b"x", b"a", b"n/x", b"n/a/x", b"m/x", b"n/up/m", b"..", b"n/.", b"n/b/c"):
        assert find(root, missing, objects.fetch) is None


def test_the_depth_of_a_walk_is_bounded(objects: Objects) -> None:
    content = EMPTY
    for _ in range(MAX_TREE_DEPTH - 1):
        content = objects.folder(folder(b"d", content))
    root = Folder(b"", META, content)
    assert sum(1 for _ in walk_tree(root, objects.fetch)) == MAX_TREE_DEPTH - 1
    deeper = Folder(b"", META, objects.folder(folder(b"d", objects.folder(folder(b"d", content)))))
    with pytest.raises(MalformedError, match="nested folders"):
        list(walk_tree(deeper, objects.fetch))


def test_a_path_is_not_longer_than_readers_take(objects: Objects) -> None:
    name = b"n" * 200
    depth, rest = divmod(MAX_TREE_PATH, len(name) + 1)
    for last, fits in ((rest, True), (rest + 1, False)):
        content = objects.folder(file(b"f" * last))
        for _ in range(depth):
            content = objects.folder(folder(name, content))
        steps = tour(Folder(b"", META, content), objects.fetch)
        if fits:
            assert max(len(step.path) for step in steps) == MAX_TREE_PATH
        else:
            with pytest.raises(MalformedError, match="path of more than"):
                list(steps)


def test_a_file_is_no_folder(objects: Objects) -> None:
    with pytest.raises(UsageError):
        root_of(Manifest("file", DEFAULT_PARAMS, CONTENT), objects.fetch)
    for wrong in (b"no root", encode_entry(file(b"a")), encode_root(folder(b"")) + b"x"):
        manifest = Manifest("tree", DEFAULT_PARAMS, objects.content(wrong))
        with pytest.raises(MalformedError):
            root_of(manifest, objects.fetch)
    huge = Manifest("tree", DEFAULT_PARAMS, Content(3, chunk_id(b"x"), 2**40))
    with pytest.raises(MalformedError):
        root_of(huge, objects.fetch)


def test_missing_and_wrong_objects_are_errors(objects: Objects) -> None:
    first, second = encode_entry(file(b"a")), encode_entry(file(b"b"))
    made: dict[ObjectId, bytes] = {}
    builder = NodeBuilder(made.__setitem__)
    for part in (first, second):
        builder.add(Run(chunk_id(part), len(part), 1))
    content = builder.finish()
    with pytest.raises(NoObjectError, match="node"):
        list(entries(content, objects.fetch))
    objects.plain |= made
    objects.plain[chunk_id(first)] = first
    read = entries(content, objects.fetch)
    assert next(read) == file(b"a")
    with pytest.raises(NoObjectError, match="chunk"):
        next(read)
    objects.plain[chunk_id(second)] = second + b"x"
    with pytest.raises(MalformedError, match="bytes, not"):
        list(entries(content, objects.fetch))
    objects.plain[chunk_id(second)] = second
    assert list(entries(content, objects.fetch)) == [file(b"a"), file(b"b")]


def test_a_folder_of_one_byte_chunks_is_read_in_large_pieces(objects: Objects) -> None:
    inside = [
        Link(b"%03d" % number, _with_attributes(16 * KIB), None, b"target") for number in range(8)
    ]
    stream = b"".join(map(encode_entry, inside))
    content = objects.crumbs(stream)
    calls: list[Sequence[ObjectId]] = []

    def fetch(kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        if kind is Kind.CHUNK:
            calls.append(ids)
        return objects.fetch(kind, ids)

    assert list(entries(content, fetch)) == inside
    assert len(calls) <= len(stream) // (16 * MAX_BATCH_IDS) + 1
    assert all(len(ids) == len(set(ids)) for ids in calls)


def test_the_root_of_a_tree_may_be_one_byte_chunks(objects: Objects) -> None:
    root = Folder(b"", _with_attributes(64 * KIB), EMPTY)
    manifest = Manifest("tree", DEFAULT_PARAMS, objects.crumbs(encode_root(root)))
    assert root_of(manifest, objects.fetch) == root


def test_reading_a_folder_stops_between_pieces_however_long_its_entries_are(
    objects: Objects,
) -> None:
    long = Link(b"name", _with_attributes(3 * 16 * MAX_BATCH_IDS), None, b"target")
    content = objects.crumbs(encode_entry(long))
    steps = [entry for _, entry in read_folders([content], objects.fetch, 4 * MIB)]
    assert [entry for entry in steps if entry is not None] == [long]
    assert steps.count(None) == 4


def _with_attributes(size: int) -> Meta:
    return replace(META, attributes=((b"user.large", bytes(range(256)) * (size // 256)),))
