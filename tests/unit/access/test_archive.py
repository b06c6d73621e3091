"""Members of archives by path, in one source."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import pytest

from casync.access.archive import MemberContent
from casync.access.content_file import read_range
from casync.access.index_store import store_index
from casync.access.locate import locate, open_file
from casync.access.member_indexes import ArchivePlace, MemberIndexes, indexes_of
from casync.access.outline import Outline, open_outline
from casync.errors import (
    IntegrityError,
    MalformedError,
    NoObjectError,
    NotFoundError,
    UsageError,
    WriteError,
)
from casync.fs.source.stream import StreamSource
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.names.name import Name, parse_ref
from casync.objects.chunk_runs import runs
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.objects.codec import Packed
from casync.objects.manifest import Manifest
from casync.ops.archive.list_members import archive_and_path
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Absence, Batch, Committed
from casync.store.memory import MemoryStore

NO_ONE = ManifestId(b"")
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


def read(store: MemoryStore, ref: str, indexes: MemberIndexes | None = None) -> bytes:
    found = open_file(parse_ref(ref), store, indexes=indexes)
    return b"".join(map(bytes, found.read(0, found.length)))


def archive_id(store: MemoryStore, name: str) -> bytes:
    return open_outline(store.resolve(parse_ref(name)), store).content.id


def index_chunks(store: MemoryStore, name: str) -> list[ObjectId]:
    content = store.member_index(archive_id(store, name))
    assert content is not None
    outline = Outline(ManifestId(b""), Manifest("file", DEFAULT_PARAMS, content), store)
    return [ChunkId(run.id) for _, run in runs(content, outline.node)]


@pytest.mark.parametrize("name", ARCHIVES)
def test_members_are_read_by_path_with_one_index(store: MemoryStore, name: str) -> None:
    """A2"""
    for member in ("folder/000.bin", "folder/100.bin", "/folder//199.bin"):
        path = "folder/" + member[-7:]
        assert read(store, f"{name}:{member}") == MEMBERS[path]
    assert [*store._tables.member_indexes] == [archive_id(store, name)]


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_index_that_is_lost_is_made_again(store: MemoryStore, name: str) -> None:
    ref = f"{name}:folder/150.bin"
    read(store, ref)
    before = set(store.objects(Kind.CHUNK))
    for ident in index_chunks(store, name):
        store._tables.objects.pop((Kind.CHUNK, ident))
    assert read(store, ref) == MEMBERS["folder/150.bin"]
    assert set(store.objects(Kind.CHUNK)) == before
    store._tables.member_indexes.clear()
    assert read(store, ref) == MEMBERS["folder/150.bin"]
    assert [*store._tables.member_indexes] == [archive_id(store, name)]


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_damaged_index_is_made_again(store: MemoryStore, name: str) -> None:
    ref = f"{name}:folder/150.bin"
    read(store, ref)
    good = store.member_index(archive_id(store, name))
    assert good is not None
    outline = Outline(ManifestId(b""), Manifest("file", DEFAULT_PARAMS, good), store)
    data = b"".join(map(bytes, read_range(outline, store, 0, good.length)))
    spoiled = bytes([data[50] ^ 1])
    for damage in (b"junk", data[:-3], data[:50] + spoiled + data[51:], bytes(len(data))):
        store_index([damage], archive_id(store, name), store, again=False)
        assert read(store, ref) == MEMBERS["folder/150.bin"]
        assert store.member_index(archive_id(store, name)) == good


def test_an_open_archive_outlives_the_loss_of_its_index(store: MemoryStore) -> None:
    archive = archive_and_path(parse_ref("a.tar"), store)[0]
    for ident in index_chunks(store, "a.tar"):
        store._tables.objects.pop((Kind.CHUNK, ident))
    assert len(list(archive.members())) == len(MEMBERS) + 1
    found = archive.open(b"folder/100.bin")
    assert found is not None
    assert b"".join(found.read(0, found.length)) == MEMBERS["folder/100.bin"]


def test_an_index_stays_as_long_as_its_archive(store: MemoryStore) -> None:
    """A2"""
    for name in ("a.tar", "a.zip"):
        read(store, f"{name}:folder/150.bin")
    assert collect(store, CollectOptions(window=0)).objects == 0
    store.close()
    indexes = {name: index_chunks(store, name) for name in ("a.tar", "a.zip")}
    gone = archive_id(store, "a.zip")
    store.remove([parse_ref("a.zip")])
    collect(store, CollectOptions(window=0))
    assert store.member_index(gone) is None
    left = set(store.objects(Kind.CHUNK))
    assert left.issuperset(indexes["a.tar"])
    assert left.isdisjoint(indexes["a.zip"])
    assert read(store, "a.tar:folder/150.bin") == MEMBERS["folder/150.bin"]


class _ReadOnly(MemoryStore):
    def commit(self, batch: Batch) -> Committed:
        if batch.member_indexes:
            raise WriteError("read-only")
        return super().commit(batch)


def test_a_store_that_cannot_be_written_has_indexes_while_they_are_used() -> None:
    store = _ReadOnly()
    put(store, "a.tar", tar({**MEMBERS, "of a tar that no other test has": b"1"}))
    assert read(store, "a.tar:folder/150.bin") == MEMBERS["folder/150.bin"]
    place = ArchivePlace(open_outline(store.resolve(parse_ref("a.tar")), store).content, NO_ONE)
    made = indexes_of(store).find(place)
    assert made is not None
    assert read(store, "a.tar:folder/100.bin") == MEMBERS["folder/100.bin"]
    assert indexes_of(store).find(place) is made
    assert store.member_index(place.content.id) is None


def test_threads_make_one_index(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = []
    commit = store.commit

    def count(batch: Batch) -> Committed:
        commits.extend(batch.member_indexes)
        return commit(batch)

    monkeypatch.setattr(store, "commit", count)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read(store, "a.tgz:folder/150.bin"), range(8)))
    assert found == [MEMBERS["folder/150.bin"]] * 8
    assert len(commits) == 1


def test_an_index_of_many_commits_holds_up_no_collection(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()  # its writer has ended
    monkeypatch.setattr("casync.access.index_store.COMMIT_BYTES", 1)
    read(store, "a.tgz:folder/150.bin")
    store.remove([parse_ref("a.tgz")])
    assert collect(store, CollectOptions(window=0)).objects > 0
    assert store.member_index(archive_id(store, "a.tar")) is None
    read(store, "a.tar:folder/150.bin")
    assert collect(store, CollectOptions(window=0)).objects == 0


def test_a_hard_link_has_the_bytes_of_its_member(store: MemoryStore) -> None:
    assert read(store, "a.tar:hard") == MEMBERS["folder/100.bin"]


def test_what_is_not_a_file_in_an_archive_is_told(store: MemoryStore) -> None:
    with pytest.raises(UsageError, match="is a folder in the archive"):
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
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A2"""
    read(store, "a.tar:folder/150.bin")
    asked: list[int] = []
    get = store.get

    def count(kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        asked.append(len(ids))
        return get(kind, ids)

    monkeypatch.setattr(store, "get", count)
    found = locate(parse_ref("a.tar:folder/050.bin"), store).content
    assert isinstance(found, MemberContent)
    assert b"".join(found.read(0, found.length)) == MEMBERS["folder/050.bin"]
    assert sum(asked) < len(ARCHIVES["a.tar"]) / 1024 / 10


def test_an_index_of_another_archive_is_made_again(store: MemoryStore) -> None:
    put(store, "b.tar", tar(dict(reversed(MEMBERS.items()))))
    for name in ("a.tar", "b.tar"):
        read(store, f"{name}:folder/001.bin")
    right, wrong = (store.member_index(archive_id(store, name)) for name in ("a.tar", "b.tar"))
    assert wrong is not None
    store.commit(Batch(member_indexes=[(archive_id(store, "a.tar"), wrong)]))
    assert read(store, "a.tar:folder/150.bin") == MEMBERS["folder/150.bin"]
    assert store.member_index(archive_id(store, "a.tar")) == right


def test_an_archive_that_is_damaged_in_the_middle_is_an_error(store: MemoryStore) -> None:
    archive = archive_and_path(parse_ref("a.tar"), store)[0]
    outline = open_outline(store.resolve(parse_ref("a.tar")), store)
    chunks = [run.id for _, run in runs(outline.content, outline.node)]
    del store._tables.objects[Kind.CHUNK, ChunkId(chunks[len(chunks) // 2])]
    results: list[bool | None] = []
    for name, data in MEMBERS.items():
        try:
            found = archive.open(name.encode())
            assert found is not None
            results.append(b"".join(found.read(0, found.length)) == data)
        except (NoObjectError, IntegrityError):
            results.append(None)
    assert False not in results
    assert 1 <= results.count(None) <= 20


def test_a_hard_link_leads_to_what_was_before_it(store: MemoryStore) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data, target in (
            ("a", b"first", ""),
            ("b", b"", "a"),
            ("c", b"", "b"),
            ("a", b"second", ""),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if target:
                info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info, io.BytesIO(data))
    put(store, "links.tar", out.getvalue())
    read_here = partial(read, store)
    assert [read_here(f"links.tar:{name}") for name in "abc"] == [b"second", b"first", b"first"]
