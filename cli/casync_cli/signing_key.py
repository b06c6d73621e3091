"""Private keys that stand on the command line as files, and names that are set with them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from casync.errors import CasyncError, UsageError

if TYPE_CHECKING:
    from casync.ids import ManifestId
    from casync.name import Name, NameRecord
    from casync.remote.writing import WritingClient
    from casync.signing import SigningKey
    from casync.store.lmdb import LmdbStore

__all__ = ["read_key", "set_signed"]

_MAX_BYTES = 64 * 1024


def read_key(file: str) -> SigningKey:
    """The private key in a file.

    Raises:
        CasyncError: The file cannot be read.
        UsageError: It holds no key that can sign.
    """
    from casync.signing import SigningKey

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


def set_signed(
    key: SigningKey,
    name: Name,
    manifest: ManifestId,
    place: LmdbStore | WritingClient,
    *,
    seconds: float = 0.0,
    expected: int | None = None,
    renew: bool = False,
) -> NameRecord:
    """Points a name to a manifest, with the word of the key's owner.

    Args:
        key: The key.
        name: The name.
        manifest: The manifest.
        place: Where the name is.
        seconds: How long the signature holds; 0 is for ever.
        expected: The version that must be the newest; None for the one that is.
        renew: Sign again what the key's owner has said already.

    Raises:
        LostRaceError: Somebody else was faster.
        CasyncError: As `WritableStore.set_name`.
    """
    from casync.ops.trust import says, sign_next

    _, newest = place.upcoming(name)
    if not renew and newest is not None and says(newest, manifest, key.public):
        return newest
    now = time.time()
    expires = now + seconds if seconds else 0.0
    signed, before = sign_next(key, name, manifest, place, now=now, expires=expires)
    return place.set_name(name, manifest, before if expected is None else expected, signed)
