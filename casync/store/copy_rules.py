"""The rules of copying a store into one that has something already: nothing there is changed.

A copy adds versions of names whose numbers the target has never had. What the target has removed
stays removed, and what only the target has stays. Two stores in which one version of a name stands
for different contents are not copied into each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from casync.errors import UsageError
from casync.names.name import Name, NameRecord
from casync.store.copyable import NameVersions, RowsPart

__all__ = ["lacking", "parts"]

_MOST_SHOWN: Final = 3
_PART_ROWS: Final = 5000
"""Names, and versions of them, that one transaction adds: some megabytes."""


def lacking(source: RowsPart, target: RowsPart) -> RowsPart:
    """The rows of `source` to add to a target.

    Args:
        source: Rows with all manifests that they point to.
        target: What the target has of them.

    Raises:
        UsageError: A version of a name has another content there.
    """
    _check_same(source, target)
    names = {
        name: _added(known, target.names.get(name, NameVersions()))
        for name, known in source.names.items()
    }
    names = {name: known for name, known in names.items() if known != NameVersions()}
    here = {*target.manifests, *target.trash}
    live = {record.manifest for known in names.values() for record in known.versions}
    kept = {ident for known in names.values() for ident in known.manifests}
    named = {ident for known in source.names.values() for ident in known.manifests}
    nameless = {*source.manifests, *source.trash} - named
    wanted = live | ((kept | nameless) - here)
    return RowsPart(
        names,
        {
            ident: row
            for ident, row in source.manifests.items()
            if ident in wanted and ident not in target.manifests
        },
        {ident: row for ident, row in source.trash.items() if ident in wanted},
        {key: last for key, last in source.retired.items() if last > target.retired.get(key, 0)},
        {
            name: origin
            for name, origin in source.origins.items()
            if name in names and _newest(names[name], target.names.get(name)) == origin.manifest
        },
        {key: index for key, index in source.indexes.items() if key not in target.indexes},
    )


def parts(rows: RowsPart) -> Iterator[RowsPart]:
    """Rows in parts that fit in a transaction, each with the manifests that its names point to."""
    left = RowsPart({}, dict(rows.manifests), dict(rows.trash), {}, {}, {})
    part, size = RowsPart(), 0
    for name, known in rows.names.items():
        part.names[name] = known
        for ident in known.manifests:
            if (row := rows.manifests.get(ident)) is not None:
                part.manifests[ident] = row
                left.manifests.pop(ident, None)
            elif (gone := rows.trash.get(ident)) is not None:
                part.trash[ident] = gone
                left.trash.pop(ident, None)
        if (origin := rows.origins.get(Name(name))) is not None:
            part.origins[Name(name)] = origin
        size += 1 + len(known.versions) + len(known.removed)
        if size >= _PART_ROWS:
            yield part
            part, size = RowsPart(), 0
    yield part
    manifests, trash = iter(left.manifests.items()), iter(left.trash.items())
    retired, indexes = iter(rows.retired.items()), iter(rows.indexes.items())
    while True:
        part = RowsPart(
            {},
            dict(islice(manifests, _PART_ROWS)),
            dict(islice(trash, _PART_ROWS)),
            dict(islice(retired, _PART_ROWS)),
            {},
            dict(islice(indexes, _PART_ROWS)),
        )
        if part == RowsPart():
            return
        yield part


def _check_same(source: RowsPart, target: RowsPart) -> None:
    differ: list[str] = []
    for name, known in source.names.items():
        there = {each.version: each for each in target.names.get(name, NameVersions()).versions}
        differ += [
            f"{name}@{each.version}"
            for each in known.versions
            if each.version in there and not _equal(each, there[each.version])
        ]
    if differ:
        some = ", ".join(differ[:_MOST_SHOWN])
        more = f" and {len(differ) - _MOST_SHOWN} more" if len(differ) > _MOST_SHOWN else ""
        raise UsageError(
            f"the stores differ in what {some}{more} stand for"
            if len(differ) > 1
            else f"the stores differ in what {some} stands for",
            next_step="Copy to an empty place.",
        )


def _equal(one: NameRecord, other: NameRecord) -> bool:
    return (one.manifest, one.signed) == (other.manifest, other.signed)


def _added(source: NameVersions, target: NameVersions) -> NameVersions:
    """What the target lacks of a name."""
    known = {each.version for each in target.versions}
    known.update(each.record.version for each in target.removed if each.record)
    return NameVersions(
        tuple(
            each
            for each in source.versions
            if each.version not in known and each.version > target.last
        ),
        tuple(
            each
            for each in source.removed
            if each.record
            and each.record.version not in known
            and each.record.version > target.last
        ),
        source.last if source.last > target.last else 0,
    )


def _newest(added: NameVersions, target: NameVersions | None) -> bytes | None:
    """What the newest version points to afterwards, if it is one of those that are added."""
    there = target.versions[-1].version if target is not None and target.versions else 0
    newest = added.versions[-1] if added.versions else None
    return newest.manifest if newest is not None and newest.version > there else None
