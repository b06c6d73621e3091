"""What `serve` is asked to do, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from casync.errors import UsageError
from casync_server.process.address import Listen, parse_listen
from casync_server.process.worker_order import Upstream

__all__ = ["ServeOptions", "checked_addresses", "exposed"]


@dataclass(frozen=True, slots=True)
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
    log_format: Literal["text", "json"] = "text"
    allow_network_fs: bool = False
    debug: bool = False


def checked_addresses(options: ServeOptions) -> list[Listen]:
    """The addresses to bind.

    Raises:
        UsageError: The options make no sense.
    """
    if not options.listen:
        raise UsageError("nowhere to listen", next_step="Give --listen ADDR:PORT.")
    if not 1 <= options.workers <= 256:
        raise UsageError(f"1 to 256 workers can serve, not {options.workers}")
    if not 0 <= options.grace <= 86400:
        raise UsageError("the grace time is between 0 and a day")
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("a certificate goes with its key", next_step="Give both of them.")
    if options.client_ca is not None and options.tls_cert is None:
        raise UsageError("clients show certificates over TLS only", next_step="Give --tls-cert.")
    if options.upstream is not None and options.writable:
        raise UsageError("a cache is not written to", next_step="Push to its upstream.")
    if options.gc_interval is not None and not 1 <= options.gc_interval <= 366 * 86400:
        raise UsageError("collections are between a second and a year apart")
    return [parse_listen(text) for text in options.listen]


def exposed(options: ServeOptions, addresses: list[Listen]) -> str:
    """An address that others can reach and where tokens must be asked for; empty for none."""
    public = [str(address) for address in addresses if address.public]
    let_in = options.insecure_no_auth or options.client_ca is not None
    return public[0] if public and not let_in else ""
