"""Each command on the local store, as a user sees it."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from tests.support.program import Program

DATA = random.Random(1).randbytes(300_000) + bytes(500_000) + random.Random(2).randbytes(100_000)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    (tmp_path / "file").write_bytes(DATA)
    return program


def prepared(program: Program, name: str = "vm/1", data: bytes = DATA) -> str:
    return program.good("prepare", "--name", name, stdin=data).text.strip()


# -- prepare --------------------------------------------------------------------------------------


def test_prepare_prints_the_hash_and_nothing_else(program: Program) -> None:
    ran = program.good("prepare", "file")
    assert len(ran.text) == 65
    assert int(ran.text, 16)
    assert "879 KiB in" in ran.err
    assert " new, " in ran.err


def test_the_hash_is_the_same_from_a_file_a_pipe_and_redirection(program: Program) -> None:
    with (program.home / "file").open("rb") as file:
        process = program.start("prepare", "-", stdin=file)
        redirected, _ = process.communicate(timeout=120)
    piped = program.good("prepare", stdin=DATA).out
    assert redirected == piped == program.good("prepare", "file", "--reread").out


def test_prepare_counts_what_is_new(program: Program) -> None:
    first = program.good("prepare", "--json", stdin=DATA).document
    second = program.good("prepare", "--json", stdin=DATA).document
    assert first["length"] == len(DATA)
    assert first["new"] + first["reused"] == first["chunks"] == second["reused"]
    assert first["stored"] > 400_000
    assert (second["new"], second["stored"]) == (0, 0)
    assert first["manifest"] == second["manifest"]


def test_names_count_their_versions(program: Program) -> None:
    assert "named vm/1@1" in program.good("prepare", "--name", "vm/1", stdin=b"one").err
    document = program.good("prepare", "--name", "vm/1", "--json", stdin=b"two").document
    assert (document["name"], document["version"]) == ("vm/1", 2)
    assert program.good("cat", "vm/1@1").out == b"one"
    assert program.good("cat", "vm/1@2").out == program.good("cat", "vm/1").out == b"two"
    assert program.run("cat", "vm/1@3").status == 9


def test_chunk_sizes_are_part_of_the_manifest(program: Program) -> None:
    small = program.good("prepare", "--chunk-size", "4K", stdin=DATA).text.strip()
    assert small != program.good("prepare", stdin=DATA).text.strip()
    assert program.good("show", small, "--json").document["chunker"]["avg"] == 4096


def test_the_expected_digest_is_checked(program: Program) -> None:
    right = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    program.good("prepare", "--expect", right, stdin=DATA)
    wrong = program.run("prepare", "--expect", right, "--name", "x", stdin=DATA + b"!")
    assert (wrong.status, wrong.out) == (4, b"")
    assert program.run("show", "x").status == 9


def test_a_missing_file_makes_no_store(program: Program) -> None:
    ran = program.run("prepare", "absent")
    assert (ran.status, ran.out) == (9, b"")
    assert "absent" in ran.err
    assert not program.store.exists()


# -- The store that is not there ------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["ls", "show x", "cat x", "verify", "store stats", "store reindex", "serve"]
)
def test_only_writers_make_a_store(program: Program, command: str) -> None:
    ran = program.run(*command.split())
    assert ran.status == 9
    assert str(program.store) in ran.err
    assert not program.store.exists()


def test_the_default_store_is_in_the_data_folder_of_the_user(program: Program) -> None:
    program.good("prepare", stdin=b"x", CASYNC_STORE="")
    assert (program.home / ".local/share/casync/store/data.mdb").exists()


# -- ls -------------------------------------------------------------------------------------------


def test_ls_lists_names_and_then_manifests_without_a_name(program: Program) -> None:
    first = prepared(program, "vm/2", b"two")
    second = prepared(program, "db", b"db")
    nameless = program.good("prepare", stdin=b"none").text.strip()
    assert program.good("ls").text == f"{second}\tdb\n{first}\tvm/2\n{nameless}\t\n"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("vm/", ["vm/a", "vm/b/c"]),
        ("vm/a", ["vm/a"]),
        ("vm*", ["vm", "vm/a", "vm/b/c"]),
        ("*a", ["vm/a"]),
        ("v?", ["vm"]),
        ("[uv]m", ["vm"]),
        ("zz/", []),
        ("zz*", []),
    ],
)
def test_ls_takes_names_folders_and_globs(program: Program, pattern: str, found: list[str]) -> None:
    for name in ("vm", "vm/a", "vm/b/c"):
        prepared(program, name, b"same")
    assert [line.split("\t")[1] for line in program.good("ls", pattern).lines] == found


def test_ls_of_an_unknown_name_fails(program: Program) -> None:
    prepared(program)
    assert program.run("ls", "vm").status == 9


# -- show -----------------------------------------------------------------------------------------


def test_show_counts(program: Program) -> None:
    ident = prepared(program)
    document = program.good("show", "vm/1", "--digest", "sha256", "--json").document
    assert (document["manifest"], document["length"]) == (ident, len(DATA))
    assert document["zero"] % 65536 == 0
    assert document["zero"] > 400_000
    assert sum(row["chunks"] for row in document["histogram"]) == document["chunks"]
    assert document["digest"] == f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    assert document["missing"] == 0
    rows = dict(line.split("\t", 1) for line in program.good("show", ident[:8]).lines)
    assert int(rows["stored"]) == document["stored"]


def test_show_for_people_has_bars(program: Program) -> None:
    prepared(program)
    status, screen = program.on_terminal("show", "vm/1")
    assert status == 0
    assert "length:    900000 bytes (879 KiB)" in screen
    assert "####" in screen


def test_prefixes_of_hashes_resolve_in_a_local_store(program: Program) -> None:
    ident = prepared(program)
    assert program.good("cat", ident[:8]).out == DATA
    assert program.run("cat", "00000000").status == 9
    assert program.run("cat", ident[:7]).status == 9  # too short for a hash, so it is a name


# -- cat ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"\x00", b"\x1b[31m", b"caf\xe9 au lait", b"\x7f", "\x9b31m".encode()]
)
def test_cat_refuses_binary_data_on_a_terminal(program: Program, data: bytes) -> None:
    ident = program.good("prepare", stdin=b"text " + data).text.strip()
    status, screen = program.on_terminal("cat", ident, NO_COLOR="1")
    assert status == 2
    assert screen.startswith(f"casync: {ident} is binary data, and stdout is a terminal. ")
    assert f"`casync pull {ident} -o FILE`, pipe it into a program, or give -f." in screen
    assert program.on_terminal("cat", ident, "--length", "5") == (0, "text ")
    assert program.on_terminal("cat", ident, "--offset", "5")[0] == 2
    assert program.good("cat", ident).out == b"text " + data


def test_cat_writes_binary_data_to_a_terminal_with_force(program: Program) -> None:
    ident = program.good("prepare", stdin=b"a\x01b").text.strip()
    assert program.on_terminal("cat", "-f", ident) == (0, "a\x01b")


def test_cat_shows_text_on_a_terminal(program: Program) -> None:
    text = "Grüße\tfür alle\f\n" * 40_000  # characters that lie across chunks
    ident = program.good("prepare", "--chunk-size", "4K", stdin=text.encode()).text.strip()
    status, screen = program.on_terminal("cat", ident)
    assert (status, screen) == (0, text)
    assert program.on_terminal("cat", ident, "--length", "3") == (0, "Gr\ufffd")


@pytest.mark.parametrize(
    ("options", "start", "end"),
    [
        ("", 0, len(DATA)),
        ("--offset 0 --length 10", 0, 10),
        ("--offset 299990 --length 100", 299990, 300090),
        ("--offset 350K --length 1K", 358400, 359424),
        ("--offset 899990", 899990, 900000),
        ("--offset 899990 --length 1M", 899990, 900000),
        ("--offset 900000", 900000, 900000),
        ("--offset 5T --length 7", 0, 0),
        ("--length 0", 0, 0),
    ],
)
def test_cat_writes_the_part(program: Program, options: str, start: int, end: int) -> None:
    prepared(program)
    assert program.good("cat", "vm/1", *options.split()).out == DATA[start:end]


def test_content_of_nothing(program: Program) -> None:
    prepared(program, "empty", b"")
    assert program.good("cat", "empty").out == b""
    assert program.good("show", "empty", "--json").document["chunks"] == 0
    program.good("pull", "empty", "-o", "out")
    assert (program.home / "out").read_bytes() == b""


# -- pull from the local store --------------------------------------------------------------------


def test_pull_reports_its_sources(program: Program) -> None:
    ident = prepared(program)
    ran = program.good("pull", ident, "-o", "out")
    assert (program.home / "out").read_bytes() == DATA
    assert ran.out == b""
    assert "out: written, 879 KiB" in ran.err
    assert "from local store: " in ran.err
    assert "out: up to date" in program.good("pull", ident, "-o", "out").err


def test_pull_to_stdout(program: Program) -> None:
    assert program.good("pull", prepared(program), "-o", "-").out == DATA


def test_a_dry_run_resolves_names_in_a_read_only_store(program: Program) -> None:
    ident = prepared(program)
    before = (program.store / "data.mdb").read_bytes()
    for ref in ("vm/1", ident[:8], ident):
        plan = program.good("pull", ref, "-o", "out", "--dry-run", "--json").document
        assert (plan["manifest"], plan["missing"], plan["fetch"]) == (ident, 0, 0)
        assert sum(plan["sources"].values()) == len(DATA)
    assert (program.store / "data.mdb").read_bytes() == before


def test_the_expected_digest_of_a_pull_is_checked(program: Program) -> None:
    ident = prepared(program)
    wrong = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
    assert program.run("pull", ident, "-o", "out", "--expect", wrong).status == 4
    assert not (program.home / "out").exists()


def test_a_pull_to_a_folder_is_refused(program: Program) -> None:
    ran = program.run("pull", prepared(program), "-o", program.home)
    assert ran.status == 1
    assert "is a folder" in ran.err


# -- verify, stats, reindex -----------------------------------------------------------------------


def damage(program: Program) -> None:
    """Flips one byte in the middle of the first incompressible stretch."""
    path = program.store / "data.mdb"
    data = bytearray(path.read_bytes())
    at = data.index(DATA[5000:5032])
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_verify_of_a_sound_store(program: Program) -> None:
    prepared(program)
    for options in ("", "--quick", "--sample 10%", "vm/1"):
        ran = program.good("verify", *options.split())
        assert ran.out == b""
        assert ": 0 faults" in ran.err


def test_verify_names_damaged_objects_and_the_manifests_that_need_them(program: Program) -> None:
    ident = prepared(program)
    damage(program)
    ran = program.run("verify")
    assert ran.status == 4
    problem, kind, chunk, manifest, names = ran.lines[0].split("\t")
    assert (problem, kind, manifest, names) == ("damaged", "chunk", ident, "vm/1@1")
    assert len(chunk) == 64
    (fault,) = program.run("verify", "--json").document["faults"]
    assert (fault["id"], fault["manifests"], fault["names"]) == (chunk, [ident], ["vm/1@1"])


def test_damage_never_leaves_as_content(program: Program) -> None:
    prepared(program)
    damage(program)
    ran = program.run("cat", "vm/1")
    assert ran.status == 4
    assert DATA.startswith(ran.out)


def test_stats(program: Program) -> None:
    prepared(program)
    document = program.good("store", "stats", "--json").document
    assert (document["manifests"], document["names"]) == (1, 1)
    assert document["objects"]["chunk"]["count"] > 10
    assert document["file"] >= document["used"] >= document["live"]
    assert program.good("store", "stats").lines[0] == f"store\t{program.store}"


def test_reindex_keeps_everything(program: Program) -> None:
    ident = prepared(program)
    document = program.good("store", "reindex", "--json").document
    assert (document["manifests"], document["names"], document["damaged"]) == (1, 1, 0)
    assert program.good("cat", "vm/1").out == DATA
    assert program.good("ls").text == f"{ident}\tvm/1\n"


def test_salvage_into_a_new_store(program: Program) -> None:
    prepared(program)
    broken = program.store / "data.mdb"
    before = broken.read_bytes()
    broken.write_bytes(bytes(8192) + before[8192:])  # both meta pages are gone
    assert program.run("ls").status == 4
    program.good("store", "reindex", "--salvage", broken, "--store", program.home / "new")
    assert program.good("cat", "vm/1", "--store", program.home / "new").out == DATA
    assert broken.read_bytes()[8192:] == before[8192:]


def test_salvage_needs_another_store(program: Program) -> None:
    prepared(program)
    for file in (program.store, program.store / "data.mdb"):
        ran = program.run("store", "reindex", "--salvage", file)
        assert ran.status == 2
        assert "--store DIR" in ran.err
    ran = program.run("store", "reindex", "--salvage", "absent", "--store", "other")
    assert ran.status == 9
    assert not (program.home / "other").exists()


def test_a_store_that_cannot_be_written_can_be_read(program: Program) -> None:
    ident = prepared(program)
    os.chmod(program.store / "data.mdb", 0o400)
    os.chmod(program.store, 0o500)
    try:
        assert program.good("ls").text == f"{ident}\tvm/1\n"
        assert program.good("pull", ident, "-o", "out").status == 0
    finally:
        os.chmod(program.store, 0o700)
    assert (program.home / "out").read_bytes() == DATA
