"""Opens sources by address, with the one table of schemes.

An adapter and its library are loaded when one of its addresses is opened.
"""

from __future__ import annotations

import importlib
import re
import threading
from typing import Final, NamedTuple, Protocol, Self

from casync.errors import UsageError
from casync.jobs.address import parse_address
from casync.remote.sources.base import RemoteSource
from casync.remote.sources.options import SourceOptions

__all__ = ["SourceOpener", "Sources", "is_address"]


class SourceOpener(Protocol):
    """Opens the addresses of some schemes. Made with `SourceOptions`. Safe for threads."""

    def open(self, address: str) -> tuple[RemoteSource, str]:
        """The source of an address, and the key or prefix in it. No request is made yet."""
        ...

    def close(self) -> None:
        """Closes all sources that were opened."""
        ...


class _Scheme(NamedTuple):
    """One scheme.

    Attributes:
        form: The form of its addresses, for messages.
        opener: Module and class of its `SourceOpener`.
    """

    form: str
    opener: tuple[str, str]


_BUCKETS: Final = ("obstore_bucket", "BucketOpener")
_HTTP: Final = ("web.source", "HttpOpener")
_CASYNC: Final = ("casync_server", "ServerOpener")
_WEBHDFS: Final = ("webhdfs", "WebHdfsOpener")
_SCHEMES: Final = {
    "http": _Scheme("http://HOST/PATH", _HTTP),
    "https": _Scheme("https://HOST/PATH", _HTTP),
    "s3": _Scheme("s3://BUCKET/KEY", _BUCKETS),
    "aws": _Scheme("aws://BUCKET/KEY", _BUCKETS),
    "gs": _Scheme("gs://BUCKET/KEY", _BUCKETS),
    "gcp": _Scheme("gcp://BUCKET/KEY", _BUCKETS),
    "az": _Scheme("az://CONTAINER/KEY", _BUCKETS),
    "azure": _Scheme("azure://CONTAINER/KEY", _BUCKETS),
    "casync": _Scheme("casync://HOST/NAME", _CASYNC),
    "casync+http": _Scheme("casync+http://HOST/NAME", _CASYNC),
    "casync+https": _Scheme("casync+https://HOST/NAME", _CASYNC),
    "hdfs": _Scheme("hdfs://HOST/PATH", ("hdfs", "HdfsOpener")),
    "webhdfs": _Scheme("webhdfs://HOST/PATH", _WEBHDFS),
    "swebhdfs": _Scheme("swebhdfs://HOST/PATH", _WEBHDFS),
    "ais": _Scheme("ais://HOST/BUCKET/OBJECT", ("ais", "AisOpener")),
    "file": _Scheme("file:///PATH", ("local", "LocalOpener")),
    "": _Scheme("/PATH", ("local", "LocalOpener")),
}
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_address(text: str) -> bool:
    """Whether a text is an address with a scheme, and not a path.

    Raises:
        UsageError: It is one whose scheme is not supported.
    """
    if not (found := _ADDRESS.match(text)):
        return False
    _scheme(found[1].lower())
    return True


def _scheme(name: str) -> _Scheme:
    if name not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES if scheme)
        raise UsageError(f"{name}:// is not supported", next_step=f"Supported are {known}.")
    return _SCHEMES[name]


class Sources:
    """Opens sources by address; those of one server share its connections. Use in a with block.

    Args:
        options: How to reach them.
    """

    def __init__(self, options: SourceOptions = SourceOptions()) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._openers: dict[tuple[str, str], SourceOpener] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all sources that were opened."""
        with self._lock:
            openers = list(self._openers.values())
        for opener in openers:
            opener.close()

    def open(self, address: str) -> tuple[RemoteSource, str]:
        """Opens the source of an address. No request is made yet.

        Args:
            address: `SCHEME://…` or a local path, as `casync.jobs.address.parse_address` takes it.

        Returns:
            The source, which `close` of this closes, and the key or prefix in it; empty for all.

        Raises:
            UsageError: The address is invalid or its scheme unknown, or the options do not fit.
            CasyncError: The adapter cannot be set up.
        """
        parsed = parse_address(address)
        where = _scheme(parsed.scheme).opener
        with self._lock:
            if where not in self._openers:
                module = importlib.import_module(f"casync.remote.sources.{where[0]}")
                self._openers[where] = getattr(module, where[1])(self._options)
        return self._openers[where].open(str(parsed))
