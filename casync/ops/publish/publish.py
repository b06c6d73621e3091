"""Writes names, and all that they need, as files that a plain web server hands out.

New chunks go first, then maps, then names; so a reader never finds a name that leads nowhere. What
no name needs any more stays for the grace, because readers may be under way with an old map.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.bucket.keys import SessionPart, map_key, name_key, segment_key
from casync.bucket.storage import ObjectStorage
from casync.errors import LostRaceError, MalformedError, NoNameError, UsageError
from casync.ids import ManifestId
from casync.names.name import Name, NameRecord
from casync.ops.publish.contents import SiteContents
from casync.ops.publish.map_file import MapMaker
from casync.ops.publish.member_indexes import indexed_archives
from casync.ops.publish.place_table import PlaceTable
from casync.ops.publish.segments import SegmentWriter
from casync.store.base import ManifestSource
from casync.store.member_indexes import IndexLister
from casync.store.proved import unless_removed

__all__ = ["DEFAULT_GRACE", "PublishOptions", "Published", "publish", "unpublish"]

DEFAULT_GRACE: Final = 7 * 86400
"""Seconds for which a site keeps what no name needs any more."""


_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How to publish.

    Attributes:
        history: Newest versions of each name that the site has.
        grace: Seconds for which to keep what no name needs any more.
    """

    history: int = 1
    grace: int = DEFAULT_GRACE


class Published(NamedTuple):
    """What was published.

    Attributes:
        names: The newest version of each name.
        manifests: Manifests whose maps the site did not have, or not with all member indexes.
        chunks: Chunks that it did not have.
        stored: Bytes of their payloads.
        dropped: Names and old versions that are gone.
        waiting: Objects that no name needs, and that are removed later.
        removed: Objects that were removed now.
        broken: Other names whose map is missing or damaged, or names segments that are gone.
            Nothing is removed while there are any.
    """

    names: Sequence[NameRecord]
    manifests: int
    chunks: int
    stored: int
    dropped: int
    waiting: int
    removed: int
    broken: Sequence[Name]


def publish(
    names: Sequence[Name],
    source: ManifestSource,
    storage: ObjectStorage,
    options: PublishOptions,
    now: int,
    progress: Progress = SILENT,
) -> Published:
    """Publishes the newest versions of names.

    Args:
        names: The names.
        source: Has them.
        storage: Where the site is; empty, or a site.
        options: How to publish.
        now: The time, in seconds since 1970.
        progress: Advances by plain bytes.

    Raises:
        NoNameError: There is no such name.
        UsageError: The site has a later version of a name.
        LostRaceError: Another publisher changed a name meanwhile, or removed what this one sent,
            again and again.
        CasyncError: An object is missing or damaged, or the storage fails.
    """
    for _ in range(_TRIES - 1):  # what was lost meanwhile is not left behind
        with suppress(LostRaceError):
            return _publish(names, source, storage, options, now, progress)
    return _publish(names, source, storage, options, now, progress)


