"""No order of steps of the protocol of buckets loses anything, unless a safeguard is left out.

`make bucketmodel` walks larger worlds.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.bucket_host_model import HOST_SAFEGUARDS, explore_host
from tests.support.bucket_model import SAFEGUARDS, explore

_STATES: Final = 50_000
"""Of the larger world; a few seconds."""


def test_one_writer_loses_nothing() -> None:
    found = explore(writers=1, lives=2, rounds=1)
    assert not found.lost
    assert found.states < _STATES  # all that there are


def test_two_writers_lose_nothing() -> None:
    assert not explore(writers=2, rounds=2, merges=True, most=_STATES // 2).lost


@pytest.mark.parametrize("safeguard", SAFEGUARDS)
def test_each_safeguard_is_needed(safeguard: str) -> None:
    assert explore(safeguard, writers=1).lost


def test_processes_of_one_host_keep_its_tables_right() -> None:
    assert not explore_host().lost


@pytest.mark.parametrize("safeguard", HOST_SAFEGUARDS)
def test_each_safeguard_of_a_host_is_needed(safeguard: str) -> None:
    assert explore_host(safeguard).lost
