"""Reads configuration files in TOML.

Paths in a file are relative to its folder. An unknown key is an error: a typo that is silently
ignored could disable a safeguard.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from casync.errors import CasyncError, DeniedError, UsageError

__all__ = ["SITE_FILE", "ConfigFile", "Value", "read_config_file"]

Value: TypeAlias = "str | list[str]"

SITE_FILE: Final = Path("/etc/casync/config.toml")
"""The file for all users of the machine."""

_MAX_BYTES: Final = 1024 * 1024

_PATHS: Final = frozenset({"store", "ca", "proxy_auth", "token_file"})
_KEYS: Final[dict[str, type]] = {
    "store": str,
    "servers": list,
    "ca": str,
    "proxy": str,
    "proxy_auth": str,
    "limit": str,
    "connections": int,
    "retry_for": str,
    "server": dict,
    "name": dict,
}
_SERVER_KEYS: Final[dict[str, type]] = {"ca": str, "token_file": str, "trust": list}
_NAME_KEYS: Final[dict[str, type]] = {"trust": list}
_SHAPES: Final = {str: "text", list: "a list of text", int: "a whole number", dict: "a table"}


class ConfigFile(NamedTuple):
    """The contents of one file.

    Attributes:
        path: The file.
        values: Settings by key, without tables; numbers as text.
        servers: Settings of single servers, by URL.
        names: Settings of names, by pattern, in the order of the file.
    """

    path: Path
    values: dict[str, Value]
    servers: dict[str, dict[str, Value]]
    names: dict[str, dict[str, Value]]


def read_config_file(path: Path, *, required: bool) -> ConfigFile | None:
    """Reads a file; returns None if it is missing and not `required`.

    Raises:
        UsageError: It is required but missing, not valid TOML, or has invalid settings.
        DeniedError, CasyncError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not required:
            return None
        raise UsageError(f"the configuration {path} does not exist") from error
    except PermissionError as error:
        raise DeniedError(
            f"cannot read the configuration {path}: permission denied",
            next_step="Set HOME to a folder of yours, or name another file with --config.",
        ) from error
    except OSError as error:
        raise CasyncError(f"cannot read the configuration {path}: {error.strerror}") from error
    try:
        if len(data) > _MAX_BYTES:
            raise UsageError(f"the configuration {path} is too large")
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # invalid UTF-8 or TOML, oversized numbers
        raise UsageError(f"the configuration {path} is not valid TOML: {error}") from error
    values = _checked(document, _KEYS, path, "")
    servers = _tables(values.pop("server", {}), "server", _SERVER_KEYS, path)
    names = _tables(values.pop("name", {}), "name", _NAME_KEYS, path)
    return ConfigFile(path, values, servers, names)


def _tables(
    tables: dict[str, Any], kind: str, keys: dict[str, type], path: Path
) -> dict[str, dict[str, Value]]:
    """The tables below one key, with checked settings."""
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(
                f'{path}: write [{kind}."{key}"] and its settings below it',
                next_step="See the section Configuration of docs/CLI.md.",
            )
    return {
        key: _checked(table, keys, path, f' of {kind} "{key}"') for key, table in tables.items()
    }


def _checked(
    table: dict[str, Any], keys: dict[str, type], path: Path, where: str
) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for key, value in table.items():
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            raise UsageError(
                f"{path}: unknown key {key}{where}",
                next_step=f"Did you mean {near[0]}?"
                if near
                else f"Known keys are {', '.join(keys)}.",
            )
        wanted = keys[key]
        texts = value if wanted is list and isinstance(value, list) else ()
        if type(value) is not wanted or any(not isinstance(text, str) for text in texts):
            raise UsageError(f"{path}: {key}{where} must be {_SHAPES[wanted]}")
        text = str(value)
        if key in _PATHS and not (key == "store" and "://" in text):
            if not text:
                raise UsageError(f"{path}: {key}{where} needs a path")
            try:
                text = str(path.parent / Path(text).expanduser())
            except RuntimeError as error:
                raise UsageError(f"{path}: {key}{where}: no such home folder: {text}") from error
        checked[key] = text if wanted in (str, int) else value
    return checked
