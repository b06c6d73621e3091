from __future__ import annotations

from collections.abc import Callable

import pytest
from blake3 import blake3
from msgspec.structs import replace

from casync.bucket.keys import SessionPart
from casync.bucket.run import (
    GONE,
    RunRow,
    SegmentSize,
    TableRun,
    decode_run,
    encode_run,
    part_key,
)
from casync.bucket.run_merge import merge
from casync.errors import MalformedError, UnsupportedError
from casync.ids import Kind

STORE = b"s" * 16
ONE, TWO = (SegmentSize(SessionPart(bytes((n,)) * 16, n), 10_000) for n in (1, 2))


def row(label: str, segment: int = 0, offset: int = 64, generation: int = 1) -> RunRow:
    return RunRow(blake3(label.encode()).digest(), segment, offset, 500, 600, generation)


def gone(label: str) -> RunRow:
    return RunRow(row(label).id, GONE, 0, 0, 0, 0)


def run(
    chunks: list[RunRow], *segments: SegmentSize, changes: dict[bytes, bytes | None]
) -> TableRun:
    rows = {Kind.CHUNK: sorted(chunks), Kind.NODE: [], Kind.MANIFEST: []}
    listed = [("names", key, value) for key, value in sorted(changes.items())]
    return TableRun(STORE, list(segments), rows, listed)


SAMPLE = run([row("a"), row("b", 1, 2000), gone("c")], ONE, TWO, changes={b"k": b"v", b"l": None})


def test_a_run_comes_back() -> None:
    assert decode_run(encode_run(*SAMPLE)) == SAMPLE
    empty = run([], changes={})
    assert decode_run(encode_run(*empty)) == empty


@pytest.mark.parametrize("position", range(0, len(encode_run(*SAMPLE)), 7))
def test_any_changed_byte_is_found(position: int) -> None:
    data = bytearray(encode_run(*SAMPLE))
    data[position] ^= 0x41
    with pytest.raises((MalformedError, UnsupportedError)):
        decode_run(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows[::-1],
        lambda rows: [rows[0], rows[0]],
        lambda rows: [replace(rows[0], segment=2)],
        lambda rows: [replace(rows[0], offset=63)],
        lambda rows: [replace(rows[0], offset=9445)],
        lambda rows: [replace(rows[0], stored=601)],
        lambda rows: [replace(rows[0], stored=0)],
        lambda rows: [replace(rows[0], segment=GONE)],
    ],
)
def test_impossible_rows_are_refused(spoil: Callable[[list[RunRow]], list[RunRow]]) -> None:
    rows = sorted([row("a"), row("b", 1)])
    with pytest.raises(MalformedError, match=r"impossible row|not in order"):
        decode_run(encode_run(STORE, [ONE, TWO], {Kind.NODE: spoil(rows)}, []))


def test_changes_are_in_order() -> None:
    changes = [("names", b"b", b""), ("names", b"a", b"")]
    with pytest.raises(MalformedError, match="not in order"):
        decode_run(encode_run(STORE, [], {}, changes))


def test_of_merged_runs_the_latest_row_counts() -> None:
    older = run([row("a"), row("b"), row("c")], ONE, changes={b"k": b"1", b"l": b"1"})
    newer = run([row("a", 1, 4000, 7), row("d"), gone("b")], TWO, ONE, changes={b"k": None})
    merged = merge([older, newer], is_first=False)
    assert merged.segments == [ONE, TWO]
    assert merged.rows[Kind.CHUNK] == sorted(
        [row("a", 0, 4000, 7), gone("b"), row("c"), row("d", 1)]
    )
    assert merged.changes == [("names", b"k", None), ("names", b"l", b"1")]
    assert decode_run(encode_run(*merged)) == merged


def test_the_first_run_deletes_nothing() -> None:
    older = run([row("a"), row("b")], ONE, changes={b"k": b"1", b"l": b"1"})
    newer = run([row("a", 0, 64, 7), gone("b")], TWO, changes={b"k": None})
    merged = merge([older, newer], is_first=True)
    assert merged.segments == [ONE, TWO]
    assert merged.rows[Kind.CHUNK] == [row("a", 1, 64, 7)]
    assert merged.changes == [("names", b"l", b"1")]


@pytest.mark.parametrize("since", [None, bytes(8)])
def test_a_segment_is_listed_until_it_is_condemned(since: bytes | None) -> None:
    older = run([row("a"), row("b")], ONE, changes={})
    newer = run([row("a", 0, 64, 7), gone("b")], TWO, changes={})
    ended = TableRun(STORE, [], {}, [("condemned", part_key(ONE.part), since)])
    merged = merge([older, newer, ended], is_first=False)
    assert merged.segments == [TWO]
    assert merged.rows[Kind.CHUNK] == sorted([row("a", 0, 64, 7), gone("b")])
