"""Child processes that cut: their results, the order of answers, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.cutting.child import CHUNK, COMMAND, MAX_AHEAD, SIZE, SLOT_BYTES, SLOTS, SPAN_BYTES, Do
from casync.cutting.children import Cutters, fit_for_children
from casync.errors import CasyncError
from casync.ids import ChunkId, Kind
from casync.limits import KIB, MIB, MIN_CHUNK_SIZE
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Codec, Packer, Unpacker, Verified
from casync.objects.record import RECORD_BYTES, ChunkRecords, encode_record
from tests.support.children import children_of, ended_unread
from tests.support.preparing import PARAMS, chunks, noise

DATA = noise(MIB)


@pytest.fixture
def content(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "content"
    path.write_bytes(DATA + bytes(MIB))
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def cutters(content: int) -> Iterator[Cutters]:
    with Cutters(2, content, PARAMS, 1) as cutters:
        yield cutters
    assert children_of(os.getpid()) == []


def packed_chunks(cutters: Cutters, turn: int, chosen: list[tuple[ChunkId, int]]) -> list[Verified]:
    ids, lengths = [ident for ident, _ in chosen], [length for _, length in chosen]
    return list(ChunkRecords([*ids], lengths, *cutters.packed(turn)).objects())


def test_a_span_is_cut_as_if_it_began_at_a_cut(cutters: Cutters) -> None:
    cutters.cut(0, 1000, 100_000, last=False)
    cutters.cut(1, 1000, 100_000, last=True)
    whole = [len(chunk) for chunk in chunks(DATA[1000:101_000])]
    found, zeros = cutters.found(0)
    assert not zeros
    lengths = [length for _, length in found]
    assert lengths == whole[: len(lengths)]
    assert sum(lengths) >= 100_000 - PARAMS.max_size
    assert [length for _, length in cutters.found(1)[0]] == whole


def test_only_chosen_chunks_are_packed(cutters: Cutters) -> None:
    cutters.cut(0, 0, 500_000, last=True)
    found, _ = cutters.found(0)
    marks = bytes(number % 3 == 0 for number in range(len(found)))
    cutters.pack(0, marks)
    packed = packed_chunks(cutters, 0, [found[number] for number in range(0, len(found), 3)])
    plain = chunks(DATA[:500_000])
    assert [chunk.payload for chunk in packed] == plain[::3]  # noise: not encoded


def test_compressible_chunks_are_compressed(cutters: Cutters) -> None:
    cutters.cut(0, MIB - 1000, 100_000, last=False)
    found, _ = cutters.found(0)
    cutters.pack(0, b"\1" * len(found))
    packed = packed_chunks(cutters, 0, found)
    for chunk in packed:
        Unpacker().unpack(chunk)
    assert packed[-1].codec is Codec.ZSTD


def test_records_are_those_that_the_store_itself_makes(cutters: Cutters) -> None:
    cutters.cut(0, MIB - 50_000, 100_000, last=True)
    found, _ = cutters.found(0)
    cutters.pack(0, b"\1" * len(found))
    sizes, data = cutters.packed(0)
    plain = chunks(DATA[-50_000:] + bytes(50_000))
    made = [Packer(1).pack_new(Kind.CHUNK, chunk) for chunk in plain]
    records = [
        encode_record(kind, codec, length, ident, payload) + payload
        for kind, ident, codec, length, payload in made
    ]
    assert sizes == [len(record) for record in records]
    assert bytes(data) == b"".join(records)


@pytest.mark.parametrize("max_size", [KIB, MAX_AHEAD])
def test_a_slot_has_room_for_the_smallest_chunks(max_size: int) -> None:
    size = SPAN_BYTES + max_size
    count = size // MIN_CHUNK_SIZE
    assert count * CHUNK.size <= SLOT_BYTES
    assert size + count * (SIZE.size + RECORD_BYTES) <= SLOT_BYTES


def test_zeros_are_reported_and_not_cut(cutters: Cutters) -> None:
    cutters.cut(0, MIB, MIB, last=True)
    cutters.cut(1, MIB - 1, MIB, last=True)
    assert cutters.found(0) == ([], True)
    assert not cutters.found(1)[1]


def test_an_unreadable_span_has_no_chunks(cutters: Cutters) -> None:
    cutters.cut(0, MIB, MIB + 1, last=True)
    assert cutters.found(0) == ([], False)


def test_answers_may_be_read_in_any_order(cutters: Cutters) -> None:
    for turn in range(cutters.room):
        cutters.cut(turn, turn * 10_000, 10_000, last=True)
    spans: dict[int, list[tuple[ChunkId, int]]] = {}
    for turn in reversed(range(cutters.room)):
        found, _ = cutters.found(turn)
        spans[turn] = found
        assert sum(length for _, length in found) == 10_000
        cutters.pack(turn, b"\1" * len(found))
    for turn in range(cutters.room):
        data = DATA[turn * 10_000 : (turn + 1) * 10_000]
        packed = packed_chunks(cutters, turn, spans[turn])
        assert b"".join(chunk.payload for chunk in packed) == data


def test_a_slot_in_use_is_not_reused(cutters: Cutters) -> None:
    cutters.cut(0, 0, 10_000, last=False)
    with pytest.raises(AssertionError):
        cutters.cut(2 * SLOTS, 0, 10_000, last=False)


@pytest.mark.parametrize("late", [False, True])
def test_a_killed_child_is_an_error(content: int, late: bool) -> None:
    with Cutters(2, content, PARAMS, 1) as cutters:
        cutters.cut(0, 0, 10_000, last=False)
        cutters.cut(1, 0, 10_000, last=False)
        cutters.found(1)
        for child in children_of(os.getpid()):
            os.kill(child, signal.SIGKILL)
            if late:
                os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)

        def go_on() -> None:
            for turn in (3, 5):
                cutters.cut(turn, 0, 10_000, last=False)
                cutters.found(turn)

        with pytest.raises(CasyncError, match="killed by SIGKILL"):
            go_on()
    assert children_of(os.getpid()) == []


def test_signals_for_a_group_do_not_reach_children(cutters: Cutters) -> None:
    for child in children_of(os.getpid()):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(child, number)
    cutters.cut(0, 0, 10_000, last=True)
    cutters.cut(1, 0, 10_000, last=True)
    assert cutters.found(0) == cutters.found(1)
    # The signal mask of this process is restored.
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_child_whose_parent_is_gone_ends_silently(content: int) -> None:
    fd = os.memfd_create("shared")
    os.ftruncate(fd, SLOTS * SLOT_BYTES)
    numbers = [content, fd, PARAMS.min_size, PARAMS.avg_size, PARAMS.max_size, 1]
    command = COMMAND.pack(Do.CUT, 0, True, 10_000, 0)
    assert ended_unread("casync.cutting.child", numbers, command, [content, fd]) == (0, b"")
    os.close(fd)


def test_a_child_that_cannot_start_leaves_no_others(
    content: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.memfd_create
    made: list[int] = []

    def once(name: str, flags: int) -> int:
        if made:
            raise PermissionError("memfd_create")
        made.append(make(name, flags))
        return made[0]

    monkeypatch.setattr(os, "memfd_create", once)
    with pytest.raises(PermissionError):
        Cutters(2, content, PARAMS, 1)
    assert len(made) == 1
    assert children_of(os.getpid()) == []


def test_large_chunks_are_cut_without_children() -> None:
    assert fit_for_children(ChunkerParams.from_average(128 * KIB))
    assert not fit_for_children(ChunkerParams.from_average(256 * KIB))


def test_a_child_loads_only_what_it_needs() -> None:
    """Loading takes half of the time until a child can cut."""
    code = "import casync.cutting.child, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, check=True)
    assert not {b"msgspec", b"lmdb", b"click", b"typing_extensions"} & set(loaded.stdout.split())
