"""A tree is built from events, whatever their source."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from casync.access.progress import SILENT
from casync.cutting.small import cut_small
from casync.errors import SourceChangedError, UsageError
from casync.objects.node import EMPTY
from casync.objects.tree import File, Folder, Link
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.prepare.tree_builder import (
    KnownEntry,
    Outcome,
    ReadFile,
    TreeBuilder,
    name_of,
    plain_meta,
)
from casync.store.memory import MemoryStore
from tests.support.tree_worlds import PARAMS, bytes_of, tree


def builder(store: MemoryStore) -> TreeBuilder:
    return TreeBuilder("archive", store, PrepareOptions(params=PARAMS), SILENT, readers=2)


def prepared(store: MemoryStore) -> FolderPrepared:
    """The tree of some members of an archive, from a source with little metadata."""
    with builder(store) as building:

        def read(path: bytes, data: bytes, mtime_ns: int) -> None:
            def cut() -> Outcome:
                return ReadFile(plain_meta(0o600, mtime_ns), cut_small(data, PARAMS), None, path)

            if not building.is_hard_link(path, path):
                building.put(path, building.readers.submit(cut))

        building.enter(b"")
        read(b"a", b"first", 30)
        building.enter(b"d", plain_meta(0o700, 5))
        read(b"d/b", b"second", 70)
        assert building.is_hard_link(b"d/c", b"a")
        building.leave()
        building.enter(b"e")
        link = Link(b"l", plain_meta(0o777, 50), None, b"a")
        building.put(b"e/l", KnownEntry(link))
        building.put(b"e/m", KnownEntry(Folder(b"m", plain_meta(0o755, 0), EMPTY)))
        building.leave()
        building.leave()
        return building.finish()


def test_any_source_of_events_makes_a_tree() -> None:
    store = MemoryStore()
    done = prepared(store)
    assert (done.files, done.folders, done.others, done.length) == (3, 4, 1, 11)
    found = tree(store, done.manifest)
    assert [*found] == [b"", b"a", b"d", b"d/b", b"d/c", b"e", b"e/l", b"e/m"]
    assert bytes_of(store, done.manifest, "d/b") == b"second"
    link = found[b"d/c"]
    assert isinstance(link, File)
    assert link.first == b"a"


def test_a_folder_without_metadata_has_the_time_of_its_newest_entry() -> None:
    store = MemoryStore()
    found = tree(store, prepared(store).manifest)
    times = {path: found[path].meta.mtime_ns for path in (b"", b"d", b"e")}
    assert times == {b"": 70, b"d": 5, b"e": 50}
    assert found[b"e"].meta.mode == 0o755


@pytest.mark.parametrize(
    ("error", "reason"),
    [(SourceChangedError("it changed"), "it changed"), (OSError(5, "cannot be read"), "cannot be")],
)
def test_an_unreadable_file_is_left_out_with_its_hard_links(error: Exception, reason: str) -> None:
    store = MemoryStore()
    with builder(store) as building:
        building.enter(b"")
        assert not building.is_hard_link(b"a", 1)
        failed: Future[Outcome] = Future()
        failed.set_exception(error)
        building.put(b"a", failed)
        assert building.is_hard_link(b"b", 1)
        for path in (b"c", b"n" * 256):
            entry = File(name_of(path), plain_meta(0o600, 1), None, EMPTY)
            building.put(path, KnownEntry(entry))
        nothing: Future[Outcome] = Future()
        nothing.set_result(None)
        building.put(b"z", nothing)
        building.leave()
        done = building.finish()
    assert [*tree(store, done.manifest)] == [b"", b"c"]
    assert [path for path, _ in done.left_out] == [b"a", b"b", b"n" * 256]
    assert reason in done.left_out[0].reason


def test_a_tree_has_no_digest() -> None:
    options = PrepareOptions(params=PARAMS, expect_sha256=bytes(32))
    with pytest.raises(UsageError, match="SHA-256"):
        TreeBuilder("archive", MemoryStore(), options, SILENT, readers=1)
