"""Trees from buckets: which path a key gets, changes during a read, and how much is read."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from casync.errors import (
    NotFoundError,
    PartialError,
    SourceChangedError,
    UsageError,
    WriteError,
)
from casync.fs import sorted_rows
from casync.fs.exclude import Exclusion
from casync.fs.scan_cache import ScanCache
from casync.objects.chunker import ChunkerParams
from casync.ops.prepare.address import prepare_address
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.key_listing import KeyListing, list_objects
from casync.ops.prepare.object import prepare_object
from casync.ops.prepare.prefix import prepare_prefix
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled
from tests.support.memory_source import MemorySource

PARAMS = ChunkerParams(1024, 4096, 16384)
LARGE = random.Random(1).randbytes(9_000_000)
KEYS = ("p/a", "p/a-b", "p/a.d/x", "p/a0", "p/d-e", "p/d/e/f", "p/d/g", "p/d.h/i", "p/\u00fc/j")


class Site:
    """A bucket, a store and a scan cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bucket = MemorySource()
        self.store = MemoryStore()
        self.scan_cache = ScanCache(folder / "seen")
        self._copies = 0

    def prepare(self, prefix: str = "p/", *exclude: str, reread: bool = False) -> FolderPrepared:
        return prepare_prefix(
            self.bucket,
            prefix,
            self.store,
            PrepareOptions(params=PARAMS, reread=reread, workers=1),
            excluded=Exclusion(exclude),
            scan_cache=self.scan_cache,
        )

    def files(self, prepared: FolderPrepared) -> dict[str, bytes]:
        """The files of a pulled tree, by path."""
        self._copies += 1
        target = self.folder / f"copy{self._copies}"
        pulled(prepared.manifest, target, None, self.store)
        found = [path for path in target.rglob("*") if path.is_file()]
        return {str(path.relative_to(target)): path.read_bytes() for path in found}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def filled(site: Site) -> dict[str, bytes]:
    contents = {key: key.encode() * 400 for key in KEYS} | {"p/large": LARGE, "p/nothing": b""}
    for key, data in contents.items():
        site.bucket.put(key, data)
    site.bucket.put("pp", b"elsewhere")
    return {key.removeprefix("p/"): data for key, data in contents.items()}


@pytest.mark.parametrize("rows", [1, 3, 100_000])
def test_keys_become_paths(site: Site, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_rows, "_PART_ROWS", rows)
    contents = filled(site)
    prepared = site.prepare()
    assert prepared.left_out == []
    assert site.files(prepared) == contents
    assert prepared.files == len(contents)
    assert prepared.folders == 6
    assert prepared.length == sum(map(len, contents.values()))


def test_unchanged_objects_are_not_read(site: Site) -> None:
    contents = filled(site)
    first = site.prepare()
    site.bucket.reads.clear()
    again = site.prepare()
    assert (again.manifest, again.unchanged) == (first.manifest, len(contents))
    assert site.bucket.reads == []
    site.bucket.put("p/d/g", b"other")
    changed = site.prepare()
    assert {key for key, _, _ in site.bucket.reads} == {"p/d/g"}
    assert site.files(changed) == contents | {"d/g": b"other"}
    site.bucket.reads.clear()
    assert site.prepare(reread=True).manifest == changed.manifest
    assert len({key for key, _, _ in site.bucket.reads}) == len(contents) - 1  # one is empty


def test_large_objects_are_read_in_ranges(site: Site) -> None:
    filled(site)
    site.prepare()
    ranges = sorted((start, end) for key, start, end in site.bucket.reads if key == "p/large")
    assert len(ranges) == 3
    assert [end for _, end in ranges[:-1]] == [start for start, _ in ranges[1:]]
    assert (ranges[0][0], ranges[-1][1]) == (0, len(LARGE))


