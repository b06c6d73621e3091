"""A copy is compared with its manifest, and counted in files and bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from casync.access.endpoints import Endpoints
from casync.access.locate import fetch
from casync.access.tree_load import Tree
from casync.errors import NotFoundError, UsageError, WriteError
from casync.ids import ManifestId
from casync.names.name import Ref
from casync.ops.inspect.check import Checked, check_file, check_folder
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled
from tests.support.pulling import PARAMS, noise, outline_of, put
from tests.support.tree_worlds import age, prepared


def checked(
    ident: ManifestId, path: Path, store: MemoryStore
) -> tuple[Checked, dict[str, list[str]]]:
    tree = fetch(Ref(manifest=ident), Endpoints(store, True, [store], []))
    assert isinstance(tree, Tree)
    told: dict[str, list[str]] = {}
    done = check_folder(tree, path, lambda path, wrong: told.update({os.fsdecode(path): wrong}))
    return done, told


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for name, size in (("a", 10), ("b", 5000), ("sub/c", 2 << 20), ("d", 0)):
        (root / name).write_bytes(noise(size, size))
    (root / "l").symlink_to("a")
    os.link(root / "a", root / "z")
    age(root)
    return root


def test_a_good_copy(root: Path, store: MemoryStore, tmp_path: Path) -> None:
    ident = prepared(root, store).manifest
    pulled(ident, tmp_path / "copy", None, store)
    done, told = checked(ident, tmp_path / "copy", store)
    assert told == {}
    assert (done.ok_files, done.ok_bytes) == (5, 2 * 10 + 5000 + (2 << 20))
    assert (done.wrong_files, done.wrong_bytes, done.differences) == (0, 0, 0)


def _swap(root: Path) -> None:
    status = (root / "sub" / "c").stat()
    with (root / "sub" / "c").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"rot")
    os.utime(root / "sub" / "c", ns=(status.st_atime_ns, status.st_mtime_ns))


def _unlink(root: Path) -> None:
    os.utime(root, ns=(1, 1))
    (root / "z").unlink()
    (root / "z").write_bytes((root / "a").read_bytes())


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (_swap, "sub/c", ["content"]),
        (lambda root: (root / "b").write_bytes(b"short"), "b", ["content", "time"]),
        (lambda root: (root / "b").chmod(0o611), "b", ["mode"]),
        (lambda root: os.utime(root / "sub", ns=(1, 1)), "sub", ["time"]),
        (lambda root: os.setxattr(root / "d", "user.x", b"1"), "d", ["attributes"]),
        (lambda root: (root / "b").unlink(), "b", ["missing"]),
        (lambda root: ((root / "b").unlink(), (root / "b").mkdir()), "b", ["kind"]),
        (lambda root: ((root / "l").unlink(), (root / "l").symlink_to("b")), "l", ["target"]),
        (lambda root: (root / "more").touch(), "more", ["extra"]),
        (lambda root: (root / "sub" / "more").mkdir(), "sub/more", ["extra"]),
        (_unlink, "z", ["link"]),
    ],
)
def test_a_bad_copy(
    root: Path,
    store: MemoryStore,
    tmp_path: Path,
    change: Callable[[Path], object],
    where: str,
    what: list[str],
) -> None:
    ident = prepared(root, store).manifest
    copy = tmp_path / "copy"
    pulled(ident, copy, None, store)
    change(copy)
    done, told = checked(ident, copy, store)
    assert told[where][: len(what)] == what
    # The folder around it may have another time now, too.
    assert all(wrong == ["time"] for path, wrong in told.items() if path != where)
    assert done.differences == len(told)
    assert done.ok_files + done.wrong_files == 5


def test_a_file(store: MemoryStore, tmp_path: Path) -> None:
    data = noise(1, 300_000) + bytes(20 * PARAMS.max_size) + noise(2, 100)
    outline = outline_of(put(store, data), store)
    path = tmp_path / "file"
    told: list[tuple[bytes, list[str]]] = []
    path.write_bytes(data)
    good = check_file(outline, path, lambda *found: told.append(found))
    assert (good.ok_files, good.ok_bytes, good.wrong_files, told) == (1, len(data), 0, [])
    for wrong in (data[:-1], data + b"x", data[:-1] + b"x", data.replace(bytes(99), b"x" * 99, 1)):
        path.write_bytes(wrong)
        bad = check_file(outline, path, lambda *found: told.append(found))
        assert (bad.ok_files, bad.wrong_files, bad.wrong_bytes) == (0, 1, len(data))
        assert told.pop() == (os.fsencode(path), ["content"])


def test_a_missing_copy_or_one_of_another_type_is_an_error(
    root: Path, store: MemoryStore, tmp_path: Path
) -> None:
    ident = prepared(root, store).manifest
    with pytest.raises(NotFoundError, match="no folder"):
        checked(ident, tmp_path / "none", store)
    with pytest.raises(WriteError, match="not a folder"):
        checked(ident, root / "a", store)
    outline = outline_of(put(store, b"data"), store)
    with pytest.raises(NotFoundError, match="no file"):
        check_file(outline, tmp_path / "none", lambda *_: None)
    with pytest.raises(UsageError, match="neither a file"):
        check_file(outline, root, lambda *_: None)
