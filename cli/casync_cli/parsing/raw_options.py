"""Options of the command line, as unparsed text."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from typing import Final

from casync.errors import UsageError
from casync.jobs.address import redacted

__all__ = ["CommonOptions", "RemoteOptions"]


_OF_ANY_SOURCE: Final = frozenset({"ca", "proxy", "proxy_auth", "retry_for"})
"""Fields of `RemoteOptions` that are for any source of a URL, too."""
_REACHING: Final = ("token_file", "ca", "insecure", "insecure_http", "proxy", "proxy_auth")
"""Fields of `RemoteOptions` without which the same server may not be reached."""


@dataclass
class CommonOptions:
    """Options of every command. None means not given."""

    store: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool | None = None
    debug: bool = False
    config: str | None = None

    def repeated(self) -> Iterator[str]:
        """What opens the same store again, as words for a shell."""
        for option, value in (("--config", self.config), ("--store", self.store)):
            if value:
                yield f"{option} {shlex.quote(redacted(value))}"


@dataclass
class RemoteOptions:
    """Options of commands that use servers. None means not given."""

    server: list[str] = field(default_factory=list)
    token_file: str | None = None
    ca: str | None = None
    insecure: bool = False
    insecure_http: bool = False
    proxy: str | None = None
    proxy_auth: str | None = None
    limit: str | None = None
    connections: str | None = None
    retry_for: str | None = None

    def repeated(self) -> Iterator[str]:
        """What reaches the same server again, as words for a shell."""
        for url in self.server:
            yield f"--server {redacted(url)}"
        for key in _REACHING:
            value = getattr(self, key)
            option = f"--{key.replace('_', '-')}"
            if value is True:
                yield option
            elif value:
                yield f"{option} {shlex.quote(value)}"

    def asks_server(self, source: str = "", unused: Collection[str] = ()) -> bool:
        """Whether a server is on the command line.

        Args:
            source: The URL that the command reads without a server; some options are for it, too.
            unused: Fields that have no effect there.

        Raises:
            UsageError: More than one server, or options that have no effect without one.
        """
        if len(self.server) > 1:
            raise UsageError("this command takes one server; give --server once")
        if self.server:
            return True
        none = RemoteOptions()
        given = {each.name for each in fields(self)}
        given = {key for key in given if getattr(self, key) != getattr(none, key)}
        if source.lower().startswith("casync://"):
            given &= {*unused}
        elif "://" in source:
            given -= _OF_ANY_SOURCE - {*unused}
        if given:
            raise UsageError(
                " and ".join(sorted(f"--{key.replace('_', '-')}" for key in given))
                + ": options for servers need a server",
                next_step="Give one with --server URL.",
            )
        return False