@pytest.mark.parametrize(("key", "new"), [("p/a", b"new"), ("p/large", LARGE[1:])])
def test_an_object_that_changes_once_is_read_again(site: Site, key: str, new: bytes) -> None:
    contents = filled(site)
    left = [new]

    def change(read: str, start: int) -> None:
        if read == key and left:
            site.bucket.put(key, left.pop())

    site.bucket.before_read = change
    prepared = site.prepare()
    assert prepared.left_out == []
    assert site.files(prepared) == contents | {key.removeprefix("p/"): new}


def test_an_object_that_keeps_changing_between_its_ranges_is_left_out(site: Site) -> None:
    contents = filled(site)
    numbers = iter(range(1000))

    def change(read: str, start: int) -> None:
        if start:
            site.bucket.put(read, b"%d" % next(numbers) + LARGE)

    site.bucket.before_read = change
    prepared = site.prepare()
    assert [path for path, _ in prepared.left_out] == [b"large"]
    del contents["large"]
    assert site.files(prepared) == contents


def test_a_small_object_that_changes_after_it_was_listed_is_read_as_it_is_now(site: Site) -> None:
    contents = filled(site)
    site.bucket.before_read = lambda key, start: site.bucket.put("p/a", b"new")
    prepared = site.prepare()
    assert prepared.left_out == []
    assert site.files(prepared) == contents | {"a": b"new"}


@pytest.mark.parametrize("key", ["p/a", "p/large"])
def test_an_object_that_vanishes_is_left_out(site: Site, key: str) -> None:
    filled(site)

    def vanish(read: str, start: int) -> None:
        if read == key and site.bucket.find(key):
            site.bucket.remove(key)

    site.bucket.before_read = vanish
    assert [path for path, _ in site.prepare().left_out] == [key[2:].encode()]


def test_keys_that_are_not_paths_are_left_out(site: Site) -> None:
    contents = filled(site)
    site.bucket.put("p/marked/", b"")
    site.bucket.put("p/", b"")
    site.bucket.put("p/d/", b"")
    site.bucket.put("p/bytes/", b"1")
    site.bucket.put("p/a/child", b"2")
    site.bucket.put("p/" + "n" * 256, b"3")
    site.bucket.put("p/d.h/i/", b"4")
    prepared = site.prepare()
    left_out = {path for path, _ in prepared.left_out}
    assert left_out == {b"bytes", b"a", b"n" * 256, b"d.h/i"}
    del contents["a"]
    assert site.files(prepared) == contents | {"a/child": b"2"}
    site.bucket.put("p/d//x", b"5")
    assert {path for path, _ in site.prepare().left_out} == left_out | {b"d"}
    del contents["d/e/f"], contents["d/g"]
    assert site.files(site.prepare()) == contents | {"a/child": b"2"}
    with pytest.raises(PartialError):
        site.prepare("p/d/")


def test_a_listing_without_sizes_costs_a_request_for_each_object(site: Site) -> None:
    """H3: web servers list names; unchanged objects are still not read."""
    site.bucket.lists_sizes = False
    contents = filled(site)
    first = site.prepare("p/", "/d/")
    expected = {key: data for key, data in contents.items() if not key.startswith("d/")}
    assert site.files(first) == expected
    assert not any(key.startswith("p/d/") for key in site.bucket.finds)
    site.bucket.reads.clear()
    again = site.prepare("p/", "/d/")
    assert (again.manifest, again.unchanged) == (first.manifest, len(expected))
    assert site.bucket.reads == []
    site.bucket.put("p/a", b"new")
    assert site.files(site.prepare("p/", "/d/")) == expected | {"a": b"new"}
    assert {key for key, _, _ in site.bucket.reads} == {"p/a"}


def test_exclusions_leave_keys_out(site: Site) -> None:
    contents = filled(site)
    prepared = site.prepare("p/", "/d/", "large", "x")
    assert set(site.files(prepared)) == set(contents) - {"d/e/f", "d/g", "large", "a.d/x"}
    site.bucket.put("p/marked/", b"")
    assert site.prepare().folders == site.prepare("p/", "marked/").folders + 1


