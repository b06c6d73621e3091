"""Reads a profile of the AWS command line: its credentials, region and endpoint."""

from __future__ import annotations

import configparser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from casync.errors import UsageError

__all__ = ["read_profile"]

_KEYS: Final = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
"""The keys of a profile, and their names in obstore."""


def read_profile(files: Sequence[Path], name: str) -> dict[str, str]:
    """The settings of a profile; empty if no file has it.

    Args:
        files: The files, of which a later one wins.
        name: The profile.

    Raises:
        UsageError: A file cannot be read or is malformed.
    """
    parser = configparser.RawConfigParser()
    for file in files:
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"cannot read the profiles in {file}: {reason}") from error
    found: dict[str, str] = {}
    for section in (f"profile {name}", name):
        if parser.has_section(section):
            items = parser.items(section)
            found |= {_KEYS[key]: value for key, value in items if key in _KEYS and value}
    return found
