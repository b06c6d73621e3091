"""The sources of one job within the rules of the server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from casync.jobs.address import Address, parse_address
from casync.jobs.item import Item
from casync.jobs.numbered import numbered_objects
from casync.jobs.spec import JobSpec
from casync.remote.sources.job_sources import ItemPlace, JobSources
from casync.remote.sources.local import LocalOpener, LocalSource
from casync.remote.sources.options import SourceOptions
from casync_server.jobs.source_policy import SourcePolicy

__all__ = ["PolicedSources"]

_HERE: Final = "file://"


class PolicedSources:
    """The `JobSources` of a job that a client made.

    Local files are those of one source, the folder that is open. No link in it is followed, so no
    other file is reached.

    Args:
        inner: The same sources without rules.
        spec: What the job does, with its secrets.
        namespace: The namespace of the job; empty for the default one.
        policy: The rules.
        import_root: The folder of the rules; None for none.
    """

    def __init__(
        self,
        inner: JobSources,
        spec: JobSpec,
        namespace: str,
        policy: SourcePolicy,
        import_root: Path | None,
    ) -> None:
        self._inner = inner
        numbered = numbered_objects(spec)
        self._source = parse_address(spec.source) if numbered is None else numbered.prefix
        self._namespace = namespace
        self._policy = policy
        self._root = "" if import_root is None else os.path.normpath(import_root)
        self._opener = LocalOpener(SourceOptions())
        self._local: LocalSource | None = None

    def root(self) -> ItemPlace:
        """As `JobSources.root`. Raises DeniedError as well."""
        self._policy.check(self._namespace, self._source)
        return self._below(self._source) if self._source.is_local else self._inner.root()

    def locate(self, item: Item) -> ItemPlace:
        """As `JobSources.locate`. Raises DeniedError as well."""
        if not item.is_url:
            if self._source.is_local:
                return self.root()._replace(key=item.key)
            self._policy.check(self._namespace, self._source)
            return self._inner.locate(item)
        address = parse_address(item.key)
        self._policy.check(self._namespace, address)
        return self._below(address) if address.is_local else self._inner.locate(item)

    def close(self) -> None:
        """As `JobSources.close`."""
        self._inner.close()
        self._opener.close()

    def _below(self, address: Address) -> ItemPlace:
        """The place of a path that the rules have allowed."""
        if self._local is None:
            self._local = LocalSource(os.path.realpath(self._root), self._opener)
        ends = "/" if address.rest.endswith("/") else ""
        key = os.path.relpath(os.path.normpath(address.rest), self._root)
        return ItemPlace(self._local, "" if key == "." else key + ends, _HERE)
