"""The rows of the database `trash` (docs/FORMAT.md section 5.3).

Removed rows move from their own database to this one, so listing, resolving and serving need not
check for a trash.
"""

from __future__ import annotations

from typing import Final, TypeVar

import lmdb
import msgspec
from blake3 import blake3

from casync.errors import DamagedStoreError
from casync.ids import Buffer, ManifestId
from casync.names.name import NameRecord
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.lmdb_errors import REBUILD
from casync.store.lmdb.rows import decode_number, number_key

__all__ = [
    "LAST_REMOVED",
    "REMOVED_MANIFESTS",
    "REMOVED_VERSIONS",
    "RemovedManifest",
    "RemovedVersion",
    "decode_removed_manifest",
    "decode_removed_version",
    "encode_removed",
    "last_key",
    "last_removed",
    "removed_key",
    "removed_version_key",
    "removed_versions_prefix",
]

REMOVED_MANIFESTS: Final = b"m"
REMOVED_VERSIONS: Final = b"v"
LAST_REMOVED: Final = b"l"

_T = TypeVar("_T", bound="RemovedManifest | RemovedVersion")


class RemovedManifest(msgspec.Struct, frozen=True):
    """A full manifest in the trash.

    Attributes:
        length: Plain bytes of its content.
        created: When it was added to the store, in seconds since 1970.
        removed: When it was removed, in seconds since 1970.
        generation: The store's generation at its removal.
    """

    length: int
    created: int
    removed: int
    generation: int


class RemovedVersion(msgspec.Struct, frozen=True):
    """A version of a name in the trash; `removed` and `generation` as of a manifest."""

    record: NameRecord
    removed: int
    generation: int


def removed_key(ident: ManifestId) -> bytes:
    """The key of a removed manifest."""
    return REMOVED_MANIFESTS + ident


def removed_versions_prefix(name: str) -> bytes:
    """The prefix of the keys of all removed versions of a name."""
    return REMOVED_VERSIONS + blake3(name.encode()).digest()


def removed_version_key(name: str, version: int) -> bytes:
    """The key of a removed version."""
    return removed_versions_prefix(name) + number_key(version)


def last_key(name: str) -> bytes:
    """The key of the highest number of a removed version of a name."""
    return LAST_REMOVED + blake3(name.encode()).digest()


def last_removed(txn: Txn, trash: lmdb._Database, name: str) -> int:
    """The highest number of a removed version of a name, or 0."""
    value = txn.get(last_key(name), db=trash)
    return decode_number(value) if value is not None else 0


def encode_removed(row: RemovedManifest | RemovedVersion) -> bytes:
    """A value of `trash`."""
    return msgspec.msgpack.encode(row)


def decode_removed_manifest(value: Buffer) -> RemovedManifest:
    """Reads a removed manifest; DamagedStoreError if it is not one."""
    return _decode(value, RemovedManifest)


def decode_removed_version(value: Buffer) -> RemovedVersion:
    """Reads a removed version; DamagedStoreError if it is not one."""
    return _decode(value, RemovedVersion)


def _decode(value: Buffer, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedStoreError(
            f"the store has a damaged trash row: {error}", next_step=REBUILD
        ) from error
