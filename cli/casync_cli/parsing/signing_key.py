"""Reads private keys from files on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from casync.errors import UsageError
from casync_cli.parsing.paths import parse_path

if TYPE_CHECKING:
    from casync.access.naming import Signer
    from casync.names.signing import SigningKey

__all__ = ["read_key", "read_signer"]

_MAX_BYTES = 64 * 1024


def read_key(file: str, warn: Callable[[list[str]], None]) -> SigningKey:
    """The private key in a file.

    Args:
        file: The file.
        warn: Is told if other users may read it.

    Raises:
        CasyncError: The file cannot be read.
        UsageError: The path is empty, or it is not a private key for signing.
    """
    from casync.fs.os_errors import read_error
    from casync.fs.secret import exposure
    from casync.names.signing import SigningKey

    path = parse_path(file, "--sign")
    if warning := exposure(path):
        warn([warning])
    try:
        with path.open("rb") as stream:
            pem = stream.read(_MAX_BYTES)
    except OSError as error:
        raise read_error(error, f"the key in {file}") from error
    try:
        return SigningKey.read(pem)
    except UsageError as error:
        raise UsageError(
            f"{file} {error.message}", next_step="`casync key new` makes one."
        ) from error


def read_signer(file: str, warn: Callable[[list[str]], None]) -> Signer:
    """A signer of names with the private key in a file. Raises as `read_key`."""
    from casync.ops.trust import signing

    return signing(read_key(file, warn))
