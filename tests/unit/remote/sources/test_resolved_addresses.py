"""The policy for connections judges the address that a name has when it is connected to.

Names are resolved by a double of the system's resolver. 127.0.0.1, where a server listens, stands
for the public addresses; numbers and addresses as hosts go to the real resolver.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from casync.errors import CasyncError, DeniedError
from casync.jobs.egress import EgressPolicy
from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from tests.support.scripted_server import Asked, ScriptedServer, reply

HERE = "127.0.0.1"
OPTIONS = SourceOptions(egress=EgressPolicy([HERE]), retry_for=0.0)
STRICT = SourceOptions(egress=EgressPolicy(), retry_for=0.0)

Resolve: TypeAlias = Callable[[Mapping[str, Sequence[Sequence[str]]]], None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Gives names their addresses, those of each look-up; the last ones stay."""
    real = socket.getaddrinfo

    def use(names: Mapping[str, Sequence[Sequence[str]]]) -> None:
        left = {name: list(answers) for name, answers in names.items()}

        def getaddrinfo(host: str, port: int, *words: Any, **more: Any) -> list[Any]:
            if host not in left:
                return real(host, port, *words, **more)
            answers = left[host]
            found = answers.pop(0) if len(answers) > 1 else answers[0]
            return [each for address in found for each in real(address, port, *words, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return use


def fault_of(address: str, options: SourceOptions = OPTIONS) -> str:
    """What finding an object ends with."""
    with Sources(options) as sources:
        source, key = sources.open(address)
        with pytest.raises(DeniedError) as denied:
            source.find(key)
        return str(denied.value.fault)


def size(source: RemoteSource, key: str) -> int | None:
    found = source.find(key)
    assert found is not None
    return found.size


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda _: reply(200, b"public")) as server:
        yield server


@pytest.mark.parametrize("scheme", ["http", "https", "casync", "webhdfs", "ais"])
@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.5",
        "169.254.169.254",
        "192.168.0.1",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "2002:a00:1::1",
        "fe80::1",
        "fd00:ec2::254",
    ],
)
def test_a_name_that_leads_inside_is_not_connected_to(
    resolve: Resolve, scheme: str, address: str
) -> None:
    """D2: SSRF by DNS."""
    resolve({"name.example.com": [[address]]})
    assert fault_of(f"{scheme}://name.example.com:9/bucket/x") == "policy"


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "017700000001", "0x7f.1", "0177.0.0.1", "127.1", "0"),
        *("3232235521", "0xa9fea9fe", "169.254.43518"),
        *("[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"),
        "[2002:7f00:1::]",
    ],
)
def test_other_ways_to_write_an_address_lead_to_no_other_decision(host: str) -> None:
    """D2: the resolver reads them as numbers."""
    assert fault_of(f"http://{host}:9/x", STRICT) == "policy"


def test_a_name_that_leads_elsewhere_later_is_judged_again(
    resolve: Resolve, server: ScriptedServer
) -> None:
    """D2: rebinding. The address that was judged is the one that is connected to."""
    resolve({"name.example.com": [[HERE], ["10.0.0.1"]]})
    with Sources(OPTIONS) as sources:
        source, key = sources.open(f"http://name.example.com:{server.port}/x")
        assert size(source, key) == len(b"public")  # and the server closes the connection
        with pytest.raises(DeniedError, match=r"name\.example\.com at 10\.0\.0\.1"):
            source.find(key)
    assert len(server.asked) == 1


def test_a_redirect_to_a_name_that_leads_inside_is_not_followed(resolve: Resolve) -> None:
    """D2: nor one to another way to write an address."""
    resolve({"inner.example.com": [["169.254.169.254"]], "outer.example.com": [[HERE]]})
    for target in ("http://inner.example.com/x", "http://2852039166/x", "http://[::ffff:a00:1]/x"):

        def script(_: Asked, target: str = target) -> bytes:
            return reply(302, Location=target)

        with ScriptedServer(script) as server:
            assert fault_of(f"http://outer.example.com:{server.port}/x") == "policy"
            assert len(server.asked) == 1


def test_each_of_several_addresses_is_judged(resolve: Resolve, server: ScriptedServer) -> None:
    """D2: one that is allowed does not open the others."""
    resolve(
        {
            "inside-first.example.com": [["10.0.0.1", HERE]],
            "inside-last.example.com": [[HERE, "10.0.0.1"]],
        }
    )
    assert fault_of(f"http://inside-first.example.com:{server.port}/x") == "policy"
    assert server.asked == []
    with Sources(OPTIONS) as sources:
        source, key = sources.open(f"http://inside-last.example.com:{server.port}/x")
        assert size(source, key) == len(b"public")
    assert (
        fault_of("http://inside-last.example.com:9/x") == "policy"
    )  # nothing listens at the first


@pytest.mark.parametrize("bucket", ["169.254.169.254", "evil.example.com", "a%2f..", "a:80", "a@b"])
def test_an_address_of_a_cloud_leads_to_no_other_host(server: ScriptedServer, bucket: str) -> None:
    """D2: obstore asks no policy, and goes where the operator's settings lead, whatever is asked.

    So a server opens clouds to namespaces of the operator's choice, and clients name no endpoint.
    """
    options = SourceOptions(
        s3_endpoint=server.url,
        s3={"access_key_id": "a", "secret_access_key": "b", "region": "x"},
        egress=EgressPolicy(),
        retry_for=0.0,
    )
    with Sources(options) as sources:
        try:
            source, key = sources.open(f"s3://{bucket}/x")
        except CasyncError:
            return
        source.find(key)
    assert {asked.target for asked in server.asked} == {f"/{bucket}/x"}
