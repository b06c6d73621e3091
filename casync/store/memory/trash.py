"""Moves names and manifests of a store in memory into its trash and back."""

from __future__ import annotations

from collections.abc import Sequence

from casync.names.name import Name, Ref
from casync.store.base import Removal, Removed
from casync.store.memory.tables import RemovedRow, RemovedVersionRow, Tables
from casync.store.trash import latest_last, plan_removal, plan_restoration

__all__ = ["list_trash", "remove", "removal", "restore"]


def removal(tables: Tables, refs: Sequence[Ref]) -> Removal:
    """As `plan_removal`, of a store whose lock is held."""
    return plan_removal(refs, tables.log(), tables.manifests.get)


def remove(tables: Tables, refs: Sequence[Ref], now: int) -> Removal:
    """Moves the versions and manifests of `removal` into the trash; returns them."""
    planned = removal(tables, refs)
    for ident in planned.manifests:
        row = tables.manifests.pop(ident)
        tables.removed_manifests[ident] = RemovedRow(row, now, tables.generation)
    for record in planned.versions:
        name, number = Name(record.name), record.version
        gone = RemovedVersionRow(record, now, tables.generation)
        tables.removed_versions[name, number] = gone
        tables.names[name].remove(record)
        if not tables.names[name]:
            del tables.names[name]
        tables.highest_removed[name] = max(tables.highest_removed.get(name, 0), number)
    return planned


def restore(tables: Tables, refs: Sequence[Ref]) -> Removal:
    """Takes the versions and manifests of `plan_restoration` out of the trash; returns them."""
    planned = plan_restoration(
        refs,
        lambda name: [g.record for g in tables.removed_versions.values() if g.record.name == name],
        tables.manifests.__contains__,
        tables.removed_manifests.__contains__,
    )
    for ident in planned.manifests:
        tables.manifests[ident] = tables.removed_manifests.pop(ident).row
    for record in planned.versions:
        del tables.removed_versions[record.name, record.version]
        records = tables.names.setdefault(Name(record.name), [])
        records.append(record)
        records.sort(key=lambda record: record.version)
    return planned


def list_trash(tables: Tables) -> list[Removed]:
    """The entries of the trash, the latest removal last."""
    return latest_last(
        [(gone.record, gone.removed) for gone in tables.removed_versions.values()],
        [(ident, gone.removed) for ident, gone in tables.removed_manifests.items()],
    )
