"""One commit into a store in memory: everything is checked before anything is changed."""

from __future__ import annotations

from itertools import chain

from casync.errors import NoObjectError
from casync.ids import Kind, ManifestId
from casync.names.name import Name, NameRecord
from casync.objects.codec import Packed
from casync.store.base import Batch, Committed, ManifestRow, ManifestState
from casync.store.job_rules import check_update
from casync.store.memory.jobs import put_update
from casync.store.memory.tables import Key, Tables
from casync.store.names import check_relied, check_whole, updated

__all__ = ["commit"]


def commit(tables: Tables, batch: Batch, now: int) -> Committed:
    """Writes a batch: all of it or nothing.

    Args:
        tables: The store, whose lock is held.
        batch: What to write.
        now: Seconds since 1970.

    Raises:
        NoObjectError, IncompleteError, LostRaceError, UsageError: As `ObjectStore.commit`.
    """
    new = {(item.kind, item.id): Packed(*item) for item in batch.mended}
    objects = [*batch.objects, *chain.from_iterable(block.objects() for block in batch.records)]
    for item in objects:
        key = (item.kind, item.id)
        if key not in tables.objects:
            new.setdefault(key, Packed(*item))
    if batch.job is not None:
        check_update(tables.jobs.rows.get(batch.job.row.id), batch.job)
    check_relied(batch, tables.manifests.get)
    rows = _rows(tables, batch, new, now)
    records, added = _records(tables, batch, rows, now)

    # Nothing below can fail.
    tables.objects.update(new)
    tables.renew((item.kind, item.id) for item in [*objects, *batch.mended])
    tables.renew((Kind.MANIFEST, ident) for ident, _, _ in batch.manifests)
    tables.manifests.update(rows)
    for ident in rows:
        tables.removed_manifests.pop(ident, None)  # a manifest is here or in the trash, never both
    for record in added:
        tables.names.setdefault(Name(record.name), []).append(record)
    for path in batch.forget:
        tables.remembered.pop(path, None)
    for file in batch.remember:
        tables.remembered.pop(file.path, None)
        tables.remembered[file.path] = file
    put_update(tables.jobs, batch.job, batch.origins)
    tables.member_indexes.update(batch.member_indexes)
    return Committed(len(new), sum(len(item.payload) for item in new.values()), records)


def _rows(
    tables: Tables, batch: Batch, new: dict[Key, Packed], now: int
) -> dict[ManifestId, ManifestRow]:
    rows: dict[ManifestId, ManifestRow] = {}
    for ident, state, length in batch.manifests:
        key = (Kind.MANIFEST, ident)
        if key not in new and key not in tables.objects:
            raise NoObjectError(f"manifest {ident.hex()} is not here")
        present = rows.get(ident) or tables.manifests.get(ident)
        if present is None or (
            present.state is ManifestState.OUTLINE and state is ManifestState.FULL
        ):
            rows[ident] = ManifestRow(ident, state, length, now)
    return rows


def _records(
    tables: Tables, batch: Batch, rows: dict[ManifestId, ManifestRow], now: int
) -> tuple[list[NameRecord], list[NameRecord]]:
    """The version for each name of the batch, and the new versions among them."""
    newest: dict[Name, NameRecord] = {}
    records: list[NameRecord] = []
    added: list[NameRecord] = []
    for update in batch.names:
        row = rows.get(update.manifest) or tables.manifests.get(update.manifest)
        check_whole(update.manifest, row)
        history = tables.names.get(update.name, [])
        present = newest.get(update.name) or (history[-1] if history else None)
        following = None
        if update.expected is not None:
            above = (record for record in history if record.version > (update.expected or 0))
            following = next(above, None)
        last = tables.highest_removed.get(update.name, 0)
        record = updated(update, present, following, now, last=last)
        records.append(record)
        if present is None or record.version > present.version:
            newest[update.name] = record
            added.append(record)
    return records, added
