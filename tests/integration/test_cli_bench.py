"""`casync bench` as a user runs it, and its figures against a real transfer."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from casync import api
from casync.ops.pull.wanted import PullOptions
from casync.sizes import format_size
from casync.store.lmdb.store import LmdbStore
from tests.support.program import COMMAND, Program, read_until
from tests.support.serving import serving

OLD = random.Random(1).randbytes(700_000) + bytes(300_000)
NEW = OLD[:200_000] + random.Random(2).randbytes(30_000) + OLD[200_000:]
SIZES = ("--chunk-sizes", "16K,4KiB")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "new").write_bytes(NEW)
    (tmp_path / "temporary").mkdir()
    program.environment["TMPDIR"] = str(tmp_path / "temporary")
    return program


def left(program: Program) -> list[str]:
    """Files that a run has left behind."""
    known = {"old", "new", "temporary"}
    inside = [path.name for path in (program.home / "temporary").iterdir()]
    return inside + sorted({path.name for path in program.home.iterdir()} - known)


@pytest.mark.parametrize(("choice", "field"), [("never", "plain"), ("always", "delta")])
def test_a_bench_moves_the_same_bytes_as_a_real_pull(
    program: Program, choice: Literal["never", "always"], field: str
) -> None:
    document = program.good("bench", "old", "new", "--chunk-sizes", "16K", "--json").document
    wanted = document["trials"][0][field]
    home = program.home
    with LmdbStore.open(home / "store", create=True) as store:
        first, second = [api.prepare(home / name, store).manifest.hex() for name in ("old", "new")]
    options = PullOptions(delta=choice)
    with (
        serving(home / "store") as server,
        LmdbStore.open(home / "own", create=True) as own,
    ):
        pulled = [
            api.pull(ident, home / "disk", store=own, servers=[server.url], options=options)
            for ident in (first, second)
        ]
    traffic = pulled[-1].traffic
    assert traffic.requests == wanted["requests"]
    # The rest is HTTP headers.
    assert 0 < traffic.received - wanted["received"] < 400 * traffic.requests
    assert 0 < traffic.sent - wanted["sent"] < 400 * traffic.requests


def test_a_bench_prints_a_line_per_size_and_a_recommendation(program: Program) -> None:
    ran = program.good("bench", "old", "new", *SIZES)
    *rows, last = [line.split("\t") for line in ran.lines]
    assert [row[0] for row in rows] == ["4096", "16384"]
    assert all(all(re.fullmatch(r"[0-9.]+", field) for field in row) for row in rows)
    assert last[0] == "recommended"
    assert last[1] in ("4096", "16384")
    assert " travel with" in ran.err
    assert left(program) == []


def test_a_terminal_gets_a_table(program: Program) -> None:
    status, screen = program.on_terminal("bench", "old", "new", *SIZES, "--no-progress")
    assert status == 0
    head, second, *rows = screen.splitlines()[:4]
    assert head.split()[:3] == ["size", "plain", "deltas"]
    assert second.split() == ["received", "received", "speed", "speed", "speed"]
    assert [row.split()[:2] for row in rows] == [["4", "KiB"], ["16", "KiB"]]
    assert {len(line) for line in (head, second, *rows)} == {len(head)}
    assert len(head) <= 80
    assert re.search(r"^recommended  (4|16) KiB  moves ", screen, re.M)


def test_json_is_one_document(program: Program) -> None:
    document = program.good("bench", "old", "new", *SIZES, "--json").document
    assert document["schema"] == "casync.bench/1"
    assert document["old"] == {"path": "old", "length": len(OLD), "data": len(OLD)}
    assert [trial["chunk_size"] for trial in document["trials"]] == [4096, 16384]
    for trial in document["trials"]:
        assert sum(trial["origins"].values()) == len(NEW)
        assert 30_000 <= trial["origins"]["travel"] < 300_000
        for transfer in (trial["plain"], trial["delta"]):
            assert 30_000 < transfer["received"] < trial["whole"]
    assert document["recommended"] in (4096, 16384)


def test_text_page_and_json_name_the_same_figures(program: Program) -> None:
    """What a bench says is said of bytes with deltas, or without them, or before both."""
    one = ("bench", "old", "new", "--chunk-sizes", "16K")
    ran = program.good(*one, "--html", "page.html")
    (row, _) = [line.split("\t") for line in ran.lines]
    page = (program.home / "page.html").read_text()
    document = program.good(*one, "--json").document
    (trial,) = document["trials"]
    plain, delta = trial["plain"]["received"], trial["delta"]["received"]
    lacking = format_size(trial["origins"]["travel"])
    for counted in (plain, delta, trial["origins"]["travel"]):
        assert str(counted) in row
    for text in (ran.err, page):
        assert f"{format_size(min(plain, delta))} of {format_size(len(NEW))} travel with" in text
        assert format_size(plain) in text
    assert f"  not in the old file: {lacking}" in ran.err
    assert f"Of these, {lacking} are not in the old file: " in page
    assert "must travel" not in ran.err + page


def test_equal_files_transfer_nothing(program: Program) -> None:
    document = program.good("bench", "old", "old", "--json").document
    assert [trial["plain"]["received"] for trial in document["trials"]] == [0] * 5
    assert document["recommended"] == 131072
    reason = r"moves as few bytes as 8 KiB, in \d+ chunks? instead of \d+"
    assert re.fullmatch(reason, document["reason"])


def test_empty_files_and_single_bytes(program: Program) -> None:
    (program.home / "old").write_bytes(b"")
    (program.home / "new").write_bytes(b"x")
    for old, new in [("old", "old"), ("old", "new"), ("new", "old"), ("new", "new")]:
        document = program.good("bench", old, new, *SIZES, "--json", "--html", "page").document
        assert [trial["new"] for trial in document["trials"]] == [int(old + new == "oldnew")] * 2
        assert "</html>" in (program.home / "page").read_text()


def test_inputs_must_be_files_that_can_be_read_twice(program: Program) -> None:
    (program.home / "folder").mkdir()
    os.mkfifo(program.home / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(program.home / "socket"))
    for name, status in [("-", 2), ("folder", 2), ("pipe", 2), ("socket", 2), ("absent", 9)]:
        for pair in [(name, "new"), ("old", name)]:
            ran = program.run("bench", *pair)
            assert (ran.status, ran.out) == (status, b""), pair
            assert name == "-" or name in ran.err
            assert ran.err.count("\n") == 1


@pytest.mark.parametrize("sizes", ["", "4K,", "1", "16M", "many", "4K 16K", "-4K", "4K,4.5"])
def test_bad_chunk_sizes_are_refused(program: Program, sizes: str) -> None:
    ran = program.run("bench", "old", "new", f"--chunk-sizes={sizes}")
    assert (ran.status, ran.out) == (2, b"")


def test_the_page_is_written_atomically(program: Program) -> None:
    (program.home / "page.html").write_text("before")
    ran = program.good("bench", "old", "new", *SIZES, "--html", "page.html", "-q")
    assert ran.err == ""
    page = (program.home / "page.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert left(program) == ["page.html"]


def test_the_page_never_replaces_an_input(program: Program) -> None:
    (program.home / "link").symlink_to("old")
    os.link(program.home / "new", program.home / "hard")
    for page in ("old", "new", "link", "hard", "temporary", "absent/page", "/dev/null"):
        ran = program.run("bench", "old", "new", *SIZES, "--html", page)
        assert ran.status in (1, 2), page
        assert (ran.out, ran.err.count("\n")) == (b"", 1)
    assert (program.home / "old").read_bytes() == OLD
    assert (program.home / "new").read_bytes() == NEW


def test_a_full_stdout_is_a_failure_and_leaves_nothing(program: Program) -> None:
    for extra in ("", "--json"):
        script = f'exec "$@" {extra} > /dev/full'
        arguments = [*COMMAND, "bench", "old", "new", *SIZES]
        ran = subprocess.run(
            ["sh", "-c", script, "sh", *arguments],
            env=program.environment,
            cwd=program.home,
            stderr=subprocess.PIPE,
            timeout=120,
        )
        assert ran.returncode == 1
        assert b"cannot write to stdout: No space left on device" in ran.stderr
        assert left(program) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing(
    program: Program, number: signal.Signals, status: int
) -> None:
    # Hundreds of thousands of chunks: the run is not finished when the signal arrives.
    with (program.home / "new").open("wb") as file:
        file.write(random.Random(3).randbytes(100_000_000))
    process = program.start("bench", "new", "new", "--chunk-sizes", "256", "--progress")
    assert process.stderr is not None
    read_until(process.stderr.fileno(), b"256 B: ")
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (status, b"")
    assert err.endswith(b"Nothing of this run is kept.\n")
    assert left(program) == []
