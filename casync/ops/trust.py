"""Trust: which manifest a name stands for, by the word of its publisher and not of the server.

The rules are those of TUF, shortened: the signature first and nothing before it; the name, the
version and the manifest are those that were signed; it has not expired; and it is not older than
what was seen before (docs/FORMAT.md section 7.1).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from casync.access.naming import Publisher, Signer
from casync.errors import IntegrityError, NoNameError, UnsupportedError, UntrustedError
from casync.fs.seen_versions import SeenVersion
from casync.ids import ManifestId
from casync.names.name import Name, NameRecord, Ref
from casync.names.name_claim import Claim, decode_signed
from casync.names.name_update import NameUpdate
from casync.names.signing import SigningKey, check_signed
from casync.store.base import ManifestSource

__all__ = ["Memory", "Trust", "sign_next", "signer_of", "signing", "trusted_ref"]


class Memory(Protocol):
    """What was seen before, by the key that signed it."""

    def held(self) -> AbstractContextManager[None]:
        """Keeps others out meanwhile."""
        ...

    def last(self, key: bytes, name: str) -> SeenVersion | None:
        """What was seen last."""
        ...

    def note(self, key: bytes, seen: SeenVersion) -> None:
        """Remembers a version, durably."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust.

    Attributes:
        keys: Public keys; each is enough.
        allow_rollback: Believe an older version than was seen before.
        dry_run: Remember nothing.
    """

    keys: frozenset[bytes]
    allow_rollback: bool = False
    dry_run: bool = False


def trusted_ref(ref: Ref, source: ManifestSource, trust: Trust, memory: Memory, now: float) -> Ref:
    """The full hash that a ref stands for, with its path. A hash needs nobody's word.

    Args:
        ref: A hash, NAME, or NAME@N: somebody who asks for one version wants it however old.
        source: The server.
        trust: Whom to trust.
        memory: What was seen before; it takes note of what is believed now.
        now: Seconds since 1970.

    Raises:
        NoNameError: There is no such name or version.
        UntrustedError: It is not signed by a trusted key, or a rule is broken.
        RemoteError: The server failed.
    """
    if ref.name is None:
        return ref
    record = _record(ref.name, ref.version, source)
    try:
        key, claim = check_signed(record.signed, trust.keys)
        _check_claim(claim, record)
        if not ref.version:
            _check_age(claim, now)
            with memory.held():
                _check_rollback(claim, memory.last(key, claim.name), trust)
                if not trust.dry_run:
                    memory.note(key, SeenVersion(claim.name, claim.version, claim.manifest.hex()))
    except UntrustedError as error:
        label = f"{record.name}@{record.version}"
        raise UntrustedError(
            f"{label} cannot be trusted: {error.message}", next_step=error.next_step
        ) from error
    return Ref(manifest=ManifestId(claim.manifest), path=ref.path)


def _record(name: Name, version: int, source: ManifestSource) -> NameRecord:
    if version:
        found = [record for record in source.history(name) if record.version == version]
    else:
        newest = next(source.names(name), None)  # names that begin so come after it
        found = [newest] if newest is not None and newest.name == name else []
    if not found:
        label = name if not version else f"{name}@{version}"
        raise NoNameError(f"no name {label} there")
    return found[0]


def signer_of(record: NameRecord) -> bytes | None:
    """The key that signed a version; None if nobody did. Says nothing about whom to trust.

    Raises:
        UntrustedError: It carries a signature that is not good, or of something else.
    """
    if not record.signed:
        return None
    try:
        signed, _ = decode_signed(record.signed)
    except (IntegrityError, UnsupportedError) as error:
        raise UntrustedError(f"its signature cannot be read: {error.message}") from error
    key, claim = check_signed(record.signed, [signed.key])
    _check_claim(claim, record)
    return key


def _check_claim(claim: Claim, record: NameRecord) -> None:
    signed = (claim.name, claim.version, claim.manifest)
    if signed != (record.name, record.version, record.manifest):
        raise UntrustedError(f"what is signed is {claim.name}@{claim.version}, another version")


def _check_age(claim: Claim, now: float) -> None:
    if claim.expires and now >= claim.expires:
        raise UntrustedError(
            "its signature has expired", next_step="Its publisher has to sign it again."
        )


def _check_rollback(claim: Claim, last: SeenVersion | None, trust: Trust) -> None:
    if last is None or trust.allow_rollback:
        return
    step = "Ask its publisher; --allow-rollback believes it all the same."
    if claim.version < last.version:
        raise UntrustedError(f"version {last.version} was seen before", next_step=step)
    if claim.version == last.version and claim.manifest.hex() != last.manifest:
        raise UntrustedError(
            f"as version {last.version} another manifest was seen, {last.manifest}", next_step=step
        )


def _says(record: NameRecord, manifest: ManifestId, key: bytes) -> bool:
    """Whether a version points to a manifest by the word of a key, and for ever."""
    try:
        signer, claim = check_signed(record.signed, [key])
    except UntrustedError:
        return False
    return signer == key and claim.manifest == manifest == record.manifest and not claim.expires


def sign_next(
    key: SigningKey,
    name: Name,
    manifest: ManifestId,
    place: Publisher,
    *,
    now: float,
    expires: float = 0.0,
) -> NameUpdate:
    """Signs that a name points to a manifest, as its next version.

    Args:
        key: Whose word it is.
        name: The name.
        manifest: What it shall point to.
        place: Where the name will be set.
        now: Seconds since 1970.
        expires: When the signature shall expire, likewise; 0 for never.

    Returns:
        The update with the signed claim. It expects the version that is the newest now.
    """
    version, newest = place.upcoming(name)
    previous = newest.manifest if newest is not None else b""
    claim = Claim(1, name, version, manifest, int(now), int(expires), previous)
    before = newest.version if newest is not None else 0
    return NameUpdate(name, manifest, before, key.sign(claim))


def signing(key: SigningKey, clock: Callable[[], float] = time.time) -> Signer:
    """What signs names with a key in the step that sets them.

    Args:
        key: Whose word it is.
        clock: Seconds since 1970.
    """

    def sign(place: Publisher, name: Name, manifest: ManifestId) -> NameUpdate:
        _, newest = place.upcoming(name)
        if newest is not None and _says(newest, manifest, key.public):
            return NameUpdate(name, manifest, newest.version)
        return sign_next(key, name, manifest, place, now=clock())

    return sign
