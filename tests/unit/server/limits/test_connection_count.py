"""Connections are limited in total and per address."""

from casync_server.limits.connection_count import ConnectionCount
from casync_server.settings import ServerSettings


def test_connections_of_one_address_are_limited_until_some_close() -> None:
    connection_count = ConnectionCount(ServerSettings(connections=10, address_connections=2))
    assert connection_count.enter("192.0.2.1") is None
    assert connection_count.enter("192.0.2.1") is None
    assert connection_count.enter("192.0.2.1") is not None
    assert connection_count.enter("192.0.2.2") is None
    connection_count.leave("192.0.2.1")
    assert connection_count.enter("192.0.2.1") is None


def test_a_64_of_ipv6_is_one_address() -> None:
    connection_count = ConnectionCount(ServerSettings(address_connections=1))
    assert connection_count.enter("2001:db8::1") is None
    assert connection_count.enter("2001:db8::ffff:1") is not None
    assert connection_count.enter("2001:db8:0:1::1") is None


def test_all_connections_together_are_limited() -> None:
    connection_count = ConnectionCount(ServerSettings(connections=3))
    for address in ("192.0.2.1", None, "odd"):
        assert connection_count.enter(address) is None
    assert connection_count.enter("192.0.2.4") is not None
    for address in ("192.0.2.1", None, "odd"):
        connection_count.leave(address)
    assert connection_count.total == 0
