"""What a command says about its connections to casync servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from casync.fs.paths import StrPath
from casync.limits import KIB
from casync.remote.http.egress import Egress
from casync.remote.http.outage import ServerWatch
from casync.remote.http.peers import ALONE, Peers
from casync.remote.http.rate_limit import RateLimit

__all__ = ["TransportOptions"]


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Options of the connections to all servers of a command.

    Attributes:
        tokens: Secrets by origin (`address.origin_of`); each is sent only to its own origin.
        ca: PEM file of trusted authorities, which replace those of the system.
        authorities: PEM files for single servers, by origin.
        insecure: Do not check certificates.
        insecure_http: Allow sending a token over plain http to another machine.
        proxy: Address of an HTTP proxy. The environment is not read.
        proxy_auth: `USER:PASSWORD` for the proxy; empty for none.
        egress: Decides which addresses may be connected to; None for all.
        watch: Learns of lost servers.
        peers: Servers that stand in for each other.
        trail: Returns the caches that ask, for the `CDN-Loop` field of a request; or nothing.
        limit: A rate limit, which all its holders share.
        connections: Threads that request at once, beside one that plans. As many idle connections
            are kept.
        retry_for: Seconds without progress after which to give up a server. It also bounds the
            times below; with 0 there is one try, which only these bound.
        connect_seconds: Time limit for a connection, and again for TLS.
        answer_seconds: Time limit for a small answer, from the request to its end.
        min_rate: Bytes per second that a server must send while a thread waits for it.
        window: Seconds of waiting over which `min_rate` is measured.
    """

    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: StrPath | None = None
    authorities: Mapping[str, StrPath] = field(default_factory=dict)
    insecure: bool = False
    insecure_http: bool = False
    proxy: str | None = None
    proxy_auth: str = field(default="", repr=False)
    egress: Egress | None = None
    watch: ServerWatch | None = None
    peers: Peers = ALONE
    trail: Callable[[], str] = str
    limit: RateLimit | None = None
    connections: int = 4
    retry_for: float = 60.0
    connect_seconds: float = 10.0
    answer_seconds: float = 60.0
    min_rate: float = 1.0 * KIB
    window: float = 30.0
