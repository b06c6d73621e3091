"""Where output goes, and what happens when it cannot go there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.program import COMMAND, Program, read_until, terminal_of

ALL_TO_STDOUT = [
    "--version",
    "--help",
    "pull --help",
    "ls",
    "ls -l",
    "show x",
    "cat x",
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp("home"))
    program.good("prepare", "--name", "x", stdin=os.urandom(3_000_000))
    return program


def into(program: Program, target: str, *arguments: str) -> tuple[int, str]:
    process = subprocess.run(
        ["sh", "-c", f'exec "$@" {target}', "sh", *COMMAND, *arguments],
        env=program.environment,
        cwd=program.home,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    return process.returncode, process.stderr.decode()


@pytest.mark.parametrize("command", ALL_TO_STDOUT)
def test_a_full_stdout_is_one_line_and_status_1(program: Program, command: str) -> None:
    status, err = into(program, ">/dev/full", *command.split())
    assert (status, err) == (1, "casync: cannot write to stdout: No space left on device\n")


@pytest.mark.parametrize("command", ALL_TO_STDOUT)
def test_a_closed_stdout_is_one_line_and_status_1(program: Program, command: str) -> None:
    status, err = into(program, ">&-", *command.split())
    assert (status, err) == (1, "casync: cannot write to stdout: it is closed\n")


def test_a_hash_that_cannot_be_printed_is_a_failure(program: Program) -> None:
    (program.home / "input").write_bytes(b"something")
    status, err = into(program, ">/dev/full", "prepare", "input", "-q")
    assert (status, err) == (1, "casync: cannot write to stdout: No space left on device\n")


@pytest.mark.parametrize("command", ["cat x", "ls", "--help"])
def test_a_closed_pipe_ends_the_command_quietly(program: Program, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with program.start(*command.split(), stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")


def test_head_gets_its_bytes(program: Program) -> None:
    status, err = into(program, "| head -c 10 >/dev/null", "cat", "x")
    assert (status, err) == (0, "")


def test_all_streams_closed(program: Program) -> None:
    status, _ = into(program, "<&- >&- 2>&-", "ls")
    assert status == 1


def test_no_opened_file_takes_the_descriptor_of_a_closed_stdout(program: Program) -> None:
    before = program.good("store", "stats", "--json").document
    into(program, ">&-", "cat", "x")
    assert program.good("store", "stats", "--json").document == before


def test_a_stderr_that_is_full_changes_nothing(program: Program) -> None:
    status, _ = into(program, "2>/dev/full >/dev/null", "prepare", "--help")
    assert status == 0
    status, _ = into(program, "2>/dev/full", "ls", "no-such-name")
    assert status == 9


def test_data_is_tab_separated_and_hashes_are_full(program: Program) -> None:
    (line,) = program.good("ls", "-l", "x").lines
    ident, length, created, name = line.split("\t")
    assert (len(ident), length, name) == (64, "3000000", "x@1")
    assert created.endswith("Z")


def test_a_terminal_gets_readable_output(program: Program) -> None:
    status, screen = program.on_terminal("ls", "-l")
    assert status == 0
    assert "2.86 MiB" in screen
    assert "\t" not in screen


def test_errors_are_coloured_on_a_terminal_only(program: Program) -> None:
    _, screen = program.on_terminal("ls", "nothing")
    assert screen.startswith("\x1b[31mcasync:\x1b[0m no name nothing")
    _, screen = program.on_terminal("ls", "nothing", NO_COLOR="1")
    assert screen.startswith("casync: no name nothing")
    assert "\x1b" not in program.run("ls", "nothing").err


def test_every_json_document_names_its_schema(program: Program) -> None:
    out = program.home / "out"
    for command, schema in [
        ("prepare file", "casync.prepare/1"),
        ("ls", "casync.ls/1"),
        ("show x", "casync.show/1"),
        ("store stats", "casync.store-stats/1"),
        ("store reindex", "casync.store-reindex/1"),
        ("store compact", "casync.store-compact/1"),
        (f"pull x -o {out}", "casync.pull/1"),
        ("verify", "casync.verify/1"),
    ]:
        (program.home / "file").write_bytes(b"some bytes")
        for arguments in (["--json", *command.split()], [*command.split(), "--json"]):
            assert program.good(*arguments).document["schema"] == schema


def test_errors_are_json_with_json(program: Program) -> None:
    ran = program.run("show", "nothing", "--json")
    assert (ran.status, ran.out) == (9, b"")
    assert ran.problem["schema"] == "casync.error/1"
    assert (ran.problem["code"], ran.problem["exit_status"]) == ("no-name", 9)


@pytest.mark.parametrize("command", ["--json nonsense", "pull --nonsense --json", "show --json"])
def test_usage_errors_are_json_too(program: Program, command: str) -> None:
    ran = program.run(*command.split())
    assert (ran.status, ran.out, ran.problem["code"]) == (2, b"", "usage")


def test_quiet_still_prints_data(program: Program) -> None:
    ran = program.good("prepare", "-q", stdin=b"quiet")
    assert (len(ran.text), ran.err) == (65, "")


def test_verbose_says_where_the_store_is(program: Program) -> None:
    assert str(program.store) in program.good("-v", "ls").err


def test_debug_prints_a_traceback(program: Program) -> None:
    assert "Traceback" not in program.run("show", "nothing").err
    assert "Traceback" in program.run("show", "nothing", "--debug").err


def test_file_names_are_shown_as_bytes(program: Program) -> None:
    name = os.fsdecode(b"\x1b[31m\xff[red]x\n")
    ran = program.run("prepare", name)
    assert ran.status == 9
    assert "\\x1b[31m\\xff[red]x\\x0a" in ran.err
    assert "\x1b" not in ran.err
    assert ran.err.count("\n") == 1


def test_bad_bytes_on_the_command_line_give_no_traceback(program: Program) -> None:
    for arguments in (
        ["show", "a\udcff"],
        ["\udcff\x1b[0m"],
        ["ls", "--\udcff"],
        ["ls", "\udcff*"],
    ):
        ran = program.run(*arguments)
        assert ran.status in (0, 2, 9), ran
        assert "mistake" not in ran.err, ran
        assert "\x1b" not in ran.err


def test_json_holds_any_path(program: Program) -> None:
    store = Path(os.fsdecode(os.fsencode(program.home) + b"/st\xff"))
    program.good("prepare", "--store", store, stdin=b"x")
    ran = program.good("store", "stats", "--json", "--store", store)
    assert json.loads(ran.text)["path"].endswith("/st\\xff")


def test_another_locale_encoding_is_supported(program: Program) -> None:
    program.good("prepare", "--name", "täst", stdin=b"x")
    ran = program.good("ls", "t*", PYTHONIOENCODING="ascii")
    assert ran.text.endswith("t\\xe4st\n")


def test_progress_on_a_terminal_is_a_bar_that_goes_away(program: Program) -> None:
    reader, writer = os.pipe()
    with program.start("--progress", "prepare", stdin=reader, stderr=subprocess.PIPE) as process:
        os.close(reader)
        assert process.stderr is not None
        os.write(writer, b"some bytes")
        seen = read_until(process.stderr.fileno(), b"reading")
        os.close(writer)
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"\r\x1b[K" in seen + rest
    assert (seen + rest).rpartition(b"\r\x1b[K")[2].startswith(b"10 B in 1 chunk")


def test_a_bar_fits_the_terminal_of_stderr_when_stdout_is_a_pipe(program: Program) -> None:
    ours, theirs = terminal_of(12)
    reader, writer = os.pipe()
    with program.start("--progress", "prepare", stdin=reader, stderr=theirs) as process:
        os.close(reader)
        os.close(theirs)
        os.write(writer, b"some bytes")
        bar = read_until(ours, b"reading\r\x1b[K")  # the rate and the bytes do not fit
        os.close(writer)
        process.communicate(timeout=120)
    os.close(ours)
    assert max(map(len, bar.split(b"\r\x1b[K"))) < 12


def test_no_progress_shows_no_bar(program: Program) -> None:
    _, screen = program.on_terminal("--no-progress", "show", "x", "--digest", "sha256")
    assert "\x1b[K" not in screen


def without_reader(program: Program, *arguments: str) -> tuple[int, bytes]:
    """Runs the program with a stdout whose reader has closed the pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    with program.start(*arguments, stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=120)
    return process.returncode, err


def test_a_job_whose_id_has_no_reader_is_done(program: Program) -> None:
    """Only the id is lost; a status of 0 says that the objects are here."""
    (program.home / "set").mkdir()
    (program.home / "set/a").write_bytes(b"one")
    assert without_reader(program, "download", "./set/", "read/", "-q") == (0, b"")
    assert program.good("cat", "read/a").text == "one"
    (program.home / "list").write_text("a\nmissing\n")
    assert without_reader(program, "download", "./set/", "l/", "--from", "list", "-q")[0] == 3
    assert program.good("cat", "l/a").text == "one"


def test_several_inputs_are_prepared_also_without_a_reader(program: Program) -> None:
    for name in ("one", "two"):
        (program.home / name).write_bytes(name.encode() * 100)
    assert without_reader(program, "prepare", "one", "two", "-q") == (0, b"")
    for name in ("one", "two"):
        assert program.good("prepare", name, "--json").document["new"] == 0
    status, _ = without_reader(program, "prepare", "missing", "two", "-q")
    assert status == 9
