"""Options of the command line, as unparsed text."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CommonOptions", "RemoteOptions"]


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
