"""Byte ranges, parsed strictly."""

import pytest
from casync_server.http.byte_range import (
    ByteSpan,
    UnsatisfiableError,
    matches_etag,
    parse_range,
    range_applies,
)
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import CasyncError, UsageError


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", ByteSpan(0, 1)),
        ("bytes=0-", ByteSpan(0, 10)),
        ("bytes=3-5", ByteSpan(3, 6)),
        ("bytes=9-9", ByteSpan(9, 10)),
        ("bytes=9-99999999999999999999999999999999", ByteSpan(9, 10)),
        ("bytes=-1", ByteSpan(9, 10)),
        ("bytes=-99", ByteSpan(0, 10)),
        ("BYTES= 1-2 ", ByteSpan(1, 3)),
    ],
)
def test_ranges_within(header: str, span: ByteSpan) -> None:
    assert parse_range(header, 10) == span


@pytest.mark.parametrize(
    "header",
    ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=0-1,3-4", "bytes=99999999999999999999-"],
)
def test_unsatisfiable_ranges_are_416(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        parse_range(header, 10)


def test_hundred_thousand_ranges_cost_nothing() -> None:
    with pytest.raises(UnsatisfiableError):
        parse_range("bytes=" + ",".join(["0-0"] * 100_000), 10)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-2",
        "bytes=--1",
        "bytes=-1-2",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes=1_0-20",
        "bytes=\u0663-\u0665",
        "bytes=1-2\x00",
        "bytes=" + "1" * 41 + "-",
    ],
)
def test_malformed_ranges_are_refused(header: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_range(header, 10)
    assert not isinstance(caught.value, UnsatisfiableError)


def test_other_units_are_ignored() -> None:
    assert parse_range("items=0-1", 10) is None


def test_empty_content_has_no_range() -> None:
    for header in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        with pytest.raises(UnsatisfiableError):
            parse_range(header, 0)


@given(st.text(max_size=40), st.integers(0, 2**63 - 1))
def test_garbage_is_an_error_of_ours_or_a_span_inside(text: str, length: int) -> None:
    try:
        span = parse_range("bytes=" + text, length)
    except CasyncError:
        return
    assert span is not None
    assert 0 <= span.start < span.end <= length


def test_if_range_must_be_the_etag() -> None:
    assert range_applies(None, '"a"')
    assert range_applies('"a"', '"a"')
    assert not range_applies('W/"a"', '"a"')
    assert not range_applies('"b"', '"a"')
    assert not range_applies("Fri, 20 Nov 2026 00:00:00 GMT", '"a"')


@pytest.mark.parametrize(
    ("field", "matches"),
    [
        ("*", True),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ('"b","c"', False),
        ("a", False),
        ("", False),
        ('"b" "a"', False),
    ],
)
def test_if_none_match(field: str, matches: bool) -> None:
    assert matches_etag(field, '"a"') is matches
