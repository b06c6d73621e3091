"""Completion: the words that shells get, without errors."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.program import COMMAND, Program, Ran


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp("home"))
    for name in ("vm/1", "vm/2", "db"):
        program.good("prepare", "--name", name, stdin=name.encode())
    return program


def complete(program: Program, line: str, **environment: str) -> Ran:
    words = line.split(" ")
    return program.run(
        stdin=b"",
        _CASYNC_COMPLETE="complete_bash",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
        **environment,
    )


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("casync p", ["prepare", "pull", "push", "publish"]),
        ("casync store ", ["stats", "reindex", "compact", "backup", "copy"]),
        ("casync pull --ser", ["--server"]),
        ("casync prepare --na", ["--name"]),
        ("casync --js", ["--json"]),
        ("casync ls --js", ["--json"]),
        ("casync show v", ["vm/1", "vm/2"]),
        ("casync cat d", ["db"]),
        ("casync ls vm", ["vm/1", "vm/2"]),
        ("casync verify db v", ["vm/1", "vm/2"]),
        ("casync pull v", ["vm/1", "vm/2"]),
        ("casync show x", []),
        ("casync down", ["download"]),
        ("casync job s", ["show", "start", "stop"]),
        ("casync start download s3://b/ v", ["vm/1", "vm/2"]),
        ("casync download --lim", ["--limit-bph", "--limit"]),
    ],
)
def test_words_are_completed(program: Program, line: str, offered: list[str]) -> None:
    ran = complete(program, line)
    assert (ran.text.split(), ran.err, ran.status) == (offered, "", 0)


def test_hashes_are_completed_from_two_digits_on(program: Program) -> None:
    idents = [line.split("\t")[0] for line in program.good("ls").lines]
    ident = idents[0]
    same = sorted(each for each in idents if each.startswith(ident[:2]))
    assert complete(program, f"casync show {ident[:2]}").text.split() == same
    assert complete(program, f"casync show {ident[:20]}").text.split() == [ident]
    assert complete(program, f"casync ls {ident[:20]}").text.split() == [ident]
    assert complete(program, f"casync name log {ident[:20]}").text.split() == []


def test_completion_uses_the_store_on_the_command_line(program: Program, tmp_path: Path) -> None:
    other = tmp_path / "other"
    program.good("prepare", "--store", other, "--name", "elsewhere", stdin=b"x")
    assert complete(program, f"casync --store {other} show e").text.split() == ["elsewhere"]
    assert complete(program, f"casync show --store {other} e").text.split() == ["elsewhere"]


@pytest.mark.parametrize(
    "line",
    [
        "casync show v",
        "casync --nonsense show v",
        "casync pull --limit x v",
        "casync nonsense v",
        "casync show 'v",
        "casync --version",
        "casync show \udcff",
    ],
)
@pytest.mark.parametrize("store", ["/nowhere", "/dev/null", "/proc/version", "\udcff"])
def test_errors_are_never_shown(program: Program, line: str, store: str) -> None:
    ran = complete(program, line, CASYNC_STORE=store)
    assert ran.err == ""
    assert "rror" not in ran.text


def test_completion_asks_no_server(program: Program) -> None:
    # Port 1 of this machine would refuse, and a name that does not resolve would take long.
    ran = complete(program, "casync show --server http://127.0.0.1:1 v")
    assert ran.text.split() == ["vm/1", "vm/2"]


def test_a_damaged_store_gives_no_completions_and_no_error(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "data.mdb").write_bytes(b"\xff" * 20000)
    ran = complete(program, "casync show v", CASYNC_STORE=str(tmp_path))
    assert (ran.text.strip(), ran.err) == ("", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_the_same_words(program: Program, shell: str) -> None:
    ran = program.run(
        _CASYNC_COMPLETE=f"complete_{shell}",
        _TYPER_COMPLETE_ARGS="casync show v",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    assert "vm/1" in ran.text
    assert "vm/2" in ran.text
    assert ran.err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(program: Program, shell: str) -> None:
    ran = program.run(_CASYNC_COMPLETE=f"source_{shell}")
    assert "_CASYNC_COMPLETE" in ran.text


def test_the_option_prints_the_script_for_the_shell_around_us(program: Program) -> None:
    bash = shutil.which("bash")
    assert bash is not None, "Debian has bash"
    process = subprocess.run(
        [bash, "--norc", "-c", '"$@"; exit $?', "bash", *COMMAND, "--show-completion"],
        env=program.environment,
        cwd=program.home,
        capture_output=True,
        timeout=120,
    )
    assert (process.returncode, process.stderr) == (0, b"")
    assert b"complete" in process.stdout


def test_bash_completes_a_real_command_line(program: Program, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None, "Debian has bash"
    runner = tmp_path / "casync"
    runner.write_text("#!/bin/sh\nexec " + " ".join(COMMAND) + ' "$@"\n')
    runner.chmod(0o755)
    script = (
        'eval "$(_CASYNC_COMPLETE=source_bash casync)"\n'
        "COMP_WORDS=(casync show v); COMP_CWORD=2\n"
        "_casync_completion casync v show\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    process = subprocess.run(
        [bash, "--norc", "-c", script],
        env={**program.environment, "PATH": f"{tmp_path}:{program.environment['PATH']}"},
        cwd=program.home,
        capture_output=True,
        timeout=120,
    )
    assert process.stdout.decode().split() == ["vm/1", "vm/2"]
    assert process.stderr == b""
