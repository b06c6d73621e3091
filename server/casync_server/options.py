"""What `serve` is asked to do: the one declaration, which workers get as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from casync.errors import UsageError

__all__ = ["LogFormat", "MAX_WORKERS", "ServeOptions", "Upstream"]

LogFormat = Literal["text", "json"]

MAX_WORKERS: Final = 256


@dataclass(frozen=True)
class Upstream:
    """A server to fetch from what is not here.

    Attributes:
        url: Its address.
        token: For it; empty for none.
        ca: The authorities to trust in place of the system's.
    """

    url: str
    token: str = ""
    ca: Path | None = None


@dataclass(frozen=True)
class ServeOptions:
    """Arguments of `serve`.

    Attributes:
        store: The folder of the store. It must exist, unless the server is `writable`.
        listen: Addresses, each `ADDR:PORT`, `[V6]:PORT` or `unix:PATH`. Port 0 picks a free one.
        workers: Processes that answer.
        grace: Seconds that running answers get when a stop is asked for.
        insecure_no_auth: Listen on public addresses although anybody may read, and write.
        writable: Let clients change the store, which is made if it is not there.
        tls_cert: A certificate: connections are encrypted. Goes with `tls_key`.
        tls_key: Its key.
        client_ca: Authorities; clients need a certificate of one of them. Goes with `tls_cert`.
        audit_log: A file for requests that change something.
        upstream: A server to fetch from what the store lacks; the store is its cache then.
        gc_interval: Seconds between collections of the store; None for no collections.
        log_format: The form of the access log on stderr.
        allow_network_fs: Open a store on a network file system.
        debug: Tracebacks of our own mistakes go to the log.
    """

    store: Path
    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    workers: int = 1
    grace: float = 30.0
    insecure_no_auth: bool = False
    writable: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    audit_log: Path | None = None
    upstream: Upstream | None = None
    gc_interval: float | None = None
    log_format: LogFormat = "text"
    allow_network_fs: bool = False
    debug: bool = False

    @property
    def renewals(self) -> bool:
        """Whether there is something to read or open again at SIGHUP."""
        return self.tls_cert is not None or self.audit_log is not None

    def check(self) -> None:
        """Looks at options that go together, and at bounds.

        Raises:
            UsageError: They make no sense.
        """
        if not self.listen:
            raise UsageError("nowhere to listen", next_step="Give --listen ADDR:PORT.")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise UsageError(f"1 to {MAX_WORKERS} workers can serve, not {self.workers}")
        if not 0 <= self.grace <= 86400:
            raise UsageError("the grace time is between 0 and a day")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("a certificate goes with its key", next_step="Give both of them.")
        if self.client_ca is not None and self.tls_cert is None:
            raise UsageError("client certificates need TLS", next_step="Give --tls-cert.")
        if self.upstream is not None and self.writable:
            raise UsageError("a cache is not written to", next_step="Push to its upstream.")
        if self.gc_interval is not None and not 1 <= self.gc_interval <= 366 * 86400:
            raise UsageError("collections are between a second and a year apart")
