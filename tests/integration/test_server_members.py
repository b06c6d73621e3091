"""Members of archives over HTTP: listings in pages, and indexes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings

from casync.access.member_indexes import open_index
from casync.ids import NodeId
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.objects.node import Content
from casync.remote.server.client import RemoteClient
from casync.store.base import Batch
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from casync.wire.documents import ContentItem, decode_document
from casync.wire.members import MemberPage
from tests.support.serving import Server, ask, put_file, serving
from tests.support.tree_worlds import prepared

NAMES = sorted([b"d/%03d" % n for n in range(150)] + [b"d/\xff\xe9 %", b"e", b"link"])


def tar_of(names: list[bytes] = NAMES) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in [*names[:3], *names]:  # the first three are there twice
            info = tarfile.TarInfo(name.decode(errors="surrogateescape"))
            info.mtime, info.size = 1_700_000_000, len(name)
            if name == b"link":
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "d/\u00e9", 0
            archive.addfile(info, io.BytesIO(name))
    return out.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    (root / "in").mkdir()
    (root / "in" / "b.tar").write_bytes(tar_of(NAMES[:5]))
    path = tmp_path_factory.mktemp("store") / "store"
    with LmdbStore.open(path, create=True) as store:
        put_file(store, tar_of(), name="shards/a.tar")
        put_file(store, tar_of(NAMES[:7]), name="odd/members")
        put_file(store, b"no archive", name="plain")
        tree = prepared(root, store).manifest
        names = [NameUpdate(Name(name), tree) for name in ("www", "tree/members")]
        store.commit(Batch(names=names))
    return path


@pytest.fixture(scope="module")
def server(path: Path) -> Iterator[Server]:
    with serving(path) as server:
        yield server


def page(server: Server, ref: str, **query: str | int) -> MemberPage:
    response = httpx.get(f"{server.url}/v1/archives/{ref}/members", params=query)
    assert response.status_code == 200, response.text
    return decode_document(response.content, MemberPage)


def test_members_are_listed_in_pages(server: Server) -> None:
    """A5"""
    found: list[str] = []
    more = True
    while more:
        part = page(server, "shards/a.tar", limit=20, after=found[-1] if found else "")
        assert (part.format, part.layer) == ("tar", "")
        assert len(part.members) <= 20
        found += [one.path for one in part.members]
        more = part.more
    assert found == [quote(name) for name in NAMES]
    assert [one.path for one in page(server, "shards/a.tar", prefix="d%2F00").members] == [
        quote(name) for name in NAMES if name.startswith(b"d/00")
    ]
    assert [one.path for one in page(server, "shards/a.tar", prefix="d/%FF").members] == [
        "d/%FF%E9%20%25"
    ]
    (link,) = page(server, "shards/a.tar", after="e").members
    assert (link.kind, link.target, link.mtime) == ("symlink", "d/%C3%A9", 1_700_000_000)
    first = page(server, "shards/a.tar", limit=1).members[0]
    assert (first.kind, first.length, first.offset) == ("file", 5, 3 * 1024 + 512)


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
def test_members_that_later_ones_hide_are_listed_too(server: Server, limit: int) -> None:
    """A5"""
    found: list[tuple[str, bool]] = []
    offsets: list[int] = []
    query: dict[str, str | int] = {"all": "", "limit": limit, "prefix": "d%2F00"}
    more = True
    while more:
        part = page(server, "shards/a.tar", **query)
        found += [(one.path, one.shadowed) for one in part.members]
        offsets += [one.offset for one in part.members]
        query |= {"after": found[-1][0], "after_offset": offsets[-1]}
        more = part.more
    twice = [(f"d/00{n}", hidden) for n in range(3) for hidden in (True, False)]
    assert found == [*twice, *((f"d/00{n}", False) for n in range(3, 10))]
    assert offsets == [512, 3 * 1024 + 512, 1536, 4 * 1024 + 512, 2560, *range(5632, 13_824, 1024)]
    last = page(server, "shards/a.tar", all=1, after="d/001", limit=1).members[0]
    assert (last.path, last.shadowed) == ("d/002", True)


def test_an_archive_in_a_folder_is_listed(server: Server) -> None:
    found = page(server, "www", path="in/b.tar")
    assert [one.path for one in found.members] == [quote(name) for name in NAMES[:5]]


def test_names_that_end_as_the_requests_do_keep_their_meaning(server: Server) -> None:
    assert len(page(server, "odd/members").members) == 7
    url = f"{server.url}/v1/archives/tree/members"
    with tarfile.open(fileobj=io.BytesIO(httpx.get(url, params={"format": "tar"}).content)) as tar:
        assert tar.getnames() == [".", "in", "in/b.tar"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("plain/members", 400),
        ("plain/index", 400),
        ("www/members", 400),
        ("nothing/members", 404),
        ("www/members?path=in/c.tar", 404),
        ("shards/a.tar/members?path=d/001", 400),
        ("shards/a.tar/members?limit=0", 422),
        ("shards/a.tar/members?limit=1001", 422),
        ("shards/a.tar", 422),
    ],
)
def test_what_cannot_be_listed_is_told(server: Server, target: str, status: int) -> None:
    response = httpx.get(f"{server.url}/v1/archives/{target}")
    assert response.status_code == status, response.text
    assert response.json()["status"] == status


def test_an_index_is_made_and_fetched_as_objects(server: Server) -> None:
    """A2"""
    for target, names in (
        ("shards/a.tar/index", NAMES),
        ("www/index?path=in/b.tar", NAMES[:5]),
    ):
        response = httpx.get(f"{server.url}/v1/archives/{target}")
        assert response.status_code == 200, response.text
        assert response.headers["cache-control"] == "no-cache"
        item = decode_document(response.content, ContentItem)
        content = Content(item.level, NodeId(bytes.fromhex(item.id)), item.length)
        with RemoteClient(server.url) as client:
            members = list(open_index(content, client).members())
        assert [one.path for one in members if not one.shadowed] == names
        assert httpx.get(f"{server.url}/v1/archives/{target}").content == response.content


class ReadOnly(MemoryStore):
    def member_index(self, archive: bytes) -> None:
        return None


def test_a_server_that_cannot_keep_indexes_lists_members_and_has_no_index() -> None:
    store = ReadOnly()
    put_file(store, tar_of(), name="a.tar")
    app = create_app(store, ServerSettings(), sink=lambda _: None)
    listed = ask(app, "GET", "/v1/archives/a.tar/members")
    assert len(decode_document(listed.content, MemberPage).members) == len(NAMES)
    assert ask(app, "GET", "/v1/archives/a.tar/index").status_code == 404
