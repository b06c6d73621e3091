"""What is kept in memory of what was read from a bucket."""

from __future__ import annotations

from casync.bucket.keys import SESSION_BYTES, SessionPart
from casync.store.bucket.record_cache import RecordCache, RecordKey

PLACES = [RecordKey(SessionPart(bytes(SESSION_BYTES), 1), offset) for offset in range(4)]


def test_records_that_were_used_last_are_kept() -> None:
    cache = RecordCache(30)
    for place in PLACES[:3]:
        cache.put(place, b"0123456789")
    assert cache.get(PLACES[0]) == b"0123456789"
    cache.put(PLACES[3], b"0123456789")
    kept = [place for place in PLACES if cache.get(place) is not None]
    assert kept == [PLACES[0], PLACES[2], PLACES[3]]


def test_a_record_that_is_put_again_counts_once() -> None:
    cache = RecordCache(20)
    for _ in range(5):
        cache.put(PLACES[0], b"0123456789")
    cache.put(PLACES[1], b"0123456789")
    assert cache.get(PLACES[0]) is not None


def test_a_record_above_the_limit_is_not_kept() -> None:
    cache = RecordCache(9)
    cache.put(PLACES[0], b"0123456789")
    assert cache.get(PLACES[0]) is None
