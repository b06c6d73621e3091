"""Features of earlier tools, tested as a user sees them.

Buckets are in test_s3.py, proxies and services in test_recipes.py.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from casync.ids import chunk_id
from tests.support.certificates import make_authority, make_certificate
from tests.support.program import Program
from tests.support.serving import Server, serving

OLD = random.Random(1).randbytes(3_000_000)
NEW = OLD[:1_000_000] + random.Random(2).randbytes(50_000) + OLD[1_000_000:]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "vm1.img").write_bytes(OLD)
    (tmp_path / "vm2.img").write_bytes(NEW)
    return Program(tmp_path)


def sent(server: Server) -> tuple[int, int]:
    """Objects and bytes in the access log of a server."""
    server.settle()
    found = [re.search(r"objects=(\d+) bytes=(\d+)", line) for line in server.lines]
    pairs = [(int(match[1]), int(match[2])) for match in found if match]
    return sum(objects for objects, _ in pairs), sum(size for _, size in pairs)


def test_prepare_of_stdin_prints_the_hash(program: Program) -> None:
    ran = program.good("--store", "D", "prepare", stdin=OLD)
    assert re.fullmatch(r"[0-9a-f]{64}\n", ran.text)
    assert program.good("--store", "E", "prepare", "vm1.img").text == ran.text


def test_serve_and_pull(program: Program, tmp_path: Path) -> None:
    hash_ = program.good("--store", "D", "prepare", stdin=OLD).lines[0]
    with serving(tmp_path / "D") as server:
        assert server.url.startswith("http://127.0.0.1:")
        program.good("--store", "D2", "pull", hash_, "-o", "out", "--server", server.url)
    assert (tmp_path / "out").read_bytes() == OLD


def test_only_differences_of_a_second_image_are_downloaded(
    program: Program, tmp_path: Path
) -> None:
    first = program.good("--store", "D", "prepare", "vm1.img").lines[0]
    second = program.good("--store", "D", "prepare", "vm2.img").lines[0]
    with serving(tmp_path / "D") as server:
        pull = ["--store", "D2", "pull", "--server", server.url, "--delta", "never", "-o", "out"]
        program.good(*pull, first)
        objects, size = sent(server)
        assert size > len(OLD)
        ran = program.run(*pull, second)
        assert "from server: " in ran.err
        again, more = sent(server)
        assert 0 < again - objects < objects / 4
        assert more - size < 250_000
        (tmp_path / "out").write_bytes(OLD)
        document = program.good(*pull, second, "--json").document
    assert 50_000 <= document["sources"]["server"] < 250_000
    assert document["length"] == len(NEW)
    assert (tmp_path / "out").read_bytes() == NEW


def test_content_is_rebuilt_from_its_hash_alone(program: Program, tmp_path: Path) -> None:
    hash_ = program.good("--store", "D", "prepare", "--name", "x", stdin=OLD).lines[0]
    data = tmp_path / "D" / "data.mdb"
    with serving(tmp_path / "D") as server:
        program.good("--store", "D2", "pull", hash_, "-o", "out", "--server", server.url)
        assert (tmp_path / "out").read_bytes() == OLD
    stored = data.read_bytes()
    place = stored.index(OLD[1_500_000:1_500_064])
    data.write_bytes(stored[:place] + b"\0" + stored[place + 1 :])
    with serving(tmp_path / "D") as server:
        ran = program.run("--store", "D3", "pull", hash_, "-o", "out3", "--server", server.url)
        assert ran.status == 4, "every chunk is checked"
    assert not (tmp_path / "out3").exists()


def test_a_folder_has_an_index_of_paths_sizes_and_hashes(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "www"
    (folder / "css").mkdir(parents=True)
    (folder / "css" / "a.css").write_bytes(b"body {}")
    (folder / "note.txt").write_bytes(b"note")
    (folder / "skipped.tmp").write_bytes(b"x")
    (folder / "skipped.bak").write_bytes(b"x")
    options = ["--exclude", "*.tmp", "--exclude-regex", r".*\.bak"]
    first = program.good("prepare", "www", "--name", "www", *options).lines[0]
    assert program.good("prepare", "www", *options).lines[0] == first
    lines = [line.split("\t") for line in program.good("ls", "-lR", "www:").lines]
    files = {line[4]: (line[1], line[3]) for line in lines if not line[0].startswith("d")}
    assert files == {
        "css/a.css": ("7", chunk_id(b"body {}").hex()),
        "note.txt": ("4", chunk_id(b"note").hex()),
    }


def test_the_receiving_end_writes_files_where_they_are_wanted(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "www" / "sub").mkdir(parents=True)
    (tmp_path / "www" / "sub" / "file").write_bytes(OLD)
    program.good("prepare", "www", "--name", "www")
    with serving(tmp_path / "there", writable=True) as server:
        program.good("push", "www", "--server", server.url)
        pull = ["--store", "third", "pull", "www", "-o", "copy", "--server", server.url]
        program.good(*pull)
    assert (tmp_path / "copy" / "sub" / "file").read_bytes() == OLD


def test_push_sends_only_missing_objects(program: Program, tmp_path: Path) -> None:
    program.good("prepare", "vm1.img", "--name", "vm")
    with serving(tmp_path / "there", writable=True) as server:
        push = ["push", "vm", "--server", server.url, "-p", "3", "--json"]
        first = program.good(*push).document
        assert first["payload"] > len(OLD) * 0.9
        program.good("prepare", "vm2.img", "--name", "vm")
        second = program.good(*push).document
        assert 50_000 <= second["payload"] < 250_000
        assert second["name"] == "vm"
        assert program.good("cat", "vm", "--server", server.url).out == NEW


def test_several_hosts_share_the_work(program: Program, tmp_path: Path) -> None:
    program.good("prepare", "vm1.img", "--name", "vm")
    with serving(tmp_path / "there", writable=True) as server:
        push = ["push", "vm", "--server", server.url, "--json"]
        parts = [program.good(*push, "--part", f"{k}/3").document for k in (1, 2, 3)]
        assert not any(part["published"] for part in parts)
        assert all(part["new"] > 0 for part in parts)
        rest = program.good(*push).document
        assert rest["published"]
        assert rest["new"] <= 2
        total = sum(part["payload"] for part in parts)
        assert total < len(OLD) * 1.01, "no chunk was sent twice"
        assert program.good("cat", "vm", "--server", server.url).out == OLD


def test_objects_on_the_server_are_not_sent_again(program: Program, tmp_path: Path) -> None:
    program.good("prepare", "vm1.img", "--name", "vm")
    with serving(tmp_path / "there", writable=True) as server:
        push = ["push", "vm", "--server", server.url, "--json"]
        half = program.good(*push, "--part", "1/2").document
        rest = program.good(*push).document
        assert half["payload"] + rest["payload"] < len(OLD) * 1.01
        assert program.good(*push).document["payload"] == 0


def test_private_authorities_are_supported(program: Program, tmp_path: Path) -> None:
    tls = tmp_path / "tls"
    make_authority(tls)
    cert, key = make_certificate(tls, "server", "127.0.0.1")
    program.good("prepare", "vm1.img", "--name", "vm")
    with serving(program.store, tls_cert=str(cert), tls_key=str(key)) as server:
        pull = ["--store", "D2", "pull", "vm", "-o", "out", "--server", server.url]
        refused = program.run(*pull, "--retry-for", "1s")
        assert refused.status == 5
        warned = program.good(*pull, "--insecure")
        assert "not checked" in warned.err
        program.good(*pull, "--ca", str(tls / "ca.pem"))


def test_check_counts_what_is_right_and_wrong(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "good").write_bytes(b"12345")
    (folder / "bad").write_bytes(b"123")
    program.good("prepare", "www", "--name", "www")
    assert program.good("check", "www", "www", "--json").document["ok"] == {"files": 2, "bytes": 8}
    (folder / "bad").write_bytes(b"321")
    ran = program.run("check", "www", "www", "--json")
    assert ran.status == 4
    assert ran.document["ok"] == {"files": 1, "bytes": 5}
    assert ran.document["errors"] == {"files": 1, "bytes": 3}


def test_a_change_travels_as_a_delta(program: Program, tmp_path: Path) -> None:
    old = b"".join(b"line %d of a log that is long\n" % number for number in range(100_000))
    new = old.replace(b"line 50000 ", b"line FIFTY THOUSAND ")
    program.good("--store", "D", "prepare", "--name", "log", stdin=old)
    with serving(tmp_path / "D") as server:
        pull = ["--store", "D2", "pull", "log", "-o", "out", "--server", server.url, "--json"]
        program.good(*pull)
        program.good("--store", "D", "prepare", "--name", "log", stdin=new)
        plain = program.good(*pull, "--dry-run").document["fetch"]
        document = program.good(*pull, "--delta", "always").document
    assert (tmp_path / "out").read_bytes() == new
    assert document["delta_plain"] > 0
    assert document["delta_received"] < plain / 2
