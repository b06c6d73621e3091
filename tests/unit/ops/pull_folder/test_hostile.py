"""No hostile tree or folder leads a pull out of its target."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from casync.errors import (
    CasyncError,
    DeniedError,
    IntegrityError,
    MalformedError,
    NoSpaceError,
    UnsupportedError,
    WriteError,
)
from casync.fs import beneath
from casync.fs.target.staging import STAGING, staged_name
from casync.ids import Kind
from casync.limits import MAX_TREE_DEPTH
from casync.objects.codec import Packer, Verified
from casync.objects.node import EMPTY, Content, NodeBuilder, Run
from casync.objects.tree import Entry, File, Folder, Link
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from tests.support.folder_worlds import pulled, seen
from tests.support.forged_trees import META, Forger
from tests.support.rights import needs_root
from tests.support.tree_worlds import prepared


def forged(name: bytes, content: Content) -> bytes:
    """A file's entry, made without any check."""
    body = msgspec.msgpack.encode(File(name, META, None, content))
    return len(body).to_bytes(4, "little") + body


@pytest.fixture
def server() -> Forger:
    return Forger()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with others around it that must not change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize(
    "names",
    [
        [b".."], [b"."], [b""], [b"/etc"], [b"../outside/x"], [b"a/b"], [b"a\0b"], [b"a", b"a"],
        [b"b", b"a"], [b"x" * 256],
    ],
    ids=repr,
)  # fmt: skip
def test_invalid_names_are_refused(server: Forger, place: Path, names: list[bytes]) -> None:
    good = File(b"0", META, None, server.chunk(b"good"))
    ident = server.tree([good, *(forged(name, server.chunk(b"evil")) for name in names)])
    before = seen(place.parent)
    with pytest.raises(MalformedError):
        pulled(ident, place, server, MemoryStore())
    assert seen(place.parent) == before


def _link(server: Forger) -> list[Entry]:
    return [
        Link(b"a", META, None, b"../outside"),
        File(b"b", META, b"a/secret", server.chunk(b"secret")),
    ]


@pytest.mark.parametrize(
    "make",
    [
        _link,
        lambda s: [File(b"b", META, b"b", s.chunk(b"x"))],
        lambda s: [File(b"b", META, b"nothing", s.chunk(b"x"))],
        lambda s: [File(b"a", META, b"b", s.chunk(b"x")), File(b"b", META, None, s.chunk(b"x"))],
        lambda s: [File(b"a", META, None, s.chunk(b"x")), File(b"b", META, b"a", s.chunk(b"y"))],
        lambda s: [Link(b"a", META, None, b"x"), File(b"b", META, b"a", s.chunk(b"x"))],
        lambda s: [Folder(b"a", META, EMPTY), File(b"b", META, b"a", s.chunk(b"x"))],
        lambda s: [
            File(b"a", META, None, s.chunk(b"x")),
            File(b"b", META, b"a", s.chunk(b"x")),
            File(b"c", META, b"b", s.chunk(b"x")),
        ],
    ],
    ids=["through a link", "itself", "nothing", "a later one", "other bytes", "a link", "a folder",
         "a hard link"],
)  # fmt: skip
def test_hard_links_to_anything_but_an_earlier_equal_file_are_refused(
    server: Forger, place: Path, make: Callable[[Forger], list[Entry]]
) -> None:
    before = seen(place.parent)
    with pytest.raises(MalformedError, match="is a hard link to a missing file"):
        pulled(server.tree(make(server)), place, server, MemoryStore())
    assert seen(place.parent) == before


def test_a_link_and_a_folder_of_one_name_are_refused(server: Forger, place: Path) -> None:
    inner = server.folder([File(b"secret", META, None, server.chunk(b"evil"))])
    ident = server.tree([Link(b"a", META, None, b"../outside"), Folder(b"a", META, inner)])
    with pytest.raises(MalformedError, match="not sorted"):
        pulled(ident, place, server, MemoryStore())