def test_an_empty_object_that_grows_beyond_memory_is_left_out(site: Site) -> None:
    site.bucket.put("p/empty", b"")
    listed = list(site.bucket.list_below("p/"))
    site.bucket.put("p/empty", LARGE)
    site.bucket.list_below = lambda prefix: iter(listed)  # type: ignore[method-assign]
    prepared = site.prepare()
    assert [path for path, _ in prepared.left_out] == [b"empty"]
    assert site.bucket.reads == []


def test_a_prefix_without_keys_is_an_error(site: Site) -> None:
    with pytest.raises(NotFoundError):
        site.prepare()
    site.bucket.put("x/y", b"1")
    assert site.files(site.prepare("")) == {"x/y": b"1"}


def test_listings_are_merged_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_rows, "_PART_ROWS", 7)
    bucket = MemorySource()
    rng = random.Random(2)
    keys = {"".join(rng.choices("ab/-.", k=9)).strip("/").replace("//", "/") for _ in range(300)}
    keys = {key for key in keys if "//" not in key}
    for key in keys:
        bucket.put(key, b"1")
    with KeyListing("") as listing:
        list_objects(bucket, listing)
        paths = [path for path, _ in listing]
    assert paths == sorted((key.encode() for key in keys), key=lambda path: path.split(b"/"))


def test_a_list_of_keys_that_cannot_be_written_is_an_error(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorted_rows, "_PART_ROWS", 2)
    monkeypatch.setattr(tempfile, "tempdir", str(site.folder / "nowhere"))
    filled(site)
    with pytest.raises(WriteError, match="list of keys"):
        site.prepare()


def test_one_object_that_changes_once_is_read_again(site: Site) -> None:
    site.bucket.put("one", LARGE)

    def prepare() -> bool:
        listed = site.bucket.find("one")
        assert listed is not None
        return prepare_object(
            site.bucket,
            listed,
            site.store,
            PrepareOptions(params=PARAMS, workers=1),
            scan_cache=site.scan_cache,
        ).unchanged

    assert not prepare()
    assert prepare()
    numbers = iter(range(1000))
    left = [b"new" + LARGE]

    def change_once(read: str, start: int) -> None:
        if left:
            site.bucket.put("one", left.pop())

    site.bucket.put("one", b"newer" + LARGE)
    site.bucket.before_read = change_once
    assert not prepare()
    assert prepare()

    def change(read: str, start: int) -> None:
        if start:
            site.bucket.put(read, b"%d" % next(numbers) + LARGE)

    site.bucket.before_read = change
    site.bucket.put("one", LARGE)
    with pytest.raises(SourceChangedError):
        prepare()


def test_a_key_is_an_object_or_else_a_prefix(site: Site) -> None:
    contents = filled(site)

    def prepare(key: str, *exclude: str) -> Prepared | FolderPrepared:
        return prepare_address(
            site.bucket,
            key,
            site.store,
            PrepareOptions(params=PARAMS, workers=1),
            excluded=Exclusion(exclude),
            scan_cache=site.scan_cache,
        )

    file = prepare("p/a")
    assert isinstance(file, Prepared)
    assert file.length == len(contents["a"])
    for key in ("p", "p/"):
        folder = prepare(key)
        assert isinstance(folder, FolderPrepared)
        assert site.files(folder) == contents
    with pytest.raises(UsageError) as raised:
        prepare("p/a", "*.o")
    assert raised.value.next_step == "Write s3://memory/p/a/."
    with pytest.raises(NotFoundError) as missing:
        prepare("nothing")
    assert missing.value.next_step == "Check the address."


def test_a_key_that_no_pull_could_make_is_left_out(site: Site) -> None:
    for key in ("p/.casync-part", "p/a", "p/d/.casync-part/b"):
        site.bucket.put(key, b"x")
    done = site.prepare()
    left_out = {path for path, _ in done.left_out}
    assert left_out == {b".casync-part", b"d/.casync-part"}
    assert site.files(done) == {"a": b"x"}
