"""What each command imports: only libraries that it uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import COMMAND, Program, Ran

HEAVY = {
    "asyncio",
    "blake3",
    "casync_server",
    "concurrent.futures",
    "fastapi",
    "fastcdc",
    "httpcore",
    "httpx",
    "importlib.metadata",
    "lmdb",
    "msgspec",
    "multiprocessing",
    "obstore",
    "pydantic",
    "rich",
    "ssl",
    "uvicorn",
    "zstandard",
}

SPY = f"""
import atexit, sys
names = {sorted(HEAVY)!r}
atexit.register(lambda: print(*(n for n in names if n in sys.modules), file=sys.__stderr__))
from casync_cli.start import run
run()
"""

NOTHING: set[str] = set()
STORE = {"blake3", "lmdb", "msgspec", "zstandard"}
REMOTE = {"blake3", "httpcore", "httpx", "msgspec", "ssl", "zstandard"}
WORKING = STORE | {"concurrent.futures"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp("home"))
    (program.home / "file").write_bytes(bytes(range(256)) * 100)
    program.good("prepare", "file", "--name", "x")
    return program


def imports(program: Program, *arguments: str, **environment: str) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", SPY, *arguments],
        env={**program.environment, **environment},
        cwd=program.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    return set(process.stderr.decode().splitlines()[-1].split())


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("", NOTHING),
        ("--help", NOTHING),
        ("--version", NOTHING),
        ("prepare --help", NOTHING),
        ("serve --help", NOTHING),
        ("pull --help", NOTHING),
        ("download --help", NOTHING),
        ("job show --help", NOTHING),
        ("show job --help", NOTHING),
        ("store reindex --help", NOTHING),
        ("pul", NOTHING),
        ("pull --servr x", NOTHING),
        ("pull", NOTHING),
        ("ls", STORE),
        ("ls -l x", STORE),
        ("show x", STORE),
        ("cat x", STORE),
        ("store stats", STORE),
        ("store reindex", STORE),
        ("verify", WORKING),
        ("prepare file --reread", WORKING | {"fastcdc"}),
        ("prepare . --exclude /store/", WORKING | REMOTE | {"fastcdc"}),
        ("prepare s3://", WORKING | {"fastcdc"}),
        ("ls --server http://127.0.0.1:1 --retry-for 0", REMOTE),
        ("pull x -o out", WORKING | REMOTE),
    ],
)
def test_commands_import_what_they_use(program: Program, command: str, allowed: set[str]) -> None:
    assert imports(program, *command.split()) <= allowed


def test_only_serve_imports_the_server_and_only_its_workers_the_web_framework(
    program: Program,
) -> None:
    # It ends at once: the machine does not have this address.
    found = imports(program, "serve", "--listen", "192.0.2.1:1", "--insecure-no-auth")
    assert "casync_server" in found
    assert not found & {"fastapi", "httpx", "uvicorn"}


def test_a_download_of_what_is_no_replica_imports_nothing_of_pull(program: Program) -> None:
    looked_for = ["casync.ops.download.run", "casync.ops.pull", "casync.ops.pull_folder"]
    spy = SPY.replace(repr(sorted(HEAVY)), repr(looked_for))
    command = [sys.executable, "-c", spy, "download", str(program.home / "file"), "copy"]
    done = subprocess.run(command, env=program.environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().splitlines()[-1].split() == looked_for[:1]


def test_workers_import_no_command_line_of_a_library() -> None:
    spy = "import sys, casync_server.process.worker; print(*{'httpx', 'rich'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", spy], capture_output=True, text=True, timeout=120)
    assert found.stdout.split() == ["httpx"], found.stderr


def test_the_process_that_reads_ahead_imports_only_what_reads() -> None:
    spy = (
        "import sys, casync.training.read_child;"
        "print(*(n for n in sys.modules if n.startswith(('casync.store.lmdb.', 'casync.jobs'))))"
    )
    found = subprocess.run([sys.executable, "-c", spy], capture_output=True, text=True, timeout=120)
    names = set(found.stdout.split())
    assert "casync.store.lmdb.objects" in names, found.stderr
    assert not names & {"casync.jobs", "casync.store.lmdb.store", "casync.store.lmdb.commit"}


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("casync p", NOTHING),
        ("casync pull --s", NOTHING),
        ("casync store ", NOTHING),
        ("casync show ", STORE),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_imports_as_little(
    program: Program, shell: str, line: str, allowed: set[str]
) -> None:
    found = imports(
        program,
        _CASYNC_COMPLETE=f"complete_{shell}",
        COMP_WORDS=line,
        COMP_CWORD=str(len(line.split(" ")) - 1),
        _TYPER_COMPLETE_ARGS=line,
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    assert found <= allowed


def without_home(program: Program, *arguments: str, home: str | None) -> Ran:
    """Runs the program as a user that no account is known of."""
    environment = {k: v for k, v in program.environment.items() if k != "CASYNC_STORE"}
    environment.pop("HOME")
    if home is not None:
        environment["HOME"] = home
    done = subprocess.run(
        ["unshare", "--user", "--map-user=12345", *COMMAND, *arguments],
        cwd=program.home,
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr.decode())


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_the_store_has_to_be_named(program: Program, home: str | None) -> None:
    (program.home / "file").write_bytes(b"x")
    refused = without_home(program, "prepare", "file", home=home)
    assert (refused.status, "--store DIR" in refused.err) == (2, True), refused
    stored = without_home(program, "--store", "here", "prepare", "file", "--name", "f", home=home)
    assert stored.status == 0, stored
    pull = ("--store", "here", "pull", "f", "-o", "out", "--trust", f"ed25519:{'0' * 64}")
    refused = without_home(program, *pull, home=home)
    assert (refused.status, "XDG_STATE_HOME" in refused.err) == (2, True), refused
    assert without_home(program, "config", "show", home=home).status == 0


def test_paths_are_the_same_bytes_whatever_the_locale_says(program: Program) -> None:
    names = [b"\xc3\xbc", b"\xc4\x9f", b"\xff"]
    (program.home / "d").mkdir()
    for name in names:
        Path(os.fsdecode(bytes(program.home / "d") + b"/" + name)).write_bytes(b"x")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    program.good("prepare", "d", "--name", "utf8")
    program.good("prepare", "d", "--name", "ascii", stdin=b"", **ascii_only)
    listed = program.good("ls", "utf8:", "--json").out
    assert program.good("ls", "ascii:", "--json", stdin=b"", **ascii_only).out == listed
    assert (
        program.good("ls", "utf8:").out == program.good("ls", "utf8:", stdin=b"", **ascii_only).out
    )
    for name in names:
        path = os.fsdecode(b"ascii:" + name)
        assert program.good("cat", path, stdin=b"", **ascii_only).out == b"x"
