"""Which sources clients of a server may name for their jobs.

Web servers and other casyncs are open to all; `casync.jobs.egress` decides about their addresses
when connections are made. Clouds are asked with the credentials of the server, so they are open
where its operator has bound them to the namespace. Local paths are open below one folder. HDFS is
not open by its own protocol: its library connects to the addresses that a NameNode names, with the
Kerberos tickets of the server, and asks no policy before.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from casync.errors import DeniedError
from casync.jobs.address import Address
from casync.jobs.fault import ObjectFaultKind
from casync.store.lmdb.namespaces import DEFAULT

__all__ = ["SourcePolicy"]

_CASYNC: Final = frozenset({"casync", "casync+http", "casync+https"})
_WEB: Final = _CASYNC | {"http", "https", "webhdfs", "swebhdfs", "ais"}
_CLOUDS: Final = {
    "s3": "s3",
    "aws": "s3",
    "gs": "gs",
    "gcp": "gs",
    "az": "az",
    "azure": "az",
}
"""Schemes of clouds, each with the word of the setting that binds it."""


class SourcePolicy:
    """The rules of one server.

    Args:
        import_root: The folder below which local paths are open; None for none.
        clouds: Clouds that are open to namespaces, each `NAMESPACE:SCHEME`.
    """

    def __init__(self, import_root: Path | None, clouds: Iterable[str]) -> None:
        self._root = None if import_root is None else posixpath.normpath(import_root.as_posix())
        self._clouds = frozenset(clouds)

    def check(self, namespace: str, address: Address) -> None:
        """Refuses a source that is not open.

        Args:
            namespace: The namespace of the job; empty for the default one.
            address: The address of the source, or of an object.

        Raises:
            DeniedError: It is not open. Its `fault` is `policy`.
        """
        if address.scheme in _WEB:
            return
        if address.is_local:
            if not self._is_below_root(address.rest):
                raise _refusal(
                    "this server reads no such local path for a job",
                    "Its operator can open a folder with --import-root.",
                )
            return
        if address.scheme == "hdfs":
            raise _refusal(
                "this server does not download from hdfs://, because it cannot check which "
                "addresses the library for it connects to",
                f"Write webhdfs://{_host_of(address)}:9870/PATH, or download without --server.",
            )
        cloud = _CLOUDS.get(address.scheme, "")
        if cloud and f"{namespace or DEFAULT}:{cloud}" in self._clouds:
            return
        step = "Its operator can bind its credentials to a namespace with CASYNC_SERVE_JOB_CLOUDS."
        raise _refusal(
            f"this server does not download from {address.scheme}:// in this namespace",
            step if cloud else "Give an https:// address.",
        )

    def _is_below_root(self, path: str) -> bool:
        """Whether a path lies below the folder by its text. Links in it are refused later."""
        if self._root is None or ".." in path.split("/"):
            return False
        return f"{posixpath.normpath(path)}/".startswith(f"{self._root.rstrip('/')}/")


def _host_of(address: Address) -> str:
    return address.rest.partition("/")[0].rpartition("@")[2].partition(":")[0]


def _refusal(message: str, next_step: str) -> DeniedError:
    error = DeniedError(message, next_step=next_step)
    error.fault = ObjectFaultKind.POLICY
    return error
