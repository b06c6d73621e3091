"""The child processes of a real prepare, when it is stopped or killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.limits import MIB
from tests.support.children import children_of
from tests.support.preparing import noise
from tests.support.program import TIMEOUT, Program

LONG = 40 * MIB
"""Size of a stream that is large enough for children."""


class Long:
    """A prepare of a stream that has started children, and waits for input."""

    def __init__(self, program: Program) -> None:
        reader, self.writer = os.pipe()
        environment = {**program.environment, "PYTHONWARNINGS": "error"}
        self.process = program.start(
            "prepare", stdin=reader, start_new_session=True, env=environment
        )
        os.close(reader)
        data = memoryview(noise(LONG))
        while data:
            data = data[os.write(self.writer, data) :]
        while not (children := children_of(self.process.pid)):
            assert self.process.poll() is None
            threading.Event().wait(0.01)
        self.children = children

    def end(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, err.decode()


@pytest.fixture
def long(program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Long]:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.fail("this machine has one CPU, and children are for more of them")
    long = Long(program)
    yield long
    os.close(long.writer)
    # They exit when their input ends.
    for child in long.children:
        while Path(f"/proc/{child}").exists():
            threading.Event().wait(0.01)
    program.good("verify")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_for_the_process_group_is_handled_by_the_parent(
    long: Long, number: signal.Signals, status: int
) -> None:
    os.killpg(long.process.pid, number)
    ended, err = long.end()
    assert ended == status
    assert err.count("\n") == 1
    assert err.startswith("casync: ")


def test_children_do_not_outlive_a_killed_parent(long: Long) -> None:
    long.process.kill()
    assert long.end() == (-signal.SIGKILL, "")


def test_a_killed_child_is_reported_in_one_line(long: Long) -> None:
    for child in long.children:
        os.kill(child, signal.SIGKILL)
    try:
        while True:
            os.write(long.writer, noise(MIB))
    except BrokenPipeError:
        pass
    status, err = long.end()
    assert status == 1
    assert err == (
        "casync: a cutting process was killed by SIGKILL. "
        "Memory may be short; nothing was published.\n"
    )
