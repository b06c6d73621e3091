"""Sizes, rates and counts: as users type them, and as they are shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from casync_cli.parsing.sizes import parse_hourly, parse_rate, parse_size
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import UsageError
from casync.sizes import format_count, format_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64KiB", 65536),
        ("64k", 65536),
        ("64 KB", 65536),
        ("1.5G", 1610612736),
        ("1.5GiB", 1610612736),
        ("2T", 2 << 40),
        ("1P", 1 << 50),
        ("7E", 7 << 60),
        ("10B", 10),
        ("0.1K", 102),
        (" 1M ", 1 << 20),
    ],
)
def test_sizes_are_powers_of_1024(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize(
    "text",
    ["", "K", "-1", "1e3", "1.5", "0x10", "1KK", "1..5K", "٣", "1 2", "1,5G", "nan", "9" * 30],
)
def test_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


def test_no_byte_is_lost_to_rounding() -> None:
    assert parse_size(str(2**63 - 1)) == 2**63 - 1


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10M", 10 << 20),
        ("10M/s", 10 << 20),
        ("10MB/s", 10 << 20),
        ("1.5 MiB/s", 3 << 19),
        ("256/s", 256),
    ],
)
def test_rates(text: str, rate: int) -> None:
    """D5."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "rate"), [("20G", 20 << 30), ("20GB/h", 20 << 30), ("1M/h", 1 << 20)]
)
def test_bytes_per_hour(text: str, rate: int) -> None:
    """D5."""
    assert parse_hourly(text) == rate


@pytest.mark.parametrize(
    ("parse", "text", "least"),
    [
        (parse_rate, "0", "256 bytes per second"),
        (parse_rate, "255/s", "256 bytes per second"),
        (parse_hourly, "1", "1.00 MiB per hour"),
        (parse_hourly, "1023K/h", "1.00 MiB per hour"),
    ],
)
def test_a_rate_that_is_too_low_is_refused_with_the_lowest(
    parse: Callable[[str], int], text: str, least: str
) -> None:
    with pytest.raises(UsageError, match=f"a limit of {text} is too low: the lowest is {least}"):
        parse(text)


@pytest.mark.parametrize("text", ["10M/h", "10M/m", "10M/"])
def test_a_rate_per_another_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (10 * 1024, "10.0 KiB"),
        (999 * 1024, "999 KiB"),
        (1000 * 1024, "0.98 MiB"),
        (3 << 30, "3.00 GiB"),
        (2**63 - 1, "8.00 EiB"),
    ],
)
def test_sizes_are_shown_with_three_digits(count: int, text: str) -> None:
    assert format_size(count) == text


@given(st.integers(0, 2**63 - 1))
def test_shown_sizes_can_be_parsed(count: int) -> None:
    assert abs(parse_size(format_size(count)) - count) <= max(count // 50, 1)


def test_a_count_of_one_has_the_singular() -> None:
    assert [format_count(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [format_count(2, noun) for noun in ("entry", "key", "open push")] == [
        "2 entries",
        "2 keys",
        "2 open pushes",
    ]
