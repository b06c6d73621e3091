"""A link has room while clearly fewer bytes come than came in bursts."""

from __future__ import annotations

from casync.limits import KIB
from casync.remote.http.link_load import LinkLoad

PIECE = 16 * KIB


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def flow(load: LinkLoad, clock: Clock, seconds: float, rate: float) -> None:
    """Pieces come evenly."""
    for _ in range(round(seconds * rate / PIECE)):
        clock.now += PIECE / rate
        load.add(PIECE)


def test_nothing_is_said_before_a_burst() -> None:
    clock = Clock()
    load = LinkLoad(clock)
    assert not load.has_room
    load.add(PIECE)
    clock.now += 10
    assert not load.has_room


def test_a_link_that_carries_all_that_it_can_has_no_room() -> None:
    clock = Clock()
    load = LinkLoad(clock)
    flow(load, clock, 1.0, 12e6)
    assert not load.has_room


def test_a_server_that_pauses_leaves_room() -> None:
    clock = Clock()
    load = LinkLoad(clock)
    for _ in range(10):
        clock.now += 0.2
        flow(load, clock, 0.05, 12e6)
    assert load.has_room
    flow(load, clock, 0.5, 12e6)
    assert not load.has_room


def test_a_link_that_becomes_slower_is_busy_again() -> None:
    clock = Clock()
    load = LinkLoad(clock)
    flow(load, clock, 1.0, 12e6)
    flow(load, clock, 0.5, 3e6)
    assert load.has_room
    flow(load, clock, 8.0, 3e6)
    assert not load.has_room


def test_a_slow_link_is_busy_although_its_pieces_come_with_pauses() -> None:
    clock = Clock()
    load = LinkLoad(clock)
    flow(load, clock, 5.0, 120e3)
    assert not load.has_room
