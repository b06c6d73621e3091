"""Folders as archives by URL."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import httpx
import msgspec
import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI

from casync.ids import Kind
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from tests.support.server_world import problem
from tests.support.serving import ask, put_file, serving_here
from tests.support.tree_worlds import prepared

LARGE = os.urandom(3_000_000)
FORMATS = ["tar", "tgz", "zip", "msgpack"]
URL = "/v1/archives/site/www"
MTIME = 1_650_000_001


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    (root / "css" / "empty").mkdir(parents=True)
    (root / "css" / "large").write_bytes(LARGE)
    (root / "css" / "page").write_bytes(b"page")
    (root / "css2").write_bytes(b"css2")
    (root / "nothing").touch(mode=0o600)
    (root / "latest").symlink_to("css/page")
    os.link(root / "css" / "page", root / "same page")
    for path in sorted(root.rglob("*"), reverse=True):
        if path.name != "latest":
            os.utime(path, (MTIME, MTIME))
    (root / "css" / "empty").chmod(0o711)
    return root


@pytest.fixture
def store(root: Path) -> MemoryStore:
    store = MemoryStore()
    ident = prepared(root, store).manifest
    store.commit(Batch(names=[NameUpdate(Name("site/www"), ident)]))
    put_file(store, b"alone", name="alone")
    return store


@pytest.fixture
def app(store: MemoryStore) -> FastAPI:
    return create_app(store, ServerSettings(piece_bytes=50_000), sink=lambda _: None)


def get(app: FastAPI, made: str, prefix: str = "") -> bytes:
    response = ask(app, "GET", URL, params={"format": made, "prefix": prefix})
    assert response.status_code == 200, response.text
    return response.content


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


def test_a_tree_is_downloaded_as_tar_with_all_its_metadata(
    app: FastAPI, root: Path, tmp_path: Path
) -> None:
    """A7"""
    (tmp_path / "www.tar").write_bytes(get(app, "tar"))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xpf", "www.tar", "-C", "out"], cwd=tmp_path, check=True)
    for path in root.rglob("*"):
        there = tmp_path / "out" / path.relative_to(root)
        was, found = path.lstat(), there.lstat()
        assert (was.st_mode, was.st_size if path.is_file() else 0) == (
            found.st_mode,
            found.st_size if path.is_file() else 0,
        )
        assert was.st_mtime_ns == found.st_mtime_ns
        if path.is_symlink():
            assert there.readlink() == path.readlink()
        elif path.is_file():
            assert there.read_bytes() == path.read_bytes()
    assert (tmp_path / "out" / "same page").samefile(tmp_path / "out" / "css" / "page")


def test_all_formats_have_the_same_files(app: FastAPI) -> None:
    """A7"""
    tar = get(app, "tar")
    assert gzip.decompress(get(app, "tgz")) == tar
    with zipfile.ZipFile(io.BytesIO(get(app, "zip"))) as archive:
        assert archive.testzip() is None
        assert [".", *(name.rstrip("/") for name in archive.namelist())] == names(tar)
        assert archive.read("css/large") == LARGE
        assert archive.read("same page") == b"page"
    found = msgspec.msgpack.decode(get(app, "msgpack"))
    assert found == {
        "css/large": LARGE,
        "css/page": b"page",
        "css2": b"css2",
        "nothing": b"",
        "same page": b"page",
    }


@pytest.mark.parametrize("made", FORMATS)
def test_the_length_is_announced_where_it_follows_from_the_tree(app: FastAPI, made: str) -> None:
    """A7"""
    whole = get(app, made)
    assert whole == get(app, made)
    head = ask(app, "HEAD", URL, params={"format": made})
    assert head.status_code == 200
    assert head.content == b""
    length = head.headers.get("content-length")
    assert length == (None if made == "tgz" else str(len(whole)))
    assert head.headers["accept-ranges"] == ("bytes" if made in ("tar", "msgpack") else "none")


@pytest.mark.parametrize("made", ["tar", "msgpack"])
def test_every_range_is_that_part_of_the_whole(app: FastAPI, made: str) -> None:
    """A7"""
    whole = get(app, made)
    size = len(whole)
    at = whole.index(LARGE[:64])
    spans = [(0, 1), (0, size), (at - 3, at + 5), (at + 10, at + 2_000_000), (size - 5, size)]
    spans += [(start, start + 700) for start in range(0, size, 200_003)]
    for start, end in spans:
        field = {"Range": f"bytes={start}-{end - 1}"}
        response = ask(app, "GET", URL, params={"format": made}, headers=field)
        assert response.status_code == 206
        assert response.content == whole[start:end]
        assert response.headers["content-range"] == f"bytes {start}-{min(end, size) - 1}/{size}"
    field = {"Range": f"bytes={size}-"}
    beyond = ask(app, "GET", URL, params={"format": made}, headers=field)
    problem(beyond, 416, "usage")
    assert beyond.headers["content-range"] == f"bytes */{size}"


def test_a_range_of_what_must_be_deflated_gives_the_whole(app: FastAPI) -> None:
    for made in ("tgz", "zip"):
        response = ask(app, "GET", URL, params={"format": made}, headers={"Range": "bytes=5-9"})
        assert response.status_code == 200
        assert response.content == get(app, made)


def test_a_prefix_selects_members(app: FastAPI) -> None:
    """A8"""
    assert names(get(app, "tar", "css/")) == ["css/empty", "css/large", "css/page"]
    assert names(get(app, "tar", "css")) == ["css", "css/empty", "css/large", "css/page", "css2"]
    assert names(get(app, "tar", "none")) == []
    with tarfile.open(fileobj=io.BytesIO(get(app, "tar", "same"))) as alone:
        assert [one.isreg() for one in alone.getmembers()] == [True]


def test_an_etag_stands_for_one_archive(app: FastAPI) -> None:
    """A7"""
    queries = [{"format": made} for made in FORMATS] + [{"format": "tar", "prefix": "css"}]
    etags = [ask(app, "HEAD", URL, params=query).headers["etag"] for query in queries]
    assert len(set(etags)) == len(etags)
    for query, etag in zip(queries, etags, strict=True):
        again = ask(app, "GET", URL, params=query, headers={"If-None-Match": etag})
        assert again.status_code == 304
    old = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert ask(app, "GET", URL, params={"format": "tar"}, headers=old).status_code == 200


def test_what_cannot_be_an_archive_is_refused(app: FastAPI) -> None:
    assert ask(app, "GET", URL).status_code == 422
    assert ask(app, "GET", URL, params={"format": "rar"}).status_code == 422
    answer = ask(app, "GET", "/v1/archives/alone", params={"format": "tar"})
    assert "not lead to a folder" in problem(answer, 400, "usage").detail
    problem(ask(app, "GET", "/v1/archives/no", params={"format": "tar"}), 404, "no-name")


@pytest.mark.parametrize("made", FORMATS)
def test_an_archive_with_a_damaged_file_never_ends_cleanly(
    app: FastAPI, store: MemoryStore, made: str
) -> None:
    """A7"""
    objects = store._tables.objects
    large = [key for key, one in objects.items() if key[0] is Kind.CHUNK and len(one.payload) > 900]
    del objects[large[-1]]
    with (
        serving_here(app) as base,
        pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"),
    ):
        httpx.get(base + URL, params={"format": made})


def test_a_type_that_is_not_that_of_the_archive_is_refused(
    app: FastAPI, store: MemoryStore
) -> None:
    """A6"""
    put_file(store, get(app, "tgz"), name="shards/a.tgz")
    for url in ("/v1/archives/shards/a.tgz/members", "/v1/files/shards/a.tgz/-/css/page"):
        for mime in ("application/gzip", "tgz", ".tar.gz"):
            assert ask(app, "GET", url, params={"archmime": mime}).status_code == 200
        for mime in ("application/zip", "zip", "application/x-tar", "text/plain"):
            answer = ask(app, "GET", url, params={"archmime": mime})
            problem(answer, 400, "usage")
