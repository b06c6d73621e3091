"""Members of archives from the command line, here and from a server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

import httpx
import pytest

from casync.access.outline import open_outline
from casync.ids import ChunkId, Kind
from casync.names.name import parse_ref
from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program
from tests.support.rights import needs_root
from tests.support.serving import serving

MEMBERS = {
    f"train/{n}.{kind}": f"{kind} {n}".encode() * 400 for n in range(40) for kind in ("jpg", "cls")
}
ENDINGS = {"tar": "cf", "tgz": "czf"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with `shards/a.tar`, `shards/a.tgz`, and a folder `www` with `in/a.tar` in it."""
    program = Program(tmp_path_factory.mktemp("home"))
    source = program.home / "source"
    for name, data in MEMBERS.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    (program.home / "www" / "in").mkdir(parents=True)
    for ending, how in ENDINGS.items():
        out = program.home / f"a.{ending}"
        subprocess.run(["tar", "-C", source, f"-{how}", out, "."], check=True)
        program.good("prepare", out, "--name", f"shards/a.{ending}")
    os.link(program.home / "a.tar", program.home / "www" / "in" / "a.tar")
    program.good("prepare", program.home / "www", "--name", "www")
    program.good("prepare", "--name", "plain", stdin=b"no archive")
    return program


REFS = ["shards/a.tar", "shards/a.tgz", "www:in/a.tar"]


@pytest.mark.parametrize("ref", REFS)
def test_a_folder_in_an_archive_is_listed_and_a_wrong_path_named(
    program: Program, ref: str
) -> None:
    """A2"""
    inside = f"{ref}/" if ":" in ref else f"{ref}:"
    below = program.good("archive", "ls", f"{inside}train/").lines
    assert below == sorted(MEMBERS)
    assert program.good("archive", "ls", f"{inside}train", "--prefix", "1.").lines == [
        "train/1.cls",
        "train/1.jpg",
    ]
    assert program.good("archive", "ls", f"{inside}train/3.jpg").lines == ["train/3.jpg"]
    for command in (("archive", "ls"), ("cat",), ("archive", "create", "new.tar")):
        failed = program.run(*command, f"{inside}train/39.cl")
        assert failed.status == 9
        assert f"the archive {ref} has no train/39.cl. Did you mean {inside}train/39.cls?" in (
            failed.err
        )
    for slip in ("trian/3.jpg", "train/./3.jpgg", "./tran/3.jpg"):
        said = program.run("cat", f"{inside}{slip}").err
        assert f"Did you mean {inside}train/3.jpg?" in said
    assert program.good("archive", "ls", f"{inside}./train/./3.jpg").lines == ["train/3.jpg"]
    failed = program.run("archive", "ls", f"{inside}nothing/like/it")
    assert (failed.status, "has no nothing/like/it. `casync" in failed.err) == (9, True)


def test_append_to_a_store_that_is_not_there_names_the_option_that_makes_one(
    program: Program,
) -> None:
    """A4"""
    file = program.home / "a.tar"
    failed = program.run("archive", "append", "b.tar", file, "--store", program.home / "none")
    assert (failed.status, "--create makes it, and the archive." in failed.err) == (9, True)
    assert not (program.home / "none").exists()


@pytest.mark.parametrize("ref", REFS)
def test_members_are_listed_and_read(program: Program, ref: str) -> None:
    """A2, A5"""
    inside = f"{ref}/" if ":" in ref else f"{ref}:"
    listed = program.good("archive", "ls", ref).lines
    assert listed == sorted([*MEMBERS, "train"])
    for name in ("train/0.jpg", "train/39.cls"):
        assert program.good("cat", inside + name).out == MEMBERS[name]
        assert program.good("archive", "get", inside + name, "-o", "-").out == MEMBERS[name]
    program.good("archive", "get", inside + "train/7.jpg")
    assert (program.home / "7.jpg").read_bytes() == MEMBERS["train/7.jpg"]


@pytest.mark.parametrize("ref", REFS)
def test_members_are_read_from_a_server(program: Program, ref: str) -> None:
    """A2"""
    inside = f"{ref}/" if ":" in ref else f"{ref}:"
    with serving(program.store) as server:
        url = ["--server", server.url]
        listed = program.good("archive", "ls", ref, "--store", "other", *url).lines
        assert listed == sorted([*MEMBERS, "train"])
        got = program.good("archive", "get", inside + "train/8.cls", "-o", "8", *url)
        assert (program.home / "8").read_bytes() == MEMBERS["train/8.cls"], got
        path = inside.replace(":", "/-/") + "train/8.cls"
        part = httpx.get(f"{server.url}/v1/files/{path}", headers={"Range": "bytes=5-99"})
        assert (part.status_code, part.content) == (206, MEMBERS["train/8.cls"][5:100])


