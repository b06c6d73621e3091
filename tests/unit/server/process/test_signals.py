"""Signals are read in order, and those before and after are not lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from signal import SIGHUP, SIGINT, SIGTERM, raise_signal

import pytest
from casync_server.process.signals import SignalReader

ALL = (SIGTERM, SIGINT, SIGHUP)


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    """Handlers as a shell leaves them, and as they were again afterwards."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_stops_and_renewals_are_told_apart() -> None:
    with SignalReader() as reader:
        assert reader.read() == (0, False)
        for number in ALL:
            raise_signal(number)
        assert reader.read() == (2, True)
        assert reader.read() == (0, False)


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_stops_that_the_parent_ignores_stay_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with SignalReader() as reader:
        raise_signal(number)
        assert reader.read() == (0, False)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_sighup_renews_although_the_parent_ignores_it() -> None:
    signal.signal(SIGHUP, signal.SIG_IGN)
    with SignalReader() as reader:
        raise_signal(SIGHUP)
        assert reader.read() == (0, True)


def test_children_do_not_inherit_ignored_signals() -> None:
    signal.signal(SIGTERM, signal.SIG_IGN)
    with SignalReader():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        child.terminate()
        child.communicate(timeout=60)
    assert child.returncode == -SIGTERM


def test_signals_that_are_blocked_before_and_after_are_kept() -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    try:
        raise_signal(SIGINT)
        with SignalReader() as reader:
            assert reader.read() == (1, False)
        raise_signal(SIGTERM)
        assert signal.sigpending() >= {SIGTERM}
        with SignalReader() as reader:
            assert reader.read() == (1, False)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
