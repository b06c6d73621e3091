"""Counts, percentages and digests."""

from __future__ import annotations

import hashlib

import pytest
from casync_cli.parsing.counts import parse_count, parse_part, parse_percent, parse_sha256

from casync.errors import UsageError


def test_counts_have_bounds() -> None:
    assert parse_count("1", "--workers", 1, 9) == 1
    assert parse_count("9", "--workers", 1, 9) == 9
    for text in ("0", "10", "-1", "", "x", "1.0", "²", "1" * 40):
        with pytest.raises(UsageError, match="--workers takes"):
            parse_count(text, "--workers", 1, 9)


def test_parts_are_from_one_to_all() -> None:
    assert parse_part("2/4") == (2, 4)
    assert parse_part("1/1") == (1, 1)
    for text in ("", "0/4", "5/4", "1", "1/0", "1/4/2", "01/4", "1/1000000"):
        with pytest.raises(UsageError, match="--part takes K/N"):
            parse_part(text)


def test_percentages() -> None:
    assert parse_percent("5%") == pytest.approx(5)
    assert parse_percent("0.5") == pytest.approx(0.5)
    assert parse_percent("100%") == 100
    for text in ("0", "0%", "101%", "-5%", "five", "", "5%%"):
        with pytest.raises(UsageError, match="percentage"):
            parse_percent(text)


def test_digests() -> None:
    digest = hashlib.sha256(b"x")
    assert parse_sha256(f"sha256:{digest.hexdigest()}") == digest.digest()
    assert parse_sha256(f"SHA256:{digest.hexdigest().upper()}") == digest.digest()
    for text in ("", digest.hexdigest(), "md5:" + "0" * 32, "sha256:" + "g" * 64, "sha256:00"):
        with pytest.raises(UsageError, match="not a digest"):
            parse_sha256(text)
