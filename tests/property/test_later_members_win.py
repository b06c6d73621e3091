"""Law: the tree of an archive is what its members leave behind when they are taken in order."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.fs import sorted_rows
from casync.fs.source.file import StreamSource
from casync.objects.tree import File, Folder
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.unpack import prepare_archive
from casync.store.memory import MemoryStore
from tests.support.tree_worlds import PARAMS, bytes_of, tree

Member = tuple[str, str]
"""A path, and `file`, `folder` or the path that a hard link leads to."""

paths = st.lists(st.sampled_from(["a", "a-", "b"]), min_size=1, max_size=3).map("/".join)
kinds = st.sampled_from(["file", "file", "folder"]) | paths


def archive(members: Sequence[Member]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for number, (path, kind) in enumerate(members):
            info, data = tarfile.TarInfo(path), b""
            if kind == "folder":
                info.type = tarfile.DIRTYPE
            elif kind == "file":
                data = b"%d" % number
                info.size = len(data)
            else:
                info.type, info.linkname = tarfile.LNKTYPE, kind
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sources(members: Sequence[Member]) -> dict[int, int] | None:
    """For each member that is not a folder, the file whose bytes it has; None for a bad link."""
    found: dict[int, int] = {}
    for number, (_, kind) in enumerate(members):
        at, seen = number, set[int]()
        while members[at][1] != "file":
            target = members[at][1]
            same = [n for n, member in enumerate(members) if member[0] == target]
            before = [n for n in same if n < at]
            if target == "folder" or at in seen or not same:
                break
            seen.add(at)
            at = before[-1] if before else same[0]
        if members[at][1] == "file":
            found[number] = at
        elif kind != "folder":
            return None
    return found


def left_behind(members: Sequence[Member]) -> dict[str, int]:
    """What lies at each path in the end: the number of its file, or -1 for a folder."""
    content = sources(members)
    assert content is not None
    there: dict[str, int] = {}
    for number, (path, kind) in enumerate(members):
        names = path.split("/")
        for end in range(1, len(names)):
            there["/".join(names[:end])] = -1
        if kind == "folder":
            there[path] = -1
        else:
            there = {p: n for p, n in there.items() if not p.startswith(path + "/")}
            there[path] = content[number]
    return there


@pytest.fixture(autouse=True, scope="module")
def _rows_in_files() -> Iterator[None]:
    """Most rows of a test are in files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_rows, "_PART_ROWS", 3)
        yield


@given(st.lists(st.tuples(paths, kinds), max_size=9).filter(lambda m: sources(m) is not None))
def test_a_tree_is_what_its_members_leave_behind(members: list[Member]) -> None:
    store = MemoryStore()
    source = StreamSource(io.BytesIO(archive(members)))
    done = prepare_archive(source, store, PrepareOptions(params=PARAMS, workers=1))
    found = {path.decode(): entry for path, entry in tree(store, done.manifest).items() if path}
    expected = left_behind(members)
    assert {path: isinstance(entry, Folder) for path, entry in found.items()} == {
        path: number < 0 for path, number in expected.items()
    }
    firsts: dict[int, str] = {}
    for path, entry in found.items():
        if isinstance(entry, File):
            number = expected[path]
            assert bytes_of(store, done.manifest, path) == b"%d" % number
            first = firsts.setdefault(number, path)
            assert entry.first == (None if first == path else first.encode())
