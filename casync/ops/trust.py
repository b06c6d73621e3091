"""Resolves names by the signature of their publisher, without trusting the server.

The rules are a subset of TUF, in this order: the signature is valid; the name, the version and the
manifest are the signed ones; the claim has not expired; and it is not older than the last one seen
(docs/FORMAT.md section 7.1).
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
    """The versions that were seen before, by the key that signed them."""

    def held(self) -> AbstractContextManager[None]:
        """Locks the memory against other processes within the block."""
        ...

    def last(self, key: bytes, name: str) -> SeenVersion | None:
        """The last version of a name that was seen with a key."""
        ...

    def note(self, key: bytes, seen: SeenVersion) -> None:
        """Remembers a version, durably."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys to trust.

    Attributes:
        keys: Public keys; a signature by any of them is enough.
        allow_rollback: Accept an older version than the last one seen.
        dry_run: Remember nothing.
    """

    keys: frozenset[bytes]
    allow_rollback: bool = False
    dry_run: bool = False


def trusted_ref(ref: Ref, source: ManifestSource, trust: Trust, memory: Memory, now: float) -> Ref:
    """The full hash that a ref stands for, with its path. A hash needs no signature.

    Args:
        ref: A hash, NAME, or NAME@N. NAME@N is accepted however old the version is.
        source: The server.
        trust: The keys to trust.
        memory: The versions seen before; it notes the accepted one.
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
        newest = next(source.names(name), None)  # longer names with this prefix come after it
        found = [newest] if newest is not None and newest.name == name else []
    if not found:
        label = name if not version else f"{name}@{version}"
        raise NoNameError(f"no name {label} there")
    return found[0]


def signer_of(record: NameRecord) -> bytes | None:
    """The key that signed a version, whether trusted or not; None if it is not signed.

    Raises:
        UntrustedError: The signature is invalid, or is about something else.
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
            "its signature has expired", next_step="Ask its publisher to sign it again."
        )


def _check_rollback(claim: Claim, last: SeenVersion | None, trust: Trust) -> None:
    if last is None or trust.allow_rollback:
        return
    step = "Ask its publisher, or accept it with --allow-rollback."
    if claim.version < last.version:
        raise UntrustedError(f"version {last.version} was seen before", next_step=step)
    if claim.version == last.version and claim.manifest.hex() != last.manifest:
        raise UntrustedError(
            f"version {last.version} was seen before with another manifest, {last.manifest}",
            next_step=step,
        )


def _says(record: NameRecord, manifest: ManifestId, key: bytes) -> bool:
    """Whether a version points to a manifest, signed with a key and without expiry."""
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
        key: The publisher's key.
        name: The name.
        manifest: The new target of the name.
        place: The store or server that has the name.
        now: Seconds since 1970.
        expires: Expiry of the signature, in seconds since 1970; 0 for never.

    Returns:
        The update with the signed claim. It expects the version that is the newest now.
    """
    version, newest = place.upcoming(name)
    previous = newest.manifest if newest is not None else b""
    claim = Claim(1, name, version, manifest, int(now), int(expires), previous)
    before = newest.version if newest is not None else 0
    return NameUpdate(name, manifest, before, key.sign(claim))


def signing(key: SigningKey, clock: Callable[[], float] = time.time) -> Signer:
    """A signer that signs names with a key when they are set.

    Args:
        key: The publisher's key.
        clock: Seconds since 1970.
    """

    def sign(place: Publisher, name: Name, manifest: ManifestId) -> NameUpdate:
        _, newest = place.upcoming(name)
        if newest is not None and _says(newest, manifest, key.public):
            return NameUpdate(name, manifest, newest.version)
        return sign_next(key, name, manifest, place, now=clock())

    return sign
