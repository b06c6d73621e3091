"""A pull passes over folders that are on disk as the tree has them, and over no others."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from casync.fs.scan_cache import ScanCache
from casync.fs.source.file import coarse_clock
from casync.fs.target.publish import PublishQueue
from casync.ids import ManifestId
from casync.objects import tree
from casync.objects.tree import Entry
from casync.ops.pull_folder.pull import FolderPulled
from casync.ops.pull_folder.survey import CERTAIN, is_in_state, mark_of_written
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled, seen
from tests.support.pulling import MemoryServer
from tests.support.rights import needs_root
from tests.support.tree_worlds import prepared

_FOLDERS = ("a", "b", "b/inner", "c")


class World:
    """A folder, and a copy of it that was pulled twice, so that its folders are settled."""

    def __init__(self, place: Path, decodes: Counter[bytes]) -> None:
        self.root = place / "root"
        self.target = place / "target"
        self.decodes = decodes
        self.server = MemoryServer()
        self.store = MemoryStore()
        self.scan_cache = ScanCache(place / "seen")
        for folder in _FOLDERS:
            (self.root / folder).mkdir(parents=True)
            for number in range(3):
                path = self.root / folder / f"{folder.replace('/', '-')} {number}"
                path.write_bytes(f"{folder} {number}".encode())
        (self.root / "c" / "c link").symlink_to("nowhere")
        self.pull()
        self.pull()

    def prepare(self) -> ManifestId:
        return prepared(self.root, self.server).manifest

    def pull(self, *, exact: bool = False, delete: bool = True) -> FolderPulled:
        ident = self.prepare()
        self.decodes.clear()
        return pulled(
            ident,
            self.target,
            self.server,
            self.store,
            scan_cache=self.scan_cache,
            exact=exact,
            delete=delete,
        )

    def passed_over(self) -> set[str]:
        """The folders whose entries the last pull has not decoded."""
        return {
            folder
            for folder in _FOLDERS
            if not self.decodes[f"{folder.replace('/', '-')} 0".encode()]
        }


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    decodes: Counter[bytes] = Counter()
    decoded = tree._decoded

    def counted(body: bytes) -> Entry:
        entry = decoded(body)
        decodes[entry.name] += 1
        return entry

    monkeypatch.setattr(tree, "_decoded", counted)
    return World(tmp_path, decodes)


def test_nothing_of_an_unchanged_folder_is_decoded(world: World) -> None:
    result = world.pull()
    assert world.passed_over() == set(_FOLDERS)
    assert (result.files, result.kept, result.others) == (0, 12, 0)


def test_only_the_changed_folder_is_decoded(world: World) -> None:
    (world.root / "a" / "a 1").write_bytes(b"changed")
    result = world.pull()
    assert world.passed_over() == {"b", "b/inner", "c"}
    assert (result.files, result.kept) == (1, 11)
    assert seen(world.target) == seen(world.root)
    world.pull()
    world.pull()
    assert world.passed_over() == set(_FOLDERS)


def _rewrite(target: Path) -> None:
    path = target / "b" / "inner" / "b-inner 1"
    before = path.stat()
    path.write_bytes(b"B/INNER 1")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove(target: Path) -> None:
    (target / "b" / "inner" / "b-inner 2").unlink()


def _add(target: Path) -> None:
    (target / "b" / "inner" / "extra").write_bytes(b"extra")


def _change_mode(target: Path) -> None:
    (target / "b" / "inner" / "b-inner 2").chmod(0o600)


def _change_attribute(target: Path) -> None:
    os.setxattr(target / "b" / "inner" / "b-inner 2", "user.x", b"1")


def _change_folder(target: Path) -> None:
    (target / "b" / "inner").chmod(0o700)


def _link_elsewhere(target: Path) -> None:
    os.link(target / "b" / "inner" / "b-inner 2", target.parent / "elsewhere")


def _replace_by_link(target: Path) -> None:
    os.rename(target / "b" / "inner", target.parent / "moved")
    (target / "b" / "inner").symlink_to(target.parent / "moved")


def _swap(target: Path) -> None:
    inner = target / "b" / "inner"
    os.rename(inner / "b-inner 1", inner / "x")
    os.rename(inner / "b-inner 2", inner / "b-inner 1")
    os.rename(inner / "x", inner / "b-inner 2")


@pytest.mark.parametrize(
    "change",
    [
        _rewrite, _remove, _add, _change_mode, _change_attribute, _change_folder, _link_elsewhere,
        _replace_by_link, _swap,
    ],
)  # fmt: skip
def test_every_change_on_disk_is_seen(world: World, change: Callable[[Path], None]) -> None:
    change(world.target)
    world.pull()
    assert world.passed_over() == {"a", "c"}
    assert seen(world.target) == seen(world.root)
    assert (world.target / "b" / "inner" / "b-inner 2").stat().st_nlink == 1


def test_a_change_of_the_metadata_of_a_folder_in_the_tree_is_seen(world: World) -> None:
    (world.root / "b").chmod(0o750)
    world.pull()
    assert world.passed_over() == {"a", "b/inner", "c"}
    assert seen(world.target) == seen(world.root)


def test_extra_entries_that_stay_are_counted(world: World) -> None:
    (world.target / "a" / "extra").mkdir()
    for _ in range(2):
        assert world.pull(delete=False).removed == 0
        assert world.passed_over() == {"b", "b/inner", "c"}


@needs_root
def test_what_was_compared_without_exact_is_compared_again_with_it(world: World) -> None:
    os.chown(world.root / "a" / "a 1", 4321, 4321)
    world.pull()
    assert (world.target / "a" / "a 1").stat().st_uid != 4321
    world.pull(exact=True)
    assert not world.passed_over()
    assert (world.target / "a" / "a 1").stat().st_uid == 4321
    world.pull(exact=True)
    assert world.passed_over() == set(_FOLDERS)


def test_what_was_found_a_moment_after_it_changed_is_compared_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(world.target)
    shutil.copytree(world.root, world.target, symlinks=True)
    with monkeypatch.context() as patch:
        patch.setattr("tests.support.folder_worlds.later", coarse_clock)
        for _ in range(2):
            assert world.pull().files == 0
            assert not world.passed_over()
    world.pull()
    world.pull()
    assert world.passed_over() == set(_FOLDERS)


def test_what_a_pull_wrote_is_not_compared_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(world.target)
    monkeypatch.setattr("tests.support.folder_worlds.later", coarse_clock)
    assert world.pull().files == 12
    assert world.pull().kept == 12
    assert world.passed_over() == set(_FOLDERS)
    (world.root / "a" / "a 1").write_bytes(b"changed")
    assert world.pull().files == 1
    assert world.passed_over() == {"b", "b/inner", "c"}


@pytest.mark.parametrize("content", [b"A 1", b"of another size"])
def test_a_file_that_changes_while_its_folder_is_pulled_is_not_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (world.root / "a" / "a 1").write_bytes(b"new")
    place = PublishQueue.place

    def place_and_change(queue: PublishQueue, name: bytes, path: bytes) -> os.stat_result:
        status = place(queue, name, path)
        (world.target / "a" / "a 1").write_bytes(content)
        return status

    with monkeypatch.context() as patch:
        patch.setattr(PublishQueue, "place", place_and_change)
        world.pull()
    world.pull()
    assert "a" not in world.passed_over()
    assert seen(world.target) == seen(world.root)


@pytest.mark.parametrize(("mtime_ns", "is_certain"), [(4, True), (5, False), (6, True)])
def test_a_written_file_is_certain_unless_its_time_is_that_of_writing(
    tmp_path: Path, mtime_ns: int, is_certain: bool
) -> None:
    times = {"st_atime_ns": 0, "st_mtime_ns": mtime_ns, "st_ctime_ns": 5}
    status = os.stat_result(tuple(tmp_path.stat())[:10], times)
    assert bool(mark_of_written(status) & CERTAIN) == is_certain
    assert is_in_state(status, mark_of_written(status))


def test_hard_links_may_lead_into_every_folder(world: World) -> None:
    os.link(world.root / "a" / "a 1", world.root / "c" / "d")
    assert world.pull().others == 1
    assert seen(world.target) == seen(world.root)
    world.pull()
    assert not world.passed_over()
    assert seen(world.target) == seen(world.root)
    (world.root / "c" / "d").unlink()
    for _ in range(3):
        world.pull()
    assert world.passed_over() == set(_FOLDERS)
    assert seen(world.target) == seen(world.root)


def test_copies_of_files_in_settled_folders_are_not_fetched(world: World) -> None:
    (world.root / "a" / "copy").write_bytes((world.root / "b" / "inner" / "b-inner 1").read_bytes())
    result = world.pull()
    assert result.files == 1
    assert result.sources == {"seed": 9}


def test_a_settled_folder_need_not_be_in_the_store(world: World) -> None:
    world.store = MemoryStore()
    (world.root / "a" / "a 1").write_bytes(b"changed")
    world.pull()
    assert world.passed_over() == {"b", "b/inner", "c"}
    assert seen(world.target) == seen(world.root)


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
def test_damaged_notes_are_not_used(world: World, tmp_path: Path, cut: int) -> None:
    for path in (tmp_path / "seen").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - cut - 1] + b"\xff" + data[len(data) - cut :])
    (world.root / "a" / "a 1").write_bytes(b"changed")
    world.pull()
    assert seen(world.target) == seen(world.root)
