"""`casync publish`, and pulls from what it wrote, over web servers and S3, as a user runs them."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.debian import UnavailableError
from tests.support.moto_server import KEY, REGION, SECRET, moto_server
from tests.support.program import Program
from tests.support.scripted_server import Asked, ScriptedServer, reply
from tests.support.web_servers import apache, http_server, nginx

OLD = random.Random(11).randbytes(6_000_000)
NEW = OLD[:2_000_000] + b"new" * 1000 + OLD[2_003_000:5_000_000] + b"!" + OLD[5_000_001:]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home")


@pytest.fixture
def site(tmp_path: Path, program: Program) -> Path:
    """A folder with both versions of `vm`."""
    site = tmp_path / "site"
    for data in (OLD, NEW):
        program.good("prepare", "--name", "vm", stdin=data)
    program.good("publish", "vm", site, "--history", "2")
    return site


@pytest.fixture(params=["nginx", "apache"])
def url(site: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    start = {"nginx": nginx, "apache": apache}[request.param]
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # Apache reads it as another user
        copy = Path(place, "site")
        shutil.copytree(site, copy)
        try:
            with start(copy, Path(place, "web")) as url:
                yield url
        except UnavailableError as error:
            pytest.skip(str(error))


@pytest.fixture
def reader(tmp_path: Path) -> Program:
    (tmp_path / "reader").mkdir()
    return Program(tmp_path / "reader")


def serve(site: Path, seen: Callable[[Asked], bytes | None] = lambda _: None) -> ScriptedServer:
    """A web server with ranges, whose answers `seen` may replace."""

    def answer(asked: Asked) -> bytes:
        changed = seen(asked)
        if changed is not None:
            return changed
        path = site / asked.target.partition("?")[0].lstrip("/")
        if not path.is_file():
            return reply(404, b"no such file", Content_Type="text/html")
        data = path.read_bytes()
        if asked.range is None:
            return reply(200, data)
        first, end = asked.range
        part = data[first:end]
        last = first + len(part) - 1
        return reply(206, part, Content_Range=f"bytes {first}-{last}/{len(data)}")

    return ScriptedServer(answer)


def test_a_web_server_is_enough(url: str, reader: Program) -> None:
    target = reader.home / "disk"
    done = reader.good("pull", "vm@1", "-o", target, "--server", url, "--json").document
    assert target.read_bytes() == OLD
    assert done["received"] < 1.05 * len(OLD)
    done = reader.good("pull", "vm", "-o", target, "--server", url, "--json").document
    assert target.read_bytes() == NEW
    assert done["received"] < 400_000
    assert done["requests"] <= 12
    assert reader.good("cat", "vm", "--server", url).out == NEW
    shown = reader.good("show", "vm", "--server", url, "--json").document
    assert shown["length"] == len(NEW)


def open_to_all(url: str) -> None:
    """Lets everyone read the objects of a bucket, as a policy does at Amazon."""
    with urllib.request.urlopen(signed(f"{url}/bucket?list-type=2")) as answer:
        keys = re.findall(r"<Key>(.*?)</Key>", answer.read().decode())
    for key in keys:
        request = signed(f"{url}/bucket/{key}?acl", method="PUT")
        request.add_header("x-amz-acl", "public-read")
        urllib.request.urlopen(request).close()


def signed(url: str, method: str = "GET") -> urllib.request.Request:
    """A request by the owner; moto looks at the key and not at the signature."""
    request = urllib.request.Request(url, method=method)
    scope = f"{KEY}/20261130/{REGION}/s3/aws4_request"
    request.add_header("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}")
    return request


def test_names_that_are_removed_are_said(program: Program, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        program.good("prepare", "--name", "vm", stdin=content)
    site = tmp_path / "removed"
    program.good("publish", "vm", site, "--history", "2")
    dry = program.good("publish", "--remove", "vm", site, "--dry-run")
    assert dry.err.startswith("vm: 2 versions would be removed\n")
    done = program.good("publish", "--remove", "vm", site)
    assert done.err.startswith("vm: 2 versions removed\n")
    assert "sent" not in dry.err + done.err
    assert "wait for the grace" in done.err


def test_a_site_in_s3_is_published_and_pulled(
    program: Program, reader: Program, tmp_path: Path
) -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
    }
    with moto_server() as url:
        variables["AWS_ENDPOINT_URL"] = url
        for data, fewest in ((OLD, 100), (NEW, 1)):
            program.good("prepare", "--name", "vm", stdin=data)
            place = "s3://bucket/images/public"
            done = program.good("publish", "vm", place, "--json", stdin=b"", **variables).document
            assert done["chunks"] >= fewest
        assert done["chunks"] <= 8
        target = reader.home / "disk"
        open_to_all(url)
        reader.good("pull", "vm", "-o", target, "--server", f"{url}/bucket/images/public")
        assert target.read_bytes() == NEW
        missing = reader.run("pull", "vn", "-o", target, "--server", f"{url}/bucket/images/public")
        assert missing.status == 9
        assert "vn is not on" in missing.err


def test_a_folder_and_members_of_an_archive_are_read(
    program: Program, reader: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "tree"
    (folder / "deep" / "er").mkdir(parents=True)
    for n in range(300):
        (folder / "deep" / f"{n}.txt").write_bytes(b"%d" % n * 50)
    (folder / "large").write_bytes(OLD)
    (folder / "link").symlink_to("large")
    subprocess.run(["tar", "cf", folder / "shard.tar", "-C", folder, "deep"], check=True)
    program.good("prepare", folder, "--name", "tree")
    program.good("archive", "ls", "tree:shard.tar")
    program.good("publish", "tree", tmp_path / "site")
    with serve(tmp_path / "site") as server:
        reader.good("pull", "tree", "-o", reader.home / "copy", "--server", server.url)
        subprocess.run(["diff", "-r", "--no-dereference", folder, reader.home / "copy"], check=True)
        got = reader.good("cat", "tree:deep/7.txt", "--server", server.url).out
        assert got == b"7" * 50
        before = len(server.asked)
        member = reader.good("cat", "tree:shard.tar/deep/8.txt", "--server", server.url).out
        assert member == b"8" * 50
        assert len(server.asked) - before <= 12
        (folder / "deep" / "7.txt").write_bytes(b"seven")
        program.good("prepare", folder, "--name", "tree")
        again = program.good("publish", "tree", tmp_path / "site", "--json").document
        assert again["chunks"] <= 4
        reader.good("pull", "tree", "-o", reader.home / "copy", "--server", server.url)
        assert (reader.home / "copy/deep/7.txt").read_bytes() == b"seven"


def test_a_query_goes_with_every_request_and_is_never_shown(site: Path, reader: Program) -> None:
    def signed(asked: Asked) -> bytes | None:
        return None if asked.target.endswith("?sig=geheim%2F1") else reply(403, b"no")

    with serve(site, signed) as server:
        target = reader.home / "disk"
        url = f"{server.url}?sig=geheim%2F1"
        done = reader.good("pull", "vm", "-o", target, "-v", "--debug", "--server", url)
        assert target.read_bytes() == NEW
        assert "geheim" not in done.err
        bad = reader.run("pull", "vm", "-o", target, "-v", "--server", f"{server.url}?sig=geheim")
        assert bad.status == 8
        listed = reader.run("ls", "-v", "--debug", "--server", url)
        shown = reader.good("config", "show", "--server", url, "--json")
        for text in (bad.err, listed.err, listed.text, shown.text, shown.err):
            assert "geheim" not in text


def test_a_server_without_ranges_is_named(site: Path, program: Program, reader: Program) -> None:
    program.good("prepare", "--name", "vm", "--chunk-size", "1K", stdin=NEW)
    program.good("publish", "vm", site)
    with http_server(site) as url:
        failed = reader.run("pull", "vm", "-o", reader.home / "disk", "--server", url)
    assert failed.status == 10
    assert "does not serve ranges" in failed.err
    assert "nginx" in failed.err
    assert not (reader.home / "disk").exists()


@pytest.mark.parametrize("key", ["m", "seg", "n"])
def test_no_lie_of_a_site_becomes_content(site: Path, reader: Program, key: str) -> None:
    chance = random.Random(key)
    for path in (site / key).rglob("*"):
        if path.is_file():
            data = bytearray(path.read_bytes())
            for _ in range(max(1, len(data) // 20_000)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
    with serve(site) as server:
        target = reader.home / "disk"
        failed = reader.run("pull", "vm", "-o", target, "--server", server.url)
        assert failed.status in {4, 5, 9}
        assert server.url in failed.err or "damaged" in failed.err
        assert not target.exists()


def test_a_map_that_was_cut_short_is_named_with_its_site(site: Path, reader: Program) -> None:
    maps = [path for path in (site / "m").rglob("*") if path.is_file()]
    for path in maps:
        path.write_bytes(path.read_bytes()[:-20])
    with serve(site) as server:
        failed = reader.run("pull", "vm", "-o", reader.home / "disk", "--server", server.url)
    assert failed.status == 4
    named = [f"{server.url} has a bad map, {path.relative_to(site)}: " for path in maps]
    assert [text in failed.err for text in named].count(True) == 1
    assert "delete this file there" in failed.err


def test_a_segment_that_is_gone_is_an_error_and_what_came_is_kept(
    site: Path, program: Program, reader: Program
) -> None:
    segments = sorted((site / "seg").rglob("*-*"), key=lambda path: path.stat().st_size)
    saved = segments[0].read_bytes()
    segments[0].unlink()
    with serve(site) as server:
        target = reader.home / "disk"
        failed = reader.run("pull", "vm", "-o", target, "--server", server.url)
        assert failed.status == 9
        assert not target.exists()
        segments[0].write_bytes(saved)
        reader.good("pull", "vm", "-o", target, "--server", server.url)
        assert target.read_bytes() == NEW


def test_a_later_process_goes_on_with_what_the_store_has(site: Path, reader: Program) -> None:
    """The nodes are in the store, so they are not asked for, and chunks are found without them."""
    with serve(site) as server:
        target = reader.home / "disk"
        reader.good("pull", "vm", "-o", target, "--server", server.url)
        target.unlink()
        reader.good("pull", "vm", "-o", target, "--server", server.url)
        assert target.read_bytes() == NEW
        ident = reader.good("show", "vm", "--server", server.url, "--json").document["manifest"]
        target.unlink()
        reader.good("pull", ident, "-o", target, "--server", server.url)
        assert target.read_bytes() == NEW


def test_a_signed_name_is_trusted_over_a_site(
    tmp_path: Path, program: Program, reader: Program
) -> None:
    key = tmp_path / "key"
    public = program.good("key", "new", key).text.split()[0]
    program.good("prepare", "--name", "vm", "--sign", key, stdin=OLD)
    program.good("publish", "vm", tmp_path / "site")
    other = reader.good("key", "new", tmp_path / "other").text.split()[0]
    with serve(tmp_path / "site") as server:
        target = reader.home / "disk"
        good = ("pull", "vm", "-o", target, "--server", server.url, "--trust")
        assert reader.run(*good, other).status == 4
        assert not target.exists()
        reader.good(*good, public)
        assert target.read_bytes() == OLD


def test_an_address_without_a_site_is_refused_as_before(tmp_path: Path, reader: Program) -> None:
    (tmp_path / "empty").mkdir()
    with serve(tmp_path / "empty") as server:
        failed = reader.run("pull", "vm", "-o", reader.home / "disk", "--server", server.url)
    assert failed.status == 5
    assert "does not answer like a casync server" in failed.err


@pytest.mark.parametrize("status", [301, 500])
def test_an_address_whose_marker_cannot_be_read_says_what_was_answered(
    status: int, site: Path, reader: Program
) -> None:
    def seen(asked: Asked) -> bytes | None:
        return reply(status, b"an answer") if asked.target == "/store" else None

    with serve(site, seen) as server:
        words = ("pull", "vm", "-o", reader.home / "disk", "--server", server.url)
        failed = reader.run(*words, "--retry-for", "0s")
    assert failed.status == 5
    assert "is neither a casync server nor a static site that can be read" in failed.err
    assert str(status) in failed.err


def test_everyone_may_read_what_is_published(site: Path) -> None:
    for path in site.rglob("*"):
        if path.name.startswith(".") or any(one.startswith(".") for one in path.parts):
            continue
        mode = path.stat().st_mode
        assert mode & 0o444 == 0o444 & ~os.umask(os.umask(0)), path


def test_bad_commands_say_what_to_do(program: Program, tmp_path: Path) -> None:
    program.good("prepare", "--name", "vm", stdin=b"small")
    alone = program.run("publish", "vm")
    assert alone.status == 2
    assert "See casync publish --help" in alone.err
    unknown = program.run("publish", "nothing", tmp_path / "site")
    assert unknown.status == 9
    assert not (tmp_path / "site").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("a page")
    taken = program.run("publish", "vm", tmp_path / "other")
    assert taken.status != 0
    assert "Publish to an empty folder" in taken.err
    assert program.run("publish", "vm", "ftp://host/dir").status == 2
    nowhere = program.run("publish", "vm", tmp_path / "none" / "site")
    assert nowhere.status == 1
    assert f"there is no folder {tmp_path / 'none'}. Create it first." in nowhere.err


def test_a_store_and_a_site_are_not_taken_for_each_other(
    site: Path, program: Program, reader: Program, tmp_path: Path
) -> None:
    (tmp_path / "bucket").mkdir()
    place = f"file://{tmp_path / 'bucket'}"
    program.good("prepare", "--name", "vm", "--store", place, stdin=OLD)
    failed = program.run("publish", "vm", tmp_path / "bucket")
    assert failed.status == 2
    assert "is a store, not a static site" in failed.err
    failed = program.run("prepare", "--name", "vm", "--store", f"file://{site}", stdin=OLD)
    assert failed.status == 2
    assert "is a static site, not a store" in failed.err
    with serve(tmp_path / "bucket") as server:
        failed = reader.run("pull", "vm", "-o", reader.home / "disk", "--server", server.url)
    assert failed.status == 10
    assert "casync publish" in failed.err


def test_a_site_that_is_to_be_written_like_a_server_says_what_it_is(
    program: Program, site: Path
) -> None:
    with serve(site) as server:
        for command in (("push", "vm"), ("rm", "vm"), ("name", "set", "other", "vm")):
            refused = program.run(*command, "--server", server.url)
            assert refused.status == 2, refused.err
            assert "is a static site, which only `casync publish` changes" in refused.err


def test_messages_name_the_folder_of_the_site(
    program: Program, reader: Program, tmp_path: Path
) -> None:
    program.good("prepare", "--name", "vm", stdin=b"first")
    (tmp_path / "www").mkdir()
    program.good("publish", "vm", tmp_path / "www" / "images")
    with serve(tmp_path / "www") as server:
        place = f"{server.url}/images"
        missing = reader.run("pull", "nothing", "-o", "out", "--server", f"{place}/?sig=SECRET")
        refused = program.run("push", "vm", "--server", place)
    assert f"nothing is not on {place}, or may not be read" in missing.err
    assert "SECRET" not in missing.err
    assert f"{place} is a static site, which only" in refused.err