def test_two_trees_in_a_row(server: Forger, place: Path) -> None:
    """A link of the first, and a file through it in the second (CVE-2025-45582)."""
    store = MemoryStore()
    pulled(server.tree([Link(b"a", META, None, b"../outside")]), place, server, store)
    inner = server.folder([File(b"secret", META, None, server.chunk(b"evil"))])
    pulled(server.tree([Folder(b"a", META, inner)]), place, server, store)
    assert (place.parent / "outside" / "secret").read_text() == "secret"
    assert not (place / "a").is_symlink()
    assert (place / "a" / "secret").read_text() == "evil"


def test_links_in_the_target_are_not_followed(server: Forger, place: Path) -> None:
    for name in ("folder", "file", "gone", "kept"):
        (place / name).symlink_to("../outside" + ("/secret" if name == "file" else ""))
    inner = server.folder([File(b"secret", META, None, server.chunk(b"evil"))])
    ident = server.tree(
        [
            File(b"file", META, None, server.chunk(b"evil")),
            Folder(b"folder", META, inner),
            Link(b"kept", META, None, b"../outside"),
        ]
    )
    pulled(ident, place, server, MemoryStore(), delete=True)
    assert (place.parent / "outside" / "secret").read_text() == "secret"
    assert os.listdir(place.parent / "outside") == ["secret"]
    assert (place / "kept").is_symlink()
    assert not (place / "gone").is_symlink()


def test_a_file_with_a_hard_link_outside_is_replaced_not_changed(
    server: Forger, place: Path
) -> None:
    outside = place.parent / "outside" / "secret"
    outside.chmod(0o600)
    os.link(outside, place / "a")
    os.link(outside, place / "b")
    ident = server.tree(
        [
            File(b"a", META, None, server.chunk(b"evil")),
            File(b"b", META, None, server.chunk(b"secret")),  # the same bytes, another mode
        ]
    )
    pulled(ident, place, server, MemoryStore())
    assert outside.read_text() == "secret"
    assert outside.stat().st_mode & 0o777 == 0o600
    assert outside.stat().st_nlink == 1


def test_the_staging_folder_must_be_ours(server: Forger, place: Path) -> None:
    ident = server.tree([File(b"a", META, None, server.chunk(b"x"))])
    staging = place / os.fsdecode(STAGING)
    staging.symlink_to("../outside")
    with pytest.raises(WriteError, match="not a staging folder of this user"):
        pulled(ident, place, server, MemoryStore())
    staging.unlink()
    staging.mkdir()
    staging.chmod(0o770)
    with pytest.raises(WriteError, match="other users may enter it"):
        pulled(ident, place, server, MemoryStore())
    assert os.listdir(place.parent / "outside") == ["secret"]


def test_links_in_the_staging_folder_are_not_followed(server: Forger, place: Path) -> None:
    """A killed run may have left links there that lead anywhere."""
    ident = server.tree([File(b"a", META, None, server.chunk(b"x"))])
    pulled(ident, place, server, MemoryStore())
    outside = place.parent / "outside" / "secret"
    outside.chmod(0o644)
    staging = place / os.fsdecode(STAGING)
    staging.mkdir(mode=0o700)
    (staging / "1.new").symlink_to(outside)
    (staging / os.fsdecode(staged_name(b"b"))).symlink_to(outside)
    os.link(place / "a", staging / "2.new")
    other = server.tree([File(name, META, None, server.chunk(b"x")) for name in (b"a", b"b")])
    pulled(other, place, server, MemoryStore())
    assert (outside.read_text(), outside.stat().st_mode & 0o777) == ("secret", 0o644)
    assert (place / "a").stat().st_mode & 0o777 == 0o755
    assert (place / "b").read_text() == "x"


def test_a_tree_with_the_name_of_the_staging_folder_is_refused(server: Forger, place: Path) -> None:
    ident = server.tree([Folder(STAGING, META, EMPTY)])
    with pytest.raises(UnsupportedError, match="the name of pull's staging folder"):
        pulled(ident, place, server, MemoryStore())


