"""An archive as a tree: which member wins, what links lead to, and what is published."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from casync.errors import (
    DigestMismatchError,
    IntegrityError,
    MalformedError,
    NotFoundError,
    SourceChangedError,
    UnsupportedError,
    UsageError,
)
from casync.fs import sorted_rows
from casync.fs.exclude import Exclusion
from casync.fs.source.file import FileSource, StreamSource
from casync.objects.tree import Entry, File, Folder, Link
from casync.ops.prepare import member_rows
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.prepare.unpack import prepare_archive
from casync.store.memory import MemoryStore
from tests.support.preparing import Counter
from tests.support.tree_worlds import PARAMS, bytes_of, tree

Member = tuple[str, bytes | str | None]
"""A file with its bytes, a hard link with its target, or a folder."""


def tar(*members: Member) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, (name, what) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.mtime = number + 1
            if what is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(what, str):
                info.type, info.linkname = tarfile.LNKTYPE, what
                if what.startswith("-> "):
                    info.type, info.linkname = tarfile.SYMTYPE, what[3:]
            else:
                info.size = len(what)
            archive.addfile(info, io.BytesIO(what if isinstance(what, bytes) else b""))
    return out.getvalue()


def prepared(data: bytes, store: MemoryStore, *exclude: str, label: str = "a") -> FolderPrepared:
    source = StreamSource(io.BytesIO(data), label)
    options = PrepareOptions(params=PARAMS, workers=1)
    return prepare_archive(source, store, options, excluded=Exclusion(exclude))


def contents(data: bytes, *exclude: str) -> dict[str, bytes | str | None]:
    """What the tree of an archive holds: the bytes of files, `None` for folders, targets."""
    store = MemoryStore()
    ident = prepared(data, store, *exclude).manifest

    def shown(path: str, entry: Entry) -> bytes | str | None:
        if isinstance(entry, Folder):
            return None
        return "-> link" if isinstance(entry, Link) else bytes_of(store, ident, path)

    found = tree(store, ident)
    return {path.decode(): shown(path.decode(), entry) for path, entry in found.items() if path}


@pytest.fixture(params=[1, 100_000])
def _rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are held in memory: each of them in a file of its own, or none."""
    monkeypatch.setattr(sorted_rows, "_PART_ROWS", request.param)


pytestmark = pytest.mark.usefixtures("_rows")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("a", b"1"), ("a", b"2")], {"a": b"2"}),
        ([("b/c", b"1"), ("a-b", b"2"), ("a/x", b"3")], {"a": None, "a/x": b"3", "a-b": b"2"}),
        # A file takes the place of a folder, and of what it held; then a folder that of a file.
        ([("d/a", b"1"), ("d/e/f", b"2"), ("d", b"3")], {"d": b"3"}),
        ([("d", b"1"), ("d/a", b"2")], {"d": None, "d/a": b"2"}),
        ([("d/a", b"1"), ("d", b"2"), ("d/b", b"3")], {"d": None, "d/b": b"3"}),
        ([("d/x", b"1"), ("d", b"2"), ("d/x/y", b"3")], {"d": None, "d/x": None, "d/x/y": b"3"}),
        ([("d", b"1"), ("d", None), ("d/b", b"3")], {"d": None, "d/b": b"3"}),
        ([("d/a", b"0"), ("d", b"1"), ("d", None)], {"d": None}),
        ([("d", "-> e"), ("d/a", b"1")], {"d": None, "d/a": b"1"}),
        ([("d/a/b", b"1"), ("d/a", b"2"), ("d", b"3"), ("d/a/c", b"4")],
         {"d": None, "d/a": None, "d/a/c": b"4"}),
        ([("./", None), ("/x//y", b"1")], {"x": None, "x/y": b"1"}),
    ],
)  # fmt: skip
def test_later_members_win(members: list[Member], expected: dict[str, object]) -> None:
    """A1"""
    expected = {"b": None, "b/c": b"1", **expected} if members[0][0] == "b/c" else expected
    assert contents(tar(*members)) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("a", b"1"), ("b", "a")], {"a": b"1", "b": b"1"}),
        ([("b", "a"), ("a", b"1")], {"a": b"1", "b": b"1"}),  # forwards
        ([("z", b"1"), ("a", "z"), ("m", "a"), ("b", "./m")], dict.fromkeys("zamb", b"1")),
        ([("b", "a"), ("c", "b"), ("d", "c"), ("a", b"1")], dict.fromkeys("abcd", b"1")),
        # A link keeps what its target was, as on a disk.
        ([("a", b"1"), ("b", "a"), ("a", b"2")], {"a": b"2", "b": b"1"}),
        ([("a", b"1"), ("a", b"2"), ("b", "a"), ("a", b"3")], {"a": b"3", "b": b"2"}),
        ([("a", b"1"), ("a", "a")], {"a": b"1"}),  # as `tar c a a` writes it
        ([("d/a", b"1"), ("b", "d/a"), ("d", b"2")], {"b": b"1", "d": b"2"}),
    ],
)
def test_hard_links_have_the_content_of_their_target(
    members: list[Member], expected: dict[str, bytes]
) -> None:
    """A1"""
    assert contents(tar(*members)) == expected


