"""The rules of removing and restoring, for every store with a trash.

Removing the last version that points to a manifest removes the manifest, too. A manifest that has a
name cannot be removed. Entries of the trash keep their content until a collection after their
retention time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from casync.errors import NoNameError, UsageError
from casync.ids import ManifestId
from casync.names.name import NameRecord, Ref
from casync.store.base import ManifestRow, ManifestState, Removal, Removed

__all__ = ["check_full", "is_over", "latest_last", "plan_removal", "plan_restoration"]

_ROUNDS: Final = 2
"""Collections that entries of the trash outlive, however far the clock jumps."""


def plan_removal(
    refs: Sequence[Ref],
    log: Iterable[NameRecord],
    row: Callable[[ManifestId], ManifestRow | None],
) -> Removal:
    """Plans the removal of `refs`.

    Args:
        refs: Names with or without a version, and full hashes.
        log: All versions of all names.
        row: Looks up a manifest.

    Raises:
        NoNameError: One of `refs` is not here.
        UsageError: A manifest among `refs` still has a name.
    """
    records = list(log)
    versions: dict[str, list[NameRecord]] = {}
    for record in records:
        versions.setdefault(record.name, []).append(record)
    chosen: dict[tuple[str, int], NameRecord] = {}
    manifests: set[ManifestId] = set()
    for ref in refs:
        if ref.manifest is not None:
            check_full(ref.manifest, row(ref.manifest))
            manifests.add(ref.manifest)
            continue
        found = [r for r in versions.get(ref.name or "", ()) if ref.version in (0, r.version)]
        if not found:
            raise NoNameError(f"no name {ref} here", next_step="`casync ls` lists the names.")
        chosen.update({_by_version(record): record for record in found})
    staying = {r.manifest: r for r in records if _by_version(r) not in chosen}
    for ident in sorted(manifests):
        if ident in staying:
            label = f"{staying[ident].name}@{staying[ident].version}"
            raise UsageError(
                f"{ident.hex()} is named {label}", next_step=f"Remove that: casync rm {label}."
            )
    manifests |= {ManifestId(r.manifest) for r in chosen.values() if r.manifest not in staying}
    return _removal(chosen, manifests)


def plan_restoration(
    refs: Sequence[Ref],
    removed: Callable[[str], Iterable[NameRecord]],
    is_here: Callable[[ManifestId], bool],
    is_removed: Callable[[ManifestId], bool],
) -> Removal:
    """Plans the restoration of `refs`.

    Args:
        refs: Versions of names, names for all their versions in the trash, and full hashes.
        removed: Looks up the versions of a name in the trash.
        is_here: Whether a manifest is in the store.
        is_removed: Whether a manifest is in the trash.

    Raises:
        NoNameError: One of `refs` is not in the trash.
    """
    chosen: dict[tuple[str, int], NameRecord] = {}
    manifests: set[ManifestId] = set()
    for ref in refs:
        if ref.manifest is not None:
            manifests.add(ref.manifest)
            continue
        found = [r for r in removed(ref.name or "") if ref.version in (0, r.version)]
        if not found:
            raise _not_in_trash(str(ref))
        chosen.update({_by_version(record): record for record in found})
    needed = {ManifestId(record.manifest) for record in chosen.values()}
    manifests |= {ident for ident in needed if not is_here(ident)}
    for ident in manifests:
        if not is_removed(ident):
            raise _not_in_trash(ident.hex())
    return _removal(chosen, manifests)


def check_full(ident: ManifestId, row: ManifestRow | None) -> ManifestRow:
    """The row of a manifest that may be removed.

    Raises:
        NoNameError: It is not full.
    """
    if row is None or row.state is not ManifestState.FULL:
        raise NoNameError(f"no manifest {ident.hex()} here")
    return row


def latest_last(
    versions: Iterable[tuple[NameRecord, int]], manifests: Iterable[tuple[ManifestId, int]]
) -> list[Removed]:
    """What lies in the trash: versions, and manifests without any.

    Args:
        versions: Versions, and when each was removed.
        manifests: Manifests, likewise.
    """
    found = [Removed(ManifestId(record.manifest), record, at) for record, at in versions]
    named = {removed.manifest for removed in found}
    found += [Removed(ident, None, at) for ident, at in manifests if ident not in named]
    return sorted(found, key=lambda r: (r.removed, _by_version(r.record) if r.record else ("", 0)))


def is_over(removed: int, generation: int, *, now: int, today: int, window: float) -> bool:
    """Whether the retention time of an entry of the trash is over.

    Args:
        removed: Time of the removal, in seconds since 1970.
        generation: Generation of the store at that time.
        now: The time, in seconds since 1970.
        today: The generation of the store.
        window: Seconds of retention, which also lasts for _ROUNDS collections; 0 keeps nothing.
    """
    return not window or (now - removed >= window and today - generation >= _ROUNDS)


def _removal(versions: dict[tuple[str, int], NameRecord], manifests: set[ManifestId]) -> Removal:
    return Removal(sorted(versions.values(), key=_by_version), sorted(manifests))


def _by_version(record: NameRecord) -> tuple[str, int]:
    return record.name, record.version


def _not_in_trash(label: str) -> NoNameError:
    return NoNameError(
        f"{label} is not in the trash", next_step="`casync rm --list` lists the trash."
    )
