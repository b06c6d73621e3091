"""`name`, `rm` and `undelete` as a user runs them, with a running server."""

from __future__ import annotations

from tests.support.program import Program
from tests.support.serving import serving


def test_names_have_a_log(program: Program) -> None:
    one = program.good("prepare", "--name", "disk", stdin=b"1").lines[0]
    two = program.good("prepare", stdin=b"2").lines[0]
    assert program.good("name", "set", "disk", two[:12]).lines == [f"{two}\tdisk@2"]
    assert program.run("name", "set", "disk", one, "--expect", "1").status == 7
    set_ = program.good("name", "set", "disk", one, "--expect", "2", "--json").document
    assert set_ == {"schema": "casync.name-set/1", "name": "disk", "version": 3, "manifest": one}
    log = [line.split("\t") for line in program.good("name", "log", "disk").lines]
    assert [(line[0], line[2]) for line in log] == [
        (one, "disk@1"),
        (two, "disk@2"),
        (one, "disk@3"),
    ]
    versions = program.good("name", "log", "disk", "--json").document["versions"]
    assert [version["version"] for version in versions] == [1, 2, 3]
    assert program.run("name", "log", "nobody").status == 9
    assert program.run("name", "set", "disk", "0" * 64).status == 9


def test_rm_and_undelete(program: Program) -> None:
    one = program.good("prepare", "--name", "vm/a", stdin=b"1").lines[0]
    two = program.good("prepare", "--name", "vm/a", stdin=b"2").lines[0]
    expected = [
        f"name\t{one}\tvm/a@1",
        f"name\t{two}\tvm/a@2",
        *(f"manifest\t{hash_}" for hash_ in sorted([one, two])),
    ]
    assert program.good("rm", "vm/a", "--dry-run").lines == expected
    assert len(program.good("ls").lines) == 2
    assert program.good("rm", "vm/a").lines == expected
    assert program.good("ls").lines == []
    assert program.run("rm", "vm/a").status == 9
    listed = [line.split("\t") for line in program.good("rm", "--list").lines]
    assert [(line[0], line[2]) for line in listed] == [(one, "vm/a@1"), (two, "vm/a@2")]
    entries = program.good("rm", "--list", "--json").document["entries"]
    assert [entry["version"] for entry in entries] == [1, 2]
    document = program.good("undelete", "vm/a", "--json").document
    assert document["manifests"] == sorted([one, two])
    assert program.good("cat", "vm/a@1").out == b"1"
    assert program.run("undelete", "vm/a").status == 9


def test_a_running_server_stops_serving_what_is_in_the_trash(program: Program) -> None:
    program.good("prepare", "--name", "disk", stdin=b"1")
    with serving(program.store) as server:
        url = server.url
        assert program.good("cat", "disk", "--server", url).out == b"1"
        program.good("rm", "disk")
        assert program.run("cat", "disk", "--server", url).status == 9
        assert program.good("ls", "--server", url).lines == []
        program.good("undelete", "disk")
        assert program.good("cat", "disk", "--server", url).out == b"1"


def test_forget_keeps_what_a_rule_keeps(program: Program) -> None:
    hashes = [
        program.good("prepare", "--name", "vm/a", stdin=bytes([number])).lines[0]
        for number in range(4)
    ]
    program.good("name", "set", "vm/b", hashes[0])
    assert program.good("forget", "vm/a", "--keep-within", "1d").lines == []
    expected = [
        f"name\t{hashes[0]}\tvm/a@1",  # vm/b keeps its manifest
        f"name\t{hashes[1]}\tvm/a@2",
        f"manifest\t{hashes[1]}",
    ]
    assert program.good("forget", "vm/*", "--keep-last", "2", "--dry-run").lines == expected
    assert len(program.good("name", "log", "vm/a").lines) == 4
    assert program.good("forget", "vm/", "--keep-last", "2").lines == expected
    assert program.good("forget", "vm/", "--keep-last", "2").lines == []
    assert program.good("cat", "vm/b").out == b"\0"
    assert program.run("cat", "vm/a@2").status == 9
    program.good("undelete", "vm/a@2")
    assert program.good("cat", "vm/a@2").out == b"\1"
    assert program.run("forget", "vm/c", "--keep-last", "1").status == 9
    assert program.good("forget", "w*", "--keep-last", "1").lines == []


def test_names_of_a_server(program: Program) -> None:
    one = program.good("prepare", "--name", "disk", stdin=b"1").lines[0]
    two = program.good("prepare", stdin=b"2").lines[0]
    with serving(program.store, writable=True) as server:
        there = ("--server", server.url)
        assert program.good("name", "set", "disk", two, *there).lines == [f"{two}\tdisk@2"]
        assert program.run("name", "set", "disk", one, "--expect", "1", *there).status == 7
        assert program.run("name", "set", "disk", "0" * 64, *there).status == 9
        assert program.good("name", "set", "disk", "disk@1", *there).lines == [f"{one}\tdisk@3"]
        log = program.good("name", "log", "disk", *there)
        assert log.text == program.good("name", "log", "disk").text
        assert len(log.lines) == 3
        planned = program.good("rm", "disk", "--dry-run", *there).lines
        assert program.good("rm", "disk", *there).lines == planned
        assert program.good("rm", "--list", *there).text == program.good("rm", "--list").text
        assert program.run("name", "log", "disk", *there).status == 9
        assert program.good("undelete", "disk", *there).lines == planned
    with serving(program.store) as server:
        refused = program.run("rm", "disk", "--server", server.url)
        assert refused.status == 8
        assert "read-only" in refused.err
    assert program.run("rm", "disk", "--proxy", "http://127.0.0.1:1").status == 2


def test_a_writable_server_creates_its_store(program: Program) -> None:
    with serving(program.store, writable=True) as server:
        assert program.good("ls", "--server", server.url).lines == []
    assert program.good("ls").lines == []
