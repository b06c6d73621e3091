"""A static site as a server: names and maps are files, chunks are ranges of segments.

A manifest leads to its map, and the map to everything below it; so this learns from `expects` and
`resolve` which maps to look into. Answers are as a site's files say. The caller proves them, as for
any server; this only refuses what cannot be read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Self, TypeVar

from casync.bucket.keys import MARKER_KEY, map_key, name_key
from casync.bucket.marker import decode_marker
from casync.errors import (
    CasyncError,
    DeniedError,
    MalformedError,
    NoNameError,
    NoObjectError,
    RemoteProtocolError,
    UnsupportedError,
    UsageError,
)
from casync.ids import Kind, ManifestId, ObjectId, manifest_id
from casync.limits import MAX_BATCH_IDS
from casync.names.name import Name, NameRecord, Ref, parse_name
from casync.objects.codec import Codec, Packed
from casync.objects.delta import Delta, Group, wanted_ids
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content
from casync.objects.tree import File
from casync.objects.tree_walk import find, root_of
from casync.remote.server.calls import Calls
from casync.remote.server.message import Reply, Request
from casync.remote.server.transport_options import TransportOptions
from casync.remote.site.open_map import ListedChunk, OpenMap
from casync.remote.site.segments import SiteSegments
from casync.store.base import Absence, ManifestRow, ManifestState, ObjectStat, Traffic
from casync.store.proved import ProvedReader
from casync.wire.documents import decode_document
from casync.wire.site import SiteName, site_versions

__all__ = ["StaticSite"]

_NO_CACHE: Final = ((b"Cache-Control", b"no-cache"),)
_ABSENT: Final = frozenset({404, 410})
_HIDDEN: Final = frozenset({401, 403})
"""Statuses of files that are not there, at storages that do not let strangers list."""

_NO_SUCH_RANGE: Final = 416

_Answer = TypeVar("_Answer")


class StaticSite:
    """A `Server` that only has files. Used by several threads at once.

    Args:
        url: The address below which the files are; with a query that every request carries.
        options: Options of the transport.

    Raises:
        UsageError: The address or an option is invalid.
    """

    deltas_pay = False

    def __init__(self, url: str, options: TransportOptions | None = None) -> None:
        self._calls = Calls(url, options or TransportOptions())
        self._lock = threading.Lock()
        self._maps: dict[ManifestId, OpenMap | None] = {}  # None until it is needed
        self._named: set[ManifestId] = set()
        self._segments = SiteSegments(self._segment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections. Threads that wait for the site get StoppedError."""
        self._calls.close()

    @property
    def origin(self) -> str:
        """The site's name in messages: scheme, host and port."""
        return self._calls.transport.origin

    @property
    def place(self) -> str:
        """The site's address in messages, with its path."""
        return self._calls.transport.place

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user about the connection to the site."""
        return self._calls.transport.warnings

    @property
    def traffic(self) -> Traffic:
        """All traffic so far."""
        return self._calls.transport.traffic

    def is_there(self) -> bool:
        """Whether the address is that of a site.

        Raises:
            UnsupportedError: There is a store, or a site of a later format.
            CasyncError: As `Calls.read`.
        """
        reply = self._file(MARKER_KEY)
        if reply is None:
            return False
        try:
            marker = decode_marker(reply.body)
        except MalformedError:
            return False
        if marker.kind != "site":
            raise UnsupportedError(
                f"{self.place} shows a store in a bucket, which is not read over HTTP",
                next_step="`casync publish` writes names for a web server.",
            )
        return True

    def expects(self, manifest: ManifestId) -> None:
        """As `Server.expects`."""
        with self._lock:
            self._maps.setdefault(manifest, None)

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        for answers in self._answers(kind, ids):
            yield from answers

    def get_groups(
        self, kind: Kind, groups: Sequence[Group]
    ) -> Iterator[Sequence[Packed | Delta | Absence]]:
        """As `Server.get_groups`; all objects come whole."""
        yield from self._answers(kind, wanted_ids(groups))

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        if kind is Kind.CHUNK:
            placed = self._places(ids)
            found = [placed.get(ident) for ident in ids]
            return [one and ObjectStat(one.length, one.place.stored) for one in found]
        return [
            None if isinstance(one, Absence) else ObjectStat(one.length, len(one.payload))
            for one in self.get(kind, ids)
        ]

    def manifests(self) -> Iterator[ManifestRow]:
        """A site does not list its manifests.

        Raises:
            UnsupportedError: Always.
        """
        raise self._unlisted("manifests")

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """The name that is the prefix, if there is one. A site does not list others.

        Raises:
            UnsupportedError: Another name is asked for.
            CasyncError: A request failed.
        """
        with suppress(UsageError):
            yield from self.history(parse_name(prefix))[-1:]
        raise self._unlisted("names")

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        found = self._map(ident)
        if found is None:
            return None
        return ManifestRow(ident, ManifestState.FULL, decode_manifest(found.manifest).length, 0)

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`: the versions that the site has."""
        reply = self._file(name_key(name))
        if reply is None:
            return []
        try:
            found = site_versions(decode_document(reply.body, SiteName))
        except RemoteProtocolError as error:
            raise RemoteProtocolError(
                f"{self.place} answers with something else than the name {name}: {error.message}"
            ) from error
        if found[-1].name != name:
            raise RemoteProtocolError(f"{self.place} has {found[-1].name} in the place of {name}")
        return found

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`.

        Raises:
            NoNameError: The site has no such name, version or manifest.
            UsageError: The ref is a prefix of a hash.
            CasyncError: A request failed.
        """
        if ref.prefix is not None:
            step = "Static sites take full hashes and names."
            raise UsageError(f"{ref.prefix} is not a full hash", next_step=step)
        ident = ref.manifest
        if ref.name is not None:
            versions = self.history(ref.name)
            found = [one for one in versions if ref.version in (0, one.version)]
            ident = ManifestId(found[-1].manifest) if found else None
            if ident is not None:
                self._named.add(ident)
        elif ident is not None and self._map(ident) is None:
            ident = None
        if ident is None:
            raise NoNameError(f"{ref} is not on {self.place}, or may not be read")
        self.expects(ident)
        return ident

    def archive_index(self, manifest: ManifestId, path: bytes) -> Content | None:
        """As `IndexServer.archive_index`: the index that was published with the archive."""
        found = self._map(manifest)
        if found is None or not found.indexes:
            return None
        content = decode_manifest(found.manifest).content
        if path:
            fetch = ProvedReader(self).found
            entry = find(root_of(decode_manifest(found.manifest), fetch), path, fetch)
            if not isinstance(entry, File):
                return None
            content = entry.content
        return found.indexes.get(content.id)

    def _unlisted(self, what: str) -> UnsupportedError:
        return UnsupportedError(
            f"{self.place} is a static site, which does not list its {what}",
            next_step="Name what you want; its publisher knows the names.",
        )

    def _answers(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Sequence[Packed | Absence]]:
        """The answers in order, in lists as they come."""
        for start in range(0, len(ids), MAX_BATCH_IDS):
            part = ids[start : start + MAX_BATCH_IDS]
            if kind is Kind.CHUNK:
                yield from self._segments.chunks(part, self._places(part))
            elif kind is Kind.NODE:
                yield self._nodes(part)
            else:
                yield [self._manifest(ManifestId(ident)) for ident in part]

    def _manifest(self, ident: ManifestId) -> Packed | Absence:
        found = self._map(ident)
        if found is None and ident in self._named:
            raise NoObjectError(
                f"{self.place} has the name, but not the map of {ident.hex()}",
                next_step="Try again later: the site is being copied, or a cache is older than it.",
            )
        if found is None:
            return Absence.MISSING
        data = found.manifest
        return Packed(Kind.MANIFEST, ident, Codec.RAW, len(data), data)

    def _nodes(self, ids: Sequence[ObjectId]) -> list[Packed | Absence]:
        nodes = self._from_maps(ids, OpenMap.nodes)
        return [
            Packed(Kind.NODE, ident, Codec.RAW, len(nodes[ident]), nodes[ident])
            if ident in nodes
            else Absence.MISSING
            for ident in ids
        ]

    def _segment(self, key: str, start: int, end: int) -> memoryview:
        """Bytes of a segment, which a map names.

        Raises:
            NoObjectError, DeniedError: It is not there, or may not be read.
            CasyncError: As `Calls.read_part`.
        """
        request = Request(f"/{key}", (), span=(start, end))
        try:
            return self._calls.read_part(request, 2 * (end - start))
        except CasyncError as error:
            if error.status in _ABSENT or error.status == _NO_SUCH_RANGE:
                lost = key if error.status in _ABSENT else f"the end of {key}"
                step = "Try again later; if it is lost, publish the name again."
                raise NoObjectError(f"{self.place} lacks {lost}", next_step=step) from error
            if error.status in _HIDDEN:
                raise DeniedError(
                    f"{self.place} does not send {key}: HTTP status {error.status}",
                    next_step="The signature in its address may have expired; or the file is gone,"
                    " and those who may not list files are told so by this status.",
                ) from error
            raise

    def _places(self, ids: Sequence[ObjectId]) -> dict[bytes, ListedChunk]:
        return self._from_maps(ids, OpenMap.places)

    def _from_maps(
        self,
        ids: Sequence[ObjectId],
        read: Callable[..., dict[bytes, _Answer]],
    ) -> dict[bytes, _Answer]:
        """What the maps of what is expected say of objects; the newest map is asked first."""
        answers: dict[bytes, _Answer] = {}
        for manifest in reversed(list(self._maps)):
            lacking = [ident for ident in ids if ident not in answers]
            if not lacking:
                break
            answers |= self._read_map(manifest, partial(read, ids=lacking)) or {}
        return answers

    def _map(self, ident: ManifestId) -> OpenMap | None:
        """The map of a manifest; None if the site has none."""
        return self._read_map(ident, lambda found: found)

    def _read_map(self, ident: ManifestId, read: Callable[[OpenMap], _Answer]) -> _Answer | None:
        """What is read of the map of a manifest; None if the site has none.

        A publisher that adds a member index replaces the map, and then all its parts lie elsewhere:
        a reader under way takes it for a bad one. So a bad map is opened once more.

        Raises:
            MalformedError: It is bad again.
        """
        for fields in ((), _NO_CACHE):
            try:
                return read(self._opened(ident, fields))
            except _Gone:
                return None
            except MalformedError as error:
                failed = error
                with self._lock:
                    self._maps[ident] = None
        raise MalformedError(
            f"{self.place} has a bad map, {map_key(ident)}: {failed.message}",
            next_step="Its publisher mends it: delete this file there, and publish the name again.",
        ) from failed

    def _opened(self, ident: ManifestId, fields: Sequence[tuple[bytes, bytes]]) -> OpenMap:
        """A map that is open, or is opened with fields that every request for it carries.

        Raises:
            _Gone: The site has none.
            MalformedError: It is bad.
        """
        with self._lock:
            known = self._maps.get(ident)
        if known is not None:
            return known
        key = map_key(ident)

        def read(start: int, end: int) -> bytes:
            request = Request(f"/{key}", (), fields=fields, span=(start, end))
            try:
                data = self._if_there(lambda: self._calls.read_part(request, 2 * (end - start)))
            except CasyncError as error:
                if error.status == _NO_SUCH_RANGE:
                    raise MalformedError("map that is shorter than it says") from error
                raise
            if data is None:
                raise _Gone
            return bytes(data)

        found = OpenMap(read, self._segments.lists)
        if manifest_id(found.manifest) != ident:
            raise MalformedError("it is the map of another manifest")
        with self._lock:
            self._maps[ident] = found
        return found

    def _file(self, key: str) -> Reply | None:
        """A small file of the site, past all caches; None if it is not there."""
        request = Request(f"/{key}", (), fields=_NO_CACHE)
        return self._if_there(lambda: self._calls.read(request))

    def _if_there(self, read: Callable[[], _Answer]) -> _Answer | None:
        """What is read of a file; None if it is not there."""
        try:
            return read()
        except CasyncError as error:
            if error.status in _ABSENT or error.status in _HIDDEN:
                return None
            raise


class _Gone(Exception):  # noqa: N818  never leaves this module
    """A map that is not there."""
