"""Ctrl-C and SIGTERM: the first stops cleanly and says how to resume, the second exits at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.support.program import COMMAND, Program, read_until


class Waiting:
    """A prepare that waits for more input, after reading all there is."""

    def __init__(self, program: Program, *arguments: str) -> None:
        self.reader, self.writer = os.pipe()
        self.process = program.start("prepare", "--progress", *arguments, stdin=self.reader)
        os.close(self.reader)
        os.write(self.writer, b"some bytes")
        assert self.process.stderr is not None
        read_until(self.process.stderr.fileno(), b"reading")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=120)
        os.close(self.writer)
        return self.process.returncode, out.decode(), err.decode().rpartition("\x1b[K")[2]


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "asked to stop")],
)
@pytest.mark.parametrize("arguments", [(), ("--unpack",)])
def test_the_first_signal_stops_and_says_how_to_resume(
    program: Program, number: signal.Signals, status: int, word: str, arguments: tuple[str, ...]
) -> None:
    waiting = Waiting(program, *arguments)
    waiting.process.send_signal(number)
    assert waiting.end() == (
        status,
        "",
        f"casync: {word}. Run the same command again; stored content is not stored again.\n",
    )
    program.good("verify")


def test_a_stop_is_reported_as_json_with_json(program: Program) -> None:
    waiting = Waiting(program, "--json")
    waiting.process.send_signal(signal.SIGINT)
    status, _, err = waiting.end()
    problem = json.loads(err)
    assert (status, problem["code"], problem["exit_status"]) == (130, "interrupted", 130)


def test_a_second_signal_ends_it_at_once(program: Program) -> None:
    waiting = Waiting(program)
    waiting.process.send_signal(signal.SIGINT)
    waiting.process.send_signal(signal.SIGTERM)
    status, out, _ = waiting.end()
    assert status in (130, 143)
    assert out == ""
    program.good("verify")


def test_signals_that_the_parent_ignores_stay_ignored(program: Program) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *COMMAND, "prepare", "--progress"],
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program.environment,
        cwd=program.home,
    )
    with process:
        os.close(reader)
        os.write(writer, b"some bytes")
        assert process.stderr is not None
        read_until(process.stderr.fileno(), b"reading")
        process.send_signal(signal.SIGINT)
        os.close(writer)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(out) == 65
