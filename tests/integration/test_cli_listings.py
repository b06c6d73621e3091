"""What lists show: heads, units and short hashes on a terminal, exact values elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.program import Program
from tests.support.serving import serving

LONG = "a/rather/long/name/of/something/that/does/not/fit/on/a/line/of/a/terminal"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with the file `vm`, the folder `www` of 3000 bytes, and a file with a long name."""
    program = Program(tmp_path_factory.mktemp("home"))
    folder = program.home / "www"
    (folder / "sub").mkdir(parents=True)
    (folder / "index").write_bytes(os.urandom(1000))
    (folder / "sub" / "data").write_bytes(os.urandom(2000))
    (folder / "link").symlink_to("index")
    os.utime(folder / "index", (-86400, -86400))
    program.good("prepare", folder, "--name", "www")
    program.good("prepare", "--name", "vm", stdin=os.urandom(100_000))
    program.good("prepare", "--name", LONG, stdin=b"something")
    program.good("prepare", "--name", "gone", stdin=b"removed")
    program.good("rm", "gone")
    program.good("prepare", "--store", "tokens", stdin=b"")
    program.good("token", "new", "file", "--store", "tokens", "--names", "vm/", "--note", "of CI")
    return program


def on_terminal(program: Program, *arguments: str, columns: int = 80) -> list[str]:
    status, screen = program.on_terminal(*arguments, COLUMNS=str(columns))
    assert status == 0, screen
    return screen.splitlines()


def test_short_hashes_are_refs_of_every_command(program: Program) -> None:
    head, *rows = on_terminal(program, "ls")
    assert head.split() == ["hash", "name"]
    short = next(row.split()[0] for row in rows if row.endswith("  vm"))
    assert len(short) == 12
    (program.home / "input").write_bytes(program.good("cat", short).out)
    for command in [
        f"show {short}",
        f"ls {short}",
        f"check {short} input",
        f"diff {short} vm --exit-code",
        f"pull {short} -o output",
        f"verify {short}",
        f"store stats {short}",
        f"name set other {short}",
        "rm other",
        f"repair {short} --server http://127.0.0.1:1 --retry-for 0",
    ]:
        program.good(*command.split())
    with serving(program.store) as server:
        program.good("push", short, "--server", server.url)  # it is there


def test_a_short_hash_of_the_trash_brings_a_manifest_back(program: Program) -> None:
    full = program.good("prepare", stdin=b"to be removed").text.strip()
    program.good("rm", full[:12])
    row = on_terminal(program, "rm", "--list")[-1]
    assert row.split()[0] == full[:12]
    assert program.good("undelete", full[:12]).text == f"manifest\t{full}\n"
    assert program.run("undelete", full[:12]).status == 9


def test_full_hashes_are_shown_when_asked_for_in_pipes_and_of_servers(program: Program) -> None:
    (full,) = [line.split("\t")[0] for line in program.good("ls", "vm").lines]
    assert len(full) == 64
    assert on_terminal(program, "ls", "vm", "--full")[1] == f"{full}  vm"
    with serving(program.store) as server:
        assert on_terminal(program, "ls", "vm", "--server", server.url)[1] == f"{full}  vm"


@pytest.mark.parametrize(
    ("command", "heads"),
    [
        ("ls", "hash name"),
        ("ls -l", "hash length time name"),
        ("ls -l www:", "mode length time path target"),
        ("name log www", "hash time name key"),
        ("rm --list", "hash removed name"),
        ("rm --dry-run www", "kind hash name"),
        ("token ls --store tokens", "id scope state created expires names note namespace"),
        ("config show", "setting value source"),
        ("store stats vm www", "hash length stored own with 1 with 2"),
        ("diff www: www:sub", "change old new path differs"),
        ("gc --dry-run --window 0", "kind id"),
    ],
)
def test_lists_have_heads_on_a_terminal_only(program: Program, command: str, heads: str) -> None:
    words = " ".join(on_terminal(program, *command.split(), columns=200)[0].split())
    assert words == heads
    first = program.good(*command.split()).lines[0]
    assert " ".join(first.split()) != heads


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize(
    "command", ["ls", "ls -l", "ls -lR www:", "rm --list", "token ls --store tokens", "show vm"]
)
def test_lists_fit_the_terminal(program: Program, command: str, columns: int) -> None:
    lines = on_terminal(program, *command.split(), columns=columns)
    too_long = [line for line in lines if len(line) > columns and LONG not in line]
    if command == "show vm":
        too_long = [line for line in too_long if not re.fullmatch(r" +[0-9a-f]{64}", line)]
    assert too_long == []
    if command.startswith("ls -l") and "www:" not in command:
        assert f"    {LONG}@1" in lines  # whole, on a line of its own


def test_what_changes_names_fits_the_terminal(program: Program) -> None:
    program.good("prepare", "--name", "some/name", stdin=b"first")
    program.good("prepare", "--name", "some/name", stdin=b"second")
    with serving(program.store, writable=True) as server:
        for command in [
            "forget some/ --keep-last 1 --dry-run",
            "forget some/ --keep-last 1",
            "undelete some/name@1",
            "rm some/name --dry-run",
            "rm some/name",
            "undelete some/name",
            "name set another/name some/name",
            f"push some/name --name another --server {server.url}",
        ]:
            lines = on_terminal(program, *command.split())
            assert [line for line in lines if len(line) > 80 or line.startswith("    ")] == []
            assert re.search(r"\b[0-9a-f]{12}  (some|an)", "\n".join(lines)), lines


def test_a_folder_is_as_long_as_its_files(program: Program) -> None:
    def row(*arguments: str) -> list[str]:
        return program.good(*arguments).lines[0].split("\t")

    assert row("ls", "-l", "www")[1] == "3000"
    assert row("store", "stats", "www")[1] == "3000"
    assert (
        dict(line.split("\t")[:2] for line in program.good("show", "www").lines)["total"] == "3000"
    )
    lengths = [line.split("\t")[1] for line in program.good("ls", "-lR", "www:").lines]
    assert lengths == ["1000", "", "2000", "2000"]
    (entry,) = program.good("ls", "-l", "www", "--json").document["entries"]
    assert (entry["total"], entry["length"] < 1000) == (3000, True)
    with serving(program.store) as server:
        assert row("ls", "-l", "www", "--server", server.url)[1] == "3000"
        assert row("ls", "-l", "vm", "--server", server.url)[1] == "100000"
        assert [
            line.split("\t")[1]
            for line in program.good("ls", "-lR", "www:", "--server", server.url).lines
        ] == lengths
        (line,) = [
            line
            for line in program.good("show", "www", "--server", server.url).lines
            if line.startswith("total")
        ]
        assert line.split("\t")[1] == "3000"


def test_a_damaged_folder_does_not_end_the_list(program: Program, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    store = tmp_path / "store"
    program.good("prepare", tmp_path / "d", "--name", "d", "--store", store)
    program.good("prepare", "--name", "e", "--store", store, stdin=b"yy")
    data = (store / "data.mdb").read_bytes()
    (store / "data.mdb").write_bytes(data.replace(b"folder", b"holder"))  # the root of the tree
    ran = program.good("ls", "-l", "--store", store)
    assert [line.split("\t")[1] for line in ran.lines] == ["", "2"]
    assert "warning: chunk" in ran.err


def test_times_before_1970_are_shown(program: Program) -> None:
    assert "1969-12-31T00:00:00Z" in program.good("ls", "-l", "www:index").text
