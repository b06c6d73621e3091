"""Folders by URL: listings, and the files in them under any name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote_from_bytes, urljoin

import httpx
import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI

from casync.ids import Kind, chunk_id
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch
from casync.store.memory import MemoryStore
from casync.wire.documents import TreePage, decode_document
from tests.support.program import Program
from tests.support.server_world import problem
from tests.support.serving import BASE, ask, put_file, serving
from tests.support.tree_worlds import prepared

PAGE = os.urandom(100_000)
ODD = b"\xff %2F?#&<b>\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    (root / "css" / "-").mkdir(parents=True)
    (root / "css" / "page").write_bytes(PAGE)
    (root / "css" / "-" / "dash").write_bytes(b"dash")
    (root / "empty").touch()
    (root / os.fsdecode(ODD)).write_bytes(b"odd")
    (root / "latest").symlink_to("css/caf\u00e9")
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
    return create_app(store, ServerSettings(), sink=lambda _: None)


def listing(app: FastAPI, path: str, **arguments: str) -> TreePage:
    response = ask(app, "GET", f"/v1/trees/site/www/-/{path}", params=arguments)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return decode_document(response.content, TreePage)


def test_a_folder_is_listed(app: FastAPI) -> None:
    page = listing(app, "")
    assert [item.kind for item in page.entries] == ["folder", "file", "link", "file"]
    assert [item.name for item in page.entries] == [
        "css", "empty", "latest", quote_from_bytes(ODD, safe=""),
    ]  # fmt: skip
    assert not page.more
    css, empty, latest, odd = page.entries
    assert (css.length, empty.length, odd.length) == (None, 0, 3)
    assert odd.content == chunk_id(b"odd").hex()
    assert latest.target == "css/caf%C3%A9"
    assert [item.name for item in listing(app, "css//").entries] == ["-", "page"]
    assert [item.name for item in listing(app, "css/-/").entries] == ["dash"]


def test_pages(app: FastAPI) -> None:
    found: list[str] = []
    after = ""
    while True:
        page = listing(app, "", after=after, limit="1")
        found += [item.name for item in page.entries]
        if not page.more:
            break
        after = found[-1]
    assert found == [item.name for item in listing(app, "").entries]
    assert ask(app, "GET", "/v1/trees/site/www/-/?limit=0").status_code == 422


def test_a_browser_gets_html(app: FastAPI) -> None:
    url = f"{BASE}/v1/trees/site/www@1/-/"
    response = ask(app, "GET", url, headers={"accept": "text/html,*/*;q=0.8"})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in response.headers["content-security-policy"]
    assert "<b>" not in response.text
    links = [urljoin(url, link) for link in re.findall('href="([^"]*)"', response.text)]
    assert links[0] == f"{BASE}/v1/trees/site/www%401/-/css/"
    for link in links:
        assert ask(app, "GET", link).status_code == 200, link
    inner = f"{BASE}/v1/trees/site/www/-/css"  # without its last slash
    response = ask(app, "GET", inner, headers={"accept": "text/html"})
    links = [urljoin(inner, link) for link in re.findall('href="([^"]*)"', response.text)]
    assert links[0] == f"{BASE}/v1/trees/site/www/-/"
    assert ask(app, "GET", links[-1]).content == PAGE
    page = ask(app, "GET", f"{url}?limit=1", headers={"accept": "text/html"})
    assert "?after=css" in page.text


def test_files_inside(app: FastAPI) -> None:
    url = "/v1/files/site/www/-/css/page"
    response = ask(app, "GET", url)
    assert response.content == PAGE
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"].startswith('attachment; filename="page"')
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    etag = response.headers["etag"]
    assert etag == f'"{listing(app, "css").entries[1].content}"'
    assert ask(app, "GET", url, headers={"if-none-match": etag}).status_code == 304
    part = ask(app, "GET", url, headers={"range": "bytes=99990-", "if-range": etag})
    assert (part.status_code, part.content) == (206, PAGE[99990:])
    assert part.headers["content-range"] == "bytes 99990-99999/100000"
    assert ask(app, "GET", url, headers={"range": "bytes=100000-"}).status_code == 416
    head = ask(app, "HEAD", url)
    assert (head.content, head.headers["content-length"]) == (b"", "100000")
    assert ask(app, "GET", "/v1/files/site/www/-/css/-/dash").content == b"dash"
    assert ask(app, "GET", "/v1/files/site/www/-/empty").content == b""


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("/v1/files/site/www/-/none", 404, "not-found"),
        ("/v1/files/site/www/-/css%2Fpage", 404, "not-found"),
        ("/v1/files/site/www/-/%2E%2E/empty", 404, "not-found"),
        ("/v1/files/site/www/-/css", 400, "usage"),
        ("/v1/files/site/www/-/", 400, "usage"),
        ("/v1/files/site/www/-/latest", 400, "usage"),
        ("/v1/files/alone/-/x", 400, "usage"),
        ("/v1/files/none/-/x", 404, "no-name"),
        ("/v1/files/%FF/-/x", 400, "usage"),
        ("/v1/trees/site/www/-/empty", 400, "usage"),
        ("/v1/trees/site/www/-/none/", 404, "not-found"),
        ("/v1/trees/alone/-/", 400, "usage"),
    ],
)
def test_missing_paths_are_404(app: FastAPI, url: str, status: int, code: str) -> None:
    problem(ask(app, "GET", url), status, code)


def test_damage_is_never_sent(app: FastAPI, store: MemoryStore) -> None:
    (chunk,) = [ident for kind, ident in store._tables.objects if ident == chunk_id(b"odd")]
    del store._tables.objects[Kind.CHUNK, chunk]
    url = f"/v1/files/site/www/-/{quote_from_bytes(ODD)}"
    problem(ask(app, "GET", url), 500, "damaged-object")


def test_any_file_name_can_be_requested(root: Path, tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.good("prepare", root, "--name", "www")
    with serving(program.store) as server:
        url = f"{server.url}/v1/files/www/-/{quote_from_bytes(ODD, safe='')}"
        response = httpx.get(url, trust_env=False)
        assert (response.status_code, response.content) == (200, b"odd")
        assert httpx.get(f"{server.url}/v1/trees/www/-/", trust_env=False).status_code == 200