def test_a_tree_that_unfolds_exponentially_is_refused(server: Forger, place: Path) -> None:
    content = server.folder([File(b"x", META, None, EMPTY)])
    for _ in range(30):
        content = server.folder([Folder(b"%03d" % n, META, content) for n in range(100)])
    with pytest.raises(NoSpaceError, match="more than the disk"):
        pulled(server.root(content), place, server, MemoryStore())
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("of", ["file", "folder"])
def test_a_root_node_with_a_single_record_is_refused(of: str, server: Forger, place: Path) -> None:
    inner = server.folder([File(b"x", META, None, EMPTY)])
    node = Packer().pack_new(
        Kind.NODE, b"CASN\1\1\1\0" + inner.id + inner.length.to_bytes(8, "little")
    )
    server.commit(Batch([node]))
    lone = Content(1, node.id, inner.length)
    entry = File(b"a", META, None, lone) if of == "file" else Folder(b"a", META, lone)
    with pytest.raises(MalformedError, match="single record"):
        pulled(server.tree([entry]), place, server, MemoryStore())
    assert list(place.iterdir()) == []


def test_folders_deeper_than_the_limit_are_refused(server: Forger, place: Path) -> None:
    content = EMPTY
    for _ in range(MAX_TREE_DEPTH):
        content = server.folder([Folder(b"x", META, content)])
    with pytest.raises(MalformedError, match="nested folders"):
        pulled(server.root(content), place, server, MemoryStore())
    assert list(place.iterdir()) == []


def test_the_deepest_allowed_tree_is_pulled(server: Forger, place: Path) -> None:
    content = server.folder([File(b"x", META, None, server.chunk(b"x"))])
    for _ in range(MAX_TREE_DEPTH - 1):
        content = server.folder([Folder(b"folder", META, content)])
    ident = server.root(content)
    pulled(ident, place, server, MemoryStore())
    assert pulled(ident, place, server, MemoryStore()).kept == 1
    store = MemoryStore()
    assert prepared(place, store).files == 1
    # Paths of this length can be removed only step by step; pytest's own way fails.
    empty = server.root(
        server.folder([File(b"y", META, None, EMPTY), Link(b"z", META, None, b"y")])
    )
    (place / "y").touch()
    pulled(empty, place, server, MemoryStore(), delete=True)
    assert sorted(os.listdir(place)) == ["y", "z"]


def test_exabytes_are_refused(server: Forger, place: Path) -> None:
    nodes: list[Verified] = []
    builder = NodeBuilder(lambda _, node: nodes.append(Packer().pack_new(Kind.NODE, node)))
    chunk = server.chunk(b"x" * 4096)
    builder.add(Run(chunk.id, 4096, 1 << 50))
    content = builder.finish()
    server.commit(Batch(nodes))
    with pytest.raises((NoSpaceError, IntegrityError)):
        pulled(server.tree([File(b"a", META, None, content)]), place, server, MemoryStore())
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("has_openat2", [True, False])
def test_a_folder_that_is_swapped_for_a_link(
    server: Forger, place: Path, has_openat2: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread swaps a folder and a link that leads out, as fast as it can, during pulls."""
    if not has_openat2:
        monkeypatch.setattr(beneath, "_OPENAT2", 100_000)
    inner = server.folder(
        [File(b"%03d" % n, META, None, server.chunk(b"evil%d" % n)) for n in range(60)]
    )
    ident = server.tree([Folder(b"a", META, inner)])
    (place / "link").symlink_to("../outside")
    (place / "a").mkdir()
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            for one, two in (("a", "spare"), ("link", "a"), ("a", "link"), ("spare", "a")):
                try:
                    os.rename(place / one, place / two)
                except OSError:
                    break

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(8):
            with suppress(CasyncError):
                pulled(ident, place, server, MemoryStore())
    finally:
        ended.set()
        thread.join()
    assert os.listdir(place.parent / "outside") == ["secret"]
    assert (place.parent / "outside" / "secret").read_text() == "secret"


@needs_root
def test_a_folder_is_not_pulled_through_a_link_of_another_user(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(b"1")
    ident = prepared(tmp_path / "source", store).manifest
    victim, shared = tmp_path / "victim", tmp_path / "shared"
    victim.mkdir()
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "out").symlink_to(victim)
    os.chown(shared / "out", 65534, 65534, follow_symlinks=False)
    with pytest.raises(DeniedError, match="link of another user"):
        pulled(ident, shared / "out", None, store)
    assert os.listdir(victim) == []
