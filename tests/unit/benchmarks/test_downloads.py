import json
from pathlib import Path

import pytest

from benchmarks.measure import Run
from benchmarks.peers.aria2 import Aria2
from benchmarks.peers.contender import Contender, Download
from benchmarks.peers.ours import Ours
from benchmarks.peers.rclone import Rclone
from benchmarks.peers.tool import Found
from benchmarks.servers import Server
from benchmarks.suites.downloads import Files, compare, counted, fetched

LOG = """127.0.0.1 - - [21/Nov/2026] "GET /files/many/ HTTP/1.1" 200 900 "-" "casync"
127.0.0.1 - - [21/Nov/2026] "GET /files/many/00000.bin HTTP/1.1" 200 20000 "-" "casync"
127.0.0.1 - - [21/Nov/2026] "GET /files/many/00001.bin HTTP/1.1" 304 0 "-" "casync"
127.0.0.1 - - [21/Nov/2026] "HEAD /files/many/00001.bin HTTP/1.1" 200 0 "-" "rclone"
"""
SIZE = 2000
FILES = Files("40 files of 2 KB", 40, SIZE)
RCLONE = Rclone(Found(Path("/usr/bin/rclone"), "1.75.2"))
ARIA2 = Aria2(Found(Path("/usr/bin/aria2c"), "1.36.0"))


def test_files_are_deterministic_and_share_nothing(tmp_path: Path) -> None:
    once, twice = (
        [path.read_bytes() for path in FILES.write(tmp_path / name, 0.1)] for name in ("a", "b")
    )
    assert once == twice
    assert [len(data) for data in once] == [SIZE] * 4
    assert len(set(once)) == 4


def test_only_files_that_were_sent_whole_count_as_fetched(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(LOG)
    assert fetched(Server("http://127.0.0.1:1", 1, log)) == 1


def test_our_own_counters_are_those_of_the_document() -> None:
    said = {"finished_cnt": 20, "skipped_cnt": 15, "error_cnt": 2}
    assert counted(Run(1.0, 1.0, json.dumps(said))) == (18, 15)


def test_each_program_fills_the_same_target(tmp_path: Path) -> None:
    task = Download("http://127.0.0.1:1/many/", tmp_path / "addresses", tmp_path / "out")
    for peer in (Ours(), RCLONE, ARIA2):
        command = peer.download(task)
        assert command is not None
        assert task.out in command.argv


def test_only_programs_that_compare_are_run_again(tmp_path: Path) -> None:
    task = Download("http://127.0.0.1:1/", tmp_path / "addresses", tmp_path / "out", again=True)
    assert [bool(peer.download(task)) for peer in (Ours(), RCLONE, ARIA2)] == [True, True, False]


@pytest.mark.parametrize("peer", [RCLONE, ARIA2], ids=lambda peer: peer.name)
def test_a_file_that_differs_ends_the_suite(tmp_path: Path, peer: Contender) -> None:
    originals = FILES.write(tmp_path / "many", 0.1)
    FILES.write(tmp_path / "out", 0.1)
    compare(peer, tmp_path / "out", originals)
    (tmp_path / "out" / originals[2].name).write_bytes(bytes(SIZE))
    with pytest.raises(AssertionError, match=originals[2].name):
        compare(peer, tmp_path / "out", originals)
