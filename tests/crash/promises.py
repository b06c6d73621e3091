"""Checks the promises of a store and a target after any fault, through the library."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from casync.access.content_file import read_range
from casync.access.outline import open_outline
from casync.errors import CasyncError
from casync.ids import ManifestId
from casync.store.base import ManifestState
from casync.store.lmdb.store import LmdbStore

__all__ = ["Acknowledged", "broken_promises", "content_of", "store_violations"]


class Acknowledged(NamedTuple):
    """What commands had acknowledged before they were stopped.

    Attributes:
        manifests: Hashes that were printed.
        names: The newest version of each name that a finished command set.
    """

    manifests: Collection[str]
    names: Mapping[str, int] = {}


def content_of(store: LmdbStore, manifest: str) -> bytes:
    """The content of a manifest, every chunk verified.

    Raises:
        CasyncError: Objects are missing or damaged.
    """
    outline = open_outline(ManifestId(bytes.fromhex(manifest)), store)
    return b"".join(map(bytes, read_range(outline, store, 0, outline.content.length)))


def broken_promises(
    store: LmdbStore, known: Mapping[str, bytes], acknowledged: Acknowledged
) -> list[str]:
    """The promises that a store breaks.

    Args:
        store: It.
        known: Contents that may be in it, by manifest hash.
        acknowledged: What must be in it.
    """
    wrong: list[str] = []
    listed = {row.id.hex() for row in store.manifests()}
    wrong += [
        f"{hash_} was acknowledged and is gone"
        for hash_ in acknowledged.manifests
        if hash_ not in listed
    ]
    for hash_ in listed:
        if hash_ not in known:
            wrong.append(f"{hash_} is listed, but was never prepared")
            continue
        try:
            if content_of(store, hash_) != known[hash_]:
                wrong.append(f"{hash_} gives wrong bytes")
        except CasyncError as error:
            wrong.append(f"{hash_} is listed, but {error.message}")
    versions = {record.name: record for record in store.names()}
    for name, record in versions.items():
        row = store.manifest(ManifestId(record.manifest))
        if row is None or row.state is not ManifestState.FULL:
            wrong.append(f"name {name} points to a manifest that is not whole")
        if len(store.history(record.name)) != record.version:  # type: ignore[arg-type]
            wrong.append(f"name {name} lacks versions")
    for name, version in acknowledged.names.items():
        if name not in versions or versions[name].version < version:
            wrong.append(f"name {name} has lost version {version}")
    for file in store.remembered():
        row = store.manifest(ManifestId(file.manifest))
        if row is None:
            wrong.append("a remembered file points to a manifest that is not here")
    return wrong


def store_violations(
    path: Path, known: Mapping[str, bytes], acknowledged: Acknowledged
) -> list[str]:
    """As `broken_promises`, for the store in a folder; it may be missing if nothing is promised."""
    if not (path / "data.mdb").exists() and not acknowledged.manifests:
        return []
    try:
        with LmdbStore.open(path) as store:
            return broken_promises(store, known, acknowledged)
    except CasyncError as error:
        return [f"the store: {error.message}"]