def _publish(
    names: Sequence[Name],
    source: ManifestSource,
    storage: ObjectStorage,
    options: PublishOptions,
    now: int,
    progress: Progress,
) -> Published:
    wanted = {name: _newest(name, source, options.history) for name in names}
    site = SiteContents(storage, now)
    before = site.names()
    for name, versions in wanted.items():
        if name in before and before[name][-1].version > versions[-1].version:
            raise UsageError(
                f"{storage.place} has {name}@{before[name][-1].version}; here, {name} is at "
                f"@{versions[-1].version}",
                next_step="Publish from the store that has the later version, or publish "
                "--remove the name first.",
            )
    after = before | wanted
    unnamed = site.unnamed()
    # A map that is removed soon may lose its segments before a name leads to it.
    doomed = {key for key, since in (unnamed or {}).items() if since + options.grace // 2 <= now}
    made = _make_maps(site, source, _manifests(before), _manifests(wanted), doomed, progress)
    for name, versions in wanted.items():
        if before.get(name) != versions:
            if site.versions(name) != before.get(name, []):
                raise LostRaceError(
                    f"another publisher changed {name} in {storage.place}",
                    next_step="Run the command again.",
                )
            site.set_name(versions)
    swept = _Swept(len(unnamed or {}), 0, [])
    is_due = any(since + options.grace <= now for since in (unnamed or {}).values())
    if unnamed is None or is_due or made.manifests or after != before:
        swept = _sweep(site, after, made, unnamed, options.grace, now)
    return Published(
        [versions[-1] for versions in wanted.values()],
        len(made.manifests),
        made.chunks,
        made.stored,
        _count_dropped(before, after),
        *swept,
    )


def unpublish(
    names: Sequence[Name], storage: ObjectStorage, options: PublishOptions, now: int
) -> Published:
    """Removes names from a site, at once, and what only they need, after the grace.

    Args:
        names: The names.
        storage: Where the site is.
        options: The grace.
        now: The time, in seconds since 1970.

    Raises:
        NoNameError: The site has no such name.
        CasyncError: The storage fails.
    """
    site = SiteContents(storage)
    before = site.names()
    for name in names:
        if name not in before:
            raise NoNameError(f"{name} is not in {storage.place}")
    after = {name: versions for name, versions in before.items() if name not in names}
    storage.delete([name_key(name) for name in names])
    swept = _sweep(site, after, _NOTHING, site.unnamed(), options.grace, now)
    return Published([], 0, 0, 0, _count_dropped(before, after), *swept)


class _Made(NamedTuple):
    manifests: list[ManifestId]
    segments: set[SessionPart]
    chunks: int
    stored: int


_NOTHING: Final = _Made([], set(), 0, 0)


class _Swept(NamedTuple):
    waiting: int
    removed: int
    broken: list[Name]


def _newest(name: Name, source: ManifestSource, count: int) -> list[NameRecord]:
    versions = source.history(name)[-count:]
    if not versions:
        raise NoNameError(f"no name {name} here", next_step="`casync ls` lists the names.")
    return versions


def _manifests(names: Mapping[Name, Sequence[NameRecord]]) -> set[ManifestId]:
    return {ManifestId(one.manifest) for versions in names.values() for one in versions}


def _count_dropped(
    before: Mapping[Name, Sequence[NameRecord]], after: Mapping[Name, Sequence[NameRecord]]
) -> int:
    return sum(
        len({one.version for one in versions} - {one.version for one in after.get(name, ())})
        for name, versions in before.items()
    )


def _make_maps(
    site: SiteContents,
    source: ManifestSource,
    named: set[ManifestId],
    wanted: set[ManifestId],
    doomed: set[str],
    progress: Progress,
) -> _Made:
    """Makes the maps that are missing, broken, doomed or lack an index; packs what they need."""
    there, sizes = site.map_sizes(), site.segment_sizes()
    usable = {
        ident
        for ident in wanted & there.keys()
        if (ident in named or map_key(ident) not in doomed)
        and site.is_whole(ident, there[ident], sizes)
        and not _lacks_index(site, source, ident)
    }
    lacking = sorted(wanted - usable)
    if not lacking:
        return _NOTHING
    total = sum(row.length for ident in lacking if (row := source.manifest(ident)))
    with (
        PlaceTable() as table,
        SegmentWriter(site.storage, site.store) as segments,
    ):
        passed: set[bytes] = set()
        for ident in sorted(named & there.keys()):
            with suppress(MalformedError):  # a part of its chunks is packed again
                for batch in site.chunks(ident, passed, sizes):
                    table.add(batch)
        progress.start("publishing", total)
        needed = set[SessionPart]()
        maker = MapMaker(source, table, segments, sizes, progress.advance)
        for ident in lacking:
            with tempfile.TemporaryFile() as out, unless_removed(ident, source):
                needed.update(maker.make(ident, out))
                site.put_map(ident, out)
    return _Made(lacking, needed, maker.chunks, maker.stored)


def _lacks_index(site: SiteContents, source: ManifestSource, ident: ManifestId) -> bool:
    """Whether an index was made of an archive after the map that should have it.

    Nothing is walked if the map has all indexes that the source has.
    """
    if not isinstance(source, IndexLister):
        return False
    rows = source.member_indexes()
    first = next(rows, None)
    if first is None:
        return False
    there = site.archives(ident)
    if all(archive in there for archive, _ in chain([first], rows)):
        return False
    return not indexed_archives(source, ident) <= there


def _sweep(
    site: SiteContents,
    names: Mapping[Name, Sequence[NameRecord]],
    made: _Made,
    known: dict[str, int] | None,
    grace: int,
    now: int,
) -> _Swept:
    """Removes what none of the names has needed for the grace, unless one of them is broken."""
    maps, sizes = site.map_sizes(), site.segment_sizes()
    if not (maps.keys() >= set(made.manifests) and sizes.keys() >= made.segments):
        raise LostRaceError(
            f"another publisher removed from {site.storage.place} what this one sent",
            next_step="Run the command again; give all publishers to one place the same --grace.",
        )
    needed = _manifests(names)
    others = needed.difference(made.manifests)
    broken = {one for one in others if not site.is_whole(one, maps.get(one, 0), sizes)}
    if broken:  # what else it needs is not known
        of_names = [
            name for name in names if not broken.isdisjoint(_manifests({name: names[name]}))
        ]
        return _Swept(len(known or {}), 0, of_names)
    segments = made.segments.union(*map(site.segments, others))
    idle = [map_key(ident) for ident in maps.keys() - needed]
    idle += [segment_key(part) for part in sizes.keys() - segments]
    unnamed = {key: min((known or {}).get(key, now), now) for key in idle}
    if any(since + grace <= now for since in unnamed.values()):
        for ident in _manifests(site.names()) - needed:  # named by another publisher meanwhile
            for key in (map_key(ident), *map(segment_key, site.segments(ident))):
                unnamed.pop(key, None)
    due = [key for key, since in unnamed.items() if since + grace <= now]
    site.storage.delete(due)  # maps before the segments that they need
    waiting = {key: since for key, since in unnamed.items() if since + grace > now}
    if waiting != known:
        site.set_unnamed(waiting)
    return _Swept(len(waiting), len(due), [])
