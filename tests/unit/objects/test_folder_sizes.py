"""How many bytes the files below a folder have."""

from __future__ import annotations

import pytest

from casync.errors import MalformedError, NoObjectError
from casync.ids import Kind
from casync.limits import MAX_TREE_DEPTH
from casync.objects.folder_sizes import FolderSizes
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content
from casync.objects.tree import File
from casync.store.memory import MemoryStore
from casync.store.proved import ProvedReader
from tests.support.damaging import put
from tests.support.tree_entries import META
from tests.support.tree_objects import Objects, file, folder


def test_files_of_all_folders_count_and_hard_links_count_once() -> None:
    objects = Objects()
    data = objects.content(b"x" * 1000)
    again = File(b"b", META, b"a", data)
    sub = folder(b"sub", objects.folder(file(b"c", objects.content(b"y" * 30))))
    tree = objects.tree(file(b"a", data), again, sub, folder(b"without"))
    sizes = FolderSizes(objects.fetch)
    assert sizes.of_manifest(tree) == 1030
    assert sizes.of(sub.content) == 30


def test_a_folder_that_takes_too_many_reads_has_no_size() -> None:
    objects = Objects()
    data = objects.content(b"x" * 10)
    small = folder(b"a", objects.folder(file(b"f", data)))
    large = folder(b"b", objects.folder(*(file(b"%05d" % n, data) for n in range(9000))))
    assert large.content.length > 5 * 64 * 1024
    deep = folder(b"c", objects.folder(folder(b"d", objects.folder(file(b"e", data)))))
    top = objects.folder(small, large, deep)
    sizes = FolderSizes(objects.fetch, 5)
    assert sizes.of(large.content) is None
    assert objects.fetched == []
    assert sizes.of(top) is None
    assert sizes.of(small.content) == 10
    assert sizes.of(deep.content) == 20 // 2
    assert FolderSizes(objects.fetch).of(top) == 90_020


def test_each_distinct_folder_is_read_once() -> None:
    objects = Objects()
    content = objects.folder(file(b"f", objects.content(b"z")))
    for _ in range(MAX_TREE_DEPTH - 2):  # 2 to the power of that paths lead to the file
        content = objects.folder(folder(b"a", content), folder(b"b", content))
    sizes = FolderSizes(objects.fetch)
    assert sizes.of(content) == 2 ** (MAX_TREE_DEPTH - 2)
    assert len(objects.fetched) == MAX_TREE_DEPTH - 1


def test_a_tree_that_is_too_deep_is_refused() -> None:
    objects = Objects()
    content = objects.folder()
    for _ in range(MAX_TREE_DEPTH + 1):
        content = objects.folder(folder(b"a", content))
    with pytest.raises(MalformedError, match="nested folders"):
        FolderSizes(objects.fetch).of(content)


def test_a_missing_folder_is_an_error() -> None:
    with pytest.raises(NoObjectError):
        FolderSizes(Objects().fetch).of(Content(0, bytes(32), 10))


def test_a_file_has_its_own_length() -> None:
    store = MemoryStore()
    reader = ProvedReader(store)
    manifest = decode_manifest(reader.one(Kind.MANIFEST, put(store, b"content")))
    assert FolderSizes(reader.plain).of_manifest(manifest) == 7
