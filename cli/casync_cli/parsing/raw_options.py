"""What was given on the command line, as text, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CommonOptions", "RemoteOptions"]


@dataclass
class CommonOptions:
    """The options that stand before or after every verb. None: not given."""

    store: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool | None = None
    debug: bool = False
    config: str | None = None


@dataclass
class RemoteOptions:
    """The options of commands that talk to servers. None: not given."""

    server: list[str] = field(default_factory=list)
    token_file: str | None = None
    ca: str | None = None
    insecure: bool = False
    insecure_http: bool = False
    proxy: str | None = None
    limit: str | None = None
    connections: str | None = None
    retry_for: str | None = None
