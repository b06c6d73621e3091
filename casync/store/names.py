"""The rules of names and refs, for every store: how refs resolve, and how names are updated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from casync.errors import (
    IncompleteError,
    IntegrityError,
    LostRaceError,
    NoNameError,
    NoObjectError,
    UsageError,
)
from casync.ids import ID_BYTES, Kind, ManifestId
from casync.names.name import Name, NameRecord, Ref
from casync.names.name_claim import decode_signed
from casync.names.name_update import NameUpdate
from casync.store.base import Batch, ManifestRow, ManifestState

__all__ = [
    "RefIndex",
    "check_relied",
    "check_whole",
    "next_number",
    "resolve",
    "updated",
]


class RefIndex(Protocol):
    """The look-ups that resolve a ref."""

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """The row of one manifest, full or outline."""
        ...

    def full_from(self, first: ManifestId) -> Iterator[ManifestRow]:
        """The full manifests whose ids are `first` or above, ordered by id."""
        ...

    def version(self, name: Name, number: int) -> NameRecord | None:
        """One version of a name; number 0 is the newest."""
        ...


def resolve(ref: Ref, index: RefIndex) -> ManifestId:
    """The full manifest that `ref` points to. Ignores the path inside it.

    Raises:
        NoNameError: There is none.
        UsageError: Several manifests have the prefix, or `ref` is empty.
    """
    if ref.manifest is not None:
        row = index.manifest(ref.manifest)
        if row is None or row.state is not ManifestState.FULL:
            raise NoNameError(f"no manifest {ref.manifest.hex()} here")
        return ref.manifest
    if ref.prefix is not None:
        return _by_prefix(ref.prefix, index)
    if ref.name is None:
        raise UsageError("a ref without hash, prefix or name")
    record = index.version(ref.name, ref.version)
    if record is None:
        label = ref.name if not ref.version else f"{ref.name}@{ref.version}"
        raise NoNameError(f"no name {label} here", next_step="`casync ls` lists the names.")
    return ManifestId(record.manifest)


def _by_prefix(prefix: str, index: RefIndex) -> ManifestId:
    first = ManifestId(bytes.fromhex(prefix.ljust(2 * ID_BYTES, "0")))
    found: list[ManifestId] = []
    for row in index.full_from(first):
        if not row.id.hex().startswith(prefix) or len(found) == 2:
            break
        found.append(row.id)
    if not found:
        raise NoNameError(
            f"no manifest here begins with {prefix}", next_step="`casync ls` lists the manifests."
        )
    if len(found) > 1:
        raise UsageError(f"several manifests begin with {prefix}", next_step="Type more digits.")
    return found[0]


def updated(
    update: NameUpdate,
    newest: NameRecord | None,
    following: NameRecord | None,
    now: int,
    *,
    last: int = 0,
) -> NameRecord:
    """The version of a name after an update.

    It is a new one, unless the newest equals the update already. A client may repeat an update
    whose answer was lost, even after others updated the name: it gets the version that it created.

    Args:
        update: The update.
        newest: The newest version.
        following: The oldest version above `update.expected`, if a version is expected.
        now: Seconds since 1970.
        last: The highest number of a removed version of the name. Numbers are never reused.

    Raises:
        LostRaceError: The newest version is not the expected one, or the claim is about a version
            that is not the next one.
        UsageError: The claim is about another name or manifest, or is malformed.
    """
    version = newest.version if newest is not None else 0
    if update.expected not in (None, version):
        if following is not None and version > update.expected and _says(following, update):
            return following
        raise LostRaceError(
            f"name {update.name} is at version {version}, not at {update.expected}",
            next_step=f"`casync name log {update.name}` shows what it points to now.",
        )
    if newest is not None and _says(newest, update):
        return newest
    number = next_number(newest, last)
    record = NameRecord(update.name, number, update.manifest, now, update.signed)
    if update.signed:
        _check_claim(record)
    return record


def _says(record: NameRecord, update: NameUpdate) -> bool:
    """Whether a version equals an update. Signing the same manifest makes a new version."""
    return record.manifest == update.manifest and update.signed in (b"", record.signed)


def next_number(newest: NameRecord | None, last: int) -> int:
    """The number of the next version; the arguments are those of `updated`."""
    return max(newest.version if newest is not None else 0, last) + 1


def _check_claim(record: NameRecord) -> None:
    try:
        _, claim = decode_signed(record.signed)
    except IntegrityError as error:
        raise UsageError(error.message) from error
    if claim.name != record.name or claim.manifest != record.manifest:
        raise UsageError(
            f"the signed claim is not about {record.name} and manifest {record.manifest.hex()}"
        )
    if claim.version != record.version:
        raise LostRaceError(
            f"version {claim.version} of {record.name} was signed; the next is {record.version}",
            next_step="Sign it again.",
        )


def check_whole(ident: ManifestId, row: ManifestRow | None) -> None:
    """Checks that a manifest is full, so that it may be named.

    Raises:
        IncompleteError: It is not full.
    """
    if row is None or row.state is not ManifestState.FULL:
        missing = [(Kind.MANIFEST, ident)] if row is None else []
        raise IncompleteError(f"manifest {ident.hex()} is incomplete here", missing=missing)


def check_relied(batch: Batch, row: Callable[[ManifestId], ManifestRow | None]) -> None:
    """Checks that the manifests which a batch relies on were not removed meanwhile.

    Args:
        batch: The batch.
        row: Returns the row of a manifest.

    Raises:
        NoObjectError: One of them is not here, or not full.
    """
    for ident in (*batch.outlines, *batch.relies):
        found = row(ident)
        is_enough = ident not in batch.relies or (found and found.state is ManifestState.FULL)
        if found is None or not is_enough:
            raise NoObjectError(
                f"manifest {ident.hex()} was removed meanwhile", next_step="Run the command again."
            )
