"""When to try again."""

from __future__ import annotations

import pytest

from casync.jobs.backoff import Attempts, RetryPolicy, is_temporary, retry_after

POLICY = RetryPolicy(attempts=8, base=1.0, longest=20.0, patience=100.0)


def test_waits_grow_up_to_the_longest() -> None:
    waits = [POLICY.delay(Attempts(9, failed), 0.5) for failed in range(1, 8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_jitter_is_full() -> None:
    assert POLICY.delay(Attempts(3, 3), 0.0) == 0.0
    assert POLICY.delay(Attempts(3, 3), 1.0) == 4.0


def test_the_last_attempt_is_the_last() -> None:
    attempts = Attempts()
    for _ in range(8):
        assert POLICY.delay(attempts, 0.5) is not None
        attempts = attempts.after(progress=False)
    assert POLICY.delay(attempts, 0.5) is None


def test_other_bytes_than_announced_are_given_up_soon() -> None:
    attempts = Attempts()
    for _ in range(RetryPolicy().mismatches):
        assert RetryPolicy().delay(attempts, 0.5) is not None
        attempts = attempts.after(progress=True, mismatch=True).after(progress=True)
    assert RetryPolicy().delay(attempts, 0.5) is None


def test_attempts_with_progress_do_not_count() -> None:
    attempts = Attempts()
    for _ in range(100):
        attempts = attempts.after(progress=True)
        assert POLICY.delay(attempts, 1.0) == 1.0
    assert attempts == Attempts(100, 1)
    assert attempts.after(progress=False) == Attempts(101, 2)


def test_a_server_that_asks_for_time_gets_it_up_to_a_bound() -> None:
    assert POLICY.delay(Attempts(1, 1), 0.5, 100.0) == 100.5
    assert POLICY.delay(Attempts(1, 1), 0.5, 101.0) is None


def test_huge_counts_do_not_overflow() -> None:
    assert RetryPolicy(attempts=10**9).delay(Attempts(10**8, 10**8), 1.0) == 60.0


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 529])
def test_statuses_that_may_pass(status: int) -> None:
    assert is_temporary(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 416, 501, 505, 507, 511, 600])
def test_statuses_that_stay(status: int) -> None:
    assert not is_temporary(status)


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("7", 7),
        (" 120 ", 120),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("\u0667", 0),
        ("9" * 400, 366 * 86400),
        ("wed, 21 oct 2015 07:28:00 gmt", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 366 * 86400),
        ("99 99 99", 0),
    ],
)
def test_fields_that_name_a_time(field: str | None, seconds: float) -> None:
    assert retry_after(field, 1_790_000_000.0) == seconds


def test_dates_are_relative_to_now() -> None:
    assert retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770.5) == 6.5
