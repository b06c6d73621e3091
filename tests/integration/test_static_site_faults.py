"""Pulls from static sites whose web servers, caches and networks fail in the ways they do."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.test_static_sites import NEW, OLD, serve
from tests.support.program import Program
from tests.support.scripted_server import Asked, reply

PAGE = b"<html><body>Please log in</body></html>"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home")


@pytest.fixture
def site(tmp_path: Path, program: Program) -> Path:
    program.good("prepare", "--name", "vm", stdin=OLD)
    program.good("publish", "vm", tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def reader(tmp_path: Path) -> Program:
    (tmp_path / "reader").mkdir()
    return Program(tmp_path / "reader")


def page(_: bytes, __: Asked) -> bytes:
    return reply(200, PAGE, Content_Type="text/html")


def compressed(data: bytes, _: Asked) -> bytes:
    return reply(200, gzip.compress(data), Content_Encoding="gzip")


def cut(data: bytes, asked: Asked) -> bytes:
    assert asked.range is not None
    first, end = asked.range
    part = data[first:end]
    place = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
    return reply(206, part[: len(part) // 2], Content_Length=str(len(part)), Content_Range=place)


def cut_off(data: bytes, asked: Asked) -> bytes:
    """A file that lost all but its beginning."""
    assert asked.range is not None
    first, end = asked.range
    rest = data[: len(data) // 2][:end]
    if first >= len(rest):
        return reply(416, b"", Content_Range=f"bytes */{len(rest)}")
    place = f"bytes {first}-{len(rest) - 1}/{len(data) // 2}"
    return reply(206, rest[first:], Content_Range=place)


def status(number: int) -> Callable[[bytes, Asked], bytes]:
    return lambda _, __: reply(number, b"no", Location="https://elsewhere.example/")


CASES = {
    "no address": ("", status(404), 5, "where `store` lies"),
    "no right": ("", status(403), 8, "a site is open to all, or by its address"),
    "a login page": ("", page, 5, "answers with text/html"),
    "a redirect": ("", status(302), 5, "redirects (HTTP status 302)"),
    "compression": ("", compressed, 5, "Turn compression off"),
    "a page for a name": ("n", page, 5, "something else than the name vm"),
    "a map that is not there yet": ("m", status(404), 9, "has the name, but not the map of"),
    "a page for a map": ("m", page, 5, "a web page in the place of /m/"),
    "a map that was cut off": ("m", cut_off, 4, "map that is shorter than it says"),
    "a segment that was cut off": ("seg", status(416), 9, "lacks the end of seg/"),
    "a segment that is gone": ("seg", status(404), 9, "lacks seg/"),
    "a signature that has expired": ("seg", status(403), 8, "signature in its address may have"),
    "a page for a segment": ("seg", page, 5, "a web page in the place of /seg/"),
    "a redirect of segments": ("seg", status(302), 5, "redirects are not followed"),
    "a body that breaks off": ("seg", cut, 5, "closed the connection"),
    "segments in gzip": ("seg", compressed, 5, "Turn compression off"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said_and_nothing_is_written(
    case: str, site: Path, reader: Program
) -> None:
    folder, answer, code, text = CASES[case]

    def seen(asked: Asked) -> bytes | None:
        path = site / asked.target.lstrip("/")
        if not asked.target.startswith(f"/{folder}"):
            return None
        return answer(path.read_bytes() if path.is_file() else b"", asked)

    target = reader.home / "disk"
    with serve(site, seen) as server:
        words = ("pull", "vm", "-o", target, "--server", server.url, "--retry-for", "0s")
        failed = reader.run(*words)
    assert failed.status == code, failed.err
    assert text in failed.err
    assert not target.exists()


def test_an_old_name_leads_to_the_old_content(
    site: Path, program: Program, reader: Program
) -> None:
    """A cache may keep names for longer than it should."""
    names = {path: path.read_bytes() for path in (site / "n").rglob("*") if path.is_file()}
    program.good("prepare", "--name", "vm", stdin=NEW)
    program.good("publish", "vm", site)

    def seen(asked: Asked) -> bytes | None:
        old = names.get(site / asked.target.lstrip("/"))
        return None if old is None else reply(200, old)

    with serve(site, seen) as server:
        reader.good("pull", "vm", "-o", reader.home / "disk", "--server", server.url)
    assert (reader.home / "disk").read_bytes() == OLD


@pytest.mark.parametrize("folder", ["m", "seg"])
def test_another_site_stands_in_for_one_that_is_not_complete(
    folder: str, site: Path, reader: Program
) -> None:
    def seen(asked: Asked) -> bytes | None:
        return reply(404, b"no") if asked.target.startswith(f"/{folder}/") else None

    target = reader.home / "disk"
    with serve(site, seen) as partial, serve(site) as whole:
        words = ("pull", "vm", "-o", target, "--server", partial.url, "--server", whole.url)
        reader.good(*words)
    assert target.read_bytes() == OLD


def test_a_map_that_is_replaced_under_a_reader_is_read_again(
    program: Program, reader: Program, tmp_path: Path
) -> None:
    """A new member index moves all parts of a map."""
    shard = tmp_path / "shard.tar"
    (tmp_path / "disk").write_bytes(OLD)
    (tmp_path / "small").write_bytes(b"small")
    subprocess.run(["tar", "cf", shard, "-C", tmp_path, "disk", "small"], check=True)
    program.good("prepare", shard, "--name", "shard", "--chunk-size", "1KiB")
    site = tmp_path / "site"
    program.good("publish", "shard", site)
    (place,) = (path for path in (site / "m").rglob("*") if path.is_file())
    old = place.read_bytes()
    program.good("archive", "ls", "shard")
    program.good("publish", "shard", site)
    assert old != place.read_bytes()
    opened: list[Asked] = []

    def seen(asked: Asked) -> bytes | None:
        if asked.target != f"/{place.relative_to(site)}" or opened:
            return None
        assert asked.range is not None
        opened.append(asked)
        first, end = asked.range
        part = old[first:end]
        span = f"bytes {first}-{first + len(part) - 1}/{len(old)}"
        return reply(206, part, Content_Range=span)

    with serve(site, seen) as server:
        reader.good("pull", "shard", "-o", reader.home / "copy", "--server", server.url)
    assert (reader.home / "copy").read_bytes() == shard.read_bytes()
