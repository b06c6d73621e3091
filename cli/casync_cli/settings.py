"""Settings of one run and their sources: option, environment, the user's file, the site file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from casync.jobs.address import redacted
from casync.names.patterns import matches
from casync.remote.http.address import origin_of
from casync_cli.config_file import SITE_FILE, ConfigFile, Value, read_config_file
from casync_cli.environment import Variables, default_store
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.raw_options import CommonOptions, RemoteOptions

__all__ = ["Setting", "Settings"]


class Setting(NamedTuple):
    """A value as text, and its source. The value is None if the setting is unset."""

    value: str | Sequence[str] | None
    source: str


class Settings:
    """Options override the environment, which overrides the user's file, then the site file.

    Args:
        common: Options of every command.
        remote: Options for servers.
        environment: Settings from the environment.
        site: The file for all users.

    Raises:
        UsageError, CasyncError: A file cannot be read, or is invalid.
    """

    def __init__(
        self,
        common: CommonOptions,
        remote: RemoteOptions,
        environment: Variables,
        site: Path = SITE_FILE,
    ) -> None:
        self._common = common
        self._remote = remote
        self._environment = environment
        chosen = (
            environment.config if common.config is None else parse_path(common.config, "--config")
        )
        own = chosen or environment.user_config
        read = [
            read_config_file(own, required=chosen is not None) if own is not None else None,
            read_config_file(site, required=False),
        ]
        self.files: list[ConfigFile] = [file for file in read if file is not None]

    def __iter__(self) -> Iterator[tuple[str, Setting]]:
        """All settings by key, in the order of the documentation."""
        for key in _FLAGS:
            yield key, self[key]
        for url, said in self.of_servers():
            for key, value in said.items():
                (source, *_) = [f for f in self.files if key in f.servers.get(url, {})]
                yield f'server."{redacted(url)}".{key}', Setting(value, str(source.path))
        for file in self.files:
            for pattern, table in file.names.items():
                for key, value in table.items():
                    yield f'name."{pattern}".{key}', Setting(value, str(file.path))

    def of_servers(self) -> Iterator[tuple[str, dict[str, Value]]]:
        """The settings of single servers in the files, by URL."""
        for url in dict.fromkeys(url for file in self.files for url in file.servers):
            said: dict[str, Value] = {}
            for file in reversed(self.files):
                said |= file.servers.get(url, {})
            yield url, said

    def trust(self, server: str | None, name: str) -> Sequence[str]:
        """The keys of which one must have signed a name, by the files; or none.

        Args:
            server: The server that resolves the name; None if the local store does.
            name: The name.
        """
        for file in self.files:
            for pattern, table in file.names.items():
                if "trust" in table and matches(name, pattern):
                    return _texts(table["trust"])
        for url, said in self.of_servers():
            if server is not None and "trust" in said and origin_of(url) == origin_of(server):
                return _texts(said["trust"])
        return ()

    def __getitem__(self, key: str) -> Setting:
        """One setting, or its default."""
        given = self._common.store if key == "store" else getattr(self._remote, _FLAGS[key], None)
        if given is not None and given != []:
            return Setting(given, f"--{_FLAGS[key].replace('_', '-')}")
        said = self._said(key)
        if said:
            return Setting(said, _VARIABLES[key])
        if key == "proxy_auth" and self._environment.proxy_auth:
            return Setting(None, "CASYNC_PROXY_AUTH")  # the secret itself
        for file in self.files:
            if key in file.values:
                return Setting(file.values[key], str(file.path))
        default = _DEFAULTS.get(key)
        if key == "store" and (store := default_store()) is not None:
            default = str(store)
        return Setting(default, "default")

    def _said(self, key: str) -> str | Sequence[str] | None:
        """The value in the environment."""
        match key:
            case "store":
                return self._environment.store
            case "servers":
                return self._environment.servers
            case "ca":
                return None if self._environment.ca is None else str(self._environment.ca)
            case "proxy_auth":
                file = self._environment.proxy_auth_file
                return None if file is None else str(file)
        return None


_FLAGS = {
    "store": "store",
    "servers": "server",
    "ca": "ca",
    "proxy": "proxy",
    "proxy_auth": "proxy_auth",
    "limit": "limit",
    "connections": "connections",
    "retry_for": "retry_for",
}
_VARIABLES = {
    "store": "CASYNC_STORE",
    "servers": "CASYNC_SERVER",
    "ca": "CASYNC_CA",
    "proxy_auth": "CASYNC_PROXY_AUTH_FILE",
}
_DEFAULTS = {"connections": "4", "retry_for": "60s"}


def _texts(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else value
