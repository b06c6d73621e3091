"""What refs lead to, in one source and in the stores and servers of a pull."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casync.access.content_file import read_range
from casync.access.endpoints import Endpoints
from casync.access.locate import fetch, locate, open_file
from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.errors import NoNameError, NotFoundError, UsageError
from casync.ids import ChunkId, Kind, ManifestId
from casync.names.name import Name, Ref, parse_ref
from casync.names.name_update import NameUpdate
from casync.objects.leaves import LeafCursor
from casync.objects.tree import File, Link
from casync.store.base import Batch, ManifestState
from casync.store.memory import MemoryStore
from tests.support.pulling import MemoryServer, noise, put
from tests.support.tree_worlds import manifest_of, prepared

DATA = noise(1, 20_000)


@pytest.fixture
def server(tmp_path: Path) -> MemoryServer:
    """Has a folder `www` and a file `file`."""
    root = tmp_path / "www"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "data").write_bytes(DATA)
    (root / "to").symlink_to("sub/data")
    os.link(root / "sub" / "data", root / "sub" / "deep" / "again")
    server = MemoryServer()
    ident = prepared(root, server).manifest
    length = manifest_of(server, ident).length
    batch = Batch(manifests=[(ident, ManifestState.FULL, length)])
    batch.names = [NameUpdate(Name("www"), ident)]
    server.commit(batch)
    put(server, DATA, "file")
    return server


def content(outline: Outline, source: MemoryStore) -> bytes:
    return b"".join(map(bytes, read_range(outline, source, 0, outline.length)))


@pytest.mark.parametrize("ref", ["file", "www:sub/data", "www:/sub//data", "www:sub/deep/again"])
def test_a_file_is_found_at_the_top_and_in_folders(ref: str, server: MemoryServer) -> None:
    found = locate(parse_ref(ref), server)
    assert isinstance(found.content, Outline)
    assert content(found.content, server) == DATA
    readable = open_file(parse_ref(ref), server)
    assert b"".join(map(bytes, readable.read(0, readable.length))) == DATA
    assert isinstance(found.entry, File) == ref.startswith("www")


@pytest.mark.parametrize("ref", ["www", "www:", "www:sub"])
def test_a_folder_is_a_tree_with_paths_from_the_root_of_the_whole_tree(
    ref: str, server: MemoryServer
) -> None:
    found = locate(parse_ref(ref), server)
    assert isinstance(found.content, Tree)
    above = found.path + b"/" if found.path else b""
    below = [path for path, _ in found.content.listing(recursive=True)]
    assert set(below) > {path for path, _ in found.content.listing(recursive=False)}
    assert all(path.startswith(above) for path in below)
    assert b"sub/deep/again" in below
    with pytest.raises(UsageError, match=f"{ref} is a folder, not a file"):
        open_file(parse_ref(ref), server)


def test_a_link_is_not_followed(server: MemoryServer) -> None:
    ref = parse_ref("www:to")
    found = locate(ref, server)
    assert found.content is None
    assert isinstance(found.entry, Link)
    with pytest.raises(UsageError, match="www:to is a link"):
        open_file(ref, server)
    with pytest.raises(UsageError, match="www:to is a link"):
        fetch(ref, Endpoints(MemoryStore(), True, [], [server]))


@pytest.mark.parametrize(
    ("ref", "error"),
    [("file:x", UsageError), ("www:sub/none", NotFoundError), ("none", NoNameError)],
)
def test_reads_and_pulls_report_a_missing_ref_alike(
    ref: str, error: type[Exception], server: MemoryServer
) -> None:
    with pytest.raises(error) as read:
        locate(parse_ref(ref), server)
    with pytest.raises(error) as pulled:
        fetch(parse_ref(ref), Endpoints(MemoryStore(), True, [], [server]))
    assert str(pulled.value) == str(read.value)


def test_a_file_in_a_folder_has_the_same_manifest_as_on_its_own(
    server: MemoryServer,
) -> None:
    store = MemoryStore()
    alone = fetch(parse_ref("file"), Endpoints(store, True, [], [server])).id
    other = MemoryStore()
    found = fetch(parse_ref("www:sub/data"), Endpoints(other, True, [], [server]))
    assert found.id == alone
    assert manifest_of(other, alone) == manifest_of(store, alone)


def test_everything_but_the_chunks_of_files_is_fetched(server: MemoryServer) -> None:
    store = MemoryStore()
    tree = fetch(parse_ref("www"), Endpoints(store, True, [], [server]))
    assert isinstance(tree, Tree)
    (data,) = (entry for path, entry in tree.listing(recursive=True) if path == b"sub/data")
    assert isinstance(data, File)
    outline = fetch(
        Ref(manifest=ManifestId(tree.id), path="sub/data"), Endpoints(store, True, [], [])
    )
    assert isinstance(outline, Outline)
    cursor = LeafCursor(outline.content, outline.node)
    chunks = [ChunkId(record.id) for _, record in cursor.chunks(0, outline.length)]
    assert chunks
    assert not any(store.known(Kind.CHUNK, chunks))
