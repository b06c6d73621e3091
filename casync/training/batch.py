"""Files and members of archives in any order, each with its bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final

from casync.access.archive import Archive
from casync.access.content_file import FileBytes, Readable
from casync.access.locate import WalkedPath, nothing_at, open_archive_at, reach
from casync.access.member_indexes import indexes_of
from casync.access.outline import Outline
from casync.archives.plain_bytes import PlainBytes
from casync.errors import UsageError
from casync.ids import ManifestId
from casync.names.name import Ref, parse_ref
from casync.objects.node import Content
from casync.store.base import ManifestSource

__all__ = ["batch"]

_OPEN_ARCHIVES: Final = 16
"""Archives that stay open: each holds some MB of nodes and index."""


def batch(refs: Iterable[str | Ref], source: ManifestSource) -> Iterator[tuple[str, bytes]]:
    """Files, files in folders and members of archives with their bytes, in the order of `refs`.

    A name resolves once, so all refs of it are of one version. Memory holds the archives that were
    read last, and one file. Every chunk is proved.

    Args:
        refs: A file each, or `REF:PATH` for one in a folder or an archive. They may be endless.
        source: A store, or a `RemoteClient`.

    Raises:
        UsageError: A ref leads to something other than a file.
        NotFoundError: There is no such name, or nothing at a path.
        UnsupportedError: A member is sparse or encrypted.
        NoObjectError, IntegrityError: Something is missing or damaged, or a member has far more
            bytes than archives have. Earlier files are good.
    """
    files = _Files(source)
    for ref in refs:
        parsed = parse_ref(ref) if isinstance(ref, str) else ref
        content = files.open(parsed)
        yield str(ref), b"".join(content.read(0, content.length))


class _Files:
    """Opens files, with what files of the same archive or name need held open."""

    def __init__(self, source: ManifestSource) -> None:
        self._source = source
        self._indexes = indexes_of(source)
        self._idents: dict[Ref, ManifestId] = {}
        self._archives: OrderedDict[Content, Archive] = OrderedDict()

    def open(self, ref: Ref) -> Readable:
        """The file at a ref. Raises as `batch`."""
        ident = self._idents.get(ref.whole)
        if ident is None:
            ident = self._idents[ref.whole] = self._source.resolve(ref.whole)
        found = reach(ref, self._source, ident=ident)
        outline = found.located.content
        if not isinstance(outline, Outline):
            raise UsageError(f"{ref} is a folder, link, device or pipe, not a file")
        if not found.rest:
            return FileBytes(outline, self._source)
        archive = self._archive(ref, found, outline.content)
        member = archive.open(found.rest)
        if member is None:
            raise nothing_at(ref, found, archive)
        PlainBytes(outline.length).take(member.length, found.rest)
        return member

    def _archive(self, ref: Ref, found: WalkedPath, content: Content) -> Archive:
        archive = self._archives.pop(content, None)
        if archive is None:
            archive = open_archive_at(ref, found, self._source, self._indexes)
        self._archives[content] = archive
        if len(self._archives) > _OPEN_ARCHIVES:
            self._archives.popitem(last=False)
        return archive
