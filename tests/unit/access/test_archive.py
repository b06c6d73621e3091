"""Members of archives by path, in one source."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

from casync.access.archive import MemberContent
from casync.access.locate import locate, open_file
from casync.errors import MalformedError, NotFoundError, UsageError
from casync.fs.index_folder import IndexFolder
from casync.fs.source.stream import StreamSource
from casync.ids import Kind, ObjectId
from casync.names.name import Name, parse_ref
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packed
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.base import Absence
from casync.store.memory import MemoryStore

MEMBERS = {f"folder/{n:03}.bin": random.Random(n).randbytes(n * 97) for n in range(200)}


def tar(members: dict[str, bytes] = MEMBERS) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("hard")
        link.type, link.linkname = tarfile.LNKTYPE, "folder/100.bin"
        archive.addfile(link)
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    return out.getvalue()


ARCHIVES = {
    "a.tar": tar(),
    "a.tgz": gzip.compress(tar()),
    "a.zip": zipped(),
    "a.msgpack": msgspec.msgpack.encode(MEMBERS),
}


def put(store: MemoryStore, name: str, data: bytes) -> None:
    params = ChunkerParams(256, 1024, 4096)
    options = PrepareOptions(params=params, name=Name(name))
    prepare(StreamSource(io.BytesIO(data)), store, options)


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    for name, data in ARCHIVES.items():
        put(made, name, data)
    return made


def read(store: MemoryStore, ref: str, indexes: IndexFolder) -> bytes:
    found = open_file(parse_ref(ref), store, indexes=indexes)
    return b"".join(map(bytes, found.read(0, found.length)))


@pytest.mark.parametrize("name", ARCHIVES)
def test_members_are_read_by_path(store: MemoryStore, name: str, tmp_path: Path) -> None:
    """A2"""
    indexes = IndexFolder(tmp_path / "members")
    for member in ("folder/000.bin", "folder/100.bin", "/folder//199.bin"):
        path = "folder/" + member[-7:]
        assert read(store, f"{name}:{member}", indexes) == MEMBERS[path]
    assert len(list((tmp_path / "members").iterdir())) == 1


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_lost_or_damaged_index_is_made_again(
    store: MemoryStore, name: str, tmp_path: Path
) -> None:
    indexes = IndexFolder(tmp_path / "members")
    ref = f"{name}:folder/150.bin"
    read(store, ref, indexes)
    (file,) = (tmp_path / "members").iterdir()
    for damage in (b"", b"junk", file.read_bytes()[:-3], bytes(len(file.read_bytes()))):
        file.write_bytes(damage)
        assert read(store, ref, indexes) == MEMBERS["folder/150.bin"]


def test_a_damaged_block_of_an_index_is_made_again(store: MemoryStore, tmp_path: Path) -> None:
    indexes = IndexFolder(tmp_path / "members")
    read(store, "a.tar:folder/150.bin", indexes)
    (file,) = (tmp_path / "members").iterdir()
    data = bytearray(file.read_bytes())
    data[50] ^= 1
    file.write_bytes(data)
    assert read(store, "a.tar:folder/150.bin", indexes) == MEMBERS["folder/150.bin"]


def test_a_hard_link_has_the_bytes_of_its_member(store: MemoryStore, tmp_path: Path) -> None:
    assert read(store, "a.tar:hard", IndexFolder(tmp_path)) == MEMBERS["folder/100.bin"]


def test_what_is_not_a_file_in_an_archive_is_told(store: MemoryStore) -> None:
    with pytest.raises(UsageError, match="is a folder in an archive"):
        locate(parse_ref("a.tar:folder"), store)
    with pytest.raises(NotFoundError, match="has no folder/x"):
        locate(parse_ref("a.tar:folder/x"), store)
    put(store, "plain", b"text")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        locate(parse_ref("plain:x"), store)
    put(store, "text.tar", b"text" * 1000)
    with pytest.raises(MalformedError):
        locate(parse_ref("text.tar:x"), store)
    put(store, "wrong.zip", tar())
    with pytest.raises(UsageError, match="is tar, but its name says zip"):
        locate(parse_ref("wrong.zip:x"), store)


def test_few_chunks_are_read_for_one_member(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A2"""
    indexes = IndexFolder(tmp_path)
    read(store, "a.tar:folder/150.bin", indexes)
    asked: list[int] = []
    get = store.get

    def count(kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        asked.append(len(ids))
        return get(kind, ids)

    monkeypatch.setattr(store, "get", count)
    found = locate(parse_ref("a.tar:folder/050.bin"), store, indexes=indexes).content
    assert isinstance(found, MemberContent)
    assert b"".join(found.read(0, found.length)) == MEMBERS["folder/050.bin"]
    assert sum(asked) < len(ARCHIVES["a.tar"]) / 1024 / 10


def test_indexes_of_contents_that_are_gone_are_removed(store: MemoryStore, tmp_path: Path) -> None:
    indexes = IndexFolder(tmp_path)
    for name in ARCHIVES:
        read(store, f"{name}:folder/001.bin", indexes)
    (tmp_path / "left.tmp").write_bytes(b"")
    kept = [path.name for path in tmp_path.iterdir() if "tmp" not in path.name][:2]
    assert indexes.sweep(lambda ident: any(name.startswith(ident.hex()) for name in kept)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_an_index_of_another_archive_is_made_again(store: MemoryStore, tmp_path: Path) -> None:
    indexes = IndexFolder(tmp_path)
    read(store, "a.tar:folder/001.bin", indexes)
    (right,) = tmp_path.iterdir()
    other = dict(reversed(MEMBERS.items()))
    put(store, "b.tar", tar(other))
    read(store, "b.tar:folder/001.bin", indexes)
    (wrong,) = set(tmp_path.iterdir()) - {right}
    right.write_bytes(wrong.read_bytes())
    assert read(store, "a.tar:folder/150.bin", indexes) == MEMBERS["folder/150.bin"]


def test_a_hard_link_leads_to_what_was_before_it(store: MemoryStore, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data, target in (
            ("a", b"first", ""),
            ("b", b"", "a"),
            ("c", b"", "b"),
            ("a", b"second", ""),
            ("d", b"", "later"),
            ("later", b"third", ""),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if target:
                info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info, io.BytesIO(data))
    put(store, "links.tar", out.getvalue())
    indexes = IndexFolder(tmp_path)
    read_here = partial(read, store, indexes=indexes)
    assert [read_here(f"links.tar:{name}") for name in "abc"] == [b"second", b"first", b"first"]
    with pytest.raises(NotFoundError, match="d is a hard link to a member that is not there"):
        read_here("links.tar:d")
