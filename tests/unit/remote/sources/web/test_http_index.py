"""Pages that list folders: golden ones of each server, hostile ones, and folders without end."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from casync.errors import (
    RemoteError,
    UnreachableError,
    UsageError,
    WriteError,
)
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.web import index
from casync.remote.sources.web.index import IndexEntry, IndexPage
from casync.remote.sources.web.url import parse_url
from tests.support.scripted_server import Asked, ScriptedServer, reply

PAGES = {
    path.stem: path.read_text(errors="surrogateescape")
    for path in Path(__file__).with_name("pages").glob("*.html")
}
"""Pages in the form of each server, of a folder with the same files."""

PAGES["rounded"] = PAGES["nginx"].replace("   11000000", "   10M").replace("   1\n", "   1K\n")
PAGES["old_go"] = PAGES["go"].partition("<pre>")[1] + PAGES["go"].partition("<pre>")[2]
NAMES = {"a", "a:b", "big", "lat\udce9", "sp &#?"}
ONCE = SourceOptions(retry_for=0.0)
HEAD, TAIL = "<html><title>Index of /</title><pre>", "</pre></html>"


def entries(page: str, pieces: int = 0, url: str = "http://host/d/") -> list[IndexEntry]:
    parser = IndexPage(parse_url(url))
    step = pieces or len(page) or 1
    for at in range(0, len(page), step):
        parser.feed(page[at : at + step])
    return parser.finish()


@pytest.mark.parametrize(
    ("server", "sizes"),
    [
        ("python", {}),
        ("nginx", {"a": 5, "a:b": 0, "big": 11_000_000, "lat\udce9": 1}),
        ("rounded", {"a": 5, "a:b": 0}),
        ("apache", {"a": 5, "a:b": 0}),
        ("apache_table", {"a": 5, "a:b": 0}),
        ("apache_plain", {}),
        ("go", {}),
        ("old_go", {}),
        ("lighttpd", {}),
    ],
)
def test_the_pages_of_servers_list_names_and_exact_sizes(
    server: str, sizes: dict[str, int]
) -> None:
    """H2, H4."""
    for pieces in (0, 1, 7):
        found = entries(PAGES[server], pieces)
        assert {entry.name for entry in found} == NAMES
        assert {entry.name for entry in found if entry.is_folder} == {"sp &#?"}
        assert {one.name: one.size for one in found if one.size is not None} == sizes
        assert len(found) == len(NAMES)


def test_an_empty_folder_is_listed() -> None:
    for page in (HEAD + TAIL, "<pre>\n</pre>\n"):
        assert entries(page) == []


def test_links_that_leave_the_folder_are_ignored() -> None:
    links = [
        "/",
        "..",
        "../",
        "../x",
        "/d",
        "/d/",
        ".",
        "./",
        "?C=N",
        "a?b=1",
        "#a",
        "/dx/a",
        "/e/a",
        "//other/d/x",
        "http://other/d/x",
        "https://host/d/x",
        "http://host:81/d/x",
        "mailto:a",
        "javascript:a",
        "a/b",
        "a/b/",
        "%2e%2e",
        "%2e",
        "ftp://host/d/x",
        "http://[",
    ]
    page = HEAD + "".join(f'<a href="{link}">x</a>\n' for link in links) + "<a>x</a><a href>y</a>"
    assert entries(page + TAIL) == []
    whole = HEAD + '<a href="/d/x">x</a><a href="http://host/d/y/">y</a>' + TAIL
    assert [entry.name for entry in entries(whole)] == ["x", "y"]
    encoded = entries(HEAD + '<a href="/%64/x%20y">x</a>' + TAIL)
    assert [(entry.name, entry.url.target) for entry in encoded] == [("x y", b"/%64/x%20y")]


@pytest.mark.parametrize("link", ["a%2Fb", "..%2F..%2Fetc%2Fpasswd", "%2fetc/", "a%00b"])
def test_a_link_to_what_is_no_name_is_an_entry_without_one(link: str) -> None:
    good = '<a href="b">b</a>'
    odd, other = entries(f'{HEAD}<a href="{link}">x</a>{good}{TAIL}')
    assert (odd.name, odd.is_name) == (link.rstrip("/"), False)
    assert (other.name, other.is_name) == ("b", True)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "not html",
        "<html><title>Welcome</title><a href='a'>a</a></html>",
        "<html><h1>My files</h1><pre><a href='a'>a</a></pre></html>",
        "<pre>Some text with <a href='a'>a</a> link</pre>",
        "<a href='a'>a</a>",
        "<!--",
        "<![x",
    ],
)
def test_a_page_that_lists_no_folder_is_an_error(page: str) -> None:
    """An index.html instead of a listing is not taken for an empty folder."""
    with pytest.raises(UsageError, match="no listing of a folder"):
        entries(page)


@pytest.mark.parametrize("server", ["nginx", "apache", "apache_table", "go"])
def test_half_a_listing_is_no_listing(server: str) -> None:
    """D10: nothing may be taken for gone because a page was cut off."""
    page = PAGES[server]
    ends = min(page.index(end) for end in ("</pre>", "</table>") if end in page)
    for cut in range(page.index("<a href"), ends, 13):
        with pytest.raises(UnreachableError) as raised:
            entries(page[:cut])
        assert raised.value.fault == "short_body"


def html(body: str) -> bytes:
    return reply(200, body.encode(), Content_Type="text/html; charset=utf-8")


def test_folders_are_walked_where_their_pages_lead() -> None:
    """H3."""
    pages = {
        "/d/": '<a href="x">x</a> <a href="%C3%A9/">e</a>',
        "/d/%C3%A9/": '<a href="/d/%c3%a9/y">y</a>',
    }
    script = lambda asked: html(HEAD + pages[asked.target] + TAIL)  # noqa: E731
    with ScriptedServer(script) as server, Sources(ONCE) as sources:
        source, key = sources.open(f"{server.url}/d/")
        assert [one.key for one in source.list_below(key)] == ["x", "\u00e9/y"]
        assert [one.key for one in source.list_below("\u00e9/")] == ["\u00e9/y"]


@pytest.mark.parametrize("links", [["loop/"], ["a", "loop/", "loop2/"]])
def test_a_folder_that_contains_itself_is_an_error(links: list[str]) -> None:
    page = HEAD + "".join(f'<a href="{link}">x</a>' for link in links) + TAIL
    with ScriptedServer(lambda asked: html(page)) as server, Sources(ONCE) as sources:
        source, key = sources.open(f"{server.url}/d/")
        with pytest.raises(RemoteError, match="contain themselves"):
            list(source.list_below(key))
        assert len(server.asked) < 20


def test_folders_without_end_are_an_error() -> None:
    def script(asked: Asked) -> bytes:
        return html(f'{HEAD}<a href="{len(asked.target)}/">x</a>{TAIL}')

    with ScriptedServer(script) as server, Sources(ONCE) as sources:
        source, key = sources.open(f"{server.url}/d/")
        with pytest.raises(RemoteError, match="contain themselves"):
            list(source.list_below(key))
        with pytest.raises(RemoteError, match="too deep"):
            source.list_folder("x/" * 101)
        assert len(server.asked) < 120


def test_what_is_no_page_is_an_error() -> None:
    answers = [
        reply(200, b"{}", Content_Type="application/json"),
        reply(200, b"x"),
        reply(200, b"x", Content_Type="text/html", Content_Encoding="gzip"),
    ]
    with ScriptedServer(lambda asked: answers.pop()) as server, Sources(ONCE) as sources:
        source, key = sources.open(f"{server.url}/d/")
        while answers:
            with pytest.raises(UsageError, match="no listing of a folder"):
                source.list_folder(key)
        source, key = sources.open(f"{server.url}/d/x")
        with pytest.raises(UsageError, match="is one object"):
            source.list_folder("")


def test_a_page_that_breaks_off_is_asked_for_again() -> None:
    page = html(HEAD + '<a href="x">x</a>' + TAIL)
    answers = [page, page[:-3], page.replace(b"</", b"<!")]
    with ScriptedServer(lambda asked: answers.pop()) as server, Sources(ONCE) as sources:
        source, key = sources.open(f"{server.url}/d/")
        assert [one.key for one in source.list_below(key)] == ["x"]
        assert len(server.asked) == 3


def test_a_large_listing_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """H3: folders of millions of files do not fit in memory."""
    line = '<a href="shard-{0:09}">shard-{0:09}</a>{1:>90} 30-Nov-2026 01:20 {0}\n'
    page = html(HEAD + "".join(line.format(number, "") for number in range(60_000)) + TAIL)
    assert len(page) > index._SPOOLED_BYTES
    with ScriptedServer(lambda asked: page) as server, Sources(ONCE) as sources:
        source, key = sources.open(f"{server.url}/d/")
        found = list(source.list_below(key))
        assert [one.size for one in found] == list(range(60_000))
        assert (found[0].key, found[-1].key) == ("shard-000000000", "shard-000059999")
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
        with pytest.raises(WriteError, match="cannot keep a listing"):
            list(source.list_below(key))
