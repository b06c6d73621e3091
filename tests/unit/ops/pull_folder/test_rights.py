"""Folders that their owner may not list, enter or change are pulled like any others."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.access.endpoints import Endpoints
from casync.access.locate import fetch
from casync.access.tree_load import Tree
from casync.errors import DeniedError, UsageError
from casync.ids import ManifestId
from casync.names.name import Ref
from casync.objects.tree import File, Folder
from casync.ops.inspect.check import check_folder
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled
from tests.support.forged_trees import META, Forger
from tests.support.rights import ROOT

MODES = [0o000, 0o300, 0o400, 0o555, 0o600]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of an ordinary user, who this process is as long as the test runs."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        if ROOT:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if ROOT:
                os.seteuid(0)
            else:
                for folder, _, _ in os.walk(name, onerror=lambda error: None):
                    os.chmod(folder, 0o700)


def tree_of(server: Forger, mode: int, root_mode: int, data: bytes) -> ManifestId:
    """A file in a folder inside a folder, both of one mode, with a hard link outside."""
    meta = replace(META, mode=mode)
    file = File(b"x", replace(META, mode=0o644), None, server.chunk(data))
    inner = Folder(b"b", meta, server.folder([file]))
    outer = Folder(b"a", meta, server.folder([inner]))
    link = replace(file, name=b"y", first=b"a/b/x")
    return server.tree([outer, link], replace(META, mode=root_mode))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def opened(target: Path) -> Path:
    for folder in (target, target / "a", target / "a" / "b"):
        folder.chmod(0o700)
    return target


@pytest.mark.parametrize("root_mode", [0o755, 0o555, 0o000])
@pytest.mark.parametrize("mode", MODES)
def test_a_tree_of_any_modes_is_pulled_again_and_again(
    place: Path, mode: int, root_mode: int
) -> None:
    server, store, target = Forger(), MemoryStore(), place / "out"
    first, second = (tree_of(server, mode, root_mode, data) for data in (b"one", b"two"))
    for ident, files in ((first, 1), (first, 0), (second, 1)):
        done = pulled(ident, target, server, store)
        assert (done.files, done.kept, mode_of(target)) == (files, 1 - files, root_mode)
    target.chmod(0o700)
    assert mode_of(target / "a") == mode
    (target / "a").chmod(0o700)
    assert mode_of(target / "a" / "b") == mode
    opened(target)
    assert (target / "a" / "b" / "x").read_bytes() == b"two"
    assert (target / "y").samefile(target / "a" / "b" / "x")


@pytest.mark.parametrize("mode", MODES)
def test_folders_of_any_mode_are_deleted(place: Path, mode: int) -> None:
    server, store, target = Forger(), MemoryStore(), place / "out"
    pulled(tree_of(server, mode, 0o755, b"one"), target, server, store)
    file = File(b"y", META, None, server.chunk(b"other"))
    without = server.tree([file])
    assert pulled(without, target, server, store, delete=True).removed == 3
    assert os.listdir(target) == ["y"]


def test_a_pull_that_is_refused_leaves_all_modes_as_they_were(place: Path) -> None:
    server, store, target = Forger(), MemoryStore(), place / "out"
    pulled(tree_of(server, 0o300, 0o555, b"one"), target, server, store)
    target.chmod(0o700)
    (target / "extra").touch()
    target.chmod(0o555)
    second = tree_of(server, 0o300, 0o555, b"two")
    with pytest.raises(UsageError, match="would remove 1"):
        pulled(second, target, server, store, delete=True, max_delete=0)
    assert (mode_of(target), mode_of(target / "a")) == (0o555, 0o300)
    (target / "a").chmod(0o700)
    assert mode_of(target / "a" / "b") == 0o300


def test_a_comparison_changes_no_mode_and_names_what_it_may_not_read(place: Path) -> None:
    server, store, target = Forger(), MemoryStore(), place / "out"
    ident = tree_of(server, 0o000, 0o755, b"one")
    pulled(ident, target, server, store)
    tree = fetch(Ref(manifest=ident), Endpoints(store, True, [store], [server]))
    assert isinstance(tree, Tree)
    with pytest.raises(DeniedError, match="cannot read a: Permission denied"):
        check_folder(tree, target, lambda path, wrong: None)
    assert mode_of(target / "a") == 0
