"""Durations and times."""

from __future__ import annotations

import pytest
from casync_cli.parsing.times import format_duration, format_moment, parse_duration, parse_interval

from casync.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30s", 30),
        ("250ms", 0.25),
        ("2h", 7200),
        ("7d", 604800),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5m", 90),
        (" 5s ", 5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "-5s", "s", "1y", "5s!", "1 h x", "٣s", "1e3s"])
def test_text_that_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (59.9, "59.9 s"),
        (59.96, "1:00"),
        (65, "1:05"),
        (7384, "2:03:04"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1750000000, "2025-06-15T15:06:40Z"),
        (-5, "1969-12-31T23:59:55Z"),
        (-302400000, "1960-06-02T00:00:00Z"),
        (-(2**63), "0001-01-01T00:00:00Z"),
        (2**63, "9999-12-31T23:59:59Z"),
    ],
)
def test_moments_are_rfc_3339_in_utc(seconds: int, text: str) -> None:
    assert format_moment(seconds) == text


def test_reports_come_every_tenth_of_a_second_at_most() -> None:
    """D8: `--refresh 500ms` means it."""
    assert parse_interval("500ms", "--refresh") == 0.5
    for text in ("0", "99ms"):
        with pytest.raises(UsageError, match="--refresh takes at least 100ms"):
            parse_interval(text, "--refresh")
