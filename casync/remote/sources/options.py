"""How to reach sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from casync.fs.paths import StrPath
from casync.remote.http.egress import Egress
from casync.remote.http.outage import ServerWatch

if TYPE_CHECKING:
    from casync.remote.server.transport_options import TransportOptions

__all__ = ["SourceOptions"]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to reach sources. A scheme uses the options with its own prefix, and those without one.

    Attributes:
        s3_endpoint: URL of a server other than AWS. Only an `http://` URL allows plain http.
        s3_ca: PEM file of certificates to trust besides those of the system.
        s3: Further settings of obstore for S3, such as `access_key_id`. It finds the others itself.
        gs_endpoint: URL of a server other than Google's.
        gs: Further settings of obstore for Google.
        az_endpoint: URL of a server other than Azure's, with the account.
        az: Further settings of obstore for Azure, such as `account_name`.
        casync: Makes options of connections to casync servers, such as tokens and a limit, when
            one is used; authorities, proxy, egress, connections and times are those below.
        headers: Fields of each http request to the host of the address, and not to others.
        ca: PEM file of trusted authorities for https, instead of those of the system.
        proxy: Address of an HTTP proxy for http and https.
        proxy_auth: `USER:PASSWORD` for it; empty for none.
        egress: Decides which addresses http may connect to; None for all.
        watch: Learns of servers that do not answer.
        connections: Idle connections to keep to one server.
        timeout: Seconds for an answer to begin, and without enough bytes of its body.
        retry_for: Seconds for which a request is retried; with 0 there is one try.
    """

    s3_endpoint: str | None = None
    s3_ca: StrPath | None = None
    s3: Mapping[str, str] = field(default_factory=dict, repr=False)
    gs_endpoint: str | None = None
    gs: Mapping[str, str] = field(default_factory=dict, repr=False)
    az_endpoint: str | None = None
    az: Mapping[str, str] = field(default_factory=dict, repr=False)
    casync: Callable[[], TransportOptions] | None = None
    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    ca: StrPath | None = None
    proxy: str | None = None
    proxy_auth: str = field(default="", repr=False)
    egress: Egress | None = None
    watch: ServerWatch | None = None
    connections: int = 16
    timeout: float = 60.0
    retry_for: float = 60.0