@pytest.mark.parametrize(
    ("option", "text", "chosen"),
    [
        ("--prefix", "train/1", lambda name: name.startswith("train/1")),
        ("--suffix", ".cls", lambda name: name.endswith(".cls")),
        ("--substr", "/3", lambda name: "/3" in name),
        ("--regex", r"[02]\.jpg$", lambda name: name.endswith(("0.jpg", "2.jpg"))),
        ("--wdskey", "train/5", lambda name: name.startswith("train/5.")),
    ],
)
def test_members_are_selected(
    program: Program, option: str, text: str, chosen: Callable[[str], bool]
) -> None:
    """A8"""
    out = program.good("archive", "ls", "shards/a.tgz", option, text, "--json").out
    found = json.loads(out)
    assert found["format"] == "tar in gzip"
    assert [entry["path"] for entry in found["entries"]] == sorted(filter(chosen, MEMBERS))
    assert {entry["length"] for entry in found["entries"]} <= {len(d) for d in MEMBERS.values()}


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("archive ls plain", 2, "plain is not an archive"),
        ("archive ls missing", 9, "missing"),
        ("archive get shards/a.tar:train/1.cls --extract x", 2, "written with -o FILE"),
        ("archive create b.tar shards/a.tar: --suffix .png", 9, "nothing is selected for b.tar"),
        ("archive create b.tar --prefix none/", 9, "nothing is selected for b.tar"),
        ("archive get shards/a.tar", 2, "names no member"),
        ("archive get shards/a.tar:train", 2, "train is a folder in the archive"),
        ("archive get shards/a.tar:train/99", 9, "`casync archive ls shards/a.tar` lists"),
        ("archive get plain:x", 2, "plain is a file, not a folder"),
        ("archive ls shards/a.tar --prefix a --suffix b", 2, "do not go together"),
        ("archive ls shards/a.tar --regex (", 2, "is not a regular expression"),
        ("archive get shards/a.tar:train/1.cls -o missing/x", 1, "missing"),
    ],
)
def test_mistakes_are_told(program: Program, command: str, status: int, said: str) -> None:
    done = program.run(*command.split())
    assert (done.status, said in done.err) == (status, True), done


def test_a_terminal_gets_text_only(program: Program) -> None:
    status, screen = program.on_terminal("archive", "get", "shards/a.tar:train/1.cls", "-o", "-")
    assert (status, MEMBERS["train/1.cls"].decode() in screen) == (0, True)
    for command in ("www:in/a.tar -o -", "shards/a.tar --suffix .jpg -o -"):
        status, screen = program.on_terminal("archive", "get", *command.split())
        assert (status, "is binary data" in screen) == (2, True), screen


@needs_root
def test_a_store_of_another_user_is_read_without_keeping_an_index(program: Program) -> None:
    program.good("prepare", program.home / "a.tar", "--name", "a.tar", "--store", "other")
    store = program.home / "other"
    before = {path: path.read_bytes() for path in (store / "data.mdb",)}
    for path in (store, *store.iterdir()):
        os.chown(path, 65534, 65534)
    for _ in range(2):
        out = program.good("cat", "a.tar:train/0.jpg", "--store", "other").out
        assert out == MEMBERS["train/0.jpg"]
    assert {path: path.read_bytes() for path in before} == before


def test_an_index_is_made_once_and_leaves_with_its_archive(program: Program) -> None:
    """A2"""
    store = program.home / "collected"
    program.good("prepare", program.home / "a.tgz", "--name", "a.tgz", "--store", store)
    with LmdbStore.open(store, read_only=True) as opened:
        ident = open_outline(opened.resolve(parse_ref("a.tgz")), opened).content.id
    program.good("archive", "ls", "a.tgz", "--store", store)
    program.good("gc", "--window", "0", "--store", store)
    with LmdbStore.open(store, read_only=True) as opened:
        index = opened.member_index(ident)
        assert index is not None
        assert opened.stat(Kind.CHUNK, [ChunkId(index.id)]) != [None]
    program.good("rm", "a.tgz", "--store", store)
    for _ in range(2):
        program.good("gc", "--window", "0", "--store", store)
    with LmdbStore.open(store, read_only=True) as opened:
        assert opened.member_index(ident) is None
        assert [*opened.objects(Kind.CHUNK)] == []


def test_a_type_that_is_not_that_of_the_archive_is_an_error(program: Program) -> None:
    """A6"""
    ways = [
        ("ls", "shards/a.tgz"),
        ("get", "shards/a.tgz:train/0.jpg", "-o", "-"),
        ("get", "shards/a.tgz", "--suffix", ".cls", "-o", "-"),
        ("get", "shards/a.tgz", "--extract", "out", "--dry-run"),
    ]
    for way in ways:
        program.good("archive", *way, "--mime", "application/gzip")
        ran = program.run("archive", *way, "--mime", "application/zip")
        assert (ran.status, ran.out) == (2, b"")
        assert "the archive is tar in gzip, but the type application/zip was given" in ran.err
