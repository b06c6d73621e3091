"""CPU time for deltas is limited per client and for all clients together."""

from __future__ import annotations

import threading

from casync_server.limits import delta_cpu as delta_cpu
from casync_server.limits.delta_cpu import DeltaCpu
from casync_server.settings import ServerSettings


class Budget:
    """A `DeltaCpu` with clocks that the test sets."""

    def __init__(self, **settings: object) -> None:
        self.now = self.cpu = 0.0
        values = {"delta_cpu": 1.0, "delta_reserve": 10.0, "threads": 8, **settings}
        values = {"delta_client_cpu": 0.5, "delta_client_reserve": 4.0, **values}
        self.delta_cpu = DeltaCpu(
            ServerSettings(**values),  # type: ignore[arg-type]
            clock=lambda: self.now,
            cpu=lambda: self.cpu,
        )

    def spend(self, address: str | None, seconds: float = 1.0) -> bool:
        with self.delta_cpu.turn(address) as allowed:
            if allowed:
                self.cpu += seconds
            return allowed


def test_a_client_has_a_reserve_and_a_rate() -> None:
    world = Budget()
    assert [world.spend("10.0.0.1") for _ in range(6)] == [True] * 4 + [False] * 2
    world.now += 2  # half a CPU for two seconds
    assert [world.spend("10.0.0.1") for _ in range(2)] == [True, False]
    world.now += 10_000  # accumulates at most the reserve
    assert [world.spend("10.0.0.1") for _ in range(6)] == [True] * 4 + [False] * 2


def test_other_clients_get_deltas_while_one_has_used_its_share() -> None:
    world = Budget()
    while world.spend("10.0.0.1"):
        pass
    assert world.spend("10.0.0.2")
    assert world.spend(None)


def test_all_clients_together_are_limited() -> None:
    world = Budget()
    spent = sum(world.spend(f"10.0.{n}.1") for n in range(200))
    assert spent == 10
    world.now += 3
    assert sum(world.spend(f"10.1.{n}.1") for n in range(200)) == 3


def test_neighbours_of_ipv6_are_one_client() -> None:
    world = Budget()
    assert sum(world.spend(f"2001:db8::{n:x}") for n in range(1, 100)) == 4
    assert world.spend("2001:db8:0:1::1")


def test_a_long_turn_is_paid_for_later() -> None:
    world = Budget()
    assert world.spend("10.0.0.1", 6.0)
    world.now += 3.9
    assert not world.spend("10.0.0.1")
    world.now += 0.2
    assert world.spend("10.0.0.1")


def test_failed_turns_are_charged_too() -> None:
    world = Budget()
    for _ in range(4):
        try:
            with world.delta_cpu.turn("10.0.0.1") as allowed:
                assert allowed
                world.cpu += 1.0
                raise ValueError
        except ValueError:
            pass
    assert not world.spend("10.0.0.1")


def test_many_addresses_take_little_memory() -> None:
    world = Budget(delta_reserve=1e9)
    for number in range(2 * delta_cpu._MAX_CLIENTS):
        world.spend(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(world.delta_cpu._clients) == delta_cpu._MAX_CLIENTS


def test_a_rate_of_zero_allows_no_deltas() -> None:
    world = Budget(delta_cpu=0.0, delta_reserve=0.0)
    assert not world.spend("10.0.0.1")


def test_threads_charge_the_same_bucket() -> None:
    world = Budget(threads=64, delta_client_reserve=1e6, delta_reserve=1e6, delta_client_cpu=0.0)

    def work() -> None:
        for _ in range(500):
            with world.delta_cpu.turn("10.0.0.1"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