def test_names_of_one_file_are_hard_links_of_the_first_in_the_tree() -> None:
    """A1"""
    data = tar(("m", b"1"), ("z", "m"), ("b", "z"), ("single", b"2"), ("dropped", b"3"),
               ("kept", "dropped"), ("dropped", b"4"))  # fmt: skip
    store = MemoryStore()
    found = tree(store, prepared(data, store).manifest)
    firsts = {p: entry.first for p, entry in found.items() if isinstance(entry, File)}
    assert firsts == {
        **dict.fromkeys((b"b", b"single", b"dropped", b"kept")),
        **dict.fromkeys((b"m", b"z"), b"b"),
    }
    assert found[b"b"].meta == found[b"z"].meta == found[b"m"].meta
    without = tree(store, prepared(data, store, "/b").manifest)[b"z"]
    assert isinstance(without, File)
    assert without.first == b"m"


def test_an_archive_with_a_hard_link_to_nothing_is_not_published() -> None:
    store = MemoryStore()
    with pytest.raises(NotFoundError, match="b is a hard link to a, which is not in the archive"):
        prepared(tar(("b", "a")), store)
    assert not list(store.manifests())


def test_parents_that_are_missing_are_made_and_others_keep_their_metadata() -> None:
    """A1"""
    store = MemoryStore()
    data = tar(("made/x", b"1"), ("own", None), ("own/y", b"2"), ("own", None))
    found = tree(store, prepared(data, store).manifest)
    times = {path: (entry.meta.mode, entry.meta.mtime_ns) for path, entry in found.items()}
    second = 1_000_000_000
    assert times[b"made"] == (0o755, 1 * second)
    assert times[b"own"] == (0o644, 4 * second)
    assert times[b""] == (0o755, 4 * second)
    with_root = tree(store, prepared(tar((".", None), ("x", b"1")), store).manifest)
    assert (with_root[b""].meta.mode, with_root[b""].meta.mtime_ns) == (0o644, second)


def test_what_a_tree_cannot_have_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "/".join("d" * 2100)
    names = ("../out", "x/" + "n" * 256, deep, ".casync-part/a", "b/..", "good")
    store = MemoryStore()
    done = prepared(tar(*((name, b"1") for name in names), ("l", "-> " + "t" * 5000)), store)
    assert {path.decode() for path, _ in done.left_out} == {*names, "l"} - {"good"}
    assert [*tree(store, done.manifest)] == [b"", b"good"]
    monkeypatch.setattr(member_rows, "MAX_LEFT_OUT_MEMBERS", 5)
    with pytest.raises(MalformedError, match="more than 5 members"):
        prepared(tar(*((name, b"1") for name in names), ("../l", b"")), store)


def test_patterns_leave_members_out_and_links_to_them_stay() -> None:
    data = tar(("a.o", b"1"), ("d/x", b"2"), ("e/x", b"3"), ("l", "a.o"))
    assert contents(data, "*.o", "/d/") == {"e": None, "e/x": b"3", "l": b"1"}


def test_every_format_gives_the_same_files() -> None:
    """A1"""
    files = {"a": b"1" * 5000, "d/b": os.urandom(3_000_000), "d/empty": b""}
    plain = tar(*files.items())
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    store = MemoryStore()
    idents = {prepared(data, store).manifest for data in (plain, gzip.compress(plain))}
    idents.add(prepared(zstandard.compress(plain), store).manifest)
    assert len(idents) == 1
    expected = {**files, "d": None}
    for data in (plain, zipped.getvalue(), msgspec.msgpack.encode(files)):
        assert contents(data) == expected


def test_a_zip_that_is_a_file_is_read_where_it_lies(tmp_path: Path) -> None:
    """A1"""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"data")
    store, progress = MemoryStore(), Counter()
    options = PrepareOptions(params=PARAMS, workers=1)
    with FileSource(path) as source:
        done = prepare_archive(source, store, options, progress=progress)
        assert bytes_of(store, done.manifest, "a") == b"data"
    assert ("making folders", None) in progress.phases


def test_progress_counts_bytes_of_the_archive() -> None:
    data = gzip.compress(tar(("a", os.urandom(2_000_000)), ("b", b"1")))
    progress = _Total()
    options = PrepareOptions(params=PARAMS, workers=1)
    prepare_archive(StreamSource(io.BytesIO(data)), MemoryStore(), options, progress=progress)
    assert progress.total == len(data)


