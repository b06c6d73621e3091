"""One process at a time fetches an object. Two holders in one process act like two processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from casync.ids import ChunkId, ObjectId
from casync.store.lmdb.fetch_turns import FetchTurns

IDS: list[ObjectId] = [ChunkId(bytes([number]) * 32) for number in (0, 1, 254, 255)]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[FetchTurns, FetchTurns]]:
    with closing(FetchTurns(tmp_path)) as one, closing(FetchTurns(tmp_path)) as other:
        yield one, other


def test_each_object_has_one_fetcher(both: tuple[FetchTurns, FetchTurns]) -> None:
    one, other = both
    with one.take(IDS[:3]) as first:
        assert first == IDS[:3]
        with other.take(IDS) as second:
            assert second == IDS[3:]
        with one.take(IDS[3:]) as third:
            assert third == IDS[3:]
    with other.take(IDS) as later:
        assert later == IDS


def test_the_end_of_a_turn_wakes_those_who_wait(both: tuple[FetchTurns, FetchTurns]) -> None:
    one, other = both
    kept = threading.Event()
    seen: list[bool] = []

    def wait() -> None:
        other.wait(IDS)
        seen.append(kept.is_set())

    waiting = threading.Thread(target=wait)
    with one.take(IDS[1:]):
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        kept.set()
    waiting.join()
    assert seen == [True]
    with one.take(IDS) as later:  # a waiting process holds nothing afterwards
        assert later == IDS


def test_a_killed_fetcher_blocks_no_one(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path\n"
        "from casync.store.lmdb.fetch_turns import FetchTurns\n"
        "with FetchTurns(Path(sys.argv[1])).take([bytes(32)]) as taken:\n"
        "    print(len(taken), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with (
        closing(FetchTurns(tmp_path)) as turns,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder,
    ):
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        with turns.take(IDS) as others:
            assert others == IDS[1:]
        holder.kill()
        turns.wait(IDS)
        with turns.take(IDS) as all_:
            assert all_ == IDS
