from __future__ import annotations

import msgspec
import pytest
from blake3 import blake3
from msgspec.structs import replace

from casync.bucket.collect import SESSION_SILENCE, is_orphan, lowest_floor, without_silent
from casync.bucket.commit import (
    NewRun,
    after_merge,
    after_swap,
    has_swapped,
    plan_merge,
    runs_to_read,
    with_session,
    without_session,
)
from casync.bucket.head import NO_FLOOR, BucketHead, OpenSession, RunEntry, decode_head, encode_head
from casync.bucket.keys import SessionPart, run_key, segment_key
from casync.errors import LostRaceError, MalformedError, NoSpaceError, UnsupportedError
from casync.limits import MAX_BUCKET_SESSIONS, MERGED_RUN_BYTES, RUNS_OF_A_LEVEL

STORE, ME, OTHER = b"s" * 16, b"m" * 16, b"o" * 16
NEW = BucketHead.new(STORE)


def committed(head: BucketHead, runs: int, *, size: int = 1000) -> BucketHead:
    for _ in range(runs):
        mine = head.session(ME)
        assert mine is not None
        new = NewRun(SessionPart(ME, mine.number), size)
        head = after_swap(head, ME, number=mine.number + 1, now=5, run=new)
    return head


HEAD = committed(with_session(with_session(NEW, OTHER, 3), ME, 4), 3)


def sealed(head: object) -> bytes:
    data = msgspec.msgpack.encode(head)
    return data + blake3(data).digest(length=16)


@pytest.mark.parametrize("head", [NEW, HEAD])
def test_a_head_comes_back(head: BucketHead) -> None:
    assert decode_head(encode_head(head)) == head


def test_any_changed_byte_is_found() -> None:
    for position in range(len(encode_head(HEAD))):
        data = bytearray(encode_head(HEAD))
        data[position] ^= 0x41
        with pytest.raises(MalformedError):
            decode_head(data)


def test_a_newer_head_is_named() -> None:
    with pytest.raises(UnsupportedError, match="format 2"):
        decode_head(sealed({"format": 2, "something": "else"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 1},
        {"version": -1},
        {"store": b"short"},
        {"generation": 0},
        {"sessions": HEAD.sessions[::-1]},
        {"sessions": (replace(HEAD.sessions[0], floor=2**32),)},
        {"runs": HEAD.runs[::-1]},
        {"runs": HEAD.runs[1:]},
        {"runs": (replace(HEAD.runs[0], last=6), HEAD.runs[2])},
    ],
)
def test_a_head_that_contradicts_itself_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(MalformedError, match=r"contradicts|malformed"):
        decode_head(sealed(replace(HEAD, **changed)))


def test_a_head_has_a_bounded_size() -> None:
    runs = tuple(RunEntry(ME, n, 0, 1, n and n + 1, n + 1) for n in range(4000))
    with pytest.raises(NoSpaceError):
        encode_head(replace(NEW, version=5000, runs=runs))


def test_runs_cover_the_versions_of_their_commits() -> None:
    assert [(run.first, run.last) for run in HEAD.runs] == [(0, 4), (5, 5), (6, 6)]
    assert HEAD.version == 6
    assert runs_to_read(HEAD, 0) == (False, list(HEAD.runs))
    assert runs_to_read(HEAD, 4) == (False, list(HEAD.runs[1:]))
    assert runs_to_read(HEAD, 6) == (False, [])
    assert runs_to_read(HEAD, 3) == (True, list(HEAD.runs))


def test_a_swap_is_known_by_its_number() -> None:
    assert HEAD.session(ME) == OpenSession(ME, NO_FLOOR, 5, 3)
    assert has_swapped(HEAD, ME, 3)
    assert not has_swapped(HEAD, ME, 4)
    assert not has_swapped(HEAD, b"x" * 16, 1)
    other = after_swap(HEAD, OTHER, number=1, now=9)
    assert encode_head(other) != encode_head(after_swap(HEAD, ME, number=4, now=9))
    assert has_swapped(other, ME, 3)


def test_a_session_that_was_ended_swaps_nothing() -> None:
    closed = without_session(HEAD, ME)
    assert closed is not None
    assert without_session(closed, ME) is None
    with pytest.raises(LostRaceError, match="has been ended"):
        after_swap(closed, ME, number=9, now=9)
    with pytest.raises(LostRaceError):
        after_merge(closed, HEAD.runs[:2], ME, NewRun(SessionPart(ME, 9), 1), now=9)


def test_one_session_too_many_ends_the_most_silent_one() -> None:
    head = NEW
    for number in range(MAX_BUCKET_SESSIONS + 1):
        head = with_session(head, number.to_bytes(16, "big"), 1000 - number)
    assert len(head.sessions) == MAX_BUCKET_SESSIONS
    assert head.session((MAX_BUCKET_SESSIONS - 1).to_bytes(16, "big")) is None
    assert decode_head(encode_head(head)) == head


def test_sixteen_runs_of_a_level_are_merged() -> None:
    head = with_session(NEW, ME, 4)
    assert not plan_merge(committed(head, RUNS_OF_A_LEVEL - 1))
    head = committed(head, RUNS_OF_A_LEVEL)
    merged = plan_merge(head)
    assert list(merged) == list(head.runs)
    later = committed(head, 2)
    after = after_merge(later, merged, ME, NewRun(SessionPart(ME, 99), 16_000), now=7)
    assert after is not None
    assert after.runs[0] == RunEntry(ME, 99, 1, 16_000, 0, head.version)
    assert after.runs[1:] == later.runs[RUNS_OF_A_LEVEL:]
    assert decode_head(encode_head(after)) == after
    assert after_merge(after, merged, ME, NewRun(SessionPart(ME, 100), 1), now=7) is None


def test_large_runs_are_left_alone() -> None:
    head = with_session(NEW, ME, 4)
    assert not plan_merge(committed(head, 40, size=MERGED_RUN_BYTES // 2 + 1))
    mixed = committed(committed(head, 8, size=MERGED_RUN_BYTES), 8)
    assert list(plan_merge(mixed)) == list(mixed.runs[8:])
    half = committed(head, 20, size=MERGED_RUN_BYTES // 2)
    assert list(plan_merge(half)) == list(half.runs[:2])


def test_silent_sessions_are_ended() -> None:
    head = with_session(HEAD, b"l" * 16, 5 + SESSION_SILENCE)
    kept = without_silent(head, 6 + SESSION_SILENCE, mine=OTHER)
    assert [each.session for each in kept.sessions] == [b"l" * 16, OTHER]
    assert kept.version == head.version


def test_the_lowest_floor_counts() -> None:
    assert lowest_floor(HEAD, 7) == 7
    assert lowest_floor(after_swap(HEAD, ME, number=3, now=9, floor=0), 7) == 0


def test_orphans() -> None:
    mine, theirs = SessionPart(ME, 7), SessionPart(b"x" * 16, 7)
    assert not is_orphan(segment_key(mine), HEAD, set())
    assert is_orphan(segment_key(theirs), HEAD, set())
    assert not is_orphan(segment_key(theirs), HEAD, {theirs})
    assert not is_orphan(run_key(mine), HEAD, set())
    assert is_orphan(run_key(theirs), HEAD, {theirs})
    merged = replace(HEAD, runs=HEAD.runs[:1])
    assert [is_orphan(run_key(run.part), merged, set()) for run in HEAD.runs] == [False, True, True]
    assert not is_orphan("store", HEAD, set())
