"""docs/FORMAT.md says what the code does."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from blake3 import blake3
from fastcdc import const

from casync import ids, limits
from casync.objects import chunker
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams, Cutter
from tests.support import reference_chunker

FORMAT = Path(__file__).parents[2] / "docs" / "FORMAT.md"
TEXT = FORMAT.read_text()
UNITS = {"KIB", "MIB", "GIB", "TIB"}


def constants_of_the_format() -> dict[str, int]:
    """The constants of limits.py that precede its sections on store and wire."""
    source = Path(limits.__file__).read_text().split("# -- Store", 1)[0]
    names = set(re.findall(r"^([A-Z][A-Z_]+) = ", source, re.MULTILINE)) - UNITS
    return {name: getattr(limits, name) for name in names | {"SEGMENT_BYTES"}}


def test_limits() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", TEXT, re.MULTILINE)
    assert {name: int(value) for name, value in rows} == constants_of_the_format()
    assert len(rows) == len(dict(rows))


def test_the_gear_table_is_that_of_the_library() -> None:
    assert reference_chunker.gear() == const.TABLE


def test_the_built_in_vector() -> None:
    assert chunker._VECTOR_DIGEST in TEXT
    assert chunker._VECTOR_SEED.decode() in TEXT
    data = blake3(b"casync fastcdc-v1 vector").digest(length=2**20) + bytes(2**20)
    digest = blake3()
    for sizes in re.findall(r"\((\d+), (\d+), (\d+)\)", TEXT.split("### 3.5")[1].split("##")[0]):
        for length in reference_chunker.cut(data, *map(int, sizes)):
            digest.update(length.to_bytes(4, "little"))
    assert digest.hexdigest() == chunker._VECTOR_DIGEST


def test_the_example_of_masks_and_turn() -> None:
    params = DEFAULT_PARAMS
    strict, loose = reference_chunker.masks(params.avg_size)
    turn = reference_chunker.center(params.min_size, params.avg_size)
    assert f"bits 14, strict `{strict:#x}`, loose `{loose:#x}`, turn {turn}." in TEXT


def test_contexts_and_the_id_of_empty_content() -> None:
    assert f"`{ids._NODE_CONTEXT}`" in TEXT
    assert f"`{ids._MANIFEST_CONTEXT}`" in TEXT
    assert f"`{ids.EMPTY_ID.hex()}`" in TEXT
    for kind in ids.Kind:
        assert f"| {kind.name.lower()} | {kind.value} | BLAKE3" in TEXT


def bytes_cut_early() -> dict[int, list[int]]:
    """By bits of the average: the bytes whose runs the strict mask cuts."""
    return {
        bits: [
            byte
            for byte in range(256)
            if any(
                pattern % 2 ** (bits + 1) == 0
                for pattern in reference_chunker.patterns_of_a_run(byte)
            )
        ]
        for bits in range(8, 23)
    }


def test_the_table_of_bytes_whose_runs_are_cut_early() -> None:
    section = TEXT.split("### 3.4", 1)[1].split("### 3.5", 1)[0]
    rows = re.findall(
        r"^\| (\d+)(?: to (\d+))? \| (\d+) (?:to (\d+)|and more) \| (.+) \|$", section, re.MULTILINE
    )
    seen = {}
    for low, high, smallest, largest, listed in rows:
        for average in (int(smallest), int(largest or limits.MAX_AVERAGE)):
            assert round(math.log2(average)) in (int(low), int(high or low))
        for bits in range(int(low), int(high or low) + 1):
            seen[bits] = [] if listed == "none" else [int(byte, 16) for byte in listed.split()]
    assert seen == bytes_cut_early()


@pytest.mark.parametrize("bits", range(8, 15))
def test_the_library_cuts_runs_as_the_table_says(bits: int) -> None:
    params = ChunkerParams.from_average(2**bits)
    early = []
    for byte in range(256):
        cutter = Cutter(params)
        run = bytes([byte]) * params.max_size * 2
        lengths = cutter.feed(run).lengths + cutter.finish().lengths
        if lengths != [params.max_size] * 2:
            early.append(byte)
            assert len(set(lengths[:-1])) == 1
            assert params.min_size < lengths[0] < params.min_size + 33
    assert early == bytes_cut_early()[bits]
