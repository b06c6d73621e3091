"""Clocks that jump by years, writers that sleep during collections, times of any year."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from tests.support.debian import FAKETIME, UnavailableError, unpacked
from tests.support.program import Program
from tests.support.serving import serving

DATA = random.Random(43).randbytes(2_000_000)
YEARS = ("+10y", "-10y")


@pytest.fixture(scope="module")
def faketime() -> dict[str, str]:
    """An environment in which FAKETIME sets the time."""
    try:
        root = unpacked("faketime", FAKETIME)
    except UnavailableError as error:
        pytest.skip(str(error))
    (library,) = root.glob("usr/lib/*/faketime/libfaketimeMT.so.1")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_NO_CACHE": "1",
    }


@pytest.mark.parametrize("jump", YEARS)
def test_clock_jumps_lose_nothing(program: Program, faketime: dict[str, str], jump: str) -> None:
    there = Program(program.home)
    there.environment |= faketime | {"FAKETIME": jump}
    first = program.good("prepare", "--name", "vm", stdin=DATA).lines[0]
    loose = program.good("prepare", stdin=DATA[:700_000] + b"loose").lines[0]
    second = there.good("prepare", "--name", "vm", stdin=DATA + b"second").lines[0]
    log = [line.split("\t") for line in program.good("name", "log", "vm").lines]
    assert [line[2] for line in log] == ["vm@1", "vm@2"]
    years = [int(line[1][:4]) for line in log]
    assert abs(years[1] - years[0]) in (9, 10, 11), "the clock did jump"

    program.good("rm", loose)
    assert there.good("gc", "--json").document["objects"] == 0, "one collection is not enough"
    program.good("undelete", loose)
    for one in (there, program):
        one.good("gc")
        one.good("gc")
    for hash_, data in ((first, DATA), (second, DATA + b"second")):
        assert program.good("cat", hash_).out == data
        assert there.good("cat", hash_).out == data
    program.good("cat", loose)
    program.good("verify")
    there.good("verify")
    assert program.good("prepare", "--name", "vm", stdin=b"3").status == 0
    assert len(there.good("name", "log", "vm").lines) == 3


@pytest.mark.parametrize("jump", YEARS)
def test_clients_and_servers_with_clocks_years_apart_work_together(
    program: Program, faketime: dict[str, str], tmp_path: Path, jump: str
) -> None:
    client = Program(tmp_path)
    client.environment |= faketime | {"FAKETIME": jump, "CASYNC_STORE": str(tmp_path / "client")}
    client.good("prepare", "--name", "vm", stdin=DATA)
    with serving(program.store, writable=True) as server:
        there = ("--server", server.url)
        client.good("push", "vm", *there)
        assert program.good("gc", "--window", "0", "--json").document["objects"] == 0
        client.good("pull", "vm", "-o", "out", "--store", tmp_path / "third", *there)
    assert (tmp_path / "out").read_bytes() == DATA


def test_changed_files_are_noticed_in_any_year(program: Program, faketime: dict[str, str]) -> None:
    path = program.home / "file"
    path.write_bytes(DATA)
    hashes = [program.good("prepare", "file").lines[0]]
    for number, jump in enumerate((*YEARS, "+0")):
        path.write_bytes(b"%d" % number + DATA[1:])
        ran = program.good("prepare", "file", **(faketime | {"FAKETIME": jump}))  # type: ignore[arg-type]
        hashes.append(ran.lines[0])
    assert len(set(hashes)) == 4


def test_a_writer_that_sleeps_during_collections_loses_nothing(program: Program) -> None:
    other = program.good("prepare", stdin=DATA[:1_000_000]).lines[0]
    read, write = os.pipe()
    with os.fdopen(write, "wb", buffering=0) as pipe:
        writer = program.start("prepare", "--name", "slow", stdin=read)
        os.close(read)
        pipe.write(DATA[:1_500_000])
        writer.send_signal(signal.SIGSTOP)
        program.good("rm", other)
        for _ in range(3):  # generations go by; the sleeper counts as living
            program.good("gc", "--window", "0")
        writer.send_signal(signal.SIGCONT)
        pipe.write(DATA[1_500_000:])
    _, err = writer.communicate(timeout=60)
    assert writer.returncode == 0, err
    program.good("gc", "--window", "0")
    assert program.good("cat", "slow").out == DATA
    program.good("verify")


MOMENTS = {
    "1901": -(2**31) * 10**9,
    "1969": -1,
    "1970": 0,
    "2038": 2**31 * 10**9 + 1,
    "2106": 2**32 * 10**9 + 999_999_999,
}


def test_times_of_files(program: Program) -> None:
    folder = program.home / "folder"
    folder.mkdir()
    kept = {}
    for name, moment in MOMENTS.items():
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, ns=(moment, moment))
        kept[name] = (folder / name).stat().st_mtime_ns  # some file systems end in 2038
    first = program.good("prepare", "folder", "--name", "tree").lines[0]
    assert program.good("prepare", "folder").lines[0] == first
    program.good("pull", "tree", "-o", "copy")
    assert {n: (program.home / "copy" / n).stat().st_mtime_ns for n in MOMENTS} == kept
    program.good("check", "tree", "copy")
    assert len(program.good("ls", "-lR", "tree:").lines) == len(MOMENTS)
