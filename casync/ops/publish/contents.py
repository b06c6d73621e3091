"""What a site has: its marker, its names, its maps."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final, TypeVar

import msgspec

from casync.bucket.keys import (
    MAPS,
    MARKER_KEY,
    NAMES,
    SEGMENTS,
    UNNAMED_KEY,
    SessionPart,
    map_key,
    map_of,
    name_key,
    part_of,
)
from casync.bucket.marker import MARKER_FORMAT, PrefixMarker, decode_marker, encode_marker
from casync.bucket.storage import ObjectStorage
from casync.errors import (
    CasyncError,
    IntegrityError,
    MalformedError,
    NotFoundError,
    RemoteProtocolError,
    UsageError,
)
from casync.ids import ManifestId, manifest_id
from casync.names.name import Name, NameRecord
from casync.ops.publish.place_table import SegmentPlace
from casync.remote.site.open_map import OpenMap
from casync.wire.documents import decode_document, encode_document
from casync.wire.site import SiteName, Unnamed, site_name, site_versions

__all__ = ["SiteContents"]

_AT_ONCE: Final = 8
_Document = TypeVar("_Document", bound=msgspec.Struct)


class SiteContents:
    """Reads and writes the documents of a site. Used by one thread.

    Args:
        storage: Where it is.
        now: The time at which an empty place becomes a site, in seconds since 1970; None if it
            must be one.

    Attributes:
        storage: Where it is.
        store: The UUID of the site.

    Raises:
        NotFoundError: There is no site.
        UsageError: There is a store.
        CasyncError: There is something else, or the storage fails.
    """

    def __init__(self, storage: ObjectStorage, now: int | None = None) -> None:
        self.storage = storage
        self._maps: dict[ManifestId, OpenMap] = {}
        stored = storage.get(MARKER_KEY)
        if stored is None and now is None:
            raise NotFoundError(f"there is no static site in {storage.place}")
        if stored is None and now is not None:
            if next(storage.list(), None) is not None:
                raise CasyncError(
                    f"{storage.place} is not empty, and no static site",
                    next_step="Publish to an empty folder or prefix.",
                )
            fresh = encode_marker(PrefixMarker(MARKER_FORMAT, "site", secrets.token_hex(16), now))
            storage.create(MARKER_KEY, fresh)
            stored = storage.get(MARKER_KEY)  # another publisher may have made it
        with self._malformed(MARKER_KEY):
            marker = decode_marker(fresh if stored is None else stored.data)
        if marker.kind != "site":
            raise UsageError(
                f"{storage.place} is a store, not a static site",
                next_step="Publish to another prefix: readers of a site can read all of it.",
            )
        self.store = marker.id

    def names(self) -> dict[Name, list[NameRecord]]:
        """The versions of each name, the oldest first."""
        keys = [listed.key for listed in self.storage.list(NAMES)]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish") as pool:
            found = [versions for versions in pool.map(self._versions, keys) if versions]
        return {Name(versions[-1].name): versions for versions in found}

    def versions(self, name: Name) -> list[NameRecord]:
        """The versions of a name, the oldest first; none if it is not there."""
        return self._versions(name_key(name))

    def set_name(self, versions: list[NameRecord]) -> None:
        """Writes a name, with its versions, the oldest first."""
        key = name_key(Name(versions[-1].name))
        self.storage.put(key, encode_document(site_name(versions)))

    def map_sizes(self) -> dict[ManifestId, int]:
        """The manifests that have a map, and its bytes."""
        found = ((map_of(listed.key), listed.size) for listed in self.storage.list(MAPS))
        return {ident: size for ident, size in found if ident is not None}

    def put_map(self, ident: ManifestId, data: BinaryIO) -> None:
        """Writes the map of a manifest."""
        self.storage.put(map_key(ident), data)
        self._maps.pop(ident, None)

    def is_whole(self, ident: ManifestId, size: int, segments: Mapping[SessionPart, int]) -> bool:
        """Whether a map can be relied on: none of it is cut off, and no segment is missing.

        Args:
            ident: Its manifest.
            size: Its bytes.
            segments: The segments that are there, and their bytes.
        """
        with suppress(MalformedError), self._reading(ident) as found:
            return found.length == size and all(
                segments.get(row.part) == row.size for row in found.segments
            )
        return False

    def segment_sizes(self) -> dict[SessionPart, int]:
        """The segments that are there, whether needed or not, and their bytes."""
        found = ((part_of(listed.key), listed.size) for listed in self.storage.list(SEGMENTS))
        return {part: size for part, size in found if part is not None}

    def segments(self, ident: ManifestId) -> Iterator[SessionPart]:
        """The segments that a manifest needs.

        Raises:
            MalformedError: Its map is missing, or damaged.
        """
        with self._reading(ident) as found:
            yield from (row.part for row in found.segments)

    def archives(self, ident: ManifestId) -> Set[bytes]:
        """The ids of the archives of which the map of a manifest has the member indexes.

        Raises:
            MalformedError: Its map is missing, or damaged.
        """
        with self._reading(ident) as found:
            return found.indexes.keys()

    def chunks(
        self, ident: ManifestId, passed: set[bytes], segments: Mapping[SessionPart, int]
    ) -> Iterator[list[tuple[bytes, SegmentPlace]]]:
        """The chunks that a manifest leads to, in batches.

        Args:
            ident: The manifest.
            passed: Nodes whose chunks are passed over; grows by those of this manifest.
            segments: As of `is_whole`; chunks in others are left out.

        Raises:
            MalformedError: Its map is missing, or damaged.
        """
        with self._reading(ident) as found:
            for batch in found.listed(passed):
                yield [
                    (one, SegmentPlace(segment.part, place.offset, place.stored))
                    for one, (_, place, segment) in batch
                    if segments.get(segment.part) == segment.size
                ]

    @contextmanager
    def _reading(self, ident: ManifestId) -> Iterator[OpenMap]:
        key = map_key(ident)

        def read(start: int, end: int) -> bytes:
            found = self.storage.get_ranges(key, [(start, end)])
            if found is None:
                raise MalformedError("it is missing")
            return found[0]

        try:
            if ident not in self._maps:
                self._maps[ident] = OpenMap(read)
            if manifest_id(self._maps[ident].manifest) != ident:
                raise MalformedError("it is the map of another manifest")
            yield self._maps[ident]
        except IntegrityError as error:
            raise MalformedError(
                f"{self.storage.place}/{key}: {error.message}",
                next_step="Publish its name again.",
            ) from error

    def unnamed(self) -> dict[str, int] | None:
        """The keys that no name needed at the last sweep, and since when; None if that is lost."""
        found = None
        with suppress(MalformedError):  # damaged is lost
            found = self._document(UNNAMED_KEY, Unnamed)
        return None if found is None else found.keys

    def set_unnamed(self, keys: dict[str, int]) -> None:
        """Writes these keys."""
        self.storage.put(UNNAMED_KEY, encode_document(Unnamed(dict(sorted(keys.items())))))

    def _versions(self, key: str) -> list[NameRecord]:
        found = self._document(key, SiteName)
        if found is None:
            return []
        with self._malformed(key):
            versions = site_versions(found)
            if name_key(Name(versions[-1].name)) != key:
                raise MalformedError(f"it is the name {versions[-1].name}, which has another key")
        return versions

    def _document(self, key: str, kind: type[_Document]) -> _Document | None:
        stored = self.storage.get(key)
        if stored is None:
            return None
        with self._malformed(key):
            return decode_document(stored.data, kind)

    @contextmanager
    def _malformed(self, key: str) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, RemoteProtocolError) as error:
            raise MalformedError(
                f"{self.storage.place}/{key}: {error.message}",
                next_step="Publish to another folder or prefix."
                if key == MARKER_KEY
                else "Delete this object, and publish its name again.",
            ) from error
