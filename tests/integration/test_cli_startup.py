"""What each command imports: only libraries that it uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import Program

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
    "platformdirs",
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


def test_only_serve_imports_the_web_framework(program: Program) -> None:
    # It ends at once: the machine does not have this address.
    found = imports(program, "serve", "--listen", "192.0.2.1:1", "--insecure-no-auth")
    assert "casync_server" in found


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


def test_only_the_default_store_needs_platformdirs(program: Program, tmp_path: Path) -> None:
    assert "platformdirs" in imports(program, "ls", CASYNC_STORE="", HOME=str(tmp_path))
