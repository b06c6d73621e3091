"""A stop at any moment of the start is a clean stop.

Processes send the signal themselves, at moments that Python's audit events name, so that no test
depends on how long anything takes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

from tests.support.program import COMMAND, TIMEOUT, Program

SENDER = """
import os, signal, sys

process, number, *moments = os.environ["SIGNAL_AT"].split()
if process in sys.orig_argv:

    def send(event, args):
        moment = args[0] if event == "import" else event
        if moments and moment == moments[0]:
            del moments[0]
            # Workers and collectors are started by the one that we are about to stop.
            os.kill(os.getpid() if process == "casync_cli" else os.getppid(), int(number))

    sys.addaudithook(send)
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    program.good("prepare", "--name", "x", stdin=b"some bytes")
    (tmp_path / "sender").mkdir()
    (tmp_path / "sender" / "sitecustomize.py").write_text(SENDER)
    path = program.environment["PYTHONPATH"]
    program.environment["SIGNAL_AT"] = "none 0"
    program.environment["PYTHONPATH"] = f"{tmp_path / 'sender'}{os.pathsep}{path}"
    return program


def signalled(program: Program, at: str, *command: str, ignored: str = "") -> tuple[int, str]:
    """The end of a command that gets a signal `at` "PROCESS NUMBER MOMENT...".

    Args:
        program: What runs.
        at: The process that sends the signal, the signal, and when: at imports and audit events.
        command: The command line.
        ignored: Signals that the shell ignores, before it becomes the program.
    """
    trap = f'trap "" {ignored}; ' if ignored else ""
    done = subprocess.run(
        ["sh", "-c", f'{trap}exec "$@"', "sh", *COMMAND, *command],
        env={**program.environment, "SIGNAL_AT": at},
        cwd=program.home,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.returncode, done.stderr.decode()


SERVE = ("serve", "--listen", "127.0.0.1:0")
LOADING = ("casync_cli.main", "typer", "casync_cli.invocation")


# -- serve ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [*LOADING, "casync_server.options", "pydantic", "socket.bind", "subprocess.Popen"],
)
def test_serve_stops_cleanly_while_it_starts(program: Program, moment: str) -> None:
    assert signalled(program, f"casync_cli {SIGTERM} {moment}", *SERVE) == (0, "")


@pytest.mark.parametrize("moment", ["runpy", "casync_server.process.worker_order", "uvloop"])
def test_serve_stops_cleanly_while_its_first_worker_starts(program: Program, moment: str) -> None:
    at = f"casync_server.process.worker {SIGTERM} {moment}"
    assert signalled(program, at, *SERVE) == (0, "")


def test_serve_stops_cleanly_while_a_collection_starts(program: Program) -> None:
    at = f"casync_server.process.collector {SIGTERM} casync.ops.upkeep.gc"
    status, err = signalled(program, at, *SERVE, "--gc-interval", "1s")
    assert (status, "Traceback" in err, "ended by signal" in err) == (0, False, False)


def test_an_interrupt_stops_serve_while_it_starts(program: Program) -> None:
    assert signalled(program, f"casync_cli {SIGINT} casync_server.options", *SERVE) == (0, "")


def test_further_signals_do_not_change_how_serve_ends(program: Program) -> None:
    moments = "casync_server.options socket.bind shutil.rmtree cpython.PyInterpreterState_Clear"
    assert signalled(program, f"casync_cli {SIGTERM} {moments}", *SERVE) == (0, "")


# -- Other commands -------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [*LOADING, "casync.store.lmdb.store", "lmdb"])
@pytest.mark.parametrize(
    ("number", "status", "word"), [(SIGINT, 130, "interrupted"), (SIGTERM, 143, "asked to stop")]
)
def test_commands_report_a_stop_during_their_start(
    program: Program, number: int, status: int, word: str, moment: str
) -> None:
    ended = signalled(program, f"casync_cli {number} {moment}", "ls")
    assert ended == (status, f"casync: {word}\n")


def test_commands_ignore_signals_that_their_parent_ignores(program: Program) -> None:
    for number in (SIGINT, SIGTERM, SIGHUP):
        at = f"casync_cli {number} typer lmdb"
        assert signalled(program, at, "ls", ignored=str(number)) == (0, "")


def test_little_is_loaded_before_signals_are_blocked(program: Program) -> None:
    code = "import sys, casync_cli.start; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=program.environment,
        capture_output=True,
        check=True,
    )
    assert {"casync", "re", "typing"}.isdisjoint(done.stdout.decode().split())


def test_a_stop_raised_in_a_finalizer_is_not_lost(program: Program) -> None:
    code = """
import os, signal, time
from casync_cli.signals import Interrupted, stop_on_signals

class Closing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

stop_on_signals()
try:
    closing = Closing()
    del closing
    time.sleep(60)
except Interrupted as interrupted:
    raise SystemExit(interrupted.status)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=program.environment,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (143, b"")
