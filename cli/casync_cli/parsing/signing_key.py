"""Private keys that stand on the command line as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from casync.errors import CasyncError, UsageError

if TYPE_CHECKING:
    from casync.access.naming import Signer
    from casync.names.signing import SigningKey

__all__ = ["read_key", "read_signer"]

_MAX_BYTES = 64 * 1024


def read_key(file: str) -> SigningKey:
    """The private key in a file.

    Raises:
        CasyncError: The file cannot be read.
        UsageError: It holds no key that can sign.
    """
    from casync.names.signing import SigningKey

    try:
        with Path(file).open("rb") as stream:
            pem = stream.read(_MAX_BYTES)
    except OSError as error:
        raise CasyncError(f"cannot read the key in {file}: {error.strerror}") from error
    try:
        return SigningKey.read(pem)
    except UsageError as error:
        raise UsageError(
            f"{file}: {error.message}", next_step="`casync key new` makes one."
        ) from error


def read_signer(file: str) -> Signer:
    """What signs names with the private key in a file. Raises as `read_key`."""
    from casync.ops.trust import signing

    return signing(read_key(file))
