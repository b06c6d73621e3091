"""Options of `serve`, declared once; workers get them unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from casync.errors import UsageError
from casync.jobs.egress import check_host_pattern

__all__ = ["LogFormat", "MAX_WORKERS", "ServeOptions", "ServedBucket", "Upstream"]

LogFormat = Literal["text", "json"]

MAX_WORKERS: Final = 256


@dataclass(frozen=True)
class Upstream:
    """A server from which missing objects are fetched.

    Attributes:
        url: Its URL.
        token: The token for it; empty for none.
        ca: CA certificates to trust instead of the system's.
    """

    url: str
    token: str = ""
    ca: Path | None = None


@dataclass(frozen=True)
class ServedBucket:
    """A store in a bucket. The clouds' own variables have what is not here.

    Attributes:
        address: Its address.
        home: The folder below which this host keeps its tables of buckets.
        s3_endpoint: As of `casync.remote.sources.options.SourceOptions`, and all others, too.
    """

    address: str
    home: Path
    s3_endpoint: str | None = None
    s3_ca: Path | None = None
    s3: dict[str, str] = field(default_factory=dict, repr=False)
    gs_endpoint: str | None = None
    az_endpoint: str | None = None
    az: dict[str, str] = field(default_factory=dict, repr=False)
    ca: Path | None = None
    proxy: str | None = None
    proxy_auth: str = field(default="", repr=False)


@dataclass(frozen=True)
class ServeOptions:
    """Arguments of `serve`.

    Attributes:
        store: Folder of the store. It must exist, unless `create` is set, or the server is
            `writable`, runs jobs, or is a cache. Of a store in a bucket, this host's tables.
        bucket: The bucket that has the store; None if it is in a folder.
        tokens: Folder of a store whose tokens admit clients to a store in a bucket.
        listen: Addresses, each `ADDR:PORT`, `[V6]:PORT` or `unix:PATH`. Port 0 picks a free one.
        workers: Number of worker processes.
        grace: Seconds that running answers get after a stop signal.
        insecure_no_auth: Listen on public addresses without tokens: anyone may read, or write.
        create: Create the store if it is missing.
        writable: Let clients change the store.
        tls_cert: Certificate for TLS. Requires `tls_key`.
        tls_key: Key of the certificate.
        client_ca: CA certificates; clients need a certificate from one. Requires `tls_cert`.
        audit_log: File for the requests that change something.
        upstream: Server to fetch missing objects from; the store is its cache.
        gc_interval: Seconds between garbage collections; None for no collections.
        jobs: Run download jobs of clients.
        allow_hosts: What jobs may connect to besides public addresses: hosts, addresses, networks.
        import_root: Folder below which jobs may read local files; None for none.
        log_format: Format of the access log on stderr.
        quiet: Log only errors.
        allow_network_fs: Open a store on a network file system.
        debug: Log tracebacks of unexpected errors.
    """

    store: Path
    bucket: ServedBucket | None = None
    tokens: Path | None = None
    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    workers: int = 1
    grace: float = 30.0
    insecure_no_auth: bool = False
    create: bool = False
    writable: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    audit_log: Path | None = None
    upstream: Upstream | None = None
    gc_interval: float | None = None
    jobs: bool = False
    allow_hosts: tuple[str, ...] = ()
    import_root: Path | None = None
    log_format: LogFormat = "text"
    quiet: bool = False
    allow_network_fs: bool = False
    debug: bool = False

    def check(self) -> None:
        """Checks limits, and options that depend on each other.

        Raises:
            UsageError: An option is out of range, or lacks another one.
        """
        if not self.listen:
            raise UsageError("no address to listen on", next_step="Give --listen ADDR:PORT.")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise UsageError(f"workers must be 1 to {MAX_WORKERS}, not {self.workers}")
        if not 0 <= self.grace <= 86400:
            raise UsageError("the grace time must be between 0 and a day")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError(
                "a certificate and its key belong together",
                next_step="Give --tls-cert and --tls-key.",
            )
        if self.client_ca is not None and self.tls_cert is None:
            raise UsageError("client certificates need TLS", next_step="Give --tls-cert.")
        if self.upstream is not None and self.writable:
            raise UsageError("a cache cannot be writable", next_step="Push to its upstream server.")
        if self.upstream is not None and self.jobs:
            raise UsageError("a cache runs no jobs", next_step="Run them on its upstream server.")
        if (self.allow_hosts or self.import_root is not None) and not self.jobs:
            raise UsageError(
                "--allow-host and --import-root are for jobs", next_step="Give --jobs, too."
            )
        for pattern in self.allow_hosts:
            check_host_pattern(pattern)
        if self.import_root is not None and not self.import_root.is_dir():
            raise UsageError(f"{self.import_root} is not a folder")
        if self.gc_interval is not None and not 1 <= self.gc_interval <= 366 * 86400:
            raise UsageError("the interval of collections must be between a second and a year")
        self._check_bucket()

    def _check_bucket(self) -> None:
        if self.bucket is None:
            if self.tokens is not None:
                raise UsageError(
                    "--tokens is for stores in buckets",
                    next_step="Tokens of a store in a folder are in it: leave --tokens out.",
                )
            return
        if self.upstream is not None:
            raise UsageError(
                "a cache commits each object that it fetches, so its store is in a folder",
                next_step="Give a folder as --store; replicas over a bucket keep what they read "
                "from it by themselves.",
            )
