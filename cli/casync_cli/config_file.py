"""Configuration files in TOML: what may stand in them, and where they lie.

Paths in a file are relative to its folder. A key that nobody knows is an error: a typing error in
a file that is silently left out would turn a safeguard off. Must not know what the values do.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from casync.errors import CasyncError, UsageError

__all__ = ["SITE_FILE", "ConfigFile", "Value", "read_config_file"]

Value: TypeAlias = "str | list[str]"

SITE_FILE: Final = Path("/etc/casync/config.toml")
"""What holds for everybody on this machine."""

_MAX_BYTES: Final = 1024 * 1024

_PATHS: Final = frozenset({"store", "ca", "token_file"})
_KEYS: Final[dict[str, type]] = {
    "store": str,
    "servers": list,
    "ca": str,
    "proxy": str,
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
    """What one file says.

    Attributes:
        path: The file.
        values: Its settings by key, but for tables; numbers as they would be typed.
        servers: The settings of single servers by their URLs.
        names: The settings of names by the patterns that they fit, in the order of the file.
    """

    path: Path
    values: dict[str, Value]
    servers: dict[str, dict[str, Value]]
    names: dict[str, dict[str, Value]]


def read_config_file(path: Path, *, required: bool) -> ConfigFile | None:
    """Reads a file; None where there is none, unless it is `required`.

    Raises:
        UsageError: It is required and not there, no TOML, or says what nobody understands.
        CasyncError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not required:
            return None
        raise UsageError(f"there is no configuration {path}") from error
    except OSError as error:
        raise CasyncError(f"cannot read the configuration {path}: {error.strerror}") from error
    try:
        if len(data) > _MAX_BYTES:
            raise UsageError(f"the configuration {path} is too large")
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # of UTF-8, TOML, numbers without end
        raise UsageError(f"the configuration {path} is no TOML: {error}") from error
    values = _checked(document, _KEYS, path, "")
    servers = _tables(values.pop("server", {}), "server", _SERVER_KEYS, path)
    names = _tables(values.pop("name", {}), "name", _NAME_KEYS, path)
    return ConfigFile(path, values, servers, names)


def _tables(
    tables: dict[str, Any], kind: str, keys: dict[str, type], path: Path
) -> dict[str, dict[str, Value]]:
    """The tables below one key, each with settings of its own."""
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
                f"{path}: nobody knows the key {key}{where}",
                next_step=f"Did you mean {near[0]}?" if near else f"Known are {', '.join(keys)}.",
            )
        wanted = keys[key]
        texts = value if wanted is list and isinstance(value, list) else ()
        if type(value) is not wanted or any(not isinstance(text, str) for text in texts):
            raise UsageError(f"{path}: {key}{where} must be {_SHAPES[wanted]}")
        text = str(value)
        if key in _PATHS:
            try:
                text = str(path.parent / Path(text).expanduser())
            except RuntimeError as error:
                raise UsageError(f"{path}: {key}{where}: nobody has the home of {text}") from error
        checked[key] = text if wanted in (str, int) else value
    return checked
