"""`prepare`, `get` and `ls` of web servers and local folders, as a user runs them."""

from __future__ import annotations

import json
import os
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import make_authority, make_certificate
from tests.support.debian import UnavailableError
from tests.support.program import Program
from tests.support.scripted_server import Asked, ScriptedServer, reply
from tests.support.web_servers import http_server, nginx

LARGE = random.Random(11).randbytes(11_000_000)
FILES = {
    "abc/hello-world": b"hello",
    "abc/large.img": LARGE,
    "abc/empty": b"",
    "abc/d/\u00e9 %2e?#.txt": b"odd",
    "abc/d/e/f": b"deep",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture(params=["python", "nginx"])
def url(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "python":
        with http_server(folder) as url:
            yield url
        return
    try:
        with nginx(folder, tmp_path / "nginx") as url:
            yield url
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home")


def copied(program: Program, ref: str) -> dict[str, bytes]:
    target = program.home / "copy"
    program.good("pull", ref, "-o", "copy", "--delete")
    return {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }


def test_one_object_of_a_web_server_is_fetched_through_the_store(
    program: Program, url: str, folder: Path
) -> None:
    """H1, D11: `casync get URL -o FILE`; a second one moves nothing."""
    address = f"{url}/abc/hello-world"
    program.good("get", address, "-o", "hello")
    assert (program.home / "hello").read_bytes() == b"hello"
    first = program.good("get", f"{url}/abc/large.img", "--name", "large", "--json").document
    assert (first["name"], first["version"], first["length"]) == ("large", 1, len(LARGE))
    assert not first["unchanged"]
    again = program.good("get", f"{url}/abc/large.img", "--json", "-o", "large.img").document
    assert (again["manifest"], again["unchanged"]) == (first["manifest"], True)
    assert (again["outcome"], again["stored"]) == ("written", 0)
    assert (program.home / "large.img").read_bytes() == LARGE
    assert program.good("get", f"{url}/abc/large.img", "-o", "-").out == LARGE
    assert program.good("prepare", f"{folder}/abc/large.img").lines == [first["manifest"]]

    (folder / "abc/large.img").write_bytes(LARGE[:-5] + b"other")
    changed = program.good("get", f"{url}/abc/large.img", "--name", "large", "--json").document
    assert (changed["unchanged"], changed["version"]) == (False, 2)
    assert 0 < changed["stored"] < 200_000


def test_a_folder_of_a_web_server_becomes_a_tree(program: Program, url: str, folder: Path) -> None:
    """H3: a whole folder, recursively, and only what changed the next time."""
    first = program.good("prepare", f"{url}/abc/", "--name", "abc", "--json").document
    assert (first["files"], first["folders"], first["left_out"]) == (5, 3, [])
    expected = {name.removeprefix("abc/"): data for name, data in FILES.items()}
    assert copied(program, "abc") == expected
    again = program.good("prepare", f"{url}/abc", "--json").document
    assert (again["manifest"], again["unchanged"]) == (first["manifest"], 5)

    (folder / "abc/d/e/f").write_bytes(b"changed")
    (folder / "abc/d/e/g").write_bytes(b"new")
    (folder / "abc/empty").unlink()
    third = program.good("prepare", f"{url}/abc", "--name", "abc", "--json").document
    assert (third["files"], third["unchanged"], third["changed"], third["added"]) == (5, 3, 1, 1)
    del expected["empty"]
    assert copied(program, "abc") == expected | {"d/e/f": b"changed", "d/e/g": b"new"}
    some = program.good("prepare", f"{url}/abc/", "--exclude", "d/", "--json").document
    assert some["files"] == 2


def test_a_folder_of_a_web_server_is_listed_with_sizes(program: Program, url: str) -> None:
    """H2, H4: `casync ls http://host/dir/`."""
    assert program.good("ls", f"{url}/abc/").lines == [
        "\td/",
        "0\tempty",
        "5\thello-world",
        "11000000\tlarge.img",
    ]
    listed = sorted(program.good("ls", "-R", f"{url}/abc").lines)
    assert listed == sorted(
        f"{len(data)}\t{name.removeprefix('abc/')}" for name, data in FILES.items()
    )
    assert program.good("ls", "-l", f"{url}/abc/large.img").lines == [
        "11000000\t2023-11-14T22:13:20Z\tlarge.img"
    ]
    entries = program.good("ls", f"{url}/abc/", "--json").document["entries"]
    assert [(entry["path"], entry["kind"], entry["size"]) for entry in entries][:2] == [
        ("d/", "folder", None),
        ("empty", "file", 0),
    ]


def test_what_is_not_there_is_named(program: Program, url: str, folder: Path) -> None:
    (folder / "page").mkdir()
    (folder / "page" / "index.html").write_text("<html><title>Hello</title></html>")

    def status(*words: str) -> tuple[int, str]:
        ran = program.run(*words, "--json")
        return ran.status, str(ran.problem["code"])

    assert status("get", f"{url}/abc/nothing") == (9, "not-found")
    assert status("prepare", f"{url}/nothing") == (9, "not-found")
    assert status("ls", f"{url}/nothing/") == (9, "not-found")
    assert status("get", f"{url}/abc/") == (2, "usage")
    assert status("get", "abc") == (2, "usage")
    assert status("ls", f"{url}/page/") == (2, "usage")
    assert status("ls", "ftp://host/") == (2, "usage")
    assert status("ls", f"{url}/abc/", "--server", url) == (2, "usage")
    assert status("prepare", f"{url}/abc/empty", "--exclude", "x") == (2, "usage")
    assert status("get", f"{url}/abc/hello-world", "--name", "a@b") == (2, "usage")
    assert not program.store.exists() or program.good("ls").lines == []


def test_a_local_folder_is_an_address_too(program: Program, folder: Path) -> None:
    """D2: `file://`."""
    assert program.good("ls", f"file://{folder}/abc/d/").lines == [
        "\te/",
        "3\t\u00e9 %2e?#.txt",
    ]
    as_path = program.good("prepare", str(folder)).lines
    assert program.good("prepare", f"file://{folder}").lines == as_path
    got = program.good("get", f"file://{folder}/abc/hello-world", "--json").document
    assert got["length"] == 5


def test_secrets_of_a_url_are_neither_shown_nor_stored(program: Program) -> None:
    """The signature of a presigned URL reaches the server, and nothing else."""

    def script(asked: Asked) -> bytes:
        if (
            "X-Amz-Signature=s%2Fecret%2B" not in asked.target
            or "authorization" not in asked.fields
        ):
            return reply(403)
        return reply(
            200, b"" if asked.method == "HEAD" else b"x" * 50, ETag='"1"', Content_Length="50"
        )

    with ScriptedServer(script) as server:
        base = server.url.replace("//", "//user:passwort@")
        address = f"{base}/b/k?X-Amz-Signature=s%2Fecret%2B"
        program.good("get", address, "--name", "k")
        # A new signature of the same object.
        again = program.good("get", address.replace("?", "?X-Amz-Date=2&"), "--json")
        assert again.document["unchanged"]
        ran = program.run("get", address.replace("ecret", "ecrex"), "--debug")
        assert ran.status == 8
    everything = b"".join(path.read_bytes() for path in program.store.rglob("*") if path.is_file())
    for secret in (b"ecret%2B", b"ecrex", b"passwort"):
        assert secret not in everything
        assert secret.decode() not in ran.err.replace(address, "").split("Traceback")[0]


def test_authorities_of_the_configuration_are_trusted(program: Program, tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path / "tls", "server", "127.0.0.1"))
    with ScriptedServer(lambda asked: reply(200, b"by TLS"), tls=context) as server:
        ran = program.run("get", f"{server.url}/x", "--json")
        assert (ran.status, ran.problem["code"]) == (5, "remote")
        got = program.run("get", f"{server.url}/x", "-o", "-", CASYNC_CA=str(authority))
        assert got.out == b"by TLS"


def test_a_profile_of_aws_is_used(program: Program, tmp_path: Path) -> None:
    """D2: credentials from the usual files."""
    seen: list[str] = []

    def script(asked: Asked) -> bytes:
        seen.append(asked.fields.get("authorization", ""))
        return reply(404, b"<Error><Code>NoSuchKey</Code></Error>")

    with ScriptedServer(script) as server:
        aws = program.home / ".aws"
        aws.mkdir()
        (aws / "credentials").write_text(
            "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = x\n"
            "[work]\naws_access_key_id = WORK\naws_secret_access_key = y\n"
        )
        (aws / "config").write_text(
            f"[default]\nregion = eu-one-1\nendpoint_url = {server.url}\n"
            f"[profile work]\nregion = eu-two-2\nendpoint_url = {server.url}\n"
        )
        kept = program.environment.items()
        program.environment = {name: text for name, text in kept if not name.startswith("AWS_")}
        for profile, key, region in (("", "DEFAULT", "eu-one-1"), ("work", "WORK", "eu-two-2")):
            ran = program.run("get", "s3://bucket/key", AWS_PROFILE=profile)
            assert ran.status == 9
            assert f"Credential={key}/" in seen[-1]
            assert f"/{region}/s3/" in seen[-1]


PAGES = {
    "/d/": '<a href="good">good</a> <a href="a%2Fb">a%2Fb</a> <a href="e/">e/</a>',
    "/d/e/": '<a href="deep">deep</a> <a href="%2E%2E%2Fup">up</a>',
}


@pytest.mark.parametrize("words", [(), ("-R",), ("-l",)])
def test_one_odd_link_of_a_page_hides_no_other(program: Program, words: tuple[str, ...]) -> None:
    """H4: it is named, as a download names it."""

    def script(asked: Asked) -> bytes:
        page = PAGES.get(asked.target)
        modified = {"Last_Modified": "Tue, 14 Nov 2023 22:13:20 GMT"}
        if page is None:
            return reply(200, b"" if asked.method == "HEAD" else b"abc", **modified)
        text = f"<html><title>Index of /d/</title><pre>{page}</pre></html>"
        return reply(200, text.encode(), Content_Type="text/html")

    with ScriptedServer(script) as server:
        ran = program.good("ls", *words, f"{server.url}/d/")
        document = program.good("ls", *words, f"{server.url}/d/", "--json").document
    assert "left out: a%2Fb, which is no name" in ran.err
    paths = {line.split("\t")[-1] for line in ran.lines}
    assert paths == ({"good", "e/deep"} if "-R" in words else {"good", "e/"})
    assert {entry["path"] for entry in document["entries"]} == paths
    assert document["left_out"] == (["a%2Fb", "e/%2E%2E%2Fup"] if "-R" in words else ["a%2Fb"])


def test_where_nothing_is_the_next_step_is_said(program: Program, url: str) -> None:
    """D2, H4: of a folder as of an object."""
    absent, local = f"{url}/absent/", f"{program.home}/absent/"
    for command in (["ls", absent], ["get", absent[:-1]], ["download", absent, "n/", "--dry-run"]):
        ran = program.run(*command)
        assert (ran.status, "Check the address; `casync ls URL/`" in ran.err) == (9, True)
    ran = program.run("download", local, "n/", "--wait")
    assert (ran.status, "Check the address; `casync ls URL/`" in ran.err) == (9, True)


def test_options_for_servers_are_for_the_server_of_a_url(program: Program, url: str) -> None:
    """D2: as for any other server."""
    proxy = ["--proxy", "http://127.0.0.1:1"]
    program.good("get", f"{url}/abc/empty", "--retry-for", "1s")
    for command in (["get", f"{url}/abc/empty", "--retry-for", "0"], ["ls", f"{url}/abc/"]):
        ran = program.run(*command, *proxy)
        assert (ran.status, "cannot connect to the proxy" in ran.err) == (5, True)
    plan = ["download", f"{url}/abc/", "n/", "--dry-run", *proxy]
    assert "cannot connect to the proxy" in program.run(*plan).err


def test_a_long_listing_has_the_times_of_its_objects(program: Program, url: str) -> None:
    """H4: pages of listings have none that can be relied on, so each object is asked for its."""
    listed = [line.split("\t")[1:] for line in program.good("ls", "-l", f"{url}/abc/").lines]
    assert listed == [
        ["", "d/"],
        *(["2023-11-14T22:13:20Z", name] for name in ("empty", "hello-world", "large.img")),
    ]


def test_one_rule_says_what_an_address_without_a_scheme_is(program: Program) -> None:
    """D2: `get` takes what `download` takes."""
    for command in (["get"], ["download", "--wait"]):
        ran = program.run(*command, "127.0.0.1:1/x", *(["x"] if command[1:] else []))
        assert "127.0.0.1:1" in ran.err
        assert ran.status != 2
        ran = program.run(*command, "nothing-of-this", *(["x"] if command[1:] else []))
        assert (ran.status, "is neither a URL nor a path" in ran.err) == (2, True)
    with ScriptedServer(lambda asked: reply(200, b"by HTTP")) as server:
        shouted = server.url.replace("http", "HTTP") + "/x"
        assert program.good("get", shouted, "-o", "-").out == b"by HTTP"
        assert program.good("prepare", shouted).lines


def test_with_json_the_last_line_of_stderr_is_the_error(program: Program, url: str) -> None:
    """And with -q the only one."""
    command = ["download", f"{url}/abc/nothing", "n", "--json"]
    assert program.run(*command).problem["code"] == "partial"
    quiet = program.run(*command, "-q")
    assert [json.loads(line)["schema"] for line in quiet.err.splitlines()] == ["casync.error/1"]
