"""Damage to any page of the data file gives no wrong bytes and no crash."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from casync.objects.codec import Unpacker
from tests.support.small_store import fill

INSERTS = Path(__file__).with_name("store_inserts.py")
SCRIPT = Path(__file__).with_name("store_damage.py")
NAMED = {"right", "damaged-store", "malformed", "unsupported", "no-store"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good")
    small = fill(path, versions=2, chunks=60, size=1500)
    unpacker = Unpacker()
    truth = {
        f"{kind:d}{ident.hex()}": unpacker.unpack(item)
        for (kind, ident), item in small.objects.items()
    }
    (path / "truth").write_bytes(msgspec.msgpack.encode(truth))
    return path


def verdicts(good: Path, scratch: Path, modes: list[str]) -> Counter[str]:
    result = subprocess.run(
        [sys.executable, SCRIPT, good, scratch, *modes], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    assert len(lines) == len(modes) * ((good / "data.mdb").stat().st_size // 4096)
    bad = [line for line in lines if line[2] not in NAMED]
    assert not bad, (bad, result.stderr)
    return Counter(verdict for _, _, verdict in lines)


@pytest.mark.parametrize("mode", ["zero", "ones", "swap", "cut"])
def test_damaged_pages_give_no_wrong_bytes(good: Path, tmp_path: Path, mode: str) -> None:
    found = verdicts(good, tmp_path, [mode])
    assert found["damaged-store"]
    assert mode == "cut" or found["right"]


def test_single_bits(good: Path, tmp_path: Path) -> None:
    # Page number, flags, bounds, first and later pointers, and where nodes lie.
    verdicts(good, tmp_path, ["0", "10", "12", "16", "23", "2100", "4060"])


def test_inserts_into_damaged_leaves_of_a_large_index_end_with_a_named_error(
    tmp_path: Path,
) -> None:
    found = inserts(tmp_path, 14, 1)
    assert found["damaged-store"] >= 7


def inserts(scratch: Path, mutants: int, seed: int) -> Counter[str]:
    result = subprocess.run(
        [sys.executable, INSERTS, scratch, str(mutants), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = Counter(line.split(maxsplit=1)[1] for line in result.stdout.splitlines())
    assert found.total() == mutants
    assert found.keys() <= {"right", "damaged-store", "write"}, found
    return found


@pytest.mark.crash
def test_many_single_bits(good: Path, tmp_path: Path) -> None:
    offsets = random.Random(6).sample(range(4096), 150)
    verdicts(good, tmp_path, [str(offset) for offset in [*range(100), *offsets]])
