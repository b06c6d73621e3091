"""Many files and members as one tar.

All items are found before the first byte, so what is missing is known then, and how long the answer
is. An item keeps its version and its place in an archive, but nothing stays open for it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec.structs import replace

from casync.access.archive import Archive, open_archive
from casync.access.locate import nothing_at, open_archive_at, reach
from casync.access.member_indexes import MemberIndexes
from casync.access.outline import Outline
from casync.archives.member import Member, member_path
from casync.archives.plain_bytes import PlainBytes
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.archives.writing.tar_writer import TAR_END, tar_size, write_tar
from casync.errors import (
    IntegrityError,
    MalformedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from casync.ids import Buffer, ManifestId
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.store.base import ManifestSource
from casync.wire.batch import MISSING, BatchItem, BatchRequest
from casync_server.http.request_stats import RequestStats
from casync_server.reading.content import read_content, read_member, tell_damage
from casync_server.reading.url_ref import NODES, for_clients, parse_url_ref

__all__ = ["BatchTar", "plan_batch"]

_OPEN_ARCHIVES: Final = 4
"""Archives that stay open while a batch is sent: each holds some MB of nodes and index."""


class _Found(NamedTuple):
    """Where the bytes of an item are.

    Attributes:
        ident: The manifest that its ref resolves to.
        file: The file.
        inside: The path in the archive that the file is; empty for the file itself.
        member: The member there.
        start: Where the bytes begin in the file or member.
        end: Where they end.
    """

    ident: ManifestId
    file: Manifest
    inside: bytes
    member: Member | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BatchTar:
    """A tar of items that were found.

    Attributes:
        store: Has them.
        indexes: Keeps the indexes of archives.
        members: The members of the tar.
        found: Where the bytes of each are; None for none.
    """

    store: ManifestSource
    indexes: MemberIndexes
    members: list[NewMember]
    found: list[_Found | None]
    _archives: OrderedDict[Content, Archive] = field(default_factory=OrderedDict)

    @property
    def length(self) -> int:
        """Bytes of the tar."""
        return sum(map(tar_size, self.members)) + len(TAR_END)

    def read(self, size: Callable[[], int], stats: RequestStats) -> Iterator[list[Buffer]]:
        """The tar, in blocks of about `size()` bytes.

        Raises:
            DamagedObjectError: An object is missing or damaged. The tar is not whole.
        """
        with tell_damage("in a batch"):
            for block in write_tar(self._with_bytes(size, stats)):
                yield [block]

    def _with_bytes(
        self, size: Callable[[], int], stats: RequestStats
    ) -> Iterable[MemberWithBytes]:
        for member, found in zip(self.members, self.found, strict=True):
            yield member, self._content(found, size, stats) if found else ()

    def _content(
        self, found: _Found, size: Callable[[], int], stats: RequestStats
    ) -> Iterator[Buffer]:
        outline = Outline(found.ident, found.file, self.store, cached_nodes=NODES)
        if found.member is None:
            batches = read_content(self.store, outline, found.start, found.end, size, stats)
        else:
            archive = self._archive(outline)
            try:
                content = archive.content_of(found.member)
            except IntegrityError:  # its index is wrong, or the archive is damaged
                content = archive.open(found.inside) or archive.content_of(found.member)
            batches = read_member(content, found.start, found.end, stats)
        for batch in batches:
            yield from batch

    def _archive(self, outline: Outline) -> Archive:
        archive = self._archives.pop(outline.content, None)
        archive = archive or open_archive(outline, self.store, self.indexes)
        assert archive is not None, "it was one when the item was found"
        self._archives[outline.content] = archive
        if len(self._archives) > _OPEN_ARCHIVES:
            self._archives.popitem(last=False)
        return archive


def plan_batch(request: BatchRequest, store: ManifestSource, indexes: MemberIndexes) -> BatchTar:
    """Finds the items of a request.

    Args:
        request: The request.
        store: The served store, as the client may see it.
        indexes: Keeps the indexes of archives.

    Raises:
        UsageError: The request asks for something that no server sends; or, like the errors that
            follow unless the request goes on without what is missing, an item is not a file.
        NoNameError, NotFoundError: There is no such name or manifest, or nothing at a path.
        UnsupportedError: A member cannot be read.
        DamagedObjectError: An object on the way is missing or damaged.
        MalformedError: Members have far more plain bytes than archives have.
    """
    if request.mime not in ("", "tar", ".tar"):
        raise UsageError(f"batches are sent as .tar, not as {request.mime}")
    if not request.strm:
        raise UsageError("batches are streams; `strm` must not be false")
    members = [NewMember(_path_of(item, request)) for item in request.items]
    found: list[_Found | None] = [None] * len(members)
    finder = _Finder(store, indexes)
    places = enumerate(request.items)
    for number, item in sorted(places, key=lambda one: (one[1].ref, one[1].archpath)):
        member = members[number]
        try:
            place = found[number] = finder.find(item)
        except (NotFoundError, UsageError, UnsupportedError):
            if not request.coer:
                raise
            members[number] = member._replace(path=MISSING + b"/" + member.path)
        else:
            members[number] = member._replace(length=place.end - place.start)
    return BatchTar(store, indexes, members, found)


class _Finder:
    """Finds items, fastest those of one archive one after the other, ordered by path."""

    def __init__(self, store: ManifestSource, indexes: MemberIndexes) -> None:
        self._store = store
        self._indexes = indexes
        self._idents: dict[str, ManifestId] = {}
        self._archive: Archive | None = None
        self._plain = PlainBytes()

    def find(self, item: BatchItem) -> _Found:
        """Where an item is. Raises as `plan_batch`."""
        ref = parse_url_ref(item.ref)
        if item.archpath:
            ref = replace(ref, path=os.fsdecode(member_path(item.archpath.encode())))
        with for_clients(), tell_damage(f"below {item.ref}"):
            ident = self._idents.get(item.ref) or self._store.resolve(ref.whole)
            self._idents[item.ref] = ident
            reached = reach(ref, self._store, ident=ident, cached_nodes=NODES)
            file, member = reached.located.content, None
            if not isinstance(file, Outline):
                raise UsageError(f"{ref} is a folder, link, device or pipe, not a file")
            if reached.rest:
                archive = self._archive
                if archive is None or archive.content != file.content:
                    archive = open_archive_at(ref, reached, self._store, self._indexes)
                    self._archive = archive
                    self._plain.add(file.length)
                member = archive.find(reached.rest)
                if member is None:
                    raise nothing_at(ref, reached, archive)
                archive.require_file(member)
        length = file.length if member is None else member.length
        end = item.start + item.length if item.length else length
        if not item.start <= end <= length:
            raise UsageError(f"{ref} has no bytes {item.start} to {end}, only {length}")
        if member is not None:
            self._plain.take(end - item.start, member.path)
        return _Found(ident, file.manifest, reached.rest, member, item.start, end)


def _path_of(item: BatchItem, request: BatchRequest) -> bytes:
    """The path of an item in the answer."""
    ref = item.objname if request.onob else item.ref
    try:
        return member_path("/".join(filter(None, (ref, item.archpath))).encode())
    except MalformedError as error:
        raise UsageError(f"no file can have the path {item.ref}/{item.archpath}") from error
