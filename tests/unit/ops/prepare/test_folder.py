"""A folder becomes a tree that depends only on what is in the folder."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from casync.errors import NotFoundError, UsageError
from casync.fs.scan import Scan
from casync.fs.target.part import PartFile, part_name
from casync.fs.target.place import inspect_place
from casync.fs.target.staging import staged_name
from casync.limits import MAX_TREE_PATH
from casync.names.name import Name
from casync.objects.tree import LATEST_NS, Device, File, Folder, Link, Pipe
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.folder import prepare_tree
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.upkeep.verify import VerifyOptions, verify
from casync.store.base import ManifestState
from casync.store.memory import MemoryStore
from tests.support.preparing import Counter, noise, stream
from tests.support.rights import needs_root
from tests.support.tree_worlds import LONG_AGO, PARAMS, age, bytes_of, manifest_of, prepared, tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "hello").write_text("hello\n")
    (root / "nothing").touch()
    (root / "sub" / "large").write_bytes(noise(3 << 20))
    (root / "sub" / "deep" / "few").write_bytes(noise(9000, 1))
    (root / "to").symlink_to("../nowhere")
    (root / "sub.txt").write_text("sorts behind sub/ and before it")
    return root


def test_every_entry_is_there_with_its_metadata(root: Path, store: MemoryStore) -> None:
    os.chmod(root / "hello", 0o4751)
    age(root)
    done = prepared(root, store)
    assert (done.files, done.folders, done.others) == (5, 4, 1)
    assert done.length == sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
    assert done.left_out == []
    found = tree(store, done.manifest)
    assert list(found) == [
        b"", b"empty", b"hello", b"nothing", b"sub", b"sub/deep", b"sub/deep/few", b"sub/large",
        b"sub.txt", b"to",
    ]  # fmt: skip
    for path, entry in found.items():
        status = os.stat(root / os.fsdecode(path), follow_symlinks=False)
        assert entry.meta.mode == stat.S_IMODE(status.st_mode)
        assert entry.meta.mtime_ns == status.st_mtime_ns == LONG_AGO
        assert (entry.meta.uid, entry.meta.gid) == (status.st_uid, status.st_gid)
    assert found[b"hello"].meta.mode == 0o4751
    assert isinstance(found[b"empty"], Folder)
    assert found[b"empty"].content.length == 0
    link = found[b"to"]
    assert isinstance(link, Link)
    assert link.target == b"../nowhere"
    for file in ("hello", "sub/large", "sub/deep/few"):
        assert bytes_of(store, done.manifest, file) == (root / file).read_bytes()


def test_a_file_has_the_same_content_as_on_its_own(root: Path, store: MemoryStore) -> None:
    found = tree(store, prepared(root, store).manifest)
    for path in ("hello", "sub/large", "sub/deep/few", "nothing"):
        entry = found[path.encode()]
        assert isinstance(entry, File)
        alone = prepare(
            stream((root / path).read_bytes()), MemoryStore(), PrepareOptions(params=PARAMS)
        )
        own = PrepareOptions(params=PARAMS)
        assert alone.manifest == prepare(stream((root / path).read_bytes()), store, own).manifest
        assert manifest_of(store, alone.manifest).content == entry.content


def test_the_same_folder_elsewhere_has_the_same_hash(
    root: Path, store: MemoryStore, tmp_path: Path
) -> None:
    age(root)
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(root, copy, symlinks=True)
    os.utime(copy, ns=(LONG_AGO, LONG_AGO))
    os.utime(root / "to", ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
    os.utime(copy / "to", ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
    first, second = prepared(root, store), prepared(copy, MemoryStore())
    assert first.manifest == second.manifest
    assert prepared(copy, store).stored == 0


def test_each_change_makes_another_hash(root: Path, store: MemoryStore) -> None:
    hashes = {prepared(root, store).manifest}
    for change in (
        lambda: os.utime(root / "hello", ns=(1, 1)),
        lambda: os.chmod(root / "hello", 0o600),
        lambda: (root / "hello").rename(root / "hullo"),
        lambda: (root / "empty").rmdir(),
        lambda: (root / "nothing").write_text("x"),
        lambda: (root / "sub" / "deep" / "new").touch(),
        lambda: os.utime(root, ns=(1, 1)),
    ):
        change()
        manifest = prepared(root, store).manifest
        assert manifest not in hashes
        hashes.add(manifest)


def test_names_are_bytes(tmp_path: Path, store: MemoryStore) -> None:
    names = [b"\xff\xfe", b"caf\xc3\xa9", b"caf\xe9", b"a\nb", b"x" * 255, b"-", b"\x01"]
    root = tmp_path / "root"
    root.mkdir()
    for name in names:
        with open(os.fsencode(root) + b"/" + name, "wb") as file:
            file.write(name)
    found = tree(store, prepared(root, store).manifest)
    assert list(found)[1:] == sorted(names)


def test_hard_links_are_one_file(root: Path, store: MemoryStore) -> None:
    os.link(root / "sub" / "large", root / "again")
    os.link(root / "sub" / "large", root / "z")
    os.link(root / "to", root / "to2", follow_symlinks=False)
    done = prepared(root, store)
    found = tree(store, done.manifest)
    first = found[b"again"]
    assert isinstance(first, File)
    assert first.first is None
    for path in (b"sub/large", b"z"):
        entry = found[path]
        assert isinstance(entry, File)
        assert (entry.first, entry.content, entry.meta) == (b"again", first.content, first.meta)
    again = found[b"to2"]
    assert isinstance(again, Link)
    assert again.first == b"to"
    assert done.length == sum(
        (root / path).stat().st_size for path in ("again", "hello", "sub/deep/few", "sub.txt")
    )


def test_a_link_out_of_the_folder_is_a_file_of_its_own(root: Path, store: MemoryStore) -> None:
    os.link(root / "hello", root.parent / "outside")
    entry = tree(store, prepared(root, store).manifest)[b"hello"]
    assert isinstance(entry, File)
    assert entry.first is None


def test_pipes_are_not_opened_and_sockets_are_counted(root: Path, store: MemoryStore) -> None:
    os.mkfifo(root / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(root, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        done = prepared(root, store)
    assert done.sockets == 1
    found = tree(store, done.manifest)
    assert isinstance(found[b"pipe"], Pipe)
    assert b"socket" not in found
    assert done.left_out == []


@needs_root
def test_devices_keep_their_numbers(root: Path, store: MemoryStore) -> None:
    try:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "disk", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    except PermissionError:  # root of a container
        return
    found = tree(store, prepared(root, store).manifest)
    null, disk = found[b"null"], found[b"disk"]
    assert isinstance(null, Device)
    assert isinstance(disk, Device)
    assert (null.block, null.major, null.minor) == (False, 1, 3)
    assert (disk.block, disk.major, disk.minor) == (True, 259, 70000)


def test_attributes_are_kept(root: Path, store: MemoryStore) -> None:
    try:
        os.setxattr(root / "hello", "user.b", b"\0\1")
        os.setxattr(root / "hello", "user.a", b"")
        os.setxattr(root / "empty", "user.folder", b"yes")
    except OSError:  # the file system of the tests has none
        return
    found = tree(store, prepared(root, store).manifest)
    assert found[b"hello"].meta.attributes == ((b"user.a", b""), (b"user.b", b"\0\1"))
    assert found[b"empty"].meta.attributes == ((b"user.folder", b"yes"),)


def test_holes_are_zeros(root: Path, store: MemoryStore) -> None:
    with open(root / "sparse", "wb") as file:
        file.truncate(1 << 33)
    done = prepared(root, store)
    entry = tree(store, done.manifest)[b"sparse"]
    assert isinstance(entry, File)
    assert entry.content.length == 1 << 33


def test_exclusions_leave_entries_out(root: Path, store: MemoryStore) -> None:
    (root / "keep.o").touch()
    (root / "drop.o").touch()
    (root / "sub" / "drop.o").touch()
    done = prepared(root, store, globs=["*.o", "!keep.o", "/empty/", "sub.txt/"], regexes=["^no.h"])
    assert list(tree(store, done.manifest)) == [
        b"", b"hello", b"keep.o", b"sub", b"sub/deep", b"sub/deep/few", b"sub/large", b"sub.txt",
        b"to",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="regular expression"):
        prepared(root, store, regexes=["("])


def test_an_unreadable_file_is_reported_and_the_rest_is_there(
    root: Path, store: MemoryStore
) -> None:
    """Reading /proc/self/mem at 0 fails, even for root."""
    done = prepared(Path("/proc/self/task"), store, globs=["!*"])
    reasons = {os.path.basename(os.fsdecode(path)): reason for path, reason in done.left_out}
    assert "mem" in reasons
    assert done.folders > 2
    full = store.manifest(done.manifest)
    assert full is not None
    assert full.state is ManifestState.FULL


def prepared_deep(root: Path, name: str, store: MemoryStore) -> FolderPrepared:
    """Prepares 1000 folders inside each other, all of one name, with a file in the last."""
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=here), "w") as file:
        file.write("reached")
    os.close(here)
    try:
        return prepared(root, store)
    finally:
        subprocess.run(["rm", "-rf", root], check=True)  # shutil and pytest would recurse too far


def test_very_deep_folders(tmp_path: Path, store: MemoryStore) -> None:
    done = prepared_deep(tmp_path / "root", "d" * 60, store)
    assert (done.files, done.folders, done.left_out) == (1, 1001, [])
    (bottom,) = (path for path, entry in tree(store, done.manifest).items() if b"bottom" in path)
    assert bottom.count(b"/") == 1000


def test_paths_that_readers_refuse_are_left_out(tmp_path: Path, store: MemoryStore) -> None:
    done = prepared_deep(tmp_path / "root", "d" * 100, store)
    assert (done.files, done.folders) == (0, 1 + MAX_TREE_PATH // 101)
    ((path, reason),) = done.left_out
    assert len(path) == MAX_TREE_PATH // 101 * 101 + 100
    assert "path of more than" in reason
    assert max(map(len, tree(store, done.manifest))) <= MAX_TREE_PATH


def test_a_name_and_a_row(root: Path, store: MemoryStore) -> None:
    options = PrepareOptions(params=PARAMS, name=Name("www"))
    done = prepare_tree(root, Scan(root, excluded=lambda path, folder: False), store, options)
    assert done.name is not None
    assert (done.name.name, done.name.version) == ("www", 1)
    row = store.manifest(done.manifest)
    assert row is not None
    assert row.length == manifest_of(store, done.manifest).length


def test_a_missing_folder_and_a_file_are_refused(root: Path, store: MemoryStore) -> None:
    with pytest.raises(NotFoundError):
        prepared(root / "missing", store)
    with pytest.raises(UsageError):
        prepared(root / "hello", store)


def test_verify_accepts_a_prepared_folder(root: Path, store: MemoryStore) -> None:
    done = prepared(root, store)
    report = verify(store, None, VerifyOptions())
    assert report.faults == []
    assert report.manifests == 1
    assert done.chunks > 0


def test_a_time_that_no_entry_can_hold_costs_nothing_but_its_distance(tmp_path: Path) -> None:
    """File systems have times up to 2446 and beyond; entries end in 2262."""
    root, far = tmp_path / "root", 10_413_792_000 * 10**9  # in 2300
    (root / "sub").mkdir(parents=True)
    for path in (root / "sub" / "file", root / "near"):
        path.write_bytes(b"x")
    (root / "link").symlink_to("near")
    for path in (root / "sub" / "file", root / "link", root / "sub", root):
        os.utime(path, ns=(far, far), follow_symlinks=False)
    store = MemoryStore()
    done = prepared(root, store)
    assert (done.left_out, done.files, done.folders, done.others) == ([], 2, 2, 1)
    if root.stat().st_mtime_ns == far:  # a file system may hold less than an entry
        assert done.bounded_times == 4
        assert tree(store, done.manifest)[b"sub/file"].meta.mtime_ns == LATEST_NS
    assert prepared(root, store).manifest == done.manifest


def test_what_an_interrupted_pull_has_left_is_not_prepared(root: Path) -> None:
    store = MemoryStore()
    clean = prepared(root, store)
    assert clean.leftovers == 0
    for place in (root, root / "sub"):
        before = place.stat()
        (place / ".casync-part").mkdir(mode=0o700)
        (place / ".casync-part" / os.fsdecode(staged_name(b"a"))).write_bytes(b"half")
        (place / part_name("image")).write_bytes(b"half")
        (place / part_name("image")).chmod(0o600)
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    counter = Counter()
    done = prepared(root, store, progress=counter)
    assert (done.manifest, done.leftovers, done.left_out) == (clean.manifest, 4, [])
    assert (
        "left out sub/.image.casync-part: an interrupted pull has left it behind" in counter.notes
    )


def test_a_killed_pull_leaves_what_a_prepare_leaves_out(tmp_path: Path) -> None:
    place = inspect_place(tmp_path / "image", in_place=False)
    with PartFile(place, 1000) as part:
        part.write(0, [b"half"])
    assert prepared(tmp_path, MemoryStore()).leftovers == 1


def test_content_with_the_name_of_a_leftover_is_prepared(tmp_path: Path) -> None:
    store, names = MemoryStore(), (".mine.casync-part", "mine.casync-part", ".casync-part.txt")
    (tmp_path / "sub").mkdir()
    for place in (tmp_path, tmp_path / "sub"):
        for name in names:
            (place / name).write_bytes(b"content")
            (place / name).chmod(0o600 if name == "mine.casync-part" else 0o644)
    (tmp_path / "sub" / ".casync-part").mkdir(mode=0o700)
    (tmp_path / "sub" / ".casync-part" / "mine").write_bytes(b"content")
    done = prepared(tmp_path, store)
    assert (done.files, done.leftovers, done.left_out) == (7, 0, [])
    assert bytes_of(store, done.manifest, "sub/.casync-part/mine") == b"content"


def test_content_where_pulls_keep_their_own_is_reported_as_left_out(tmp_path: Path) -> None:
    (tmp_path / ".casync-part").write_bytes(b"content")
    done = prepared(tmp_path, MemoryStore())
    assert (done.files, done.leftovers) == (0, 0)
    assert [path for path, _ in done.left_out] == [b".casync-part"]
    assert prepared(tmp_path, MemoryStore(), globs=[".casync-part"]).left_out == []
