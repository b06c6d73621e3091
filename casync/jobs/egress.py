"""Egress policy: which addresses a server connects to for the jobs of its clients.

A client names the URL, and the server connects from inside its own network. Without a policy a
client would reach what only the server can: services on its loopback, hosts behind its firewall,
and the metadata service of its cloud, which hands out credentials (SSRF). The decision is about the
IP address that the connection then goes to, at each connection and so after each redirect: a name
may resolve differently a moment later.

Only global unicast addresses are allowed (the registries of RFC 6890). An IPv6 address that carries
an IPv4 address is judged by that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

from casync.errors import DeniedError, UsageError
from casync.jobs.fault import ObjectFaultKind

__all__ = ["EgressPolicy", "check_host_pattern"]

_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network

_LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

_NOT_GLOBAL: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host; Linux connects to itself
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by customers of a provider (CGNAT)
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, with the metadata services of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # of protocols, with Oracle's metadata service
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NOT_GLOBAL_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # of protocols, with Teredo
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)
"""Prefixes, and how many bits follow the IPv4 address in them."""

_METADATA: Final = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # AWS, Azure, Google and others
            "169.254.170.2",  # containers of AWS
            "169.254.170.23",
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure: of the global addresses
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",
            "fd20:ce::254",  # Google
        ),
    )
)
"""Addresses of services that hand out credentials of the machine."""

_HOST_PATTERN: Final = re.compile(r"[a-z0-9_*-]+(?:\.[a-z0-9_*-]+)*", re.ASCII)
_LONGEST_PATTERN: Final = 253


class EgressPolicy:
    """Decides about connections; it is a `casync.remote.http.egress.Egress`.

    Args:
        allowed: What is allowed besides global addresses: names of hosts with `*` for any
            characters, addresses, and networks as CIDR.
        loopback: Allow loopback addresses: the server itself can be reached from there alone.

    Raises:
        UsageError: A pattern is none.
    """

    def __init__(self, allowed: Iterable[str] = (), *, loopback: bool = False) -> None:
        self._loopback = loopback
        self._networks: list[_Network] = []
        self._names: list[re.Pattern[str]] = []
        for text in allowed:
            pattern = _parse(text)
            if isinstance(pattern, re.Pattern):
                self._names.append(pattern)
            else:
                self._networks.append(pattern)

    def __call__(self, host: str, address: str, port: int) -> None:
        """Allows a connection, or raises.

        Args:
            host: The host of the URL.
            address: The IP address to which the connection is made next.
            port: The TCP port.

        Raises:
            DeniedError: The connection is not allowed. Its `fault` is `policy`.
        """
        if not self.allows(host, address):
            shown = host if host == address else f"{host} at {address}"
            error = DeniedError(
                f"the server does not connect to {shown}, port {port}",
                next_step="Its operator can allow it with --allow-host.",
            )
            error.fault = ObjectFaultKind.POLICY
            raise error

    def allows(self, host: str, address: str) -> bool:
        """Whether a connection to this address of the host is allowed."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        found = _carried(found)
        if found in _METADATA:  # a pattern that means other hosts must not open it
            return any(each.num_addresses == 1 and found in each for each in self._networks)
        if _is_global(found) or any(found in each for each in self._networks):
            return True
        if self._loopback and any(found in each for each in _LOOPBACK):
            return True
        name = host.lower().rstrip(".")
        return any(pattern.fullmatch(name) for pattern in self._names)


def check_host_pattern(text: str) -> None:
    """Checks what `--allow-host` was given; UsageError if it is not a pattern."""
    _parse(text)


def _parse(text: str) -> _Network | re.Pattern[str]:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        network = ip_network(bare)
    except ValueError:
        pass
    else:
        return network
    name = text.lower().rstrip(".")
    if len(name) > _LONGEST_PATTERN or not _HOST_PATTERN.fullmatch(name) or _is_number(name):
        raise UsageError(
            f"not a host, an address or a network: {text}",
            next_step="Write a name such as files.example.com or *.example.com, or 10.1.0.0/16.",
        )
    return re.compile("[^/]*".join(map(re.escape, name.split("*"))))


def _is_number(name: str) -> bool:
    """Whether a text was meant as an address: resolvers take `127.1` and `0x7f.1` for one."""
    return "*" not in name and name.rpartition(".")[2].isdigit()


@lru_cache(1024)
def _carried(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 address carries, or the address itself."""
    if isinstance(address, IPv6Address):
        for prefix, after in _EMBEDDING:
            if address in prefix:
                return IPv4Address(int(address) >> after & 0xFFFFFFFF)
    return address


def _is_global(address: _Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_GLOBAL)
    return address in _GLOBAL_V6 and not any(address in network for network in _NOT_GLOBAL_V6)