class _Total(Counter):
    """Bytes of all phases together."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def advance(self, count: int) -> None:
        self.total += count


def test_a_name_that_says_something_else_is_an_error() -> None:
    data = tar(("a", b"1"))
    for label in ("x.tgz", "x.zip", "x.msgpack"):
        with pytest.raises(UsageError, match="is tar, but its name says"):
            prepared(data, MemoryStore(), label=label)
    with pytest.raises(MalformedError, match=r"x\.tar is not"):
        prepared(b"text" * 1000, MemoryStore(), label="x.tar")
    for bad in (b"", b"text"):
        with pytest.raises(UsageError, match="x is not an archive"):
            prepared(bad, MemoryStore(), label="x")
    assert prepared(bytes(10240), MemoryStore()).files == 0
    assert prepared(b"", MemoryStore(), label="x.tar").files == 0


@pytest.mark.parametrize("end", [3, 600, 3000, -1])
def test_nothing_of_a_truncated_archive_is_published(end: int) -> None:
    store = MemoryStore()
    data = gzip.compress(tar(("a", os.urandom(4000)), ("b", b"1")))
    for cut in (data[:end], gzip.decompress(data)[: end if end > 3 else 4000]):
        with pytest.raises(IntegrityError):
            prepared(cut, store)
    assert not list(store.manifests())


def test_the_digest_of_the_archive_may_be_expected() -> None:
    store, data = MemoryStore(), gzip.compress(tar(("a", b"1")))
    right = hashlib.sha256(data).digest()
    for expected in (right, bytes(32)):
        options = PrepareOptions(params=PARAMS, workers=1, expect_sha256=expected)
        source = StreamSource(io.BytesIO(data))
        if expected == right:
            assert prepare_archive(source, store, options).files == 1
        else:
            with pytest.raises(DigestMismatchError):
                prepare_archive(source, MemoryStore(), options)


class _Changing(StreamSource):
    """An archive that changes the first time that it is read."""

    repeatable = True

    def __init__(self, data: bytes, times: int) -> None:
        super().__init__(io.BytesIO(data))
        self._data, self._times = data, times

    def blocks(self, size: int = 4096) -> Iterator[bytes]:
        yield self._data
        self._times -= 1
        if self._times >= 0:
            raise SourceChangedError("it changed")


def test_an_archive_that_changes_is_read_once_more() -> None:
    options = PrepareOptions(params=PARAMS, workers=1)
    data, progress = tar(("a", b"1")), Counter()
    done = prepare_archive(_Changing(data, 1), MemoryStore(), options, progress=progress)
    assert done.files == 1
    assert progress.notes == ["it changed; reading it again"]
    with pytest.raises(SourceChangedError):
        prepare_archive(_Changing(data, 2), MemoryStore(), options)


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (("bad [1]", "nothing"), "bad [1]"),
        (("d/bad", "d"), "d/bad"),
        (("bad", "bad"), "bad"),
        (("0", "1"), "0"),
    ],
)
def test_a_hard_link_that_leads_to_no_file_can_be_left_out(bad: Member, name: str) -> None:
    """A1: the error says how; one that is excluded is in no one's way."""
    chain: list[Member] = [(f"{at}", f"{at + 1}") for at in range(1, 60)] if name == "0" else []
    data = tar(("good", b"1"), ("d", None), bad, *chain)
    with pytest.raises((NotFoundError, UnsupportedError)) as raised:
        contents(data)
    _, option, pattern = raised.value.next_step.rpartition("--exclude ")
    assert option
    exclude = [pattern.rstrip(".").strip("'")] if name != "0" else [f"/{at}" for at in range(60)]
    assert contents(data, *exclude)["good"] == b"1"
    assert contents(data, *exclude, "/d/")["good"] == b"1"
    assert name not in contents(data, *exclude)


def test_a_member_that_cannot_be_read_can_be_left_out() -> None:
    """A1: of a zip, what is excluded is not read."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("good", b"1")
        archive.writestr("d/secret", b"2")
    data = bytearray(out.getvalue())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rindex(mark) + at] |= 1  # encrypted
    with pytest.raises(UnsupportedError) as raised:
        contents(bytes(data))
    assert raised.value.next_step == "Leave it out with --exclude /d/secret."
    for exclude in ("/d/secret", "/d/"):
        assert contents(bytes(data), exclude)["good"] == b"1"


def test_refused_members_that_are_excluded_are_neither_named_nor_counted() -> None:
    """A1"""
    data = tar(("good", b"1"), *((f"../bad/{number}", b"2") for number in range(1001)))
    with pytest.raises(MalformedError):
        contents(data)
    assert contents(data, "bad") == {"good": b"1"}
    assert prepared(data, MemoryStore(), "bad").left_out == []
