"""Connections are counted in all and by address."""

from casync_server.limits.connection_count import Census
from casync_server.settings import ServerSettings


def test_one_address_is_bounded_and_leaves_room_again() -> None:
    census = Census(ServerSettings(connections=10, address_connections=2))
    assert census.enter("192.0.2.1") is None
    assert census.enter("192.0.2.1") is None
    assert census.enter("192.0.2.1") is not None
    assert census.enter("192.0.2.2") is None
    census.leave("192.0.2.1")
    assert census.enter("192.0.2.1") is None


def test_a_64_of_ipv6_is_one_address() -> None:
    census = Census(ServerSettings(address_connections=1))
    assert census.enter("2001:db8::1") is None
    assert census.enter("2001:db8::ffff:1") is not None
    assert census.enter("2001:db8:0:1::1") is None


def test_all_are_bounded() -> None:
    census = Census(ServerSettings(connections=3))
    for address in ("192.0.2.1", None, "odd"):
        assert census.enter(address) is None
    assert census.enter("192.0.2.4") is not None
    for address in ("192.0.2.1", None, "odd"):
        census.leave(address)
    assert census.total == 0
