from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from casync.errors import DeniedError, UsageError
from casync.jobs.egress import EgressPolicy, check_host_pattern

HIDDEN = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "223.255.255.255"]


@pytest.mark.parametrize("address", HIDDEN)
def test_what_only_the_server_can_reach_is_refused_in_every_notation(address: str) -> None:
    policy = EgressPolicy()
    number = int(IPv4Address(address))
    for text in (
        address,
        f"::ffff:{address}",
        f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}",
        f"::ffff:0:{address}",
        f"64:ff9b::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ):
        assert not policy.allows("host.example.com", text)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed_in_every_notation(address: str) -> None:
    policy = EgressPolicy()
    assert policy.allows("host.example.com", address)
    assert policy.allows("host.example.com", f"::ffff:{address}")
    assert policy.allows("host.example.com", f"64:ff9b::{address}")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("2606:4700:4700::1111", True),
        ("2a00:1450:4001:830::200e", True),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("2001::1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("2001:db8::1", False),
        ("64:ff9b:1::a00:1", False),
        ("100::1", False),
        ("168.63.129.16", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_only_global_unicast_of_version_six_is_allowed(address: str, allowed: bool) -> None:
    assert EgressPolicy().allows("host.example.com", address) is allowed


def test_loopback_is_allowed_where_the_server_listens_on_loopback_only() -> None:
    policy = EgressPolicy(loopback=True)
    for address in ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"):
        assert policy.allows("localhost", address)
    for address in ("0.0.0.0", "::", "10.0.0.1", "169.254.169.254"):
        assert not policy.allows("localhost", address)


@pytest.mark.parametrize(
    ("pattern", "host", "address", "allowed"),
    [
        ("files.corp", "files.corp", "10.0.0.1", True),
        ("files.corp", "FILES.corp.", "10.0.0.1", True),
        ("files.corp", "other.corp", "10.0.0.1", False),
        ("files.corp", "xfiles.corp", "10.0.0.1", False),
        ("*.corp", "a.b.corp", "10.0.0.1", True),
        ("*.corp", "corp", "10.0.0.1", False),
        ("*.corp", "corp.example.com", "10.0.0.1", False),
        ("f*s.corp", "files.corp", "10.0.0.1", True),
        ("fi.es.corp", "files.corp", "10.0.0.1", False),
        ("10.0.0.0/8", "any.example.com", "10.200.0.1", True),
        ("10.0.0.0/8", "any.example.com", "::ffff:10.200.0.1", True),
        ("10.0.0.0/8", "any.example.com", "192.168.0.1", False),
        ("10.0.0.7", "any.example.com", "10.0.0.7", True),
        ("10.0.0.7", "any.example.com", "10.0.0.8", False),
        ("fd12::/16", "any.example.com", "fd12::1", True),
        ("[fd12::1]", "any.example.com", "fd12::1", True),
    ],
)
def test_allow_host_opens_names_addresses_and_networks(
    pattern: str, host: str, address: str, allowed: bool
) -> None:
    assert EgressPolicy([pattern]).allows(host, address) is allowed


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "168.63.129.16"])
def test_services_with_credentials_are_opened_by_their_own_address_alone(address: str) -> None:
    wide = EgressPolicy(["*", "0.0.0.0/0", "169.254.0.0/16", "::/0", "fd00::/8"], loopback=True)
    assert not wide.allows("metadata.google.internal", address)
    assert EgressPolicy([address]).allows("metadata.google.internal", address)


@pytest.mark.parametrize(
    "text",
    ["", "http://host", "host/path", "host:80", "10.0.0.1/8", "127.1", "a..b", "a" * 254, "hö.de"],
)
def test_a_pattern_that_would_never_match_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a host, an address or a network"):
        check_host_pattern(text)


def test_a_refusal_says_where_it_leads_and_is_a_fault_of_policy() -> None:
    with pytest.raises(DeniedError, match=r"inner\.example\.com at 10\.0\.0\.1, port 80") as caught:
        EgressPolicy()("inner.example.com", "10.0.0.1", 80)
    assert caught.value.fault == "policy"
