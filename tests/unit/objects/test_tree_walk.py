"""Reading trees from untrusted objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from casync.errors import MalformedError, NoObjectError, NotFoundError, UsageError
from casync.ids import Kind, ObjectId, chunk_id
from casync.limits import MAX_TREE_DEPTH
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.manifest import Manifest
from casync.objects.node import EMPTY, Content, NodeBuilder, Run
from casync.objects.tree import Entry, File, Folder, Link, encode_entry, encode_root
from casync.objects.tree_walk import contents, entries, find, root_of, walk_tree
from tests.support.tree_entries import CONTENT, META


class Objects:
    """Objects by id, and how often each was fetched."""

    def __init__(self) -> None:
        self.plain: dict[ObjectId, bytes] = {}
        self.fetched: list[ObjectId] = []

    def fetch(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        self.fetched += ids
        return map(self.plain.get, ids)

    def content(self, data: bytes) -> Content:
        if not data:
            return EMPTY
        self.plain[chunk_id(data)] = data
        return Content(0, chunk_id(data), len(data))

    def folder(self, *inside: Entry) -> Content:
        return self.content(b"".join(map(encode_entry, inside)))

    def tree(self, *inside: Entry) -> Manifest:
        root = Folder(b"", META, self.folder(*inside))
        return Manifest("tree", DEFAULT_PARAMS, self.content(encode_root(root)))


def file(name: bytes, content: Content = CONTENT) -> File:
    return File(name, META, None, content)


def folder(name: bytes, content: Content = EMPTY) -> Folder:
    return Folder(name, META, content)


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
        with pytest.raises(NotFoundError):
            find(root, missing, objects.fetch)


def test_contents_come_with_folders_once(objects: Objects) -> None:
    inner = objects.folder(file(b"a"))
    manifest = objects.tree(folder(b"x", inner), folder(b"y", inner), file(b"z", EMPTY))
    root = root_of(manifest, objects.fetch)
    objects.fetched = []
    found = list(contents(manifest, objects.fetch))
    assert sorted(found, key=repr) == sorted(
        [manifest.content, root.content, inner, CONTENT, EMPTY], key=repr
    )
    assert len(objects.fetched) == len(set(objects.fetched)) == 3
    plain = Manifest("file", DEFAULT_PARAMS, CONTENT)
    assert list(contents(plain, objects.fetch)) == [CONTENT]


def test_a_folder_that_repeats_exponentially_is_read_once(objects: Objects) -> None:
    content = objects.folder(file(b"a"))
    for _ in range(100):
        content = objects.folder(*(folder(b"%03d" % number, content) for number in range(50)))
    manifest = objects.tree(folder(b"bomb", content))
    assert len(list(contents(manifest, objects.fetch))) == 104


def test_the_depth_of_a_walk_is_bounded(objects: Objects) -> None:
    content = EMPTY
    for _ in range(MAX_TREE_DEPTH - 1):
        content = objects.folder(folder(b"d", content))
    root = Folder(b"", META, content)
    assert sum(1 for _ in walk_tree(root, objects.fetch)) == MAX_TREE_DEPTH - 1
    deeper = Folder(b"", META, objects.folder(folder(b"d", objects.folder(folder(b"d", content)))))
    with pytest.raises(MalformedError, match="inside each other"):
        list(walk_tree(deeper, objects.fetch))


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
